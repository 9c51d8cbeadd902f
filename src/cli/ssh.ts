// `wisp ssh`: logs in to a server through the DHCP namespace of its network on this machine. It needs no floating IP, no router and no
// security group rule: the agent leaves port 22 open to that namespace, from which only root on this machine can send.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { type Config, cloudTag } from '../config.ts'
import { namespaceName } from '../network/host/names.ts'
import { logIn, type Session } from './session.ts'

const patience = 60

export interface Wanted {
  server: string
  user: string
  key?: string
  /** What to run there; empty: a shell. */
  command: string[]
}

const usage = 'wisp ssh SERVER [-i KEYFILE] [--user NAME] [COMMAND …]'

/** Options stand before the command: whatever begins with a dash after it is the command's own. */
export function readWords(words: string[]): Wanted {
  const wanted: Wanted = { server: '', user: 'cirros', command: [] }
  const rest = [...words]
  while (rest.length > 0) {
    const word = rest.shift()!
    if (word === '-i' || word === '--user') {
      const value = rest.shift()
      if (value === undefined || value === '') throw new Error(`${word} wants a value: ${usage}`)
      if (word === '-i') wanted.key = value
      else wanted.user = value
    } else if (word === '--') {
      wanted.command = rest.splice(0)
      if (wanted.server === '') wanted.server = wanted.command.shift() ?? ''
    } else if (word.startsWith('-')) throw new Error(`wisp ssh knows no ${word}: ${usage}`)
    else if (wanted.server === '') wanted.server = word
    else wanted.command = [word, ...rest.splice(0)]
  }
  if (wanted.server === '') throw new Error(`Which server? ${usage}`)
  if (wanted.user.startsWith('-') || wanted.user.includes('@')) throw new Error(`'${wanted.user}' cannot be a user's name`)
  return wanted
}

/** Answers ssh's exit status. */
export async function ssh(config: Config, words: string[]): Promise<number> {
  const wanted = readWords(words)
  const session = await logIn(config)
  const way = await findWay(session, config, wanted).finally(() => session.close())
  await waitForSsh(way)
  const child = spawn('nsenter', [`--net=${way.namespace}`, '--', 'ssh', ...sshWords(way, wanted)], { stdio: 'inherit' })
  // Ctrl-C is for the program at the other end: ssh carries it there.
  process.on('SIGINT', () => undefined)
  const [status, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
  return status ?? 128 + (os.constants.signals[signal!] ?? 0)
}

interface Way {
  name: string
  ip: string
  /** The namespace's handle. */
  namespace: string
}

/** Servers come and go and take each other's addresses, so keys of hosts are neither asked about nor kept: the namespace is ours alone. */
export function sshWords(way: Pick<Way, 'ip'>, { user, key, command }: Wanted): string[] {
  const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR', 'ConnectTimeout=10']
  return [
    ...options.flatMap((option) => ['-o', option]),
    ...(key === undefined ? [] : ['-i', key, '-o', 'IdentitiesOnly=yes']),
    `${user}@${way.ip}`,
    ...(command.length > 0 ? ['--', ...command] : []),
  ]
}

interface Server {
  id: string
  name: string
  status: string
  'OS-EXT-SRV-ATTR:host': string | null
}

interface Port {
  network_id: string
  fixed_ips: { ip_address: string }[]
}

async function findWay(session: Session, config: Config, wanted: Wanted): Promise<Way> {
  const server = await findServer(session, wanted.server)
  const called = `Server ${server.name} (${server.id})`
  if (server.status !== 'ACTIVE') throw new Error(`${called} is ${server.status}, not ACTIVE. ${remedy(server)}`)
  const found = await session.get<{ ports: Port[] }>(`/network/v2.0/ports?device_id=${encodeURIComponent(server.id)}`)
  const addresses = (found?.ports ?? []).flatMap(({ network_id, fixed_ips }) => fixed_ips.map(({ ip_address: ip }) => ({ network_id, ip })))
  const address = addresses.find(({ ip }) => !ip.includes(':'))
  if (!address) throw new Error(`${called} has no IPv4 address: it is on no network, or on one without an IPv4 subnet`)
  const namespace = `/run/netns/${namespaceName(cloudTag(config.home), address.network_id)}`
  const host = server['OS-EXT-SRV-ATTR:host']
  if (host !== config.hostName)
    throw new Error(
      `${called} runs on host ${host}, and this is ${config.hostName}. There, as root (if that host's data directory is ${config.home}, too):\n  nsenter --net=${namespace} ssh ${wanted.user}@${address.ip}`,
    )
  if (!fs.existsSync(namespace))
    throw new Error(
      `${called} has the address ${address.ip}, but its network has no namespace here (${namespace}): its subnet is without DHCP, or the host's program does not run. "wisp status" says what runs`,
    )
  return { name: server.name, ip: address.ip, namespace }
}

async function findServer(session: Session, wanted: string): Promise<Server> {
  const byId = /^[0-9a-f-]{36}$/i.test(wanted) ? await session.get<{ server: Server }>(`/compute/v2.1/servers/${wanted}`) : null
  if (byId) return byId.server
  // The API takes a regular expression, so what is special in one is not sent; which names are equal is decided here.
  const query = `all_tenants=1&name=${encodeURIComponent(wanted.replaceAll(/[^\w ]/g, '.'))}`
  const found = await session.get<{ servers: Server[] }>(`/compute/v2.1/servers/detail?${query}`)
  const same = (found?.servers ?? []).filter(({ name }) => name === wanted)
  if (same.length === 1) return same[0]!
  if (same.length === 0) throw new Error(`There is no server '${wanted}'. "openstack server list --all-projects" lists them`)
  throw new Error(`${same.length} servers are called '${wanted}'. Name one by its id: ${same.map(({ id }) => id).join(', ')}`)
}

function remedy({ id, status }: Server): string {
  if (status === 'BUILD' || status.endsWith('REBOOT')) return 'Wait until it is: openstack server show shows its status'
  if (status === 'SHUTOFF') return `openstack server start ${id}`
  if (status === 'ERROR') return `openstack server show ${id} says why`
  return `openstack server show ${id}`
}

/** A guest that has just been started takes a while; says so when it is not there at once. */
async function waitForSsh({ name, ip, namespace }: Way): Promise<void> {
  const knocker = path.join(import.meta.dirname, 'knock.ts')
  const knock = async (seconds: number): Promise<boolean> => {
    const child = spawn('nsenter', [`--net=${namespace}`, '--', process.execPath, knocker, ip, String(seconds)], { stdio: 'inherit' })
    return (await once(child, 'exit'))[0] === 0
  }
  if (await knock(1)) return
  console.error(`wisp: waiting for SSH on ${name} (${ip}), at most ${patience} s …`)
  if (await knock(patience)) return
  throw new Error(
    `${name} does not answer on ${ip} port 22 after ${patience} s. "openstack console log show" shows how far it has come; is there an SSH server in its image?`,
  )
}
