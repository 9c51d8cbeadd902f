import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { gzipSync } from 'node:zlib'
import { loadConfig } from '../../config.ts'
import { startEngine } from '../../work/engine.ts'
import { hints } from '../../work/hint.ts'
import { importWork } from '../control/import-work.ts'
import { handlers } from '../control/work.ts'
import { type Answer, admin, imageApi, owner, reader, stranger } from './testing.ts'

const quiet = { error() {}, warn() {}, info() {}, debug() {} } as never
const octets = { 'content-type': 'application/octet-stream' }

/** A web server with these answers; its address, and the port that has to be allowed. */
async function web(context: TestContext, answer: http.RequestListener) {
  const server = http.createServer(answer).listen(0, '127.0.0.1')
  await new Promise((ready) => server.once('listening', ready))
  context.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { port, url: `http://127.0.0.1:${port}` }
}

async function importing(context: TestContext, settings: NodeJS.ProcessEnv = {}) {
  const made = await imageApi(context, 1, settings)
  const { api, config, db, key, stores } = made
  const { importAllow: allow, importDeny: deny, importPlugins: plugins } = config
  /** An engine with its workers, as each controller has one. */
  const controller = () => {
    const imports = importWork({ db, config, key, stores, reach: { allow, deny }, plugins, log: quiet })
    const engine = startEngine(db, { ...handlers(stores), ...imports.handlers }, quiet, { poll: 50 })
    return async () => {
      await engine.stop()
      await imports.stop()
    }
  }
  const stage = (id: string, data: Buffer, who = owner) => api('PUT', `/images/${id}/stage`, { payload: data, headers: octets, who })
  const start = (id: string, method: object, more: object = {}, who = owner) =>
    api('POST', `/images/${id}/import`, { payload: { method, ...more }, who })
  const show = async (id: string) => (await api('GET', `/images/${id}`)).body
  const tasksOf = async (id: string) => (await api('GET', `/images/${id}/tasks`)).body.tasks as Answer[]
  /** Resolves with the task of an image once it has ended; the image itself may be gone by then. */
  const ended = async (id: string): Promise<Answer> => {
    const { promise, resolve } = Promise.withResolvers<Answer>()
    const look = async () => {
      const rows = await db.read.selectFrom('image.task').selectAll().where('image_id', '=', id).orderBy('created_at').execute()
      const task = rows.at(-1)
      if (task?.status === 'success' || task?.status === 'failure') resolve((await api('GET', `/tasks/${task.id}`, { who: admin })).body)
    }
    const heard = () => void look().catch(() => {})
    hints.on('changed', heard)
    await look()
    return promise.finally(() => hints.off('changed', heard))
  }
  const staging = path.join(config.home, 'staging')
  fs.mkdirSync(staging)
  const download = async (id: string) =>
    (await made.app.inject({ url: `/image/v2/images/${id}/file`, headers: { 'x-auth-token': 'good' } })).rawPayload
  return { ...made, controller, download, ended, show, stage, staging, start, tasksOf }
}

describe('staging', () => {
  it('takes data for queued images', async (context) => {
    const { create, show, stage, staging, api } = await importing(context)
    const id = await create()
    assert.equal((await api('PUT', `/images/${id}/stage`, { payload: '{}' })).status, 415)
    assert.equal((await stage(id, Buffer.from('x'), reader)).status, 403)
    assert.equal((await stage(id, Buffer.from('x'), stranger)).status, 404)
    assert.equal((await stage(id, Buffer.from('hello'))).status, 204)
    const shown = await show(id)
    assert.deepEqual([shown.status, shown.size, shown.checksum], ['uploading', 5, null])
    assert.equal(fs.readdirSync(staging).length, 1)
    assert.equal((await stage(id, Buffer.from('again'))).status, 409)
    assert.equal((await api('PUT', `/images/${id}/file`, { payload: Buffer.from('x'), headers: octets })).status, 409)
  })

  it('leaves nothing of what was not whole', async (context) => {
    const { api, controller, create, show, staging } = await importing(context)
    const stop = controller()
    context.after(stop)
    const id = await create()
    const cut = await api('PUT', `/images/${id}/stage`, {
      payload: Buffer.from('four'),
      headers: { ...octets, 'x-openstack-image-size': '5' },
    })
    assert.deepEqual([cut.status, (await show(id)).status], [400, 'queued'])
    await gone(staging)
  })

  it('is cleaned when the image is deleted', async (context) => {
    const { api, controller, create, stage, staging } = await importing(context)
    const id = await create()
    await stage(id, Buffer.from('hello'))
    const stop = controller()
    context.after(stop)
    assert.equal((await api('DELETE', `/images/${id}`)).status, 204)
    await gone(staging)
  })
})

/** Resolves when the engine has removed all files of a folder. */
async function gone(folder: string): Promise<void> {
  const watcher = fs.watch(folder)
  try {
    while (fs.readdirSync(folder).length > 0) await once(watcher, 'change')
  } finally {
    watcher.close()
  }
}

describe('import', () => {
  it('of staged data makes the image active, and tells its progress as a task', async (context) => {
    const { api, controller, create, download, ended, show, stage, staging, start, tasksOf } = await importing(context)
    const id = await create()
    await stage(id, Buffer.from('0123456789'))
    const begun = await start(id, { name: 'glance-direct' })
    assert.deepEqual([begun.status, begun.text], [202, ''])
    const waiting = await show(id)
    const [task] = await tasksOf(id)
    assert.deepEqual(
      [waiting.status, waiting.os_glance_importing_to_stores, waiting.os_glance_import_task],
      ['importing', 'file', task?.id],
    )
    assert.equal((await start(id, { name: 'glance-direct' })).status, 409)

    const stop = controller()
    context.after(stop)
    const done = await ended(id)
    assert.deepEqual([done.status, done.result, done.message, done.type], ['success', { image_id: id }, 'Copied 0 MiB', 'api_image_import'])
    assert.deepEqual(done.input, { image_id: id, import_req: { method: { name: 'glance-direct' } }, backend: ['file'] })
    assert.equal(done.request_id, begun.headers['x-openstack-request-id'])
    const shown = await show(id)
    assert.deepEqual([shown.status, shown.size, shown.stores, shown.checksum], ['active', 10, 'file', '781e5e245d69b566979b86e28d23f2c7'])
    assert.deepEqual([shown.os_glance_importing_to_stores, shown.os_glance_failed_import, shown.os_glance_import_task], ['', '', undefined])
    assert.equal((await download(id)).toString(), '0123456789')
    await gone(staging)

    const shownTask = await api('GET', `/tasks/${done.id}`, { who: admin })
    assert.deepEqual([shownTask.status, shownTask.body.image_id, shownTask.body.schema], [200, id, '/v2/schemas/task'])
    const list = await api('GET', '/tasks?status=success&limit=1', { who: admin })
    assert.deepEqual(
      (list.body.tasks as Answer[]).map((one) => [one.id, 'input' in one]),
      [[done.id, false]],
    )
    assert.equal((await api('GET', '/tasks?status=odd', { who: admin })).status, 400)
    assert.equal((await api('GET', '/tasks')).status, 403)
    assert.equal((await api('DELETE', `/tasks/${done.id}`, { who: admin })).status, 405)
  })

  it('is refused where Glance refuses it', async (context) => {
    const { create, put, stage, start } = await importing(context)
    const queued = await create()
    for (const [method, status] of [
      [{ name: 'glance-direct' }, 409],
      [{ name: 'copy-image' }, 403],
      [{ name: 'magic' }, 400],
      [{}, 400],
      [{ name: 'web-download' }, 400],
      [{ name: 'web-download', uri: 'http://127.0.0.1/x' }, 400],
      [{ name: 'web-download', uri: 'file:///etc/passwd' }, 400],
      [{ name: 'glance-download', glance_region: 'R' }, 400],
      [{ name: 'glance-download', glance_region: 'R', glance_image_id: 'foo' }, 400],
    ] as const)
      assert.equal((await start(queued, method)).status, status, JSON.stringify(method))
    assert.equal((await start(queued, { name: 'copy-image' }, {}, admin)).status, 409)
    const web = { name: 'web-download', uri: 'http://example.org/x' }
    assert.equal((await start(queued, web, { stores: ['moon'] })).status, 409)
    assert.equal((await start(queued, web, { stores: ['file'], all_stores: true })).status, 400)
    assert.equal((await start(queued, web, { all_stores: 'yes' })).status, 400)
    assert.equal((await start(queued, web, {}, reader)).status, 403)
    assert.equal((await start(queued, web, {}, stranger)).status, 404)
    const plain = await create({ disk_format: null })
    await stage(plain, Buffer.from('x'))
    assert.equal((await start(plain, { name: 'glance-direct' })).status, 409)
    const active = await create()
    await put(active, Buffer.from('x'))
    assert.equal((await start(active, web)).status, 409)
    assert.equal((await start(active, { name: 'copy-image' }, { stores: ['file'] }, admin)).status, 400)
    assert.equal((await start(active, { name: 'copy-image' }, { all_stores: true }, admin)).status, 202)
  })

  it('fetches from the web, and says why when it cannot', async (context) => {
    const data = randomBytes(3_000_000)
    const { port, url } = await web(context, (request, response) => {
      if (request.url === '/short') response.writeHead(200, { 'content-length': '10' }).write('four', () => response.destroy())
      else if (request.url === '/disk') response.end(data)
      else if (request.url === '/away') response.writeHead(302, { location: 'http://10.0.0.1/' }).end()
      else response.writeHead(404).end()
    })
    const { controller, create, download, ended, show, staging, start } = await importing(context, {
      WISP_IMPORT_ALLOW: `127.0.0.1:${port}`,
    })
    const stop = controller()
    context.after(stop)
    const good = await create()
    assert.equal((await start(good, { name: 'web-download', uri: `${url.replace('//', '//me:secret@')}/disk` })).status, 202)
    const task = await ended(good)
    assert.deepEqual([task.status, task.message], ['success', 'Copied 2 MiB'])
    assert.ok(!JSON.stringify(task).includes('secret'))
    assert.equal((await show(good)).status, 'active')
    assert.ok((await download(good)).equals(data))
    for (const [what, message] of [
      ['/none', /answered 404/],
      ['/short', /cut off|announced/],
      ['/away', /does not pass filtering/],
    ] as const) {
      const id = await create()
      await start(id, { name: 'web-download', uri: url + what })
      const failed = await ended(id)
      assert.equal(failed.status, 'failure')
      assert.match(String(failed.message), message)
      const shown = await show(id)
      assert.deepEqual([shown.status, shown.os_glance_failed_import, shown.os_glance_importing_to_stores], ['queued', 'file', ''])
      assert.deepEqual([shown.size, shown.os_glance_import_task], [null, undefined])
    }
    await gone(staging)
  })

  it('refuses what is not what it was declared to be', async (context) => {
    const { controller, create, ended, files, show, stage, staging, start } = await importing(context)
    const stop = controller()
    context.after(stop)
    const id = await create({ disk_format: 'qcow2' })
    await stage(id, Buffer.from('no disk at all'))
    await start(id, { name: 'glance-direct' })
    const task = await ended(id)
    assert.match(String(task.message), /declared as qcow2/)
    assert.equal((await show(id)).status, 'queued')
    await gone(staging)
    assert.deepEqual(files(), [])
    // It may be tried again from the beginning.
    assert.equal((await stage(id, Buffer.from('more'))).status, 204)
  })

  it('is taken up by another controller when one goes', async (context) => {
    const firstAsked = Promise.withResolvers<void>()
    let asked = 0
    const { port, url } = await web(context, (_request, response) => {
      response.writeHead(200, { 'content-length': '8' }).write('half')
      if (++asked === 1) firstAsked.resolve()
      else response.end('done')
    })
    const { controller, create, download, ended, start } = await importing(context, { WISP_IMPORT_ALLOW: `127.0.0.1:${port}` })
    const stopFirst = controller()
    const id = await create()
    await start(id, { name: 'web-download', uri: `${url}/` })
    await firstAsked.promise
    await stopFirst()
    const stopSecond = controller()
    context.after(stopSecond)
    assert.equal((await ended(id)).status, 'success')
    assert.equal((await download(id)).toString(), 'halfdone')
  })

  it('goes to several stores, and copies what is in one into others', async (context) => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-stores-'))
    context.after(() => fs.rmSync(folder, { recursive: true }))
    // The folder of the third store cannot be made: a file is in its way.
    fs.writeFileSync(path.join(folder, 'file'), '')
    const store = (id: string, where = id) => ({ kind: 'file', id, folder: path.join(folder, where) })
    const stores = [store('a'), store('b'), store('c', 'file/c'), { kind: 'http', id: 'h', hosts: ['images.example.com'] }]
    fs.writeFileSync(path.join(folder, 'stores.json'), JSON.stringify({ stores }))
    const made = await importing(context, { WISP_IMAGE_STORES: path.join(folder, 'stores.json') })
    const { controller, create, download, ended, put, show, stage, start } = made
    const stop = controller()
    context.after(stop)
    const both = await create()
    await stage(both, Buffer.from('both'))
    await start(both, { name: 'glance-direct' }, { stores: ['a', 'b'] })
    assert.equal((await ended(both)).status, 'success')
    assert.deepEqual([(await show(both)).stores, (await show(both)).status], ['a,b', 'active'])
    assert.equal((await download(both)).toString(), 'both')

    const some = await create()
    await stage(some, Buffer.from('some'))
    await start(some, { name: 'glance-direct' }, { all_stores: true, all_stores_must_succeed: false })
    assert.equal((await ended(some)).status, 'success')
    const shown = await show(some)
    assert.deepEqual([shown.stores, shown.status, shown.os_glance_failed_import], ['a,b', 'active', 'c'])

    const one = await create()
    await put(one, Buffer.from('one'))
    assert.equal((await start(one, { name: 'copy-image' }, { stores: ['a'] }, admin)).status, 400)
    assert.equal((await start(one, { name: 'copy-image' }, { stores: ['h'] }, admin)).status, 409)
    const { os_hash_algo, os_hash_value } = await show(one)
    made.stores.hashing = 'sha512'
    assert.equal((await start(one, { name: 'copy-image' }, { stores: ['b'] }, admin)).status, 202)
    const task = await ended(one)
    const copied = await show(one)
    assert.deepEqual([task.status, copied.stores, copied.status], ['success', 'a,b', 'active'])
    assert.deepEqual(
      [os_hash_algo, copied.os_hash_algo, copied.os_hash_value],
      ['sha256', 'sha256', os_hash_value],
      'what it has, it keeps',
    )
  })

  it('ends when its image is deleted', async (context) => {
    const asked = Promise.withResolvers<void>()
    const { port, url } = await web(context, (_request, response) => {
      response.writeHead(200).write('forever', () => asked.resolve())
    })
    const { api, controller, create, ended, staging, start } = await importing(context, { WISP_IMPORT_ALLOW: `127.0.0.1:${port}` })
    const stop = controller()
    context.after(stop)
    const id = await create()
    await start(id, { name: 'web-download', uri: `${url}/` })
    await asked.promise
    assert.equal((await api('DELETE', `/images/${id}`)).status, 204)
    const task = await ended(id)
    await gone(staging)
    assert.deepEqual([task.status, task.message], ['failure', `Image ${id} was deleted during its import.`])
  })

  it('by the old way of tasks makes an image', async (context) => {
    const { port, url } = await web(context, (_request, response) => response.end('bits'))
    const { api, controller, show, ended } = await importing(context, { WISP_IMPORT_ALLOW: `127.0.0.1:${port}` })
    const stop = controller()
    context.after(stop)
    const payload = {
      type: 'import',
      input: { import_from: `${url}/`, import_from_format: 'raw', image_properties: { name: 'old', visibility: 'public', color: 'red' } },
    }
    assert.equal((await api('POST', '/tasks', { payload })).status, 403)
    assert.equal((await api('POST', '/tasks', { payload: { ...payload, type: 'export' }, who: admin })).status, 400)
    const made = await api('POST', '/tasks', { payload, who: admin })
    assert.deepEqual(
      [made.status, made.body.type, made.headers.location],
      [201, 'import', `http://localhost:80/image/v2/tasks/${made.body.id}`],
    )
    const id = made.body.image_id as string
    assert.equal((await ended(id)).status, 'success')
    const shown = await show(id)
    assert.deepEqual([shown.name, shown.status, shown.color, shown.owner], ['old', 'active', 'red', 'admins'])
  })
})

const none = spawnSync('qemu-img', ['--version']).error !== undefined
describe('what is done to imported data', { skip: none && 'qemu-img is not installed' }, () => {
  it('is decompression, conversion and properties of the operator', async (context) => {
    const settings = { WISP_IMPORT_PLUGINS: 'decompress, convert:qcow2, inject:os_origin=import' }
    const { api, config, controller, create, ended, show, stage, staging, start } = await importing(context, settings)
    const stop = controller()
    context.after(stop)
    const raw = Buffer.alloc(1 << 20, 1)
    const id = await create({ disk_format: 'raw' })
    await stage(id, gzipSync(raw))
    await start(id, { name: 'glance-direct' })
    const task = await ended(id)
    assert.equal(task.status, 'success', String(task.message))
    const shown = await show(id)
    assert.deepEqual([shown.disk_format, shown.virtual_size, shown.os_origin, shown.status], ['qcow2', 1 << 20, 'import', 'active'])
    await gone(staging)

    const folder = fs.mkdtempSync(path.join(config.home, 'zip-'))
    fs.writeFileSync(path.join(folder, 'disk'), raw)
    execFileSync('python3', ['-c', 'import sys, zipfile; zipfile.ZipFile("a.zip", "w", zipfile.ZIP_DEFLATED).write("disk")'], {
      cwd: folder,
    })
    const zipped = await create({ disk_format: 'raw' })
    await stage(zipped, fs.readFileSync(path.join(folder, 'a.zip')))
    await start(zipped, { name: 'glance-direct' }, {}, admin)
    assert.equal((await ended(zipped)).status, 'success')
    const second = await show(zipped)
    assert.deepEqual([second.checksum, second.os_origin], [shown.checksum, undefined])

    const packed = await create({ container_format: 'compressed' })
    await stage(packed, gzipSync(raw))
    await start(packed, { name: 'glance-direct' })
    await ended(packed)
    const third = await show(packed)
    assert.deepEqual([third.size, third.container_format], [gzipSync(raw).length, 'compressed'])
    assert.equal((await api('GET', '/info/import')).text.includes('web-download'), true)
  })

  it('is only what is known', () => {
    assert.throws(() => loadConfig({ WISP_IMPORT_PLUGINS: 'convert:vdi' }), /WISP_IMPORT_PLUGINS=convert:vdi/)
    assert.throws(() => loadConfig({ WISP_IMPORT_ALLOW: 'http://x' }), /WISP_IMPORT_ALLOW/)
  })
})
