// The host's end of a tunnel (tunnel.ts has control's): asked for a console, it dials the controller and joins the guest's bytes to that connection.
import http from 'node:http'
import https from 'node:https'
import type { Duplex } from 'node:stream'
import type { Question } from './documents.ts'
import type { Credentials } from './host.ts'

/** Where a tunnel leads, and as whom: `controller` is where this host's stream comes from, `ca` (PEM) whom to trust besides the public authorities. */
export interface Back {
  controller: string
  credentials: Credentials
  ca?: string | undefined
}

/** Carries the guest's bytes to the controller until one of the two ends. The answer (200, or 502 and why) comes once they are joined. */
export function dialBack(
  guest: Duplex,
  { to, token }: Extract<Question, { what: 'tunnel' }>,
  { controller, credentials: { host_id, secret }, ca }: Back,
): Promise<{ status: number; body: unknown }> {
  const target = to ?? controller
  const unix = target.startsWith('unix:') ? target.slice('unix:'.length) : null
  const url = unix ? null : new URL(target)
  const request = (url?.protocol === 'https:' ? https : http).request({
    ...(unix ? { socketPath: unix } : { host: url!.hostname, port: url!.port, ca }),
    path: `/wire/v1/tunnels/${token}`,
    headers: { authorization: `Bearer ${host_id}.${secret}`, connection: 'Upgrade', upgrade: 'wisp-tunnel' },
  })
  return new Promise((resolve) => {
    const refuse = (message: string) => {
      guest.destroy()
      resolve({ status: 502, body: { message } })
    }
    // From now on: a guest may end before the controller has answered.
    guest.on('error', () => request.destroy())
    request.on('error', (error) => refuse(`The controller cannot be dialled: ${error.message}`))
    request.on('response', (response) => refuse(`The controller refuses the console: ${response.statusCode}`))
    request.on('upgrade', (_response, socket, head) => {
      if (head.length > 0) guest.write(head)
      guest.pipe(socket).pipe(guest)
      for (const [one, other] of [
        [guest, socket],
        [socket, guest],
      ] as const)
        one.on('error', () => other.destroy()).on('close', () => other.destroy())
      resolve({ status: 200, body: {} })
    })
    request.end()
  })
}
