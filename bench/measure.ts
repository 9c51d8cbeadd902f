// What is measured, in OpenStack's own API, the same way for every cloud. A test is made ready once per cloud, then its rounds alternate
// between the clouds; each round answers one reading of everything that the test measures. What a test makes it removes.
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { type Cloud, credentials, login, type Session } from './clouds.ts'
import { ask, downloadByCurl, forAll, median, repeat, upload } from './load.ts'
import { memory } from './processes.ts'

/** `/s` and `MiB/s`: more is better; the others: less. */
export type Unit = '/s' | 'MiB/s' | 'ms' | 's' | 'MiB'

export interface Reading {
  what: string
  unit: Unit
  value: number
}

export interface Ready {
  round(): Promise<Reading[]>
  /** Removes what `begin` made; also after a round that failed. */
  end(): Promise<unknown>
}

export interface Test {
  name: string
  rounds: number
  begin(cloud: Cloud): Promise<Ready>
}

/** How long one rate is measured in one round. */
export const span = 3
/** Everything that a bench makes is named so. */
export const prefix = 'bench-'

const nothing = async () => {}
const endless = Number.POSITIVE_INFINITY

/** How often a second, one after the other and with `many` at once. */
export async function rates(what: string, many: number, work: () => Promise<unknown>): Promise<Reading[]> {
  const readings: Reading[] = []
  for (const concurrency of [1, many])
    readings.push({ what: `${what}, c=${concurrency}`, unit: '/s', value: (await repeat(concurrency, span, endless, work)).rate })
  return readings
}

const issue = (cloud: Cloud) => ask('POST', `${cloud.authUrl}/auth/tokens`, { body: credentials(cloud), expect: [201] })

/** One user again and again, as a person's or a program's commands do: Wisp knows the password from the last time (docs/decisions/0014). */
const tokenIssue: Test = {
  name: 'token-issue',
  rounds: 3,
  begin: async (cloud) => ({ round: () => rates('token issue by password, of one user', 16, () => issue(cloud)), end: nothing }),
}

/** Every sign-in is another user's first, so that each pays for a hash. */
const firstTokenIssue: Test = {
  name: 'first-token-issue',
  rounds: 3,
  async begin(cloud) {
    const session = await login(cloud)
    const { headers, identity, project } = session
    const listed = await ask('GET', `${identity}/roles?name=member`, { headers, expect: [200] })
    const role = listed.json<{ roles: { id: string }[] }>().roles[0]!.id
    const password = randomBytes(12).toString('hex')
    // To make a user costs the hash, too: in this time as many are made as could sign in.
    const made = await repeat(16, 7 * span, endless, async (n) => {
      const user = { name: `${prefix}${n}`, password }
      const id = (await ask('POST', `${identity}/users`, { headers, body: { user }, expect: [201] })).json<{ user: { id: string } }>().user
        .id
      await ask('PUT', `${identity}/projects/${project}/users/${id}/roles/${role}`, { headers, expect: [204] })
      return id
    })
    let next = 0
    const first = async () => {
      const id = made.results[next++]
      if (id === undefined) throw new Error(`All ${made.results.length} users have signed in`)
      const user = { id, password }
      const identity = { methods: ['password'], password: { user } }
      await ask('POST', `${cloud.authUrl}/auth/tokens`, {
        body: { auth: { identity, scope: { project: { id: project } } } },
        expect: [201],
      })
    }
    return {
      round: () => rates('token issue by password, each a first one', 16, first),
      end: () => forAll(made.results, 8, (id) => remove(session, `${identity}/users/${id}`)),
    }
  },
}

const tokenValidation: Test = {
  name: 'token-validation',
  rounds: 5,
  async begin(cloud) {
    const { headers, identity } = await login(cloud)
    const issued = await forAll(Array.from({ length: 20 }), 2, () => issue(cloud))
    const tokens = issued.results.map((answer) => String(answer.headers['x-subject-token']))
    let n = 0
    const validate = () =>
      ask('GET', `${identity}/auth/tokens`, { headers: { ...headers, 'x-subject-token': tokens[n++ % tokens.length]! }, expect: [200] })
    return { round: () => rates('token validation', 16, validate), end: nothing }
  },
}

/** Lifts the quotas of the project that is measured in. */
export async function liftQuotas({ headers, compute, network, project }: Session): Promise<void> {
  const servers = { instances: -1, cores: -1, ram: -1 }
  const networks = { network: -1, subnet: -1, port: -1, security_group: -1, security_group_rule: -1 }
  await ask('PUT', `${compute}/os-quota-sets/${project}`, { headers, body: { quota_set: servers }, expect: [200] })
  await ask('PUT', `${network}/quotas/${project}`, { headers, body: { quota: networks }, expect: [200] })
}

/** Creates an object; answers its id. */
export async function make(session: Session, path: string, key: string, object: object): Promise<string> {
  const answer = await ask('POST', `${session.network}/${path}`, { headers: session.headers, body: { [key]: object }, expect: [201] })
  return answer.json<Record<string, { id: string }>>()[key]!.id
}

export const remove = ({ headers }: Session, url: string) => ask('DELETE', url, { headers, expect: [202, 204, 404] })

/** A network with a subnet. */
export async function makeNetwork(session: Session): Promise<{ id: string; end(): Promise<unknown> }> {
  const id = await make(session, 'networks', 'network', { name: `${prefix}parent` })
  await make(session, 'subnets', 'subnet', { network_id: id, ip_version: 4, cidr: '10.99.0.0/16' })
  return { id, end: () => remove(session, `${session.network}/networks/${id}`) }
}

/** Creates for some seconds, then deletes all of it; one after the other, and with eight at once. */
function createAndDelete(key: string, path: string, object: (parent: string) => object, wantsNetwork = false): Test {
  const name = key.replaceAll('_', ' ')
  return {
    name: key.replaceAll('_', '-'),
    rounds: 3,
    async begin(cloud) {
      const session = await login(cloud)
      await liftQuotas(session)
      const parent = wantsNetwork ? await makeNetwork(session) : { id: '', end: nothing }
      return {
        async round() {
          const readings: Reading[] = []
          for (const concurrency of [1, 8]) {
            const create = (n: number) => make(session, path, key, { name: `${prefix}${n}`, ...object(parent.id) })
            const made = await repeat(concurrency, span, 500, create)
            const removed = await forAll(made.results, concurrency, (id) => remove(session, `${session.network}/${path}/${id}`))
            readings.push({ what: `${name} create, c=${concurrency}`, unit: '/s', value: made.rate })
            readings.push({ what: `${name} delete, c=${concurrency}`, unit: '/s', value: removed.rate })
          }
          return readings
        },
        end: parent.end,
      }
    },
  }
}

const imageMiB = 256

const imageData: Test = {
  name: 'image',
  rounds: 5,
  async begin(cloud) {
    const session = await login(cloud)
    const chunk = randomBytes(1 << 20)
    return {
      async round() {
        // Glance leaves it to the kernel when the bits reach the disk: else that would be while the other cloud is measured.
        execFileSync('sync')
        const url = await makeImage(session, 'raw')
        try {
          const uploading = await repeat(1, endless, 1, () => upload(`${url}/file`, session.headers, chunk, imageMiB))
          const downloading = Array.from({ length: 3 }, () => downloadByCurl(`${url}/file`, session.headers))
          for (const { bytes } of downloading) if (bytes !== imageMiB << 20) throw new Error(`The image came back with ${bytes} bytes`)
          return [
            { what: `image upload, ${imageMiB} MiB`, unit: 'MiB/s', value: uploading.rate * imageMiB },
            { what: `image download, ${imageMiB} MiB`, unit: 'MiB/s', value: median(downloading.map(({ rate }) => rate)) / 2 ** 20 },
          ]
        } finally {
          await remove(session, url)
        }
      },
      end: nothing,
    }
  },
}

/** Makes an image without data; answers its URL. */
export async function makeImage({ headers, image }: Session, diskFormat: string): Promise<string> {
  const body = { name: `${prefix}image`, disk_format: diskFormat, container_format: 'bare' }
  const made = await ask('POST', `${image}/images`, { headers, body, expect: [201] })
  return `${image}/images/${made.json<{ id: string }>().id}`
}

const memoryInUse: Test = {
  name: 'memory',
  rounds: 3,
  begin: async (cloud) => ({
    async round() {
      await new Promise((go) => setTimeout(go, 2000))
      const found = memory(cloud.processes())
      const sum = found.reduce((total, { pss }) => total + pss, 0)
      if (sum === 0) return []
      return [{ what: 'memory of the whole control plane (PSS)', unit: 'MiB', value: sum }]
    },
    end: nothing,
  }),
}

const startUp: Test = {
  name: 'start-up',
  rounds: 3,
  begin: async (cloud) => ({
    round: async () =>
      cloud.restart ? [{ what: 'start-up, everything installed, until it answers', unit: 's', value: await cloud.restart() }] : [],
    end: nothing,
  }),
}

export const tests: Test[] = [
  startUp,
  memoryInUse,
  tokenIssue,
  firstTokenIssue,
  tokenValidation,
  createAndDelete('network', 'networks', () => ({})),
  createAndDelete('security_group', 'security-groups', () => ({})),
  createAndDelete('port', 'ports', (network_id) => ({ network_id }), true),
  imageData,
]
