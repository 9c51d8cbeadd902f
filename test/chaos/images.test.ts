// Kills the controller between the steps of what is done with the data of images (uploads, staging, imports by every method, copies into
// other stores, deletion), twice, and PostgreSQL at any moment. Afterwards every image has in each of its stores the very bits that it says,
// and neither a store nor the staging area has any others. With WISP_FULL=1 at every crash point of this room and of the engine.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import fs from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { CreateBucketCommand, ListMultipartUploadsCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import { loadConfig } from '../../src/config.ts'
import { startEmbedded, stopEmbedded } from '../../src/database/embedded.ts'
import { migrate } from '../../src/database/migrate.ts'
import { openStores, type Stores } from '../../src/image/control/stores.ts'
import { type Ceph, cephMissing, startCeph } from '../../src/image/store/testing.ts'
import { databaseOf } from '../../src/start/cloud.ts'
import { type ChaosCloud, converges, crashPoints, diesTwice, losesPostgres, pause, startChaosCloud } from './cloud.ts'

const full = process.env.WISP_FULL === '1'
const sources = fs.globSync('image/control/*.ts', { cwd: path.join(import.meta.dirname, '../../src') }).sort()
const points = full
  ? crashPoints([...sources, 'work/engine.ts'], ['image-data', 'image-staged', 'image-import'])
  : // Where most is at stake: bits that no row names yet, bits that are gone before their row is, an import between two phases and two stores.
    ['image: written', 'image: needless bits removed', 'image: bits removed', 'image: import fetched', 'image: import stored']

interface Image {
  id: string
  status: string
  size: number | null
}

interface Task {
  id: string
  status: string
  message: string
  created_at: string
}

describe('chaos: the data of images', { timeout: full ? 3_600_000 : 900_000 }, () => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wi-'))
  const web = http.createServer((request, response) => response.end(served.get(request.url!.slice(1))))
  const served = new Map<string, Buffer>()
  let cloud: ChaosCloud
  let ceph: Ceph | undefined
  let stores: Stores
  /** What is in the bucket. */
  let objects: () => Promise<string[]> = async () => []

  before(async () => {
    fs.chmodSync(home, 0o755)
    const settings: object[] = [{ id: 'file', kind: 'file', folder: 'images' }]
    if (cephMissing) settings.push({ id: 'more', kind: 'file', folder: 'more' })
    else {
      ceph = await startCeph()
      const { http: endpoint, access_key, secret_key } = await ceph.startGateway()
      const keys = { accessKeyId: access_key, secretAccessKey: secret_key }
      const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials: keys })
      await client.send(new CreateBucketCommand({ Bucket: 'images' }))
      settings.push({ id: 'objects', kind: 's3', endpoint, access_key, secret_key, bucket: 'images' })
      settings.push({ id: 'volumes', kind: 'rbd', pool: ceph.pool, user: 'glance', conf: ceph.conf })
      objects = async () => {
        const whole = await client.send(new ListObjectsV2Command({ Bucket: 'images' }))
        const begun = await client.send(new ListMultipartUploadsCommand({ Bucket: 'images' }))
        return [...(whole.Contents ?? []), ...(begun.Uploads ?? [])].map(({ Key }) => Key!)
      }
    }
    fs.writeFileSync(path.join(home, 'image-stores.json'), JSON.stringify({ stores: settings }))
    await new Promise<void>((ready) => web.listen(0, '127.0.0.1', ready))
    await startEmbedded(home, { user: 'nobody' })
    await migrate(databaseOf(loadConfig({ ...process.env, WISP_HOME: home })))
    cloud = await startChaosCloud({
      home,
      administrator: true,
      settings: {
        WISP_IMPORT_ALLOW: `127.0.0.1:${(web.address() as AddressInfo).port}`,
        WISP_IMPORT_PLUGINS: 'decompress, convert:qcow2',
      },
    })
    stores = openStores(cloud.config)
    await cloud.startController()
  })
  after(async () => {
    await cloud?.stop()
    await stopEmbedded(home)
    await ceph?.stop()
    web.close()
    fs.rmSync(home, { recursive: true, force: true })
  })

  const images = '/image/v2/images'
  const show = async (id: string): Promise<Image | undefined> => {
    const { status, body } = await cloud.call('GET', `${images}/${id}`)
    return status === 404 ? undefined : (body as Image)
  }
  const create = async (name: string, disk_format = 'raw'): Promise<string> => {
    const id = randomUUID()
    const made = await cloud.call('POST', images, { id, name, disk_format, container_format: 'bare' })
    // Where an answer was lost the image is there already.
    assert.ok([201, 409].includes(made.status), JSON.stringify(made.body))
    return id
  }
  const rests = async (id: string): Promise<Image> => {
    for (const end = Date.now() + 180_000; Date.now() < end; await pause(50)) {
      const image = await show(id)
      assert.ok(image, `image ${id} is there`)
      if (image.status === 'active' || image.status === 'queued' || (image.status === 'uploading' && image.size !== null)) return image
    }
    return assert.fail(`image ${id} is stuck: ${JSON.stringify(await show(id))}`)
  }

  /** Sends data as a client does that lost its connection: it looks what became of the image, and sends it again if that is queued. */
  const send = async (id: string, what: 'file' | 'stage', data: Buffer, store = 'file') => {
    for (let tries = 0; ; tries++) {
      assert.ok(tries < 20, `image ${id} takes no data`)
      try {
        const answer = await fetch(`${cloud.url}${images}/${id}/${what}`, {
          method: 'PUT',
          headers: { ...(await cloud.signedIn()), 'content-type': 'application/octet-stream', 'x-image-meta-store': store },
          body: new Uint8Array(data),
        })
        if (answer.status === 204) return
        assert.ok([409, 410, 503].includes(answer.status), `PUT answers ${answer.status}: ${await answer.text()}`)
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error
      }
      if ((await rests(id)).status !== 'queued') return
    }
  }

  /** Sends a third at a time, and goes on where the cloud says that it is. */
  const sendPieces = async (id: string, data: Buffer) => {
    for (let tries = 0; ; tries++) {
      assert.ok(tries < 60, `image ${id} takes no pieces`)
      const there = await cloud.call('GET', `${images}/${id}/stage`)
      const { size, complete } = there.status === 404 ? { size: 0, complete: false } : (there.body as { size: number; complete: boolean })
      if (complete || (there.status === 404 && (await show(id))?.status !== 'queued')) return
      const end = Math.min(size + Math.ceil(data.length / 3), data.length)
      try {
        const answer = await fetch(`${cloud.url}${images}/${id}/stage`, {
          method: 'PUT',
          headers: {
            ...(await cloud.signedIn()),
            'content-type': 'application/octet-stream',
            'content-range': `bytes ${size}-${end - 1}/${data.length}`,
          },
          body: new Uint8Array(data.subarray(size, end)),
        })
        assert.ok([204, 409, 410, 503].includes(answer.status), `PUT answers ${answer.status}: ${await answer.text()}`)
        if (answer.status !== 204) await pause(500)
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error
      }
    }
  }

  /** Imports, and once more if the import ended with a failure that only the kill explains. */
  const bring = async (id: string, method: object, wanted: object, prepare: () => Promise<void> = async () => {}) => {
    for (let tries = 0; ; tries++) {
      assert.ok(tries < 20, `image ${id} cannot be imported`)
      await prepare()
      const begun = await cloud.call('POST', `${images}/${id}/import`, { method, ...wanted })
      // A request whose answer was lost may have begun it.
      assert.ok([202, 409].includes(begun.status), JSON.stringify(begun.body))
      const task = (await ended(id)).at(-1)
      if (task?.status === 'success') return
      assert.match(String(task?.message), /cannot be fetched|answered 503|ECONN|cut off|ended after/, 'a failure says why')
      assert.equal((await show(id))?.status, 'queued')
    }
  }
  const tasksOf = async (id: string) => {
    const { body } = await cloud.call('GET', `${images}/${id}/tasks`)
    return [...(body as { tasks: Task[] }).tasks].sort((a, b) => (a.created_at < b.created_at ? -1 : 1))
  }
  const ended = async (id: string): Promise<Task[]> => {
    for (const end = Date.now() + 180_000; Date.now() < end; await pause(50)) {
      const tasks = await tasksOf(id)
      if (tasks.length > 0 && tasks.every(({ status }) => status === 'success' || status === 'failure')) return tasks
    }
    return assert.fail(`an import is stuck: ${JSON.stringify(await tasksOf(id))}`)
  }
  const remove = async (id: string) => {
    const { status } = await cloud.call('DELETE', `${images}/${id}`)
    assert.ok([204, 404].includes(status), `DELETE answers ${status}`)
  }

  /** Asks a database that may be away for a moment. */
  const persist = async <T>(ask: () => Promise<T>): Promise<T> => {
    for (let tries = 0; ; tries++) {
      try {
        return await ask()
      } catch (error) {
        if (tries === 200) throw error
        await pause(50)
      }
    }
  }

  /** Every store has the bits of every image, as its row says. @param data what went in, where it is what came out */
  const isWhole = async (id: string, inStores: string[], data?: Buffer) => {
    const row = await persist(() => cloud.db.read.selectFrom('image.image').selectAll().where('id', '=', id).executeTakeFirstOrThrow())
    assert.equal(row.status, 'active')
    assert.deepEqual((row.locations as { store: string }[]).map(({ store }) => store).sort(), [...inStores].sort())
    for (const { store, data: key } of row.locations as { store: string; data: string }[]) {
      const [md5, other] = [createHash('md5'), createHash(row.os_hash_algo!)]
      let size = 0
      for await (const chunk of (await stores.of(store).read(key)) ?? []) {
        md5.update(chunk as Buffer)
        other.update(chunk as Buffer)
        size += (chunk as Buffer).length
      }
      assert.deepEqual([size, md5.digest('hex'), other.digest('hex')], [row.size, row.checksum, row.os_hash_value], `in store ${store}`)
    }
    if (data) assert.equal(row.os_hash_value, createHash(row.os_hash_algo!).update(data).digest('hex'))
  }

  const all = () => stores.all.map(({ id }) => id)
  const regions = async () => ((await cloud.call('GET', '/identity/v3/regions')).body as { regions: { id: string }[] }).regions
  const qcow2 = (raw: Buffer) => {
    const folder = fs.mkdtempSync(path.join(home, 'made-'))
    fs.writeFileSync(path.join(folder, 'raw'), raw)
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', 'raw', 'qcow2'], { cwd: folder })
    return fs.readFileSync(path.join(folder, 'qcow2'))
  }
  /** An ISO as far as anybody looks: such images are not converted. */
  const iso = (megabytes: number) => {
    const data = randomBytes(megabytes * 2 ** 20)
    data.write('CD001', 32_769)
    return data
  }

  /** Everything that can happen to images, at once. Each ends with an image that is whole, and is deleted. */
  const lives: Record<string, (name: string) => Promise<void>> = {
    async uploaded(name) {
      const data = randomBytes(3_000_000)
      const id = await create(name)
      await send(id, 'file', data)
      await isWhole(id, ['file'], data)
      await bring(id, { name: 'copy-image' }, { all_stores: true })
      await isWhole(id, all(), data)
      await remove(id)
    },
    async identical(name) {
      const data = randomBytes(1_000_000)
      const store = all().at(-1)!
      const ids = await Promise.all([create(name), create(name)])
      await Promise.all(ids.map((id) => send(id, 'file', data, store)))
      for (const id of ids) await isWhole(id, [store], data)
      await remove(ids[0]!)
      await isWhole(ids[1]!, [store], data)
      await remove(ids[1]!)
    },
    async staged(name) {
      const raw = randomBytes(2 ** 20)
      const id = await create(name)
      await bring(id, { name: 'glance-direct' }, { all_stores: true }, () => send(id, 'stage', gzipSync(raw)))
      await isWhole(id, all(), qcow2(raw))
      await remove(id)
    },
    async 'staged in pieces'(name) {
      const data = iso(3)
      const id = await create(name, 'iso')
      await bring(id, { name: 'glance-direct' }, { stores: ['file'] }, () => sendPieces(id, data))
      await isWhole(id, ['file'], data)
      await remove(id)
    },
    async fetched(name) {
      const data = iso(9)
      served.set(name, data)
      const id = await create(name, 'iso')
      const uri = `http://127.0.0.1:${(web.address() as AddressInfo).port}/${name}`
      await bring(id, { name: 'web-download', uri }, { stores: all().slice(1) })
      await isWhole(id, all().slice(1), data)
      assert.deepEqual((await tasksOf(id)).length, 1, 'this server did not die, so one import was enough')
      await remove(id)
    },
    async 'of another region'(name) {
      const id = await create(name, 'qcow2')
      const [region] = await regions()
      await bring(id, { name: 'glance-download', glance_region: region!.id, glance_image_id: cloud.image }, {})
      await isWhole(id, ['file'], fs.readFileSync(path.join(home, 'tiny.qcow2')))
      await remove(id)
    },
    async 'deleted in the middle'(name) {
      const data = iso(5)
      served.set(name, data)
      const [imported, staged, uploaded] = await Promise.all([create(name, 'iso'), create(name), create(name)])
      const uri = `http://127.0.0.1:${(web.address() as AddressInfo).port}/${name}`
      await Promise.all([
        cloud.call('POST', `${images}/${imported}/import`, { method: { name: 'web-download', uri } }).then(() => remove(imported!)),
        Promise.race([send(staged!, 'stage', data).catch(() => {}), pause(20)]).then(() => remove(staged!)),
        Promise.race([send(uploaded!, 'file', data).catch(() => {}), pause(20)]).then(() => remove(uploaded!)),
      ])
    },
  }

  /** What there is of images that were all deleted, but for the cloud's own one. */
  const leftovers = async () => {
    const rows = await cloud.db.read.selectFrom('image.image').select(['id', 'locations']).where('id', '<>', cloud.image).execute()
    const kept = (await cloud.db.read.selectFrom('image.image').select('locations').where('id', '=', cloud.image).executeTakeFirstOrThrow())
      .locations as { data: string }[]
    const others = (names: string[]) => names.filter((name) => !kept.some(({ data }) => name === `${data}.data`))
    const folder = (name: string) => (fs.existsSync(path.join(home, name)) ? fs.readdirSync(path.join(home, name)) : [])
    return {
      images: rows.map(({ id }) => id),
      data: (await cloud.db.read.selectFrom('image.data').select('id').execute()).length - kept.length,
      markers: (await cloud.db.read.selectFrom('image.leftover').selectAll().execute()).map(({ upload }) => upload),
      staged: (await cloud.db.read.selectFrom('image.staged').selectAll().execute()).map(({ file }) => file),
      tasks: (await cloud.db.read.selectFrom('image.task').select('id').where('phase', '<>', 'end').execute()).map(({ id }) => id),
      files: others([...folder('images'), ...folder('more')]),
      staging: folder('staging'),
      objects: await objects(),
      volumes: ceph ? (JSON.parse(await ceph.admin('rbd', 'ls', '--format', 'json', ceph.pool)) as string[]) : [],
    }
  }
  const nothing = { images: [], data: 0, markers: [], staged: [], tasks: [], files: [], staging: [], objects: [], volumes: [] }
  const live = async (name: string) => {
    const ends = await Promise.allSettled(
      Object.entries(lives).map(([kind, life], n) =>
        life(`${name}-${n}`).catch((error: Error) => {
          throw Object.assign(error, { message: `${kind}: ${error.message}` })
        }),
      ),
    )
    for (const end of ends) if (end.status === 'rejected') throw end.reason
    served.clear()
  }

  const lived = async (name: string) => {
    await live(name)
    await converges(leftovers, nothing, 180, 'no bits, files or rows are left')
  }

  for (const [n, point] of points.entries()) it(`dies at '${point}', twice`, () => diesTwice(cloud, point, () => lived(`chaos-${n}`)))

  it('lives through PostgreSQL being killed again and again', async () => {
    await losesPostgres(cloud, 1500, full ? 40 : 6, () => lived('postgres'))
    const looks = () => cloud.db.read.selectFrom('work.due').select('key').where('kind', 'in', ['image-data', 'image-staged']).execute()
    await converges(looks, [], 60, 'nobody has to look at anything any more')
  })
})
