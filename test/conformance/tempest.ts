// Runs tempest, OpenStack's own tests of its APIs, and its plugins against a cloud: the settings say what is built, the outcome is read as
// data. tempest itself is Debian's; the plugins, too old there, and the tempest they need are in a folder of their own (packages/python).
import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import type { Cloud } from './cloud.ts'

export type Settings = Record<string, Record<string, string | number | boolean>>

export type Outcome = 'pass' | 'fail' | 'skip'

export interface Outcomes {
  /** By test, as 'tempest.api.….test_it', without what tempest puts in brackets behind. */
  tests: Map<string, Outcome>
  /** By class, where setting it up failed or was skipped: then none of its tests has an outcome of its own. */
  classes: Map<string, Outcome>
  /** Why a test or a class was skipped. */
  reasons: Map<string, string>
}

const repository = path.join(import.meta.dirname, '../..')

/** What tempest.conf says beside addresses and names. A feature is off here because it isn't built; README.md lists what is lost by that. */
const features: Settings = {
  'identity-feature-enabled': {
    api_v2: false,
    api_v2_admin: false,
    api_v3: true,
    project_tags: true,
    trust: true,
    application_credentials: true,
    access_rules: true,
    domain_specific_drivers: true,
    federation: true,
  },
  // Scopes and personas are always strict here; the plugins' tests are about them.
  enforce_scope: { keystone: true, glance: true },
  'compute-feature-enabled': {
    disk_config: true,
    pause: true,
    suspend: true,
    config_drive: true,
    metadata_service: true,
    personality: false,
    resize: false,
    snapshot: false,
    shelve: false,
    rescue: false,
    change_password: false,
    enable_instance_password: true,
    interface_attach: true,
    cold_migration: false,
    live_migration: false,
    console_output: false,
    vnc_console: false,
    attach_encrypted_volume: false,
  },
  'image-feature-enabled': { api_v2: true, import_image: true, os_glance_reserved: true, manage_locations: true },
  'network-feature-enabled': {
    ipv6: true,
    ipv6_subnet_attributes: true,
    port_security: true,
    port_admin_state_change: true,
    floating_ips: false,
  },
  service_available: { nova: true, neutron: true, glance: true, cinder: false, swift: false, horizon: false },
  validation: { run_validation: false },
}

export interface WorkspaceOptions {
  /** The newer tempest with the plugins for identity and image. */
  plugins?: boolean
  /** Beside what all runs have. */
  settings?: Settings
  /** Tempest sleeps as long as it wants to. */
  patient?: boolean
}

/** Makes a workspace in `folder`: tempest.conf for this cloud, and what stestr wants. */
export async function makeWorkspace(
  cloud: Cloud,
  folder: string,
  { plugins = false, settings: more = {}, patient = false }: WorkspaceOptions = {},
) {
  const token = await cloud.token(cloud.admin)
  const { extensions } = (await cloud.ask('GET', '/network/v2.0/extensions', { token })).body as { extensions: { alias: string }[] }
  const { flavors } = (await cloud.ask('GET', '/compute/v2.1/flavors', { token })).body as { flavors: { id: string; name: string }[] }
  const flavor = (name: string) => {
    const found = flavors.find((one) => one.name === name)
    if (!found) throw new Error(`There is no flavor ${name}`)
    return found.id
  }
  const settings: Settings = {
    DEFAULT: { log_file: path.join(folder, 'tempest.log'), use_stderr: false, debug: false },
    oslo_concurrency: { lock_path: path.join(folder, 'lock') },
    auth: {
      use_dynamic_credentials: true,
      // They need a router each.
      create_isolated_networks: false,
      admin_username: cloud.admin.user,
      admin_password: cloud.admin.password,
      admin_project_name: cloud.admin.project,
      admin_domain_name: 'Default',
      default_credentials_domain_name: 'Default',
    },
    identity: { auth_version: 'v3', uri_v3: `${cloud.url}/identity/v3`, region: 'RegionOne', default_domain_id: 'default' },
    compute: {
      image_ref: cloud.images[0],
      image_ref_alt: cloud.images[1],
      flavor_ref: flavor('m1.nano'),
      flavor_ref_alt: flavor('m1.micro'),
      fixed_network_name: cloud.network.name,
      min_compute_nodes: 2,
      min_microversion: '2.1',
      max_microversion: 'latest',
      build_interval: 1,
      build_timeout: 60,
      ready_wait: 0,
    },
    // Only formats without a signature: tempest uploads random bytes and calls them an image of the first that is named here.
    image: {
      build_interval: 1,
      build_timeout: 60,
      disk_formats: 'raw,ami,ari,aki',
      container_formats: 'bare,ami,ari,aki',
      http_image: cloud.image,
      alternate_image_endpoint: 'image_remote',
      image_caching_enabled: true,
    },
    network: { project_network_cidr: '10.100.0.0/16', project_network_mask_bits: 28, build_interval: 1, build_timeout: 60 },
    ...features,
  }
  settings['network-feature-enabled'] = {
    ...features['network-feature-enabled'],
    api_extensions: extensions.map(({ alias }) => alias).join(','),
  }
  for (const [section, pairs] of Object.entries(more)) settings[section] = { ...settings[section], ...pairs }
  const lines = Object.entries(settings).flatMap(([section, pairs]) => [
    `[${section}]`,
    ...Object.entries(pairs).map(([name, value]) => `${name} = ${value}`),
  ])
  fs.mkdirSync(path.join(folder, 'lock'), { recursive: true })
  fs.writeFileSync(path.join(folder, 'tempest.conf'), `${lines.join('\n')}\n`, { mode: 0o600 })
  // tempest sleeps 10 s before each deletion of a subnet, and whole seconds between two looks at a server, for clouds that are slow. Its
  // deadlines are by the clock, so they stay.
  fs.mkdirSync(path.join(folder, 'python'), { recursive: true })
  if (!patient)
    fs.writeFileSync(
      path.join(folder, 'python', 'sitecustomize.py'),
      'import time\nsleep = time.sleep\ntime.sleep = lambda seconds: sleep(min(seconds, 0.2))\n',
    )
  const env = environment(folder, plugins)
  const tempest = whereTempestIs(env)
  fs.writeFileSync(
    path.join(folder, '.stestr.conf'),
    `[DEFAULT]\ntest_path=${path.join(tempest, 'test_discover')}\ntop_dir=${path.dirname(tempest)}\ngroup_regex=([^\\.]*\\.)*\n`,
  )
  return { folder, env }
}

/** A folder that tempest runs in, and what it runs with. */
export type Workspace = Awaited<ReturnType<typeof makeWorkspace>>

/** tempest is a Debian package, so Debian's Python runs it, whatever other there may be. */
export function debian(): NodeJS.ProcessEnv {
  const { PYTHONPATH: _, ...env } = process.env
  return { ...env, PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8' }
}

/** With the plugins, the Python of their folder comes first; it finds Debian's libraries, too. */
function environment(folder: string, plugins: boolean): NodeJS.ProcessEnv {
  const env = debian()
  return {
    ...env,
    ...(plugins && { PATH: `${path.join(repository, 'node_modules/.python/bin')}:${env.PATH}` }),
    PYTHONPATH: path.join(folder, 'python'),
    TEMPEST_CONFIG_DIR: folder,
    TEMPEST_CONFIG: 'tempest.conf',
  }
}

function whereTempestIs(env: NodeJS.ProcessEnv): string {
  const program = 'import os, tempest; print(os.path.dirname(tempest.__file__))'
  const { stdout, status } = spawnSync('python3', ['-c', program], { encoding: 'utf8', env })
  if (status !== 0) throw new Error('tempest is not there: "./wisp test" installs it')
  return stdout.trim()
}

export interface RunOptions {
  /** Tests to run, one id each; none: those that `pattern` finds. */
  only?: string[]
  pattern?: string
  concurrency?: number
  /** Hears each line that stestr prints. */
  hear?: (line: string) => void
}

/** The names of all tests that `pattern` finds, run or not. */
export async function listTests({ folder, env }: Workspace, pattern: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)('python3', ['-m', 'stestr', 'list', pattern], { cwd: folder, env, maxBuffer: 2 ** 26 })
  const names = stdout.split('\n').filter((line) => /^\w+\./.test(line))
  if (names.length === 0) throw new Error(`There is no test that ${pattern} finds`)
  return names.map((line) => line.replace(/\[.*/, ''))
}

/** Runs tests in a workspace and says how each ended. */
export async function runTempest(
  { folder, env }: Workspace,
  { only, pattern, concurrency = 2, hear = () => {} }: RunOptions,
): Promise<Outcomes> {
  const argv = ['-m', 'stestr', 'run', '--concurrency', String(concurrency)]
  if (only) {
    fs.writeFileSync(path.join(folder, 'wanted.txt'), `${only.map((test) => `^${test.replaceAll('.', '\\.')}(\\[|$)`).join('\n')}\n`)
    argv.push('--include-list', path.join(folder, 'wanted.txt'))
  } else if (pattern !== undefined) argv.push(pattern)
  if (!fs.existsSync(path.join(folder, '.stestr')))
    await once(spawn('python3', ['-m', 'stestr', 'init'], { cwd: folder, env, stdio: 'ignore' }), 'exit')
  const child = spawn('python3', argv, { cwd: folder, env, stdio: ['ignore', 'pipe', 'inherit'] })
  const lines: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line)
    hear(line)
  }
  return readOutcomes(lines)
}

const words: Record<string, Outcome> = { ok: 'pass', FAILED: 'fail', SKIPPED: 'skip' }

/** Reads what `stestr run` prints. A class that could not be set up stands for all its tests, under its own name. */
export function readOutcomes(lines: string[]): Outcomes {
  const tests = new Map<string, Outcome>()
  const classes = new Map<string, Outcome>()
  const reasons = new Map<string, string>()
  for (const line of lines) {
    const [, step, name, word, reason = ''] =
      /^\{\d+\} (?:(setUpClass|tearDownClass) \()?([\w.]+)\)?(?:\[[^\]]*\])?(?: \[[\d.]+s\])? \.\.\. (ok|FAILED|SKIPPED)(?:: (.*))?$/.exec(
        line,
      ) ?? []
    if (!name || !word) continue
    // What goes wrong while a class is taken down concerns whatever it left, not what its tests found.
    if (step === 'tearDownClass') classes.set(`${name}, taking down`, words[word]!)
    else if (step) classes.set(name, words[word]!)
    else tests.set(name, words[word]!)
    if (reason) reasons.set(name, reason)
  }
  return { tests, classes, reasons }
}

/** How a test ended, from itself or its class; undefined when it did not run. */
export const outcomeOf = ({ tests, classes }: Outcomes, test: string): Outcome | undefined =>
  tests.get(test) ?? classes.get(test.slice(0, test.lastIndexOf('.')))
