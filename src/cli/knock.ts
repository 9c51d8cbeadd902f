// Waits until an SSH server answers at ARGV[0], at most ARGV[1] seconds: exit status 0 when it does, 1 otherwise. A program of its own,
// because only a whole process can be put into a network namespace.
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const [ip = '', seconds = '1'] = process.argv.slice(2)

/** An open port is not enough: a guest that is still booting may accept and say nothing. */
function greets(within: number): Promise<boolean> {
  return new Promise((answer) => {
    const socket = net.connect({ host: ip, port: 22, timeout: within })
    const done = (value: boolean) => {
      socket.destroy()
      answer(value)
    }
    socket.once('data', (data) => done(data.toString('latin1').startsWith('SSH-')))
    socket.once('timeout', () => done(false))
    socket.once('error', () => done(false))
    socket.once('close', () => done(false))
  })
}

const until = performance.now() + Number(seconds) * 1000
for (let left = until - performance.now(); left > 0; left = until - performance.now()) {
  if (await greets(Math.min(left, 5_000))) process.exit(0)
  await sleep(200)
}
process.exit(1)
