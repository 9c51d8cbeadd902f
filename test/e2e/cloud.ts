// A cloud of its own for a test, started by the very command that a person types, and taken away again without a trace. With
// WISP_E2E_HOME in the environment (see run.ts) a test uses the cloud that is there, because starting one and building its guest image takes time.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { cloudTag } from '../../src/config.ts'
import { freePort } from '../free-port.ts'
import { type Person, person } from './person.ts'
import { type Output, succeed } from './run-program.ts'

const repository = path.join(import.meta.dirname, '../..')
export const launcher = path.join(repository, 'wisp')

export interface Cloud {
  home: string
  port: number
  url: string
  tag: string
  demo: Person
  admin: Person
  /** Environment of everything that concerns this cloud. */
  env: NodeJS.ProcessEnv
  /** `./wisp WORDS`; throws with what it said unless it ends with 0. */
  wisp(...words: string[]): Promise<Output>
  /** `wisp destroy --yes`; fails when anything is left. A cloud that was there before is left alone. */
  stop(): Promise<void>
}

export interface CloudOptions {
  /** Settings beside the home and the port. */
  settings?: Record<string, string>
  /** Always a new cloud, also where there is one to share. */
  own?: boolean
}

/** Starts a cloud, or takes the one that WISP_E2E_HOME names. */
export async function startCloud({ settings = {}, own = false }: CloudOptions = {}): Promise<Cloud> {
  const shared = own ? undefined : process.env.WISP_E2E_HOME
  // PostgreSQL and QEMU are other users: they must be able to walk through.
  const folder = shared ? '' : fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-e2e-'))
  if (folder) fs.chmodSync(folder, 0o711)
  const home = shared ?? path.join(folder, 'home')
  const port = shared ? Number(process.env.WISP_E2E_PORT) : await freePort()
  const env = { ...process.env, ...settings, WISP_HOME: home, WISP_PORT: String(port) }
  const wisp = async (...words: string[]) => succeed([launcher, ...words], env, 600)
  const tag = cloudTag(home)
  const stop = async () => {
    if (shared) return
    await wisp('destroy', '--yes')
    fs.rmSync(folder, { recursive: true, force: true })
    forget()
    assert.deepEqual(await leftovers(home), [])
  }
  const forget = shared ? () => undefined : onEnd(stop)
  if (!shared) {
    try {
      await wisp('up')
    } catch (error) {
      await stop().catch((second) => console.error(second))
      throw error
    }
  }
  const demo = person(path.join(home, 'demo-openrc'))
  const url = demo.env.OS_AUTH_URL!.replace('/identity/v3', '')
  return { home, port, url, tag, demo, admin: person(path.join(home, 'openrc')), env, wisp, stop }
}

const endings = new Set<() => Promise<unknown>>()

/** What must be taken away also when the test is ended in its middle (Ctrl-C, its time is over). Returns how to take that back. */
export function onEnd(end: () => Promise<unknown>): () => void {
  if (endings.size === 0)
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, async () => {
        for (const one of [...endings].reverse()) await one().catch((error) => console.error(error))
        process.exit(1)
      })
  endings.add(end)
  return () => endings.delete(end)
}

/** A folder that goes when the process does, with a key pair in it for ssh. */
export async function keyPair(): Promise<{ folder: string; key: string }> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-e2e-key-'))
  process.once('exit', () => fs.rmSync(folder, { recursive: true, force: true }))
  const key = path.join(folder, 'id_ed25519')
  await succeed(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'e2e', '-f', key], process.env, 30)
  return { folder, key }
}

/** The QEMU process that runs a server, from the domain's name on its command line; undefined when none does. */
export function qemuPid(serverId: string): number | undefined {
  const found = fs.readdirSync('/proc').find((pid) => {
    try {
      return /^\d+$/.test(pid) && fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`${serverId},debug-threads=on`)
    } catch {
      return false
    }
  })
  return found === undefined ? undefined : Number(found)
}

/** Everything on this machine that still bears the name of the cloud of this home. */
export async function leftovers(home: string): Promise<string[]> {
  const tag = cloudTag(home)
  const lines = async (argv: string[]) => (await succeed(argv, process.env, 30)).stdout.split('\n')
  const bearing = (what: string, names: string[]) => names.filter((name) => name.includes(tag)).map((name) => `${what}: ${name.trim()}`)
  const processes = fs.readdirSync('/proc').flatMap((pid) => {
    try {
      const words = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
      return /^\d+$/.test(pid) && words.includes(home) ? [`process: ${pid} ${words}`] : []
    } catch {
      return []
    }
  })
  const folders = [home, `/run/wisp-${tag}`, `/etc/systemd/system/wisp-${tag}.service`].filter((file) => fs.existsSync(file))
  return [
    ...bearing('domain', await lines(['virsh', '-q', '-c', 'qemu:///system', 'list', '--all', '--name'])),
    ...bearing('link', await lines(['ip', '-o', 'link', 'show'])),
    ...bearing('namespace', await lines(['ip', 'netns', 'list'])),
    ...bearing('nft table', await lines(['nft', 'list', 'tables'])),
    ...bearing('iptables', await lines(['iptables-save'])),
    ...bearing('ip6tables', await lines(['ip6tables-save'])),
    ...bearing('ipset', await lines(['ipset', 'list', '-n'])),
    ...bearing('libvirt log', fs.existsSync('/var/log/libvirt/qemu') ? fs.readdirSync('/var/log/libvirt/qemu') : []),
    ...processes,
    ...folders.map((file) => `file: ${file}`),
  ]
}
