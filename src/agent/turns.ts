// Work that always does everything anew: however often it is asked for at once, it runs one at a time and once more at most.

/**
 * Wraps `work` so that each call resolves when a run has ended that began after the call: what the caller changed before is seen.
 * A run under way is not counted, as it may have looked too early; one more run is shared by all who ask meanwhile.
 */
export function inTurns(work: () => Promise<void>): { ask(): Promise<void>; idle(): Promise<void> } {
  let current: Promise<void> | null = null
  let following: Promise<void> | null = null
  const begin = () => {
    const run = work().finally(() => {
      if (current === run) current = null
    })
    current = run
    return run
  }
  return {
    ask() {
      if (following) return following
      if (!current) return begin()
      following = current
        .catch(() => undefined)
        .then(() => {
          following = null
          return begin()
        })
      return following
    },
    async idle() {
      while (following ?? current) await (following ?? current)?.catch(() => undefined)
    },
  }
}
