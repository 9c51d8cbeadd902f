// Named crash points: places between two steps where the chaos test kills the process, to prove that whoever comes next finishes the work.
// In normal life a call costs one property read.

const wished = process.env.WISP_CRASH ?? ''
const [name, nth] = wished.split('@')
let left = Number(nth ?? 1)

/** Ends this process with SIGKILL if WISP_CRASH names this point (`point` or `point@3` = the third time it is passed). */
export function crash(point: string): void {
  if (wished && point === name && --left === 0) process.kill(process.pid, 'SIGKILL')
}
