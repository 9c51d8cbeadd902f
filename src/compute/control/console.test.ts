// A browser's WebSocket, the controller, and a host that dials back and echoes: the whole way of a console's bytes.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { pino } from 'pino'
import { WebSocket } from 'ws'
import { announceAnswer } from '../../wire/ask.ts'
import type { Question } from '../../wire/documents.ts'
import { join, makeJoinToken } from '../../wire/join.ts'
import { hints } from '../../work/hint.ts'
import { imageId, testCloud } from '../testing.ts'
import { registerConsole } from './console.ts'

async function consoleCloud(context: TestContext) {
  const cloud = await testCloud(context)
  const host = await cloud.addHost('h1')
  registerConsole(cloud.app, cloud.db, pino({ level: 'silent' }))
  await cloud.app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = cloud.app.server.address() as AddressInfo
  const joined = await cloud.db.write(async (tx) => {
    await tx.updateTable('wire.host').set({ machine_id: 'm1' }).where('id', '=', host.id).execute()
    return join(tx, await makeJoinToken(tx), 'h1', 'm1')
  })
  const made = await cloud.ask('demo', 'POST', '/servers', {
    server: { name: 'one', flavorRef: '42', imageRef: imageId, networks: 'none' },
  })
  const id = String(made.body.server?.id)
  await cloud.until(id, (server) => String(server?.status) === 'ACTIVE')
  const ticket = async (who = 'demo', protocol: 'vnc' | 'serial' = 'vnc') => {
    const remote_console = { protocol, type: protocol === 'vnc' ? 'novnc' : 'serial' }
    const answer = await cloud.ask(who, 'POST', `/servers/${id}/remote-consoles`, { remote_console })
    const url = String(answer.body.remote_console?.url)
    return { status: answer.status, url, token: URL.parse(url)?.searchParams.get('token') ?? '' }
  }
  const open = (token: string, options: { origin?: string } = {}, protocol = 'vnc') =>
    new WebSocket(`ws://127.0.0.1:${port}/console/v1/${protocol}?token=${token}`, ['binary'], options)
  return { cloud, host, port, credentials: `Bearer ${joined.host_id}.${joined.secret}`, ticket, open }
}

/** Answers each question as the host would. */
function answering(
  context: TestContext,
  cloud: Awaited<ReturnType<typeof testCloud>>,
  answer: (question: Question) => { status: number; body: object },
) {
  const asked = async () => {
    for (const { id, question } of await cloud.db.read.selectFrom('wire.question').selectAll().where('answered_at', 'is', null).execute()) {
      const { status, body } = answer(question as unknown as Question)
      await cloud.db.read
        .updateTable('wire.question')
        .set({ status, answer: JSON.stringify(body), answered_at: new Date() })
        .where('id', '=', id)
        .execute()
      announceAnswer(id)
    }
  }
  hints.on('asked', asked)
  context.after(() => hints.off('asked', asked))
}

describe('consoles', () => {
  it('carries bytes between the browser and the host that dials back, once for each ticket', async (context) => {
    const { cloud, port, credentials, ticket, open } = await consoleCloud(context)
    answering(context, cloud, (question) => {
      assert.equal(question.what, 'tunnel')
      const token = question.what === 'tunnel' ? question.token : ''
      const dial = http.request({
        port,
        host: '127.0.0.1',
        path: `/wire/v1/tunnels/${token}`,
        headers: { authorization: credentials, connection: 'Upgrade', upgrade: 'wisp-tunnel' },
      })
      dial.on('upgrade', (_answer, socket, head) => {
        // What came in the same packet as the answer is part of the console's bytes, too.
        socket.unshift(head)
        socket.pipe(socket)
      })
      dial.end()
      return { status: 200, body: {} }
    })
    const { token } = await ticket()
    const browser = open(token)
    await once(browser, 'open')
    assert.equal(browser.protocol, 'binary')
    const large = Buffer.alloc(300_000, 'x')
    let heard = Buffer.alloc(0)
    const all = new Promise<void>((go) => {
      browser.on('message', (data) => {
        heard = Buffer.concat([heard, data as Buffer])
        if (heard.length === 12 + large.length) go()
      })
    })
    browser.send('RFB 003.008\n')
    browser.send(large)
    await all
    assert.equal(heard.subarray(0, 12).toString(), 'RFB 003.008\n')
    browser.close()
    await once(browser, 'close')

    const [error] = (await once(open(token), 'error')) as [Error]
    assert.match(error.message, /401/, 'a ticket is good once')
  })

  it('refuses other origins, unknown tickets and other projects', async (context) => {
    const { ticket, open } = await consoleCloud(context)
    assert.equal((await ticket('other')).status, 404)
    assert.equal((await ticket('reader')).status, 403)
    const { token } = await ticket()
    assert.match(((await once(open(token, { origin: 'http://evil.example' }), 'error')) as [Error])[0].message, /403/)
    assert.match(((await once(open('none'), 'error')) as [Error])[0].message, /401/)
  })

  it('gives the WebSocket of a serial port, not a page, and its ticket opens no screen and is not used up by trying', async (context) => {
    const { cloud, ticket, open } = await consoleCloud(context)
    const { url, token } = await ticket('demo', 'serial')
    assert.match(url, /^ws:\/\/[^/]+\/console\/v1\/serial\?token=/)
    assert.match(((await once(open(token), 'error')) as [Error])[0].message, /401/)
    const asked: Question[] = []
    answering(context, cloud, (question) => {
      asked.push(question)
      return { status: 409, body: { message: 'The server is not running.' } }
    })
    await once(open(token, {}, 'serial'), 'close')
    assert.deepEqual(
      asked.map((question) => question.what === 'tunnel' && question.protocol),
      ['serial'],
    )
  })

  it('closes with the reason when the host cannot open the console', async (context) => {
    const { cloud, ticket, open } = await consoleCloud(context)
    answering(context, cloud, () => ({ status: 409, body: { message: 'The server is not running.' } }))
    const browser = open((await ticket()).token)
    const [code, reason] = (await once(browser, 'close')) as [number, Buffer]
    assert.deepEqual([code, String(reason)], [1011, 'The server is not running.'])
  })

  it('lets no other host take a tunnel', async (context) => {
    const { cloud, port, ticket, open } = await consoleCloud(context)
    const stranger = await cloud.db.write(async (tx) => join(tx, await makeJoinToken(tx), 'h2', 'm2'))
    let refused: Promise<unknown> = Promise.resolve()
    answering(context, cloud, (question) => {
      const token = question.what === 'tunnel' ? question.token : ''
      const dial = http.request({
        port,
        host: '127.0.0.1',
        path: `/wire/v1/tunnels/${token}`,
        headers: { authorization: `Bearer ${stranger.host_id}.${stranger.secret}`, connection: 'Upgrade', upgrade: 'x' },
      })
      refused = once(dial, 'response').then(([answer]) => (answer as http.IncomingMessage).statusCode)
      dial.end()
      return { status: 404, body: { message: 'no' } }
    })
    await once(open((await ticket()).token), 'close')
    assert.equal(await refused, 404)
  })
})
