// What every kind of store keeps: bits come back as they went in, whole or in part, and nothing is left of what failed or was removed.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import fs from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, describe, it } from 'node:test'
import { CreateBucketCommand, ListMultipartUploadsCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import { fileStore } from './file.ts'
import { httpStore } from './http.ts'
import { rbdStore } from './rbd.ts'
import { s3Store } from './s3.ts'
import type { Blocks, ImageStore } from './store.ts'

const MiB = 1024 * 1024
const common = { description: 'of the tests', weight: 0 }

/** As receive.ts lends them: one memory for all. */
async function* blocksOf(data: Buffer, fail?: Error): Blocks {
  const memory = Buffer.alloc(MiB)
  for (let at = 0; at < data.length; at += MiB) {
    const length = data.copy(memory, 0, at)
    yield memory.subarray(0, length)
    if (fail) throw fail
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

/** A server of one's own: WISP_TEST_S3 says where, as http://key:secret@host:port. */
async function s3(): Promise<Bench> {
  const { username, password, origin } = new URL(process.env.WISP_TEST_S3!)
  const bucket = `wisp-${randomUUID()}`
  const credentials = { accessKeyId: username, secretAccessKey: password }
  const client = new S3Client({ endpoint: origin, region: 'us-east-1', forcePathStyle: true, credentials })
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  const store = s3Store({ id: 's3', ...common, bucket, endpoint: origin, access_key: username, secret_key: password })
  const left = async () => {
    const objects = await client.send(new ListObjectsV2Command({ Bucket: bucket }))
    const begun = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))
    return [...(objects.Contents ?? []), ...(begun.Uploads ?? [])].map(({ Key }) => Key!)
  }
  return { store, left }
}

/** A pool of the Ceph that this machine's ceph.conf names: WISP_TEST_RBD. */
async function rbd(): Promise<Bench> {
  const pool = process.env.WISP_TEST_RBD!
  const left = async () => JSON.parse(execFileSync('rbd', ['ls', '--format', 'json', pool], { encoding: 'utf8' })) as string[]
  return { store: rbdStore({ id: 'rbd', ...common, pool }), left }
}

const noCeph = spawnSync('rbd', ['--version']).error !== undefined || !process.env.WISP_TEST_RBD
for (const [kind, make, skip] of [
  ['file', file, false],
  ['s3', s3, !process.env.WISP_TEST_S3 && 'WISP_TEST_S3 names no S3 server'],
  ['rbd', rbd, noCeph && 'Ceph is not installed, or WISP_TEST_RBD names no pool'],
] as const) {
  describe(`the ${kind} store`, { skip }, () => {
    for (const size of [1, MiB, 20 * MiB + 17]) {
      it(`gives ${size} bytes back`, async () => {
        const { store, left } = await make()
        const key = randomUUID()
        const data = randomBytes(size)
        await store.write(key, blocksOf(data), size)
        assert.equal(await store.size(key), size)
        assert.ok((await buffer((await store.read(key))!)).equals(data))
        const range = { start: Math.floor(size / 3), end: size - 1 }
        assert.ok((await buffer((await store.read(key, range))!)).equals(data.subarray(range.start)))
        assert.equal((await buffer((await store.read(key, { start: 0, end: 0 }))!)).length, 1)
        assert.ok(store.url(key).includes(key))
        await store.remove(key)
        assert.equal(await store.read(key), undefined)
        assert.equal(await store.size(key), undefined)
        assert.deepEqual(await left(), [])
        await store.remove(key)
      })
    }

    it('keeps nothing of a write that failed', async () => {
      const { store, left } = await make()
      const key = randomUUID()
      await assert.rejects(store.write(key, blocksOf(randomBytes(12 * MiB), new Error('cut off'))), /cut off/)
      assert.equal(await store.size(key), undefined)
      await store.remove(key)
      assert.deepEqual(await left(), [])
    })

    it('does not know what it never had', async () => {
      const { store } = await make()
      assert.equal(await store.read(randomUUID()), undefined)
      assert.equal(await store.size(randomUUID()), undefined)
    })
  })
}

it('the http store reads what is there, in whole and in part, and takes nothing', async (context) => {
  const data = randomBytes(300_000)
  const server = http.createServer((request, response) => {
    if (request.url !== '/image') return response.writeHead(request.url === '/broken' ? 500 : 404).end()
    const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
    const part = start ? data.subarray(Number(start), Number(end) + 1) : data
    return response.writeHead(start ? 206 : 200, { 'content-length': part.length }).end(request.method === 'HEAD' ? undefined : part)
  })
  await new Promise<void>((go) => server.listen(0, '127.0.0.1', go))
  context.after(() => server.close())
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const store = httpStore({ id: 'web', ...common, hosts: ['127.0.0.1'] })
  assert.equal(await store.size(`${base}/image`), 300_000)
  assert.ok((await buffer((await store.read(`${base}/image`))!)).equals(data))
  assert.ok((await buffer((await store.read(`${base}/image`, { start: 5, end: 9 }))!)).equals(data.subarray(5, 10)))
  assert.equal(await store.read(`${base}/nothing`), undefined)
  await assert.rejects(store.read(`${base}/broken`), { status: 502 })
  await assert.rejects(store.write('key', blocksOf(data)), { status: 400 })
  for (const hosts of [[], ['example.com'], ['*.0.0.1:81'], ['127.0.0.1:1']])
    await assert.rejects(httpStore({ id: 'web', ...common, hosts }).read(`${base}/image`), { status: 400, message: /not among/ })
})
