// Every setting of Wisp, as one table: its name in the environment, its default, its meaning. At most 50, ever; wisp-wide habits
// that nobody needs to change are constants in the code that has them. Values come from the environment, then from wisp.conf in the
// data directory (KEY=value lines), then from the default.
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { BlockList, isIP, isIPv6 } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { readPlugins } from './image/control/import-plugins.ts'
import { readRules } from './image/control/reach.ts'
import { parseCompliance } from './security-compliance.ts'

interface Setting<T> {
  env: string
  /** The default, as it would be written. */
  default: string
  meaning: string
  /** Turns what was written into the value; throws what is wrong with it. */
  parse: (text: string) => T
  secret?: boolean
}

const text = (value: string) => value
const maybe = (value: string): string | undefined => value || undefined
const number = (least: number, most: number) => (value: string) => {
  const it = Number(value)
  if (value === '' || !Number.isFinite(it) || it < least || it > most) throw new Error(`wants a number from ${least} to ${most}`)
  return it
}
const whole = (least: number, most: number) => (value: string) => {
  const it = number(least, most)(value)
  if (!Number.isInteger(it)) throw new Error('wants a whole number')
  return it
}
const flag = (value: string): boolean => {
  if (/^(on|yes|true|1)$/i.test(value)) return true
  if (/^(off|no|false|0)$/i.test(value)) return false
  throw new Error('wants on or off')
}
const oneOf =
  <T extends string>(...words: T[]) =>
  (value: string): T => {
    const found = words.find((word) => word === value)
    if (!found) throw new Error(`wants one of ${words.join(', ')}`)
    return found
  }
const list = (value: string): string[] =>
  value
    .split(',')
    .map((item) => item.trim())
    .filter(Boolean)
const pairs = (value: string): Record<string, string> =>
  Object.fromEntries(
    list(value).map((pair) => {
      const [name, target, more] = pair.split(':')
      if (!name || !target || more !== undefined) throw new Error('wants name:interface pairs with commas between, as physnet1:eth1')
      return [name, target]
    }),
  )
const url = (value: string): string | undefined => {
  if (value === '') return undefined
  if (!URL.canParse(value)) throw new Error('wants a URL')
  return value.replace(/\/+$/, '')
}
const postgres = (value: string): string | undefined => {
  if (value !== '' && (!/^postgres(ql)?:\/\//.test(value) || !URL.canParse(value)))
    throw new Error(
      'wants a URL as postgres://user:password@host/database, with characters like @ : / in the password written as %40 %3A %2F',
    )
  return value || undefined
}
const addresses = (value: string): BlockList | undefined => {
  const found = new BlockList()
  for (const item of list(value)) {
    const [address = '', bits] = item.split('/')
    const family = isIPv6(address) ? 'ipv6' : 'ipv4'
    if (isIP(address) === 0) throw new Error('wants addresses or networks with commas between, as 10.0.0.5,fd00::/64')
    if (bits === undefined) found.addAddress(address, family)
    else found.addSubnet(address, whole(0, family === 'ipv6' ? 128 : 32)(bits), family)
  }
  return value === '' ? undefined : found
}
const define = <T>(env: string, fallback: string, parse: (text: string) => T, meaning: string, secret = false): Setting<T> => ({
  env,
  default: fallback,
  parse,
  meaning,
  secret,
})

export const settings = {
  home: define('WISP_HOME', '/var/lib/wisp', path.resolve, 'where everything is kept: database, images, disks of servers, logs'),
  listen: define(
    'WISP_LISTEN',
    '127.0.0.1',
    text,
    'address that the API and the dashboard listen on; 0.0.0.0 or :: opens them to the network (then give a certificate)',
  ),
  port: define('WISP_PORT', '5000', whole(0, 65535), 'TCP port of the API and the dashboard'),
  publicUrl: define(
    'WISP_PUBLIC_URL',
    '',
    url,
    'address at which clients reach the API, when it is not the one they connected to (behind a proxy)',
  ),
  tlsCertificate: define('WISP_TLS_CERT', '', maybe, 'file with the certificate chain (PEM); with it the API speaks HTTPS'),
  tlsKey: define('WISP_TLS_KEY', '', maybe, "file with the certificate's key (PEM)"),
  clientCa: define(
    'WISP_CLIENT_CA',
    '',
    maybe,
    'file with the authorities (PEM) whose client certificates count, where the API speaks HTTPS',
  ),
  trustedProxies: define(
    'WISP_TRUSTED_PROXIES',
    '',
    addresses,
    'addresses or networks of proxies whose X-Forwarded-Proto, -Host, -Port and -For are believed; those on this machine always are',
  ),
  certificateProxies: define(
    'WISP_CERTIFICATE_PROXIES',
    '',
    addresses,
    'addresses or networks of proxies that verify client certificates and pass them on in the header Client-Cert',
  ),
  oauth2Methods: define(
    'WISP_OAUTH2_METHODS',
    'tls_client_auth,client_secret_basic',
    (value) => list(value).map(oneOf('tls_client_auth', 'client_secret_basic')),
    'how programs may sign in by OAuth2: by client certificate, by secret',
  ),
  oauth2Mapping: define('WISP_OAUTH2_MAPPING', 'oauth2_mapping', text, 'id of the mapping that says whose a client certificate is'),
  databaseUrl: define(
    'DATABASE_URL',
    '',
    postgres,
    'a PostgreSQL of your own (>= 15), postgres://user:password@host/database; empty: the embedded one',
    true,
  ),
  databaseConnections: define('WISP_DATABASE_CONNECTIONS', '10', whole(2, 1000), 'most database connections of one controller'),
  logLevel: define('WISP_LOG_LEVEL', 'info', oneOf('trace', 'debug', 'info', 'warn', 'error'), 'how much the logs say'),
  auditLog: define(
    'WISP_AUDIT_LOG',
    '',
    maybe,
    'file for audit events, one line of JSON each; empty: audit.log in the data directory; off: none',
  ),
  dashboard: define('WISP_DASHBOARD', 'on', flag, 'serve the dashboard at /dashboard'),
  region: define('WISP_REGION', 'RegionOne', text, 'name of the region in the catalog, used on the first start'),
  policyFile: define(
    'WISP_POLICY_FILE',
    '',
    maybe,
    'file with policy rules (oslo.policy YAML) that replace the defaults; empty: policy.yaml in the data directory, if there',
  ),
  trustedDashboards: define(
    'WISP_TRUSTED_DASHBOARDS',
    '',
    list,
    'addresses of other dashboards that may be given tokens after a sign-in by an identity provider, as https://horizon.example.com/auth/websso/',
  ),
  tokenLifetime: define('WISP_TOKEN_LIFETIME', '3600', whole(60, 604_800), 'seconds for which a token is valid'),
  passwordMemory: define(
    'WISP_PASSWORD_MEMORY_MINUTES',
    '5',
    whole(0, 60),
    'minutes for which a controller knows a right password again without hashing it (docs/decisions/0014); 0: not at all',
  ),
  securityCompliance: define(
    'WISP_SECURITY_COMPLIANCE',
    '',
    parseCompliance,
    'lockout, password rules and inactivity (PCI-DSS) under the names of Keystone\'s [security_compliance], as JSON: {"lockout_failure_attempts": 6}',
  ),
  limitModel: define(
    'WISP_LIMIT_MODEL',
    'flat',
    oneOf('flat', 'strict_two_level'),
    "how limits are enforced: flat looks at each project by itself, strict_two_level also at its domain's sum (and allows two levels of projects)",
  ),
  maxImageSize: define('WISP_MAX_IMAGE_GB', '1024', number(0.001, 1e6), 'largest image that may be uploaded, in GB'),
  imageStores: define(
    'WISP_IMAGE_STORES',
    '',
    maybe,
    'file (JSON) that names the stores of images (docs/operate/image-stores.md); empty: image-stores.json in the data directory, if there, else one store of files',
  ),
  importAllow: define(
    'WISP_IMPORT_ALLOW',
    'public',
    (value) => readRules(list(value)),
    'where images may be imported from: public (the Internet, at ports 80 and 443), names, *.names, addresses or networks, each with :port or not',
  ),
  importDeny: define(
    'WISP_IMPORT_DENY',
    '',
    (value) => readRules(list(value)),
    'where images may not be imported from, whatever is allowed',
  ),
  importPlugins: define(
    'WISP_IMPORT_PLUGINS',
    '',
    (value) => readPlugins(list(value)),
    'what is done to images that are imported: decompress, convert:raw (or qcow2, vmdk), inject:name=value (a property)',
  ),
  hostName: define('WISP_HOST_NAME', os.hostname(), text, 'name of this machine as a compute host; must not change afterwards'),
  controllers: define(
    'WISP_CONTROLLERS',
    '',
    list,
    'URLs of the controllers that this host asks, with commas between; empty: the one on this machine',
  ),
  controllerCa: define(
    'WISP_CONTROLLER_CA',
    '',
    maybe,
    'file with the certificate authority (PEM) of the controllers, when it is not a public one; log-in files name it, too',
  ),
  tunnelIp: define(
    'WISP_TUNNEL_IP',
    '',
    maybe,
    "this host's address for vxlan tunnels; empty: the address from which it reaches the controller",
  ),
  physicalNetworks: define(
    'WISP_PHYSICAL_NETWORKS',
    '',
    pairs,
    'physical networks and the interfaces that lead to them, as physnet1:eth1,physnet2:eth2',
  ),
  virtType: define(
    'WISP_VIRT_TYPE',
    'auto',
    oneOf('auto', 'kvm', 'qemu'),
    'auto tries KVM by booting something tiny, and emulates (qemu) where it does not work',
  ),
  libvirtSocket: define('WISP_LIBVIRT_SOCKET', '/run/libvirt/libvirt-sock', text, 'Unix socket of libvirtd'),
  cpuRatio: define('WISP_CPU_ALLOCATION_RATIO', '4', number(0.1, 1000), 'virtual CPUs that are given out for each real one'),
  ramRatio: define('WISP_RAM_ALLOCATION_RATIO', '1', number(0.1, 1000), 'memory that is given out for each real MB'),
  diskRatio: define('WISP_DISK_ALLOCATION_RATIO', '1', number(0.1, 1000), 'disk that is given out for each real GB'),
  reservedMemory: define('WISP_RESERVED_MEMORY_MB', '512', whole(0, 1 << 30), 'memory that is kept for the host itself, in MB'),
  reservedDisk: define('WISP_RESERVED_DISK_GB', '1', whole(0, 1 << 30), 'disk that is kept for the host itself, in GB'),
  guestImage: define('WISP_GUEST_IMAGE', 'on', flag, 'build and upload the public image wisp-guest on the first start'),
  demo: define('WISP_DEMO', 'on', flag, 'make the project demo with its user and network on the first start'),
} as const

export type Config = { readonly [Name in keyof typeof settings]: ReturnType<(typeof settings)[Name]['parse']> }

export interface Effective {
  name: keyof Config
  env: string
  /** As written; masked when secret. */
  value: string
  from: 'environment' | 'wisp.conf' | 'default'
  meaning: string
}

/** Reads all settings. Throws one error that names every setting that is wrong, and where it was set. */
export function loadConfig(environment: NodeJS.ProcessEnv = process.env): Config {
  const wrong: string[] = []
  const { file, fileName } = readFile(environment)
  const values = Object.entries(settings).map(([name, setting]) => {
    const { value, from } = pick(setting, environment, file)
    try {
      return [name, setting.parse(value)]
    } catch (error) {
      const shown = setting.secret ? mask(value) : value
      wrong.push(`${setting.env}=${shown} (${from}) ${error instanceof Error ? error.message : String(error)}`)
      return [name, undefined]
    }
  })
  const known = new Set(Object.values(settings).map(({ env }) => env))
  for (const key of Object.keys(file)) if (!known.has(key)) wrong.push(`${key} in ${fileName} is no setting; "wisp config" lists them`)
  if (Boolean(pick(settings.tlsCertificate, environment, file).value) !== Boolean(pick(settings.tlsKey, environment, file).value)) {
    wrong.push('WISP_TLS_CERT and WISP_TLS_KEY belong together: set both or none')
  }
  if (pick(settings.clientCa, environment, file).value && !pick(settings.tlsCertificate, environment, file).value) {
    wrong.push(
      'WISP_CLIENT_CA means something only where TLS ends here: set WISP_TLS_CERT and WISP_TLS_KEY, or use WISP_CERTIFICATE_PROXIES',
    )
  }
  if (wrong.length > 0) throw new Error(`These settings are wrong:\n  ${wrong.join('\n  ')}`)
  return Object.fromEntries(values) as Config
}

/** What `wisp config` prints: each setting's value and where it comes from, with secrets masked. */
export function effective(environment: NodeJS.ProcessEnv = process.env): Effective[] {
  const { file } = readFile(environment)
  return Object.entries(settings).map(([name, setting]) => {
    const { value, from } = pick(setting, environment, file)
    return { name: name as keyof Config, env: setting.env, value: setting.secret ? mask(value) : value, from, meaning: setting.meaning }
  })
}

/**
 * Six hex digits that stand for the cloud in this home, in the names of taps, bridges, namespaces and domains,
 * so that two clouds on one machine never meet.
 */
export function cloudTag(home: string): string {
  return createHash('sha256').update(path.resolve(home)).digest('hex').slice(0, 6)
}

function pick(setting: { env: string; default: string }, environment: NodeJS.ProcessEnv, file: Record<string, string>) {
  const given = environment[setting.env]
  if (given !== undefined && given !== '') return { value: given, from: 'environment' as const }
  const written = file[setting.env]
  if (written !== undefined) return { value: written, from: 'wisp.conf' as const }
  return { value: setting.default, from: 'default' as const }
}

function readFile(environment: NodeJS.ProcessEnv): { file: Record<string, string>; fileName: string } {
  const fileName = path.join(path.resolve(environment.WISP_HOME || settings.home.default), 'wisp.conf')
  if (!fs.existsSync(fileName)) return { file: {}, fileName }
  const file: Record<string, string> = {}
  for (const [index, line] of fs.readFileSync(fileName, 'utf8').split('\n').entries()) {
    if (/^\s*(#|$)/.test(line)) continue
    const [, key, value] = /^\s*([A-Z][A-Z0-9_]*)\s*=\s*(.*?)\s*$/.exec(line) ?? []
    if (!key || value === undefined) throw new Error(`${fileName}, line ${index + 1}: wants KEY=value`)
    if (key === 'WISP_HOME') throw new Error(`${fileName}, line ${index + 1}: WISP_HOME is where this file is; set it in the environment`)
    file[key] = value.replace(/^(['"])(.*)\1$/, '$2')
  }
  return { file, fileName }
}

// Of a URL only the password is secret; of anything else, everything.
function mask(value: string): string {
  if (value === '') return ''
  if (!URL.canParse(value)) return '***'
  const shown = new URL(value)
  if (shown.password) shown.password = '***'
  if (shown.searchParams.has('password')) shown.searchParams.set('password', '***')
  return shown.toString()
}
