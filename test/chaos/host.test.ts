// Kills the agent of a real host at every named crash point of a launch, a reboot and a deletion, twice each. Afterwards every domain, tap,
// bridge, namespace, rule and file of the host is accounted for, as are the rows of the database.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type TestDatabase, testDatabase } from '../../src/database/testing.ts'
import { makeJoinToken } from '../../src/wire/join.ts'
import { type Bed, type BedHost, startBed } from '../bed/bed.ts'
import { type ChaosCloud, converges, crashPoints, leftovers, nothing, startChaosCloud } from './cloud.ts'

const points = crashPoints(['compute/host/server.ts', 'agent/loop.ts'])

describe('chaos: the host', { timeout: 900_000 }, () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-chaos-host-'))
  let test: TestDatabase
  let cloud: ChaosCloud
  let bed: Bed
  let host: BedHost

  before(async () => {
    fs.chmodSync(folder, 0o755)
    test = await testDatabase()
    cloud = await startChaosCloud({ databaseUrl: test.url, listen: '0.0.0.0' })
    await cloud.startController()
    bed = await startBed({
      names: ['a'],
      folder,
      joinToken: () => cloud.db.write((tx) => makeJoinToken(tx)),
      controllerUrl: (ip) => `http://${ip}:${cloud.config.port}`,
    })
    host = bed.hosts[0]!
    const providers = async () => (await cloud.db.read.selectFrom('placement.provider').select('name').execute()).length
    await converges(providers, 1, 60, 'the host has said hello')
  })
  after(async () => {
    await bed?.stop()
    await cloud?.stop()
    await test?.drop()
    fs.rmSync(folder, { recursive: true, force: true })
  })

  const status = async (id: string) => {
    const { status: code, body } = await cloud.call('GET', `/compute/v2.1/servers/${id}`)
    if (code === 404) return 'gone'
    const { server } = body as { server: { status: string; 'OS-EXT-STS:task_state': string | null; fault?: { message: string } } }
    const task = server['OS-EXT-STS:task_state']
    return `${server.status}${task ? ` ${task}` : ''}${server.fault ? ` ${server.fault.message}` : ''}`
  }
  const becomes = (id: string, wanted: string) => converges(() => status(id), wanted, 90, `server ${id} becomes ${wanted}`)

  const live = async (name: string) => {
    const networks = await cloud.call('GET', '/network/v2.0/networks?name=private')
    assert.equal(networks.status, 200, JSON.stringify(networks.body))
    const made = await cloud.call('POST', '/compute/v2.1/servers', {
      server: {
        name,
        flavorRef: '42',
        imageRef: cloud.image,
        config_drive: true,
        networks: [{ uuid: (networks.body as { networks: { id: string }[] }).networks[0]!.id }],
      },
    })
    assert.equal(made.status, 202, JSON.stringify(made.body))
    const { id } = (made.body as { server: { id: string } }).server
    await becomes(id, 'ACTIVE')
    await cloud.call('POST', `/compute/v2.1/servers/${id}/action`, { reboot: { type: 'HARD' } })
    await becomes(id, 'ACTIVE')
    await cloud.call('DELETE', `/compute/v2.1/servers/${id}`)
    await becomes(id, 'gone')
  }

  /** What is left on the machine of the host: all empty. */
  const machine = async () => {
    const lines = async (...argv: string[]) =>
      (await host.exec(argv).catch(() => ({ stdout: 'failed' }))).stdout.split('\n').filter((line) => line.trim() !== '')
    const links = JSON.parse((await host.exec(['ip', '-d', '-j', 'link', 'show'])).stdout) as {
      ifname: string
      linkinfo?: { info_kind?: string }
    }[]
    const rules = [...(await lines('iptables-save')), ...(await lines('ip6tables-save'))]
    const listed = (name: string) => (fs.existsSync(path.join(host.home, name)) ? fs.readdirSync(path.join(host.home, name)) : [])
    return {
      domains: await lines('virsh', '-c', 'qemu:///system', '-q', 'list', '--all', '--name'),
      links: links.filter((link) => link.linkinfo?.info_kind && link.ifname !== 'eth0').map((link) => link.ifname),
      namespaces: await lines('ip', 'netns'),
      sets: await lines('ipset', 'list', '-name'),
      chains: rules.filter((rule) => /^:wisp\w{6}-[io]-/.test(rule)),
      processes: (await lines('ps', '-eo', 'comm')).filter((name) => /qemu|dnsmasq|haproxy/.test(name)),
      servers: listed('servers'),
      networks: listed('network'),
    }
  }
  const clean = { domains: [], links: [], namespaces: [], sets: [], chains: [], processes: [], servers: [], networks: [] }

  for (const point of points)
    it(`dies at '${point}', twice`, async () => {
      await host.killAgent()
      await host.startAgent({ WISP_CRASH: point })
      let over = false
      const deaths = (async () => {
        let died = 0
        while (!over) {
          await new Promise((go) => setTimeout(go, 50))
          if (!host.agentDied()) continue
          died++
          await host.startAgent(died < 2 ? { WISP_CRASH: point } : {})
        }
        return died
      })()
      await live(`chaos-${points.indexOf(point)}`).finally(() => {
        over = true
      })
      assert.ok((await deaths) >= 1, `the point '${point}' is never passed`)
      await host.killAgent()
      await host.startAgent()
      await converges(() => leftovers(cloud.db), nothing, 60, 'nothing is left in the database')
      await converges(machine, clean, 30, 'nothing is left on the host')
    })
})
