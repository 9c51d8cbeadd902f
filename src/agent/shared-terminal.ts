// One terminal, several people at it: a guest's serial port has a single pair of ends on its host, and bytes that one reader takes no other
// sees. So one reader takes them for all: everyone sees what the guest prints, and the guest hears everyone's keys.
import { Duplex } from 'node:stream'

/** Who is this far behind (bytes) does not read any more. */
const furthestBehind = 1 << 20

export interface SharedTerminal {
  /** Joins: what the guest prints from now on, and what is typed into it. It ends with the terminal, and for who does not read. */
  join(): Duplex
}

/**
 * Reads the terminal whatever those at it do: a guest must not wait for the slowest of them. When the last one has gone the terminal is
 * closed; `closed` is called when it is, whoever ended it.
 */
export function shareTerminal(terminal: Duplex, closed: () => void): SharedTerminal {
  const all = new Set<Duplex>()
  terminal.on('data', (bytes: Buffer) => {
    for (const one of all) if (!one.push(bytes) && one.readableLength > furthestBehind) one.destroy()
  })
  // A terminal whose guest is gone ends with an error on Linux (EIO).
  terminal.on('error', () => terminal.destroy())
  terminal.on('end', () => terminal.destroy())
  terminal.once('close', () => {
    closed()
    for (const one of all) one.push(null)
    all.clear()
  })
  return {
    join() {
      const one: Duplex = new Duplex({
        allowHalfOpen: false,
        read: () => undefined,
        write: (bytes, _encoding, done) => {
          terminal.write(bytes, done)
        },
        destroy: (error, done) => {
          all.delete(one)
          if (all.size === 0) terminal.destroy()
          done(error)
        },
      })
      all.add(one)
      return one
    },
  }
}
