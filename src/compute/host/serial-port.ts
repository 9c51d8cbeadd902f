// The serial port of a running server: the pseudoterminal that libvirt gave it. QEMU writes the console log whether or not anybody looks.
import fs from 'node:fs'
import type { Duplex } from 'node:stream'
import tty from 'node:tty'
import { type SharedTerminal, shareTerminal } from '../../agent/shared-terminal.ts'

const open = new Map<string, SharedTerminal>()

/**
 * Joins those who are at a server's serial port. `deviceNow` answers its device (`/dev/pts/N`), undefined when the server is off.
 * Undefined when there is none.
 */
export async function joinSerialPort(serverId: string, deviceNow: () => Promise<string | undefined>): Promise<Duplex | undefined> {
  const device = await deviceNow()
  if (device === undefined) return undefined
  const key = `${serverId} ${device}`
  const known = open.get(key)
  if (known) return known.join()
  const file = fs.openSync(device, fs.constants.O_RDWR | fs.constants.O_NOCTTY)
  // The numbers of pseudoterminals are given again: only what is still the server's after it was opened has been the server's all the time.
  if ((await deviceNow()) !== device) {
    fs.closeSync(file)
    return undefined
  }
  const another = open.get(key)
  if (another) {
    fs.closeSync(file)
    return another.join()
  }
  const terminal = new tty.ReadStream(file)
  const shared = shareTerminal(terminal, () => open.delete(key))
  open.set(key, shared)
  return shared.join()
}
