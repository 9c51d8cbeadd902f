// The contract of a host: the same documents down the same wire must lead to the same observations, whether the host is simulated or has
// a real libvirt, real bridges and a real guest. What the simulated host cannot show (packets) is tested in test/e2e.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import fs from 'node:fs'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import type { Duplex } from 'node:stream'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import Fastify, { type FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { startLoop } from '../../src/agent/loop.ts'
import { simulatedMachine } from '../../src/agent/simulated.ts'
import { type TestDatabase, testDatabase } from '../../src/database/testing.ts'
import { type Answer, ask } from '../../src/wire/ask.ts'
import { registerWire } from '../../src/wire/control.ts'
import type { ImageObservation, ServerDocument, ServerObservation } from '../../src/wire/documents.ts'
import { dial } from '../../src/wire/host.ts'
import { type Intent, intend, withdraw } from '../../src/wire/intend.ts'
import { join, makeJoinToken } from '../../src/wire/join.ts'
import { groupDocument, networkDocument, portDocument, securityRule, serverDocument, subnetDocument } from '../../src/wire/testing.ts'
import { acceptTunnels, type Tunnels } from '../../src/wire/tunnel.ts'
import { type Bed, startBed } from '../bed/bed.ts'

const run = promisify(execFile)
const log = pino({ level: 'silent' })

interface Subject {
  /** Its id on the wire. */
  hostId: string
  /** The guest powers itself off. */
  guestPowersOff(serverId: string): Promise<void>
  /** The agent's process dies and a new one starts. */
  restartAgent(): Promise<void>
  /** What exists on the machine: domains, taps and bridges. */
  things(): Promise<{ servers: string[]; ports: number; networks: number }>
}

interface Control {
  test: TestDatabase
  tunnels: Tunnels
  url: (ip: string) => string
  image: { id: string; file: string; hash: string; size: number }
}

for (const kind of ['simulated', 'real'] as const) {
  describe(`a ${kind} host`, { timeout: 330_000 }, () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-contract-'))
    const ends: (() => Promise<unknown>)[] = []
    let control: Control
    let subject: Subject
    const serverId = randomUUID()
    const networkId = randomUUID()
    const portId = randomUUID()
    const groupId = randomUUID()
    const bodies = () => documentsOf(serverId, portId, networkId, groupId, control.image)
    let generation = 0

    before(async () => {
      control = await startControl(folder, kind === 'real', ends)
      subject = kind === 'simulated' ? await simulated(control, ends) : await real(control, folder, ends)
    })
    after(async () => {
      for (const end of ends.reverse()) await end()
      fs.rmSync(folder, { recursive: true, force: true })
    })

    const want = (over: Partial<ServerDocument> = {}): Intent => ({
      kind: 'server',
      id: serverId,
      generation: ++generation,
      body: { ...bodies().server, ...over },
    })
    const say = (...intents: Intent[]) => control.test.db.write((tx) => intend(tx, subject.hostId, intents))
    const observed = async (id: string) =>
      (await control.test.db.read.selectFrom('wire.observed').select(['generation', 'state']).where('id', '=', id).executeTakeFirst()) as
        | {
            generation: number
            state: { state: string; error?: { message: string; final: boolean }; server?: ServerObservation; image?: ImageObservation }
          }
        | undefined
    const until = async (what: (seen: Awaited<ReturnType<typeof observed>>) => boolean, id: string = serverId) => {
      let seen: Awaited<ReturnType<typeof observed>>
      for (let i = 0; i < 1600; i++) {
        seen = await observed(id)
        if (what(seen)) return seen
        await new Promise((go) => setTimeout(go, 50))
      }
      assert.fail(`not within 80 s; last seen: ${JSON.stringify(seen)}`)
    }
    const reached = (power: ServerObservation['power']) =>
      until((seen) => seen?.generation === generation && seen.state.state === 'ready' && seen.state.server?.power === power)

    const wantImage = (id: string, generation: number): Intent => {
      const { hash, size } = control.image
      return { kind: 'image', id, generation, body: { v: 1, id, disk_format: 'qcow2', size, hash } }
    }
    const letGo = (id: string) => control.test.db.write((tx) => withdraw(tx, subject.hostId, [{ kind: 'image', id }]))

    it('fetches an image before any server asks for it, says what it has, and lets go of it', async () => {
      const imageId = randomUUID()
      await say(wantImage(imageId, 1))
      const seen = await until((seen) => seen?.state.state === 'ready', imageId)
      assert.deepEqual([seen?.generation, seen?.state.image?.hits, seen?.state.image?.size], [1, 0, control.image.size])
      await letGo(imageId)
      await until((seen) => seen === undefined, imageId)
      await say(wantImage(imageId, 3))
      await until((seen) => seen?.generation === 3 && seen.state.state === 'ready', imageId)
      await letGo(imageId)
      await until((seen) => seen === undefined, imageId)
    })

    it('makes a network, a group, a port and a running server', async () => {
      await say(
        { kind: 'network', id: networkId, generation: 1, body: bodies().network },
        { kind: 'security-group', id: groupId, generation: 1, body: bodies().group },
        { kind: 'port', id: portId, generation: 1, body: bodies().port },
        want(),
      )
      const seen = await reached('running')
      assert.deepEqual([seen?.state.server?.starts, seen?.state.server?.reboots], [1, 0])
      for (const id of [networkId, groupId, portId]) assert.equal((await observed(id))?.state.state, 'ready')
      assert.deepEqual(await subject.things(), { servers: [serverId], ports: 1, networks: 1 })
    })

    /** Asks for the serial port, and waits for the host to dial back. */
    const serialPort = async (): Promise<{ answer: Answer; port: Duplex | undefined; heard: () => string }> => {
      const token = randomBytes(24).toString('base64url')
      const nobodyWaits = new AbortController()
      const dialled = control.tunnels.expect(subject.hostId, token, 10_000, nobodyWaits.signal).catch(() => undefined)
      const question = { what: 'tunnel', server_id: serverId, protocol: 'serial', token, to: null } as const
      const answer = await ask(control.test.db, subject.hostId, question)
      if (answer.status !== 200) nobodyWaits.abort()
      const port = await dialled
      let heard = ''
      port?.on('data', (bytes) => {
        heard += String(bytes)
      })
      return { answer, port, heard: () => heard }
    }
    const sayUntil = async (word: string, port: Duplex, heard: (() => string)[]) => {
      // A guest that is still booting hears nothing: it is told again.
      for (let i = 0; i < 120; i++) {
        port.write(word)
        await new Promise((go) => setTimeout(go, i < 10 ? 50 : 1000))
        if (heard.every((each) => each().includes(word))) return
      }
      assert.fail(`nobody repeats '${word}': ${JSON.stringify(heard.map((each) => each()))}`)
    }

    it('joins everyone who asks to the serial port, both ways, and writes the console log meanwhile', async () => {
      const [one, two] = [await serialPort(), await serialPort()]
      assert.ok(one.port && two.port, JSON.stringify([one.answer, two.answer]))
      await sayUntil('a-word', one.port, [one.heard, two.heard])
      one.port.destroy()
      await sayUntil('another', two.port, [two.heard])
      const log = await ask(control.test.db, subject.hostId, { what: 'console-log', server_id: serverId, lines: null })
      const { output } = log.body as { output: string }
      assert.ok(output.includes('a-word') && output.includes('another'), output)
      two.port.destroy()
      // When everybody has gone it is there for the next one.
      const three = await serialPort()
      assert.ok(three.port)
      await sayUntil('a-third', three.port, [three.heard])
      three.port.destroy()
    })

    it('pauses and resumes', async () => {
      await say(want({ power: 'paused' }))
      await reached('paused')
      await say(want())
      await reached('running')
    })

    it('lets go of an image that a disk stands on without harm to the server', async () => {
      const imageId = control.image.id
      await say(wantImage(imageId, 1))
      await until((seen) => seen?.generation === 1 && seen.state.state === 'ready', imageId)
      await letGo(imageId)
      await until((seen) => seen === undefined, imageId)
      // The hard reboot that follows opens the disk anew.
    })

    it('reboots hard, once, and not again when its agent starts anew', async () => {
      await say(want({ reboots: 1, reboot_type: 'HARD' }))
      assert.equal((await reached('running'))?.state.server?.reboots, 1)
      await subject.restartAgent()
      await say(want({ reboots: 1, reboot_type: 'HARD' }))
      assert.equal((await reached('running'))?.state.server?.reboots, 1)
    })

    it('leaves a guest that powered itself off as it is, and starts it when a start is ordered', async () => {
      await subject.guestPowersOff(serverId)
      await until((seen) => seen?.state.server?.power === 'stopped' && seen.state.server.reason === 'guest')
      await say(want({ starts: 2, reboots: 1 }))
      assert.equal((await reached('running'))?.state.server?.starts, 2)
    })

    it('stops, and with it whoever is at the serial port', async () => {
      const { port } = await serialPort()
      assert.ok(port)
      const ended = once(port, 'end')
      await say(want({ power: 'stopped', starts: 2, reboots: 1 }))
      assert.equal((await reached('stopped'))?.state.server?.reason, 'ordered')
      await ended
      port.destroy()
      const { answer } = await serialPort()
      assert.deepEqual(answer, { status: 409, body: { message: 'The server has no serial port now: it is not running.' } })
    })

    it('takes everything away, and tells so', async () => {
      await control.test.db.write((tx) =>
        withdraw(tx, subject.hostId, [
          { kind: 'server', id: serverId },
          { kind: 'port', id: portId },
          { kind: 'security-group', id: groupId },
          { kind: 'network', id: networkId },
        ]),
      )
      for (const id of [serverId, portId, groupId, networkId]) await until((seen) => seen === undefined, id)
      assert.deepEqual(await subject.things(), { servers: [], ports: 0, networks: 0 })
      const left = await control.test.db.read.selectFrom('wire.document').select('id').where('host_id', '=', subject.hostId).execute()
      assert.deepEqual(left, [])
    })
  })
}

async function startControl(folder: string, withImage: boolean, ends: (() => Promise<unknown>)[]): Promise<Control> {
  const test = await testDatabase()
  const app: FastifyInstance = Fastify()
  const wire = registerWire(app, { db: test.db, log, cloud: 'contract', heard: {}, hello: [] })
  const file = path.join(folder, 'guest.qcow2')
  if (withImage) await run(path.join(import.meta.dirname, '../../images/guest/build.sh'), [file])
  app.get('/wire/v1/images/:id/data', (_request, reply) => reply.send(fs.createReadStream(file)))
  await app.listen({ port: 0, host: '0.0.0.0' })
  const tunnels = acceptTunnels(app.server, test.db)
  ends.push(async () => {
    wire.stop()
    tunnels.stop()
    await app.close()
    await test.drop()
  })
  const bits = withImage ? fs.readFileSync(file) : Buffer.from('no bits')
  const image = { id: randomUUID(), file, hash: createHash('sha512').update(bits).digest('hex'), size: bits.length }
  return { test, tunnels, url: (ip) => `http://${ip}:${(app.server.address() as AddressInfo).port}`, image }
}

async function simulated(control: Control, ends: (() => Promise<unknown>)[]): Promise<Subject> {
  const machine = simulatedMachine('simulated')
  const credentials = await control.test.db.write(async (tx) => join(tx, await makeJoinToken(tx), 'simulated', machine.hello().machine_id))
  const start = () => {
    const loop = startLoop({ realisers: machine.realisers, log, report: (observations) => wire.report(observations) })
    const wire = dial({
      controllers: [control.url('127.0.0.1')],
      credentials,
      log,
      hello: async () => machine.hello(),
      snapshot: loop.snapshot,
      desired: loop.desired,
      complete: loop.complete,
      lease: () => undefined,
      answer: (question, controller) => machine.answer(question, { controller, credentials }),
    })
    return async () => {
      await wire.stop()
      await loop.stop()
    }
  }
  let stop = start()
  ends.push(() => stop())
  return {
    hostId: credentials.host_id,
    guestPowersOff: async (id) => machine.guestPowersOff(id),
    restartAgent: async () => {
      await stop()
      stop = start()
    },
    things: async () => ({
      servers: [...machine.real.get('server')!.keys()],
      ports: machine.real.get('port')!.size,
      networks: machine.real.get('network')!.size,
    }),
  }
}

async function real(control: Control, folder: string, ends: (() => Promise<unknown>)[]): Promise<Subject> {
  const bed: Bed = await startBed({
    names: ['a'],
    folder,
    joinToken: () => control.test.db.write((tx) => makeJoinToken(tx)),
    controllerUrl: control.url,
  })
  ends.push(() => bed.stop())
  const host = bed.hosts[0]!
  const { id } = await control.test.db.read.selectFrom('wire.host').select('id').where('name', '=', 'a').executeTakeFirstOrThrow()
  const virsh = async (...words: string[]) => (await host.exec(['virsh', '-c', 'qemu:///system', '-q', ...words])).stdout
  return {
    hostId: id,
    async guestPowersOff(serverId) {
      // The power button, which the guest hears as soon as it has booted; by libvirt it is the guest's own doing.
      for (let i = 0; i < 120; i++) {
        await virsh('shutdown', serverId).catch(() => undefined)
        await new Promise((go) => setTimeout(go, 1000))
        if ((await virsh('domstate', serverId)).trim() === 'shut off') return
      }
      assert.fail('the guest did not power off')
    },
    async restartAgent() {
      await host.killAgent()
      await host.startAgent()
    },
    async things() {
      const domains = (await virsh('list', '--all', '--uuid')).split('\n').filter((line) => line.trim() !== '')
      const links = JSON.parse((await host.exec(['ip', '-d', '-j', 'link', 'show'])).stdout) as { linkinfo?: { info_kind?: string } }[]
      const count = (kind: string) => links.filter((link) => link.linkinfo?.info_kind === kind).length
      return { servers: domains.map((line) => line.trim()), ports: count('tun'), networks: count('bridge') }
    },
  }
}

/** A server on a network by itself, with a port that its own group and SSH reach. */
function documentsOf(server: string, port: string, network: string, group: string, { id: image, size, hash }: Control['image']) {
  const subnet = subnetDocument({ id: 'subnet-1' })
  return {
    network: networkDocument({
      id: network,
      type: 'vxlan',
      segmentation_id: 77,
      subnets: [subnet],
      dhcp: { port_id: 'dhcp-port', mac: 'fa:16:3e:00:00:02', ips: [{ ip: '10.9.0.2', subnet_id: subnet.id }] },
    }),
    group: groupDocument(
      [
        securityRule({ direction: 'egress' }),
        securityRule({ protocol: 'tcp', port_min: 22, port_max: 22, remote_ip_prefix: '10.9.0.0/24' }),
        securityRule({ remote_group_id: group }),
      ],
      { id: group },
    ),
    port: portDocument({
      id: port,
      network_id: network,
      server_id: server,
      ips: [{ ip: '10.9.0.11', subnet_id: subnet.id }],
      security_groups: [group],
      hostname: 'contract',
    }),
    server: serverDocument({
      id: server,
      name: 'contract',
      hostname: 'contract',
      image: { id: image, name: 'guest', disk_format: 'qcow2', size, hash, properties: {} },
      nics: [{ port_id: port, network_id: network, mac: 'fa:16:3e:00:00:01', mtu: 1450, tag: null }],
      config_drive: true,
    }),
  }
}
