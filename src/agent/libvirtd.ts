// Makes sure that libvirtd answers on its socket. systemd starts it where there is systemd; elsewhere we do, together with virtlogd,
// and leave both running when we go: running guests log their consoles through virtlogd.
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { settings } from '../config.ts'
import { run } from './shell.ts'

const PATIENCE = 15_000

/** True when something accepts connections on this Unix socket. */
export function listens(socket: string): Promise<boolean> {
  return new Promise((answer) => {
    const connection = net.connect({ path: socket })
    connection.once('connect', () => {
      connection.destroy()
      answer(true)
    })
    connection.once('error', () => answer(false))
  })
}

/** Settles when libvirtd accepts connections on `socket`. Answers true when it had to be started. */
export async function ensureLibvirtd(socket: string): Promise<boolean> {
  if (await listens(socket)) return false
  if (socket !== settings.libvirtSocket.default) {
    throw new Error(
      `Nothing answers on ${socket} (WISP_LIBVIRT_SOCKET). Start the libvirtd that listens there, or unset it to use this machine's own`,
    )
  }
  if (fs.existsSync('/run/systemd/system')) {
    await run(['systemctl', 'start', 'virtlogd.socket', 'libvirtd.socket', 'libvirtd.service'], {
      doing: 'start libvirtd',
      timeoutMs: 60_000,
    })
  } else {
    for (const folder of ['/run/libvirt', '/var/log/libvirt/qemu']) fs.mkdirSync(folder, { recursive: true })
    if (!(await listens(path.join(path.dirname(socket), 'virtlogd-sock')))) await run(['virtlogd', '--daemon'], { doing: 'start virtlogd' })
    await run(['libvirtd', '--daemon'], { doing: 'start libvirtd' })
  }
  const until = performance.now() + PATIENCE
  while (!(await listens(socket))) {
    if (performance.now() > until)
      throw new Error(`libvirtd was started, but does not answer on ${socket}. Its log: journalctl -u libvirtd, or /var/log/libvirt`)
    await sleep(50)
  }
  return true
}
