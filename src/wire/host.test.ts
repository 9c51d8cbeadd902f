// The host's side of the wire against a controller that misbehaves: cut streams, another cloud, no answer.
import assert from 'node:assert/strict'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { pino } from 'pino'
import { simulatedMachine } from '../agent/simulated.ts'
import type { Line } from './documents.ts'
import { dial, type Wire } from './host.ts'

const log = pino({ level: 'silent' })
const line = (rev: number): Line => ({ rev, kind: 'network', id: `n${rev}`, generation: 1, want: null, request_id: null })

describe('a host that dials', () => {
  let server: http.Server
  let wire: Wire
  /** What each connection in turn asked for, and what it is told before it is cut. */
  const asked: string[] = []
  let tell: Line[][] = []
  const heard: string[] = []
  let cloud = 'ours'
  let posts: string[] = []
  let answer: (path: string) => { status: number; body: unknown } = () => ({ status: 200, body: { verdicts: [] } })

  beforeEach(async () => {
    for (const list of [asked, heard, posts]) list.length = 0
    posts = []
    tell = []
    cloud = 'ours'
    answer = () => ({ status: 200, body: { verdicts: [] } })
    server = http.createServer((request, response) => {
      if (request.method === 'POST') {
        const path = request.url!.split('/').at(-1)!
        posts.push(path)
        const { status, body } = answer(path)
        request.resume().on('end', () => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body)))
        return
      }
      const turn = asked.length
      asked.push(new URL(request.url!, 'http://x').search)
      response.writeHead(200)
      response.write((tell[turn] ?? []).map((one) => `${JSON.stringify(one)}\n`).join(''))
      if (turn < tell.length - 1) setTimeout(() => response.destroy(), 50)
    })
    await new Promise<void>((go) => server.listen(0, '127.0.0.1', go))
  })
  afterEach(async () => {
    await wire.stop()
    server.closeAllConnections()
    await new Promise((go) => server.close(go))
  })

  const start = () => {
    wire = dial({
      controllers: [`http://127.0.0.1:${(server.address() as AddressInfo).port}`],
      credentials: { host_id: 'h', secret: 's' },
      log,
      hello: async () => simulatedMachine('h').hello(),
      snapshot: (named) => {
        if (named !== cloud) throw new Error('another cloud')
        heard.push('snapshot')
      },
      desired: ({ rev }) => heard.push(`${rev}`),
      complete: () => heard.push('complete'),
      lease: () => heard.push('lease'),
      answer: async () => ({ status: 200, body: null }),
    })
  }
  const until = async (what: () => boolean, name: string) => {
    for (let i = 0; i < 1000; i++) {
      if (what()) return
      await new Promise((go) => setTimeout(go, 10))
    }
    assert.fail(`not within 10 s: ${name}; heard ${heard}; asked ${asked}`)
  }

  it('asks for the whole set again when the stream was cut in its middle, and for the rest when it was cut later', async () => {
    tell = [
      [{ snapshot: true, cloud: 'ours' }, line(3), line(5)],
      [{ snapshot: true, cloud: 'ours' }, line(3), line(5), line(8), { complete: 9 }, line(10)],
      [line(11)],
    ]
    start()
    await until(() => heard.includes('11'), 'all is heard')
    assert.deepEqual(asked, ['?since=0&cloud=', '?since=0&cloud=ours', '?since=10&cloud=ours'])
    assert.deepEqual(heard, ['snapshot', '3', '5', 'snapshot', '3', '5', '8', 'complete', '10', '11'])
  })

  it('never takes another cloud for its own', async () => {
    tell = [
      [{ snapshot: true, cloud: 'ours' }, { complete: 4 }],
      [{ snapshot: true, cloud: 'another' }, line(1), { complete: 1 }],
      [line(5)],
    ]
    start()
    await until(() => heard.includes('5'), 'it goes on with its own')
    assert.deepEqual(asked, ['?since=0&cloud=', '?since=4&cloud=ours', '?since=4&cloud=ours'])
    assert.deepEqual(heard, ['snapshot', 'complete', '5'])
  })

  it('says that it is alive when it hears a lease', async () => {
    tell = [[{ lease: 'now' }]]
    start()
    await until(() => posts.includes('observed'), 'it said so')
  })

  it('reports until it is taken, and gives up only what will never be', async () => {
    tell = [[]]
    let refusals = 2
    answer = (path) =>
      path === 'observed' && refusals-- > 0
        ? { status: 500, body: { error: 'the database is away' } }
        : { status: 200, body: { verdicts: [] } }
    start()
    assert.deepEqual(await wire.report([]), [])
    assert.equal(refusals, -1)
    answer = () => ({ status: 400, body: { error: 'no such kind' } })
    await assert.rejects(wire.report([]), /no such kind/)
    answer = () => ({ status: 500, body: { error: 'away' } })
    const waiting = wire.report([])
    await wire.stop()
    assert.deepEqual(await waiting, [], 'stopping ends the trying')
  })
})
