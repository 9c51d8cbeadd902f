import assert from 'node:assert/strict'
import dns from 'node:dns'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { describe, it, type TestContext } from 'node:test'
import { checkUrl, fetchUrl, readRules, shown } from './reach.ts'

const reach = (allow: string[], deny: string[] = []) => ({ allow: readRules(allow), deny: readRules(deny) })
const passes = (rules: ReturnType<typeof reach>, url: string) => {
  try {
    return checkUrl(rules, url) !== undefined
  } catch {
    return false
  }
}

async function server(context: TestContext, answer: http.RequestListener, address = '127.0.0.1'): Promise<number> {
  const made = http.createServer(answer).listen(0, address)
  await new Promise((ready) => made.once('listening', ready))
  context.after(() => {
    made.closeAllConnections()
    made.close()
  })
  return (made.address() as AddressInfo).port
}
const never = new AbortController().signal

describe('where an import may fetch from', () => {
  it('is the Internet, at the ports of the web, and nothing that is private', () => {
    const open = reach(['public'])
    for (const url of ['http://example.org/a.img', 'https://example.org:443/a', 'http://8.8.8.8/', 'http://[2606:4700::1111]/a'])
      assert.ok(passes(open, url), url)
    for (const url of [
      'ftp://example.org/a',
      'file:///etc/passwd',
      'http://example.org:22/',
      'http://127.0.0.1/',
      'http://0x7f.1/',
      'http://2130706433/',
      'http://017700000001/',
      'http://10.1.2.3/',
      'http://169.254.169.254/latest/meta-data',
      'http://[::1]/',
      'http://[::ffff:127.0.0.1]/',
      'http://[64:ff9b::7f00:1]/',
      'http://[2002:7f00:1::]/',
      'http://[fe80::1]/',
      'http://[fd00::1]/',
      'http://0.0.0.0/',
      'not a url',
      '',
    ])
      assert.ok(!passes(open, url), url)
  })

  it('is what the operator says', () => {
    const some = reach(['mirror.local:8080', '*.example.org', '10.0.0.0/8', 'fd00::/8', 'public:8443'], ['bad.example.org', '10.6.0.0/16'])
    for (const url of [
      'http://mirror.local:8080/',
      'https://a.example.org/',
      'http://10.1.1.1/',
      'http://[fd00::1]/',
      'https://8.8.8.8:8443/',
    ])
      assert.ok(passes(some, url), url)
    for (const url of [
      'http://mirror.local:81/',
      'https://bad.example.org/',
      'http://10.6.1.1/',
      'http://8.8.8.8/',
      'http://10.1.1.1:8080/',
    ])
      assert.ok(!passes(some, url), url)
    assert.throws(() => readRules(['a b']), /not 'a b'/)
  })

  it('is checked again once a name is resolved, and for every redirect', async (context) => {
    const port = await server(context, (request, response) => {
      if (request.url === '/away') response.writeHead(302, { location: 'http://169.254.169.254/secret' }).end()
      else if (request.url === '/near') response.writeHead(302, { location: '/data' }).end()
      else if (request.url === '/round') response.writeHead(302, { location: '/round' }).end()
      else if (request.url === '/data') response.end('bits')
      else response.writeHead(404).end()
    })
    const local = reach([`127.0.0.1:${port}`])
    const get = async (path: string) => {
      const { size, data } = await fetchUrl(local, `http://127.0.0.1:${port}${path}`, { signal: never })
      return [size, await text(data)]
    }
    assert.deepEqual(await get('/near'), [4, 'bits'])
    await assert.rejects(get('/away'), { status: 400, message: /does not pass filtering/ })
    await assert.rejects(get('/round'), /more than 5 times/)
    await assert.rejects(get('/none'), /answered 404/)
    await assert.rejects(
      fetchUrl(reach([`public:${port}`]), `http://localhost:${port}/data`, { signal: never }),
      /not among the addresses allowed/,
    )
    await assert.rejects(fetchUrl(local, `http://127.0.0.1:${port}/near`, { signal: never, trusted: true }), /answered 302/)
  })

  it('is where the name led when it was checked, whatever the name says afterwards', async (context) => {
    const port = await server(context, (request, response) => response.end(request.socket.localAddress), '127.0.0.2')
    const answers = ['127.0.0.2', '127.0.0.1']
    const asked: string[] = []
    context.mock.method(dns, 'lookup', ((hostname: string, _options: unknown, done: (error: null, all: dns.LookupAddress[]) => void) => {
      asked.push(hostname)
      done(null, [{ address: answers.shift()!, family: 4 }])
    }) as never)
    const only = reach([`127.0.0.2:${port}`])
    const { data } = await fetchUrl(only, `http://rebinds.example.org:${port}/`, { signal: never })
    assert.deepEqual([await text(data), asked], ['127.0.0.2', ['rebinds.example.org']])
    await assert.rejects(fetchUrl(only, `http://rebinds.example.org:${port}/`, { signal: never }), /leads to 127\.0\.0\.1/)
  })

  it('is refused where any address of the name is private, however it is written', async (context) => {
    let address = ''
    context.mock.method(dns, 'lookup', ((_hostname: string, _options: unknown, done: (error: null, all: dns.LookupAddress[]) => void) =>
      done(null, [
        { address: '93.184.216.34', family: 4 },
        { address, family: address.includes(':') ? 6 : 4 },
      ])) as never)
    for (address of [
      '169.254.169.254',
      '::ffff:169.254.169.254',
      '::ffff:a9fe:a9fe',
      '64:ff9b::a9fe:a9fe',
      '::1',
      '::',
      'fe80::1',
      'fd00:ec2::254',
    ])
      await assert.rejects(
        fetchUrl(reach(['public']), 'http://two.example.org/', { signal: never }),
        /is not among the addresses allowed/,
        address,
      )
    address = '::ffff:10.6.0.1'
    await assert.rejects(
      fetchUrl(reach(['two.example.org'], ['10.6.0.0/16']), 'http://two.example.org/', { signal: never }),
      /leads to ::ffff:10\.6\.0\.1/,
    )
  })

  it('is told without passwords', () => {
    assert.equal(shown('https://me:secret@example.org/a'), 'https://me:***@example.org/a')
  })
})
