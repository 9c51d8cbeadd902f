// What is taken from a host's networks behind its back, in namespaces of the test's own: a real bridge, tunnel, tap, dnsmasq and haproxy. The
// outer process only starts the inner one there.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import type { Machine } from '../../agent/machine.ts'
import { type Netlink, openNetlink } from '../../agent/netlink.ts'
import { run } from '../../agent/shell.ts'
import { cloudTag, loadConfig } from '../../config.ts'
import type { DocumentOf, Kind } from '../../wire/documents.ts'
import { networkDocument, portDocument } from '../../wire/testing.ts'
import { damagedNetworks, damagedPorts } from './damage.ts'
import { bridgeName, dhcpName, namespaceName, tapName, vxlanName } from './names.ts'
import { type NetworkDoors, networkRealisers } from './realisers.ts'

if (process.env.WISP_TEST_INSIDE === undefined)
  it('damage, in namespaces', { timeout: 120_000 }, async () => {
    const inside = 'mount -t sysfs sysfs /sys && mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns && exec "$@"'
    const apart = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc']
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const child = spawn('unshare', [...apart, 'sh', '-c', inside, 'sh', process.execPath, fileURLToPath(import.meta.url)], {
      env: { ...env, WISP_TEST_INSIDE: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text))
    const [code] = await once(child, 'close')
    assert.equal(code, 0, said)
  })
else
  describe('damage', () => {
    const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-damage-'))
    const tag = cloudTag(home)
    const network = networkDocument({ type: 'vxlan', segmentation_id: 7 })
    const port = portDocument({ server_id: null, security_groups: [] })
    const documents: { [K in Kind]: Map<string, DocumentOf[K]> } = {
      image: new Map(),
      network: new Map([[network.id, network]]),
      'security-group': new Map(),
      'group-members': new Map(),
      port: new Map([[port.id, port]]),
      server: new Map(),
    }
    const machine = {
      config: loadConfig({ WISP_HOME: home }),
      tag,
      log: pino({ level: 'silent' }),
      tunnelIp: '192.0.2.1',
      wanted: (kind: Kind) => documents[kind],
      complete: Promise.resolve(),
      metadataSocket: path.join(home, 'metadata.sock'),
    } as Machine
    let doors: NetworkDoors
    let net: Netlink

    const ensure = async () => {
      await doors.realisers.network.ensure(network, 1)
      await doors.realisers.port.ensure(port, 1)
    }
    const damaged = async () => [...(await damagedNetworks(machine, net, [network])), ...(await damagedPorts(machine, net, [port]))]
    const ip = (...argv: string[]) => run(['ip', ...argv])
    const pidOf = (program: string) => Number(fs.readFileSync(path.join(home, 'network', network.id, `${program}.pid`), 'utf8'))
    const kill = async (program: string) => {
      const pid = pidOf(program)
      process.kill(pid, 'SIGKILL')
      while (fs.existsSync(`/proc/${pid}`) && fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8') !== '')
        await new Promise((go) => setTimeout(go, 10))
    }

    before(async () => {
      fs.chmodSync(home, 0o755)
      await ip('link', 'set', 'lo', 'up')
      await ip('address', 'add', '192.0.2.1/24', 'dev', 'lo')
      net = openNetlink(null)
      doors = await networkRealisers(machine, 20)
      await ensure()
    })
    after(async () => {
      await doors?.stop()
      net?.close()
      fs.rmSync(home, { recursive: true, force: true })
    })

    const namespace = namespaceName(tag, network.id)
    const harms: Record<string, { harm: () => Promise<unknown>; whose: string[] }> = {
      nothing: { harm: async () => undefined, whose: [] },
      'dnsmasq killed': { harm: () => kill('dnsmasq'), whose: [network.id] },
      'haproxy killed': { harm: () => kill('haproxy'), whose: [network.id] },
      'the bridge removed': { harm: () => ip('link', 'del', bridgeName(tag, network.id)), whose: [network.id, port.id] },
      'the tunnel removed': { harm: () => ip('link', 'del', vxlanName(tag, network.id)), whose: [network.id] },
      'the namespace removed, its programs running on': { harm: () => ip('netns', 'del', namespace), whose: [network.id] },
      'the cable to the namespace cut': { harm: () => ip('link', 'del', dhcpName(tag, network.id)), whose: [network.id] },
      'the cable to the namespace unplugged': { harm: () => ip('link', 'set', dhcpName(tag, network.id), 'down'), whose: [network.id] },
      'the tap taken out of its bridge': { harm: () => ip('link', 'set', tapName(tag, port.id), 'nomaster'), whose: [port.id] },
      'the tap removed': { harm: () => ip('link', 'del', tapName(tag, port.id)), whose: [port.id] },
    }
    for (const [name, { harm, whose }] of Object.entries(harms))
      it(`sees and mends: ${name}`, async () => {
        await harm()
        assert.deepEqual(await damaged(), whose)
        await ensure()
        assert.deepEqual(await damaged(), [])
        const inside = (await run(['ip', 'netns', 'pids', namespace])).stdout
        for (const program of ['dnsmasq', 'haproxy']) assert.match(inside, new RegExp(`^${pidOf(program)}$`, 'm'), `${program} serves it`)
        const { stdout } = await run(['ip', '-brief', 'address', 'show', 'dhcp'], { netns: namespace })
        assert.match(stdout, /10\.9\.0\.2\/24 169\.254\.169\.254\/32/)
      })

    it('is looked for by itself, for networks and ports', async () => {
      const seen = { network: Promise.withResolvers<string>(), port: Promise.withResolvers<string>() }
      const stops = await Promise.all((['network', 'port'] as const).map((kind) => doors.realisers[kind].watch!(seen[kind].resolve)))
      await harms['the bridge removed']!.harm()
      assert.deepEqual(await Promise.all([seen.network.promise, seen.port.promise]), [network.id, port.id])
      for (const stop of stops) stop()
      await ensure()
    })
  })
