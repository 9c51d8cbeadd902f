// What every kind of store keeps: bits come back as they went in, whole or in part, and nothing is left of what failed or was removed. S3
// and RBD are those of a Ceph that the test starts.
import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import dns from 'node:dns'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { CreateBucketCommand, ListMultipartUploadsCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import { fileStore } from './file.ts'
import { rbdStore } from './rbd.ts'
import { type S3Settings, s3Store } from './s3.ts'
import type { Blocks, ImageStore } from './store.ts'
import { type Ceph, cephMissing, type Gateway, startCeph } from './testing.ts'

const MiB = 1024 * 1024
const common = { description: 'of the tests', weight: 0 }

/** As receive.ts lends them: one memory for all. @param cutOff after so many bytes it fails */
async function* blocksOf(data: Buffer, cutOff?: number): Blocks {
  const memory = Buffer.alloc(MiB)
  for (let at = 0; at < data.length; at += MiB) {
    const length = data.copy(memory, 0, at)
    yield memory.subarray(0, length)
    if (cutOff !== undefined && at + length >= cutOff) throw new Error('cut off')
  }
}

interface Bench {
  store: ImageStore
  /** What is there by now, of all keys. */
  left(): Promise<string[]>
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-stores-'))
after(() => fs.rmSync(folder, { recursive: true }))

async function file(): Promise<Bench> {
  const store = fileStore({ id: 'file', ...common, folder: path.join(folder, 'file') })
  return { store, left: async () => fs.readdirSync(path.join(folder, 'file')) }
}

/** What every store does. */
function keepsTheContract(make: () => Promise<Bench>) {
  for (const size of [1, MiB, 20 * MiB + 17])
    it(`gives ${size} bytes back`, async () => {
      const { store, left } = await make()
      const key = randomUUID()
      const data = randomBytes(size)
      await store.write(key, blocksOf(data), size)
      assert.equal(await store.size(key), size)
      assert.ok((await buffer((await store.read(key))!)).equals(data))
      const range = { start: Math.floor(size / 3), end: Math.floor(size / 2) }
      assert.ok((await buffer((await store.read(key, range))!)).equals(data.subarray(range.start, range.end + 1)))
      assert.ok((await buffer((await store.read(key, { start: 0, end: 0 }))!)).equals(data.subarray(0, 1)))
      assert.ok((await buffer((await store.read(key, { start: size - 1, end: size - 1 }))!)).equals(data.subarray(-1)))
      assert.ok(store.url(key).includes(key))
      await store.remove(key)
      assert.equal(await store.read(key), undefined)
      assert.equal(await store.size(key), undefined)
      assert.deepEqual(await left(), [])
      await store.remove(key)
    })

  it('keeps nothing of a write that failed', async () => {
    const { store, left } = await make()
    for (const size of [5 * MiB, 12 * MiB, 40 * MiB]) {
      const key = randomUUID()
      await assert.rejects(store.write(key, blocksOf(randomBytes(size), size), size + 1), /cut off/)
      assert.equal(await store.size(key), undefined)
      await store.remove(key)
      assert.deepEqual(await left(), [])
    }
  })

  it('can be read by many at once, and by one who leaves in the middle', async () => {
    const { store, left } = await make()
    const key = randomUUID()
    const data = randomBytes(9 * MiB)
    await store.write(key, blocksOf(data), data.length)
    const leaving = (await store.read(key))!
    const never = (await store.read(key))!
    try {
      await once(leaving, 'readable')
      const all = await Promise.all([1, 2, 3].map(async () => buffer((await store.read(key))!)))
      assert.ok(all.every((one) => one.equals(data)))
    } finally {
      for (const stream of [leaving, never]) stream.on('error', () => {}).destroy()
    }
    await store.remove(key)
    assert.deepEqual(await left(), [])
  })

  it('does not know what it never had', async () => {
    const { store } = await make()
    assert.equal(await store.read(randomUUID()), undefined)
    assert.equal(await store.size(randomUUID()), undefined)
    await store.remove(randomUUID())
  })
}

describe('the file store', () => keepsTheContract(file))

describe('stores in Ceph', { skip: cephMissing ?? false, timeout: 300_000 }, () => {
  let ceph: Ceph
  let gateway: Gateway
  before(async () => {
    ceph = await startCeph()
    gateway = await ceph.startGateway()
  })
  after(() => ceph?.stop())

  /** A bucket of its own. */
  const s3 = async (settings: Partial<S3Settings> = {}) => {
    const { access_key, secret_key } = gateway
    const bucket = `wisp-${randomUUID()}`
    const credentials = { accessKeyId: access_key, secretAccessKey: secret_key }
    const client = new S3Client({ endpoint: gateway.http, region: 'us-east-1', forcePathStyle: true, credentials })
    await client.send(new CreateBucketCommand({ Bucket: bucket }))
    const store = s3Store({ id: 's3', ...common, bucket, endpoint: gateway.http, access_key, secret_key, ...settings })
    const left = async () => {
      const objects = await client.send(new ListObjectsV2Command({ Bucket: bucket }))
      const begun = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))
      return [...(objects.Contents ?? []), ...(begun.Uploads ?? [])].map(({ Key }) => Key!)
    }
    return { store, left }
  }

  describe('the s3 store', () => {
    keepsTheContract(() => s3())

    it('trusts a server by its certificate, where it is told to', async () => {
      const { store, left } = await s3({ endpoint: gateway.https, ca: gateway.ca })
      await store.write('key', blocksOf(randomBytes(9 * MiB)))
      assert.deepEqual(await left(), ['key'])
      assert.match(store.url('key'), /^s3:\/\/127\.0\.0\.1:\d+\/wisp-/)
      const { store: distrustful } = await s3({ endpoint: gateway.https })
      await assert.rejects(distrustful.write('key', blocksOf(randomBytes(9))), { status: 503, message: /s3 does not work: .*certificate/ })
    })

    it('finds each bucket under a name of its own, where the server has them', async (context) => {
      const names: string[] = []
      const lookup = dns.lookup
      context.mock.method(dns, 'lookup', (name: string, options: dns.LookupAllOptions, done: never) => {
        names.push(name)
        return lookup(name.endsWith(gateway.domain) ? '127.0.0.1' : name, options, done)
      })
      const { port } = new URL(gateway.http)
      const { store, left } = await s3({ endpoint: `http://${gateway.domain}:${port}`, bucket_url_format: 'virtual' })
      await store.write('key', blocksOf(randomBytes(9 * MiB)))
      assert.deepEqual(await left(), ['key'])
      assert.equal(await store.size('key'), 9 * MiB)
      assert.match(names[0]!, /^wisp-[0-9a-f-]+\.s3\.test$/)
    })

    it('says what is wrong with its settings', async () => {
      for (const [settings, message] of [
        [{ bucket: 'nothing-of-the-kind' }, /image store s3 does not work: it has no bucket nothing-of-the-kind/],
        [{ secret_key: 'wrong' }, /s3 does not work: it refuses the access key/],
        [{ access_key: 'nobody' }, /s3 does not work: it refuses the access key/],
        [{ endpoint: 'http://127.0.0.1:1' }, /s3 does not work: connect ECONNREFUSED/],
      ] as const) {
        const { store } = await s3(settings)
        const refused = { status: 503, message }
        await assert.rejects(store.write('key', blocksOf(randomBytes(20 * MiB))), refused)
        await assert.rejects(store.write('key', blocksOf(randomBytes(2))), refused)
        await assert.rejects(store.size('key'), refused)
        await assert.rejects(store.read('key'), refused)
        await assert.rejects(store.remove('key'), refused)
      }
    })

    it('tells of a server that dies in the middle, and leaves nothing there once it is back', async () => {
      const { store, left } = await s3()
      const data = randomBytes(30 * MiB)
      await store.write('whole', blocksOf(data))
      const reading = (await store.read('whole'))!
      await once(reading, 'readable')
      const cutOff = assert.rejects(buffer(reading))
      await gateway.kill()
      await cutOff
      await ceph.startGateway()
      async function* dying(): Blocks {
        for await (const block of blocksOf(data)) yield block
        await gateway.kill()
        yield* blocksOf(data)
      }
      await assert.rejects(store.write('half', dying()), { status: 503, message: /s3 does not work/ })
      await assert.rejects(store.remove('half'), { status: 503 })
      await ceph.startGateway()
      assert.deepEqual((await left()).sort(), ['half', 'whole'], 'the parts are there')
      await store.remove('half')
      assert.deepEqual(await left(), ['whole'])
      assert.ok((await buffer((await store.read('whole'))!)).equals(data))
    })

    it('says that a full account has no room, and leaves nothing there', async () => {
      const quota = (...words: string[]) => ceph.admin('radosgw-admin', 'quota', ...words, '--quota-scope', 'user', '--uid', 'wisp')
      const { store, left } = await s3()
      await quota('set', '--max-size', String(4 * MiB))
      await quota('enable')
      try {
        for (const size of [5 * MiB, 20 * MiB]) {
          const full = { status: 413, message: /media is full: .*the image store s3/ }
          await assert.rejects(store.write('key', blocksOf(randomBytes(size)), size), full)
          await store.remove('key')
          assert.deepEqual(await left(), [])
        }
      } finally {
        await quota('disable')
      }
      await store.write('key', blocksOf(randomBytes(5 * MiB)))
      assert.deepEqual(await left(), ['key'])
    })
  })

  describe('the rbd store', () => {
    const rbd = (settings: { user?: string; pool?: string; timeout?: number } = {}) =>
      rbdStore({ id: 'ceph', ...common, pool: ceph.pool, user: 'glance', conf: ceph.conf, ...settings })
    const left = async () => JSON.parse(await ceph.admin('rbd', 'ls', '--format', 'json', ceph.pool)) as string[]
    keepsTheContract(async () => ({ store: rbd(), left }))

    it('makes images as Glance does: thin, with a protected snapshot', async () => {
      const store = rbd()
      const data = Buffer.concat([randomBytes(MiB), Buffer.alloc(64 * MiB), randomBytes(17)])
      await store.write('thin', blocksOf(data))
      assert.equal(store.url('thin'), `rbd://${ceph.fsid}/images/thin/snap`)
      assert.equal(store.properties.fsid, (await ceph.admin('ceph', 'fsid')).trim())
      const snaps = JSON.parse(await ceph.admin('rbd', 'snap', 'ls', '--format', 'json', 'images/thin')) as Record<string, unknown>[]
      assert.deepEqual(
        snaps.map(({ name, size, protected: kept }) => [name, size, kept]),
        [['snap', data.length, 'true']],
      )
      const info = JSON.parse(await ceph.admin('rbd', 'info', '--format', 'json', 'images/thin')) as Record<string, unknown>
      assert.equal(info.object_size, 8 * MiB)
      const { images } = JSON.parse(await ceph.admin('rbd', 'du', '--format', 'json', 'images/thin@snap')) as {
        images: { used_size: number }[]
      }
      assert.ok(images[0]!.used_size <= 16 * MiB, `${images[0]!.used_size} bytes are used`)
      assert.ok((await buffer((await store.read('thin'))!)).equals(data))
      await store.remove('thin')
    })

    it('keeps what volumes were cloned from', async () => {
      await ceph.admin('ceph', 'osd', 'pool', 'create', 'volumes')
      await ceph.admin('rbd', 'pool', 'init', 'volumes')
      const store = rbd()
      const data = randomBytes(MiB)
      for (const format of ['1', '2'])
        for (const where of ['images', 'volumes']) {
          await store.write('base', blocksOf(data))
          assert.equal(await store.inUse!('base'), false)
          await ceph.admin('rbd', 'clone', '--rbd-default-clone-format', format, 'images/base@snap', `${where}/clone`)
          assert.equal(await store.inUse!('base'), true, `format ${format}, pool ${where}`)
          await assert.rejects(store.remove('base'), { status: 409, message: /cloned from images\/base@snap/ })
          assert.ok((await buffer((await store.read('base'))!)).equals(data))
          await ceph.admin('rbd', 'rm', '--no-progress', `${where}/clone`)
          assert.equal(await store.inUse!('base'), false)
          await store.remove('base')
          assert.deepEqual(await left(), [])
        }
      assert.equal(await store.inUse!('base'), false, 'not there at all')
    })

    it('removes what a controller that died had only begun', async () => {
      const store = rbd()
      const upload = path.join(folder, 'upload')
      fs.writeFileSync(upload, randomBytes(MiB))
      await ceph.admin('rbd', 'import', '--no-progress', upload, 'images/begun')
      assert.equal(await store.size('begun'), undefined)
      assert.equal(await store.read('begun'), undefined)
      await store.remove('begun')
      await ceph.admin('rbd', 'import', '--no-progress', upload, 'images/begun')
      await ceph.admin('rbd', 'snap', 'create', '--no-progress', 'images/begun@snap')
      await store.remove('begun')
      assert.deepEqual(await left(), [])
    })

    it('says what is wrong with its settings', async () => {
      for (const [settings, message] of [
        [{ pool: 'nowhere' }, /image store ceph does not work: .*nowhere/],
        [{ user: 'nobody' }, /ceph does not work: .*connect to the cluster/],
      ] as const) {
        const refused = { status: 503, message }
        await assert.rejects(rbd(settings).write('key', blocksOf(randomBytes(20 * MiB))), refused)
        await assert.rejects(rbd(settings).size('key'), refused)
        await assert.rejects(rbd(settings).read('key'), refused)
        await assert.rejects(rbd(settings).remove('key'), refused)
      }
      const empty = path.join(folder, 'ceph.conf')
      fs.writeFileSync(empty, '[global]\nmon host = 127.0.0.1\n')
      assert.throws(() => rbdStore({ id: 'ceph', ...common, pool: 'images', conf: empty }), /wants a line "fsid = …"/)
    })

    it('says that a full cluster has no room, and leaves nothing there', async () => {
      const store = rbd()
      await store.write('some', blocksOf(randomBytes(20 * MiB)))
      await ceph.limit(0.001)
      try {
        const full = { status: 413, message: /media is full: .*the image store ceph/ }
        await assert.rejects(rbd({ timeout: 3 }).write('full', blocksOf(randomBytes(12 * MiB))), full)
      } finally {
        await ceph.limit(0.95)
      }
      for (const key of ['some', 'full']) await store.remove(key)
      assert.deepEqual(await left(), [])
      await store.write('full', blocksOf(randomBytes(MiB)))
      assert.equal(await store.size('full'), MiB)
      await store.remove('full')
    })

    it('gives up a cluster that says nothing, and leaves nothing there once it is back', async () => {
      const [store, impatient] = [rbd(), rbd({ timeout: 2 })]
      await store.write('there', blocksOf(randomBytes(MiB)))
      ceph.pause()
      try {
        await assert.rejects(impatient.size('there'), { status: 503, message: /timed out/ })
        await assert.rejects(impatient.write('new', blocksOf(randomBytes(20 * MiB))), { status: 503 })
      } finally {
        ceph.resume()
      }
      assert.equal(await store.size('there'), MiB)
      for (const key of ['there', 'new']) await store.remove(key)
      assert.deepEqual(await left(), [])
    })
  })
})
