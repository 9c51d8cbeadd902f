// Measurements of servers: how long one takes, how many a second, and how long lists of them take. On a fake or simulated hypervisor, so that
// what is measured is the cloud and not the emulator.
import { type Cloud, login, type Session } from './clouds.ts'
import { ask, download, forAll, median, until, upload } from './load.ts'
import { liftQuotas, makeImage, makeNetwork, prefix, type Reading, rates, remove, type Test } from './measure.ts'

const patience = 300
const oneByOne = 8
/** In ms. */
const warmUp = 10_000
const atOnce = 50

interface Launch {
  session: Session
  /** POSTs a server; answers its id. */
  create(name: string, more?: object): Promise<string>
  end(): Promise<unknown>
}

type Nics = 'no port' | 'one port'

/** What servers need: an image, the smallest flavor, perhaps a network. */
async function prepare(cloud: Cloud, nics: Nics): Promise<Launch> {
  const session = await login(cloud)
  await liftQuotas(session)
  const image = await makeImage(session, 'raw')
  await upload(`${image}/file`, session.headers, Buffer.alloc(1 << 20), 1)
  const network = nics === 'one port' ? await makeNetwork(session) : undefined
  const flavors = await ask('GET', `${session.compute}/flavors/detail`, { headers: session.headers, expect: [200] })
  const [flavor] = flavors.json<{ flavors: { id: string; ram: number }[] }>().flavors.sort((a, b) => a.ram - b.ram)
  const wanted = { imageRef: image.split('/').at(-1), flavorRef: flavor?.id, networks: network ? [{ uuid: network.id }] : 'none' }
  return {
    session,
    async create(name, more = {}) {
      const body = { server: { name, ...wanted, ...more } }
      const answer = await ask('POST', `${session.compute}/servers`, { headers: session.headers, body, expect: [202] })
      return answer.json<{ server: { id: string } }>().server.id
    },
    async end() {
      await network?.end()
      await remove(session, image)
    },
  }
}

const statusOf = async ({ compute, headers }: Session, id: string): Promise<string> => {
  const answer = await ask('GET', `${compute}/servers/${id}`, { headers, expect: [200, 404] })
  if (answer.status === 404) return 'gone'
  const { status, fault } = answer.json<{ server: { status: string; fault?: { message: string } } }>().server
  if (status === 'ERROR') throw new Error(`server ${id}: ${fault?.message}`)
  return status
}

/** Ids of the servers of this status (or any) whose name begins with `name`. */
async function listed({ compute, headers }: Session, name: string, status?: string): Promise<Set<string>> {
  const query = new URLSearchParams({ name: `^${name}`, limit: '1000', ...(status && { status }) })
  const answer = await ask('GET', `${compute}/servers?${query}`, { headers, expect: [200] })
  return new Set(answer.json<{ servers: { id: string }[] }>().servers.map(({ id }) => id))
}

async function waitForAll(session: Session, name: string, ids: string[], wanted: 'ACTIVE' | 'gone'): Promise<void> {
  const mine = new Set(ids)
  await until(async () => {
    const found = mine.intersection(await listed(session, name, wanted === 'gone' ? undefined : wanted)).size
    if (wanted === 'ACTIVE') for (const id of mine.intersection(await listed(session, name, 'ERROR'))) await statusOf(session, id) // throws its fault
    return wanted === 'gone' ? found === 0 : found === mine.size
  }, patience)
}

const removeServer = (session: Session, id: string) => remove(session, `${session.compute}/servers/${id}`)

const latency = (nics: Nics): Test => ({
  name: `server-latency-${nics.replace(' ', '-')}`,
  rounds: 3,
  async begin(cloud) {
    const { session, create, end } = await prepare(cloud, nics)
    const lifeOfOne = async (): Promise<[number, number]> => {
      const asked = performance.now()
      const id = await create(`${prefix}one`)
      await until(async () => (await statusOf(session, id)) === 'ACTIVE', patience)
      const active = performance.now()
      await removeServer(session, id)
      await until(async () => (await statusOf(session, id)) === 'gone', patience)
      return [active - asked, performance.now() - active]
    }
    // The first one of a cloud fetches and prepares things, and programs become quick by running: both clouds are measured warm.
    for (const warm = performance.now() + warmUp; performance.now() < warm; ) await lifeOfOne()
    return {
      async round() {
        const lives = (await forAll(Array.from({ length: oneByOne }), 1, lifeOfOne)).results
        return [
          { what: `server create → ACTIVE, ${nics}`, unit: 'ms', value: median(lives.map(([up]) => up)) },
          { what: `server delete → gone, ${nics}`, unit: 'ms', value: median(lives.map(([, down]) => down)) },
        ]
      },
      end,
    }
  },
})

const throughput = (nics: Nics): Test => ({
  name: `server-throughput-${nics.replace(' ', '-')}`,
  rounds: 2,
  async begin(cloud) {
    const { session, create, end } = await prepare(cloud, nics)
    const name = `${prefix}many-`
    return {
      async round() {
        const began = performance.now()
        const ids = (await forAll([...Array(atOnce).keys()], 10, (n) => create(`${name}${n}`))).results
        await waitForAll(session, name, ids, 'ACTIVE')
        const active = performance.now()
        await forAll(ids, 10, (id) => removeServer(session, id))
        await waitForAll(session, name, ids, 'gone')
        const gone = performance.now()
        const rate = (what: string, took: number): Reading => ({ what, unit: '/s', value: (atOnce * 1000) / took })
        return [
          rate(`${atOnce} servers created until all ACTIVE, c=10, ${nics}`, active - began),
          rate(`${atOnce} servers deleted until all gone, c=10, ${nics}`, gone - active),
        ]
      },
      end,
    }
  },
})

/** Pages of servers with all details, out of `count` servers. Making so many may take long: with `keep` they stay for the next run. */
const lists = (count: number, keep: boolean): Test => ({
  name: 'server-list',
  rounds: 3,
  async begin(cloud) {
    const { session, create, end } = await prepare(cloud, 'no port')
    const name = `${prefix}listed-`
    const there = (await listed(session, name, 'ACTIVE')).size
    for (let n = there; n < count; n += 50) {
      const some = Math.min(50, count - n)
      await create(name, { min_count: some, max_count: some })
    }
    await until(async () => (await listed(session, name, 'ACTIVE')).size >= count, 3600)
    const list = (limit: number) => {
      const url = `${session.compute}/servers/detail?${new URLSearchParams({ name: `^${name}`, limit: String(limit) })}`
      return rates(`list of ${limit} servers with details`, 8, () => download(url, session.headers))
    }
    return {
      round: async () => [...(await list(Math.min(100, count))), ...(count > 100 ? await list(count) : [])],
      async end() {
        if (!keep) {
          const ids = [...(await listed(session, name))]
          await forAll(ids, 8, (id) => removeServer(session, id))
          await until(async () => (await listed(session, name)).size === 0, 3600)
        }
        await end()
      },
    }
  },
})

export const serverTests = ({ listed, keep }: { listed: number; keep: boolean }): Test[] => [
  latency('no port'),
  latency('one port'),
  throughput('no port'),
  throughput('one port'),
  lists(listed, keep),
]
