// The wire end to end: a controller's routes, a host's dial and loop on a simulated machine, a real database in between.
import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { after, afterEach, before, describe, it } from 'node:test'
import Fastify, { type FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { startLoop } from '../agent/loop.ts'
import { simulatedMachine } from '../agent/simulated.ts'
import { type TestDatabase, testDatabase } from '../database/testing.ts'
import { hints } from '../work/hint.ts'
import { ask } from './ask.ts'
import { registerWire } from './control.ts'
import type { SecurityGroupDocument } from './documents.ts'
import { type Credentials, dial } from './host.ts'
import { intend, intendLast, withdraw } from './intend.ts'
import { join, makeJoinToken } from './join.ts'

const log = pino({ level: 'silent' })
const group = (id: string, stateful = true): SecurityGroupDocument => ({ v: 1, id, stateful, rules: [] })

describe('the wire', () => {
  let test: TestDatabase
  let app: FastifyInstance
  let url: string
  let stopWire: () => void
  const ends: (() => unknown)[] = []

  before(async () => {
    test = await testDatabase()
    app = Fastify()
    const wire = registerWire(app, { db: test.db, log, cloud: 'cloud-1', heard: {}, hello: [] })
    await app.listen({ port: 0, host: '127.0.0.1' })
    url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
    stopWire = wire.stop
  })
  after(async () => {
    stopWire()
    await app.close()
    await test.drop()
  })
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
  })

  const newHost = (name: string): Promise<Credentials & { name: string }> =>
    test.db.write(async (tx) => {
      const { host_id, secret } = await join(tx, await makeJoinToken(tx), name, `simulated-${name}`)
      return { host_id, secret, name }
    })

  const startHost = (credentials: Credentials & { name: string }, machine = simulatedMachine(credentials.name)) => {
    let completed = () => {}
    const complete = new Promise<void>((go) => {
      completed = go
    })
    const reports: unknown[] = []
    const loop = startLoop({
      realisers: machine.realisers,
      log,
      report: async (observations) => {
        reports.push(...observations)
        await wire.report(observations)
      },
    })
    const wire = dial({
      controllers: [url],
      credentials,
      log,
      hello: async () => machine.hello(),
      snapshot: loop.snapshot,
      desired: loop.desired,
      complete: () => {
        loop.complete()
        completed()
      },
      lease: () => {},
      answer: async (question) => ({ status: 200, body: { echo: question.server_id } }),
    })
    const stop = async () => {
      await wire.stop()
      await loop.stop()
    }
    ends.push(stop)
    return { machine, complete, loop, reports, stop }
  }

  const observed = async (hostId: string) =>
    test.db.read.selectFrom('wire.observed').select(['id', 'generation', 'state']).where('host_id', '=', hostId).orderBy('id').execute()

  const until = async (what: () => Promise<boolean>) => {
    for (let i = 0; i < 6000; i++) {
      if (await what()) return
      await new Promise((go) => setTimeout(go, 10))
    }
    assert.fail('did not come true within 60 s')
  }

  it('brings documents to the host and its observations back', async () => {
    const host = await newHost('a')
    const { machine, complete } = startHost(host)
    await complete
    await test.db.write((tx) => intend(tx, host.host_id, [{ kind: 'security-group', id: 'g1', generation: 3, body: group('g1') }]))
    await until(async () => (await observed(host.host_id)).length === 1)
    assert.deepEqual(await observed(host.host_id), [{ id: 'g1', generation: 3, state: { state: 'ready' } }])
    assert.deepEqual(machine.real.get('security-group')!.get('g1'), group('g1'))

    await test.db.write((tx) => withdraw(tx, host.host_id, [{ kind: 'security-group', id: 'g1' }]))
    await until(async () => (await observed(host.host_id)).length === 0)
    assert.equal(machine.real.get('security-group')!.size, 0)
    const left = await test.db.read.selectFrom('wire.document').select('id').where('host_id', '=', host.host_id).execute()
    assert.deepEqual(left, [], 'the tombstone goes once the host has reported the object gone')
  })

  it('a host that was away gets what it missed; a new agent removes what nobody wants, once the set is complete', async () => {
    const host = await newHost('b')
    const machine = simulatedMachine('b')
    machine.real.get('security-group')!.set('orphan', {})
    machine.real.get('security-group')!.set('kept', {})
    await test.db.write((tx) => intend(tx, host.host_id, [{ kind: 'security-group', id: 'kept', generation: 1, body: group('kept') }]))
    const first = startHost(host, machine)
    await first.complete
    await first.loop.idle()
    assert.deepEqual([...machine.real.get('security-group')!.keys()], ['kept'])
    await first.stop()

    await test.db.write((tx) => withdraw(tx, host.host_id, [{ kind: 'security-group', id: 'kept' }]))
    await test.db.write((tx) => intend(tx, host.host_id, [{ kind: 'security-group', id: 'new', generation: 1, body: group('new') }]))
    const second = startHost(host, machine)
    await second.complete
    await second.loop.idle()
    assert.deepEqual([...machine.real.get('security-group')!.keys()], ['new'])
  })

  it('loses no change of twenty writers at once', async () => {
    const host = await newHost('c')
    const { machine, complete } = startHost(host)
    await complete
    await Promise.all(
      Array.from({ length: 20 }, async (_, writer) => {
        for (let n = 0; n < 20; n++)
          await test.db.write((tx) =>
            intend(tx, host.host_id, [{ kind: 'security-group', id: `w${writer}-${n}`, generation: 1, body: group(`w${writer}-${n}`) }]),
          )
      }),
    )
    await until(async () => (await observed(host.host_id)).length === 400)
    assert.equal(machine.real.get('security-group')!.size, 400)
  })

  it('says every revision once and in order, whether it was read or handed over by the transaction that wrote it', async () => {
    const host = await newHost('l')
    const controller = new AbortController()
    const answer = await fetch(`${url}/wire/v1/hosts/${host.host_id}/desired?since=0`, {
      headers: { authorization: `Bearer ${host.host_id}.${host.secret}` },
      signal: controller.signal,
    })
    const said: { rev: number; id: string; want: unknown }[] = []
    const reading = (async () => {
      for await (const line of createInterface({ input: Readable.from(answer.body!) })) {
        const one = JSON.parse(line) as { rev?: number; id: string; want: unknown }
        if (one.rev !== undefined) said.push({ ...one, rev: one.rev })
      }
    })().catch(() => undefined)
    ends.push(async () => {
      controller.abort()
      await reading
    })
    await Promise.all(
      Array.from({ length: 20 }, async (_, writer) => {
        for (let n = 0; n < 10; n++) {
          const of = (part: string) =>
            ({ kind: 'security-group', generation: 1, id: `${writer}-${n}${part}`, body: group(`${writer}-${n}${part}`) }) as const
          await test.db.write(async (tx) => {
            if (writer % 2 === 0) await intend(tx, host.host_id, [of('a'), of('b')])
            else intendLast(tx, host.host_id, [of('a'), of('b')], 'req-1')
          })
        }
      }),
    )
    await until(async () => said.length >= 400)
    assert.deepEqual(
      said.map(({ rev }) => rev),
      Array.from({ length: 400 }, (_, index) => index + 1),
    )
    const documents = await test.db.read
      .selectFrom('wire.document')
      .select(['rev', 'id', 'body'])
      .where('host_id', '=', host.host_id)
      .orderBy('rev')
      .execute()
    assert.deepEqual(
      said.map(({ rev, id, want }) => ({ rev, id, body: want })),
      documents,
    )
  })

  it('works without hints, by polling', async () => {
    const host = await newHost('d')
    const { complete } = startHost(host)
    await complete
    const heard = hints.listeners('host')
    hints.removeAllListeners('host')
    try {
      await test.db.write((tx) => intend(tx, host.host_id, [{ kind: 'security-group', id: 'quiet', generation: 1, body: group('quiet') }]))
      await until(async () => (await observed(host.host_id)).length === 1)
    } finally {
      for (const listener of heard) hints.on('host', listener as () => void)
    }
  })

  it('refuses reports about older generations, other hosts, wrong secrets, used tokens and foreign machines', async () => {
    const host = await newHost('e')
    const other = await newHost('f')
    const call = (id: string, secret: string, path: string, body: unknown) =>
      fetch(`${url}/wire/v1/hosts/${id}/${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${host.host_id}.${secret}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
    const report = (generation: number) =>
      call(host.host_id, host.secret, 'observed', { observations: [{ kind: 'port', id: 'p', generation, state: 'ready' }] })
    assert.deepEqual(await (await report(5)).json(), { verdicts: [{ kind: 'port', id: 'p', verdict: 'accepted' }] })
    assert.deepEqual(await (await report(4)).json(), { verdicts: [{ kind: 'port', id: 'p', verdict: 'stale' }] })
    assert.equal((await observed(host.host_id))[0]?.generation, 5)
    assert.equal((await call(other.host_id, host.secret, 'observed', { observations: [] })).status, 403)
    assert.equal((await call(host.host_id, other.secret, 'observed', { observations: [] })).status, 401)
    assert.equal((await call(host.host_id, host.secret, 'observed', { observations: [{}] })).status, 400)
    assert.equal((await call(host.host_id, host.secret, 'hello', { ...simulatedMachine('e').hello(), machine_id: 'another' })).status, 409)

    const token = await test.db.write((tx) => makeJoinToken(tx))
    const trade = (name: string, machine_id: string) =>
      fetch(`${url}/wire/v1/join`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ token, name, machine_id }),
      })
    assert.equal((await trade('e', 'another')).status, 409, 'the name belongs to another machine')
    assert.equal((await trade('g', 'm')).status, 200, 'a refused trade does not use the token up')
    assert.equal((await trade('h', 'm2')).status, 403)
  })

  it('carries a question to the host and its answer back', async () => {
    const host = await newHost('i')
    const { complete } = startHost(host)
    await complete
    assert.deepEqual(await ask(test.db, host.host_id, { what: 'diagnostics', server_id: 's1' }), { status: 200, body: { echo: 's1' } })
    const nobody = await newHost('j')
    assert.equal((await ask(test.db, nobody.host_id, { what: 'diagnostics', server_id: 's1' }, 200)).status, 504)
    assert.equal((await test.db.read.selectFrom('wire.question').select('id').execute()).length, 0)
  })

  it('a second stream of a host ends the first', async () => {
    const host = await newHost('k')
    const open = () =>
      fetch(`${url}/wire/v1/hosts/${host.host_id}/desired?since=0`, { headers: { authorization: `Bearer ${host.host_id}.${host.secret}` } })
    const first = await open()
    const second = await open()
    for await (const _ of first.body!); // it comes to an end
    let text = ''
    for await (const chunk of second.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk
      if (text.includes('"complete":0')) break
    }
    assert.match(text, /"snapshot":true/)
  })
})
