// Kills the controller at every named crash point of a launch, a reboot and a deletion, twice; then PostgreSQL itself, at any moment.
// Afterwards nothing may be stuck, lost or left over: the rows, the allocations, the documents and what the hosts really have are counted.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { loadConfig } from '../../src/config.ts'
import { startEmbedded, stopEmbedded } from '../../src/database/embedded.ts'
import { migrate } from '../../src/database/migrate.ts'
import { databaseOf } from '../../src/start/cloud.ts'
import { type SimulatedHosts, startSimulatedHosts } from '../scale/simulated-hosts.ts'
import { type ChaosCloud, converges, crashPoints, diesTwice, leftovers, losesPostgres, nothing, startChaosCloud } from './cloud.ts'

/**
 * Points that these operations pass: all of the ladder, the wire and the engine. Other kinds are looked at for changes of networks and ports by
 * themselves, which no server's life makes.
 */
const points = crashPoints(['compute/control/server.ts', 'wire/control.ts', 'work/engine.ts'], ['server', 'network', 'group-members'])

describe('chaos: the controller and PostgreSQL', { timeout: 900_000 }, () => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-chaos-'))
  let cloud: ChaosCloud
  let hosts: SimulatedHosts

  before(async () => {
    fs.chmodSync(home, 0o755)
    await startEmbedded(home, { user: 'nobody' })
    await migrate(databaseOf(loadConfig({ ...process.env, WISP_HOME: home })))
    cloud = await startChaosCloud({ home })
    await cloud.startController()
    hosts = await startSimulatedHosts({ controller: cloud.url, db: cloud.db, count: 3 })
  })
  after(async () => {
    await hosts?.stop()
    await cloud?.stop()
    await stopEmbedded(home)
    fs.rmSync(home, { recursive: true, force: true })
  })

  const create = async (name: string, count: number): Promise<string> => {
    const networks = await cloud.call('GET', '/network/v2.0/networks?name=private')
    const network = (networks.body as { networks: { id: string }[] }).networks[0]!
    const made = await cloud.call('POST', '/compute/v2.1/servers', {
      server: { name, flavorRef: '42', imageRef: cloud.image, networks: [{ uuid: network.id }], min_count: count },
    })
    assert.equal(made.status, 202, JSON.stringify(made.body))
    return (made.body as { server: { id: string } }).server.id
  }
  const status = async (id: string) => {
    const { status: code, body } = await cloud.call('GET', `/compute/v2.1/servers/${id}`)
    if (code === 404) return 'gone'
    const { server } = body as { server: { status: string; 'OS-EXT-STS:task_state': string | null } }
    return server['OS-EXT-STS:task_state'] ? `${server.status} ${server['OS-EXT-STS:task_state']}` : server.status
  }
  const becomes = (id: string, wanted: string) => converges(() => status(id), wanted, 90, `server ${id} becomes ${wanted}`)
  const realServers = () =>
    hosts.machines.reduce((sum, machine) => sum + machine.real.get('server')!.size + machine.real.get('port')!.size, 0)

  /** The life of a server (placed with the request), or of several (placed by the ladder), by an API that may die at any moment: a request that got no answer may have been done or not. */
  const live = async (name: string, count = 1) => {
    const ids = new Set<string>()
    ids.add(await create(name, count))
    const listed = async () =>
      ((await cloud.call('GET', `/compute/v2.1/servers?name=${name}`)).body as { servers: { id: string }[] }).servers.map(
        (server) => server.id,
      )
    for (const id of await listed()) ids.add(id)
    for (const id of ids) await becomes(id, 'ACTIVE')
    for (const id of ids) {
      await cloud.call('POST', `/compute/v2.1/servers/${id}/action`, { reboot: { type: 'HARD' } })
      await becomes(id, 'ACTIVE')
    }
    for (const id of ids) await cloud.call('DELETE', `/compute/v2.1/servers/${id}`)
    for (const id of ids) await becomes(id, 'gone')
  }

  const allAccountedFor = async () => {
    await converges(() => leftovers(cloud.db), nothing, 40, 'nothing is left in the database')
    await hosts.idle()
    assert.equal(realServers(), 0, 'nothing is left on the hosts')
  }

  for (const [n, point] of points.entries())
    it(`dies at '${point}', twice`, async () => {
      await diesTwice(cloud, point, () => Promise.all([1, 2].map((count) => live(`chaos-${n}-${count}`, count))))
      await cloud.killController()
      await cloud.startController()
      await allAccountedFor()
    })

  it('lives through PostgreSQL being killed again and again', async () => {
    await losesPostgres(cloud, 1500, Number.POSITIVE_INFINITY, () => Promise.all(Array.from({ length: 8 }, (_, n) => live(`pg-${n}`))))
    await allAccountedFor()
  })
})
