// How this machine becomes a host: it trades a one-time token for an id and a secret, which it keeps in the data directory.
import fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { request } from 'undici'
import { isOfAnotherName, isUntrusted } from '../certificate-errors.ts'
import type { Config } from '../config.ts'
import { hostFile, joinTokenFile, writeSecret } from '../start/files.ts'
import { doorTo } from '../wire/host.ts'

export interface HostIdentity {
  host_id: string
  secret: string
  cloud: string
  controllers: string[]
}

/** A machine's own id; hosts made for tests in namespaces bring theirs in WISP_MACHINE_ID. */
export const machineId = (): string => process.env.WISP_MACHINE_ID || fs.readFileSync('/etc/machine-id', 'utf8').trim() || '0'

/** The text of WISP_CONTROLLER_CA's file. */
export const controllerCa = ({ controllerCa: file }: Config): string | undefined => (file ? fs.readFileSync(file, 'utf8') : undefined)

/** Joins the cloud behind `controllers` as config.hostName. Throws with the controller's own words when refused. */
export async function join(config: Config, controllers: string[], token: string): Promise<HostIdentity> {
  const { origin, agent } = doorTo(controllers[0]!, controllerCa(config))
  try {
    const reply = await request(`${origin}/wire/v1/join`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token, name: config.hostName, machine_id: machineId() }),
      dispatcher: agent,
    }).catch((error: unknown) => {
      throw distrusted(error, controllers[0]!)
    })
    const said = (await reply.body.json()) as Omit<HostIdentity, 'controllers'> & { error?: string }
    if (reply.statusCode !== 200) throw new Error(`${controllers[0]} refused this machine: ${said.error ?? reply.statusCode}`)
    const identity: HostIdentity = { host_id: said.host_id, secret: said.secret, cloud: said.cloud, controllers }
    fs.mkdirSync(config.home, { recursive: true, mode: 0o755 })
    writeSecret(hostFile(config.home), `${JSON.stringify(identity, null, 2)}\n`)
    return identity
  } finally {
    await agent.close()
  }
}

/** What to do about a certificate that is not believed; any other error as it is. */
function distrusted(error: unknown, controller: string): unknown {
  const code = String((error as NodeJS.ErrnoException).code ?? '')
  const name = new URL(controller).hostname
  if (isOfAnotherName(code))
    return new Error(
      `The certificate of ${controller} is not for ${name}: join by a name that it has, or give the controller one for ${name}`,
    )
  if (isUntrusted(code))
    return new Error(
      `The certificate of ${controller} is not one that this machine trusts (${(error as Error).message}). Copy the file of its authority here, and name it: WISP_CONTROLLER_CA=/path/ca.pem, for "wisp join" and in wisp.conf for "wisp up"`,
    )
  return error
}

/** Who this machine is. On the controller's own machine it joins by itself, with the token that the first start left for it. */
export async function hostIdentity(config: Config, localController: string): Promise<HostIdentity> {
  if (fs.existsSync(hostFile(config.home))) return JSON.parse(fs.readFileSync(hostFile(config.home), 'utf8')) as HostIdentity
  const tokenFile = joinTokenFile(config.home)
  if (!fs.existsSync(tokenFile))
    throw new Error(
      'This machine has not joined a cloud. Make a token on a controller with "wisp join-token", then here: "wisp join URL TOKEN"',
    )
  const token = fs.readFileSync(tokenFile, 'utf8').trim()
  // On the first start the controller of this machine comes up at the same time.
  for (;;) {
    try {
      const identity = await join(config, [localController], token)
      fs.rmSync(tokenFile)
      return identity
    } catch (error) {
      if (!['ENOENT', 'ECONNREFUSED'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
      await sleep(100)
    }
  }
}
