// How images come in by import: staged by the client and then imported, or fetched by Wisp itself. The request only writes down what is
// wanted (control/import-task.ts); the work goes on beside it (control/import-phases.ts), and the image and its task tell how far it is.
import { randomUUID } from 'node:crypto'
import { Type as t } from 'typebox'
import type { Config } from '../../config.ts'
import type { Tx } from '../../database/connect.ts'
import type { JsonObject } from '../../database/types.ts'
import { badRequest, conflict } from '../../http/fault.ts'
import { type Call, row } from '../../http/table.ts'
import { tokenOf } from '../../http/token.ts'
import { catalogFor, readCatalog } from '../../identity/control/catalog.ts'
import { type SealingKeys, sealIn } from '../../identity/control/sealed.ts'
import type { Secret } from '../control/import-phases.ts'
import { beginImport, type Method, methods, type NewTask, nameOfTaskSecret, tellStores } from '../control/import-task.ts'
import { locationsOf } from '../control/locations.ts'
import { checkUrl, shown } from '../control/reach.ts'
import { stageImage } from '../control/staging.ts'
import { readPiece, stagedOf, stagePiece } from '../control/staging-pieces.ts'
import type { Stores } from '../control/stores.ts'
import { findImage, type ImageRow, imageTarget, seeImage } from './find.ts'
import { takeStream } from './image-data.ts'

export type ImportConfig = Pick<Config, 'home' | 'importAllow' | 'importDeny' | 'importPlugins'>

const importBody = t.Object(
  {
    method: t.Object(
      {
        name: t.String(),
        uri: t.Optional(t.Unknown()),
        glance_region: t.Optional(t.Unknown()),
        glance_image_id: t.Optional(t.Unknown()),
        glance_service_interface: t.Optional(t.Unknown()),
      },
      { additionalProperties: t.Unknown() },
    ),
    stores: t.Optional(t.Array(t.String(), { minItems: 1 })),
    all_stores: t.Optional(t.Boolean()),
    all_stores_must_succeed: t.Optional(t.Boolean()),
  },
  { additionalProperties: t.Unknown() },
)
type ImportBody = t.Static<typeof importBody>

const stagedSchema = t.Object({
  size: t.Integer({ description: 'Bytes that are there; the next piece begins here.' }),
  total: t.Union([t.Integer(), t.Null()], { description: 'Bytes that there will be, if that is known.' }),
  complete: t.Boolean({ description: 'Whether the image can be imported.' }),
  expires_at: t.Union([t.String(), t.Null()], { description: 'When an unfinished image is given up, unless another piece comes before.' }),
  sha256: t.Optional(t.String({ description: 'Of the bytes that are there, in hexadecimal.' })),
})

const uuid = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i

/** @param key seals what a task needs to be let in elsewhere */
export const imageImport = (config: ImportConfig, key: SealingKeys, stores: Stores) => [
  row({
    route: 'PUT /v2/images/:image_id/stage',
    policy: 'modify_image',
    target: 'loaded',
    input: 'stream',
    transaction: 'own',
    reply: 204,
    summary:
      'Stage the data of an image, to be imported afterwards; with a header `Content-Range: bytes 0-1023/4096` a piece of it, which stays when the connection breaks',
    run: (call) =>
      takeStream(call, async (expected) => {
        const image = await findImage(call, call.params.image_id, 'modify_image')
        const range = call.headers['content-range']
        if (range === undefined) await stageImage(call.db, config, stores.largest, image.id, call.input, expected)
        else await stagePiece(call.db, config, stores.largest, image.id, call.input, readPiece(range))
      }),
  }),
  row({
    route: 'GET /v2/images/:image_id/stage',
    policy: 'modify_image',
    target: 'loaded',
    query: t.Object({ sha256: t.Optional(t.Union([t.Literal('true'), t.Literal('false')])) }),
    reply: 200,
    returns: stagedSchema,
    summary: 'How much of an image is in the staging area, so that an upload goes on where it was; `sha256=true` hashes what is there',
    async run(call) {
      const image = await findImage(call, call.params.image_id, 'modify_image')
      return await stagedOf(call.db, config, image.id, call.query.sha256 === 'true')
    },
  }),
  row({
    route: 'POST /v2/images/:image_id/import',
    policy: 'modify_image',
    target: 'loaded',
    body: importBody,
    reply: 202,
    summary: 'Import the data of an image: staged, from the web, from another image service, or into more stores',
    async run(call) {
      const { body, params, tx, who } = call
      const method = methods.find((name) => name === body.method.name)
      if (!method) throw badRequest(`Unknown import method name '${body.method.name.slice(0, 40)}'.`)
      const image = await seeImage(call, params.image_id, 'lock')
      call.must(method === 'copy-image' ? 'copy_image' : 'modify_image', imageTarget(image))
      const file = await refuseState(call, image, method)
      let wanted = wantedStores(call, stores, body)
      if (method === 'copy-image') {
        const there = new Set(locationsOf(image).map(({ store }) => store))
        const present = wanted.find((store) => there.has(store))
        if (!body.all_stores && present !== undefined) throw badRequest(`Image is already present at store '${present}'`)
        wanted = wanted.filter((store) => !there.has(store))
        // Nothing is left to be done, which is said as at the end of a copy.
        if (wanted.length === 0) return await tellStores(tx, { image_id: image.id }, [], [])
      }
      const asked = await readMethod(call, config, body.method, method, image)
      const task: NewTask = {
        type: 'api_image_import',
        owner: who.project?.id ?? image.owner,
        user_id: who.user.id,
        request_id: call.requestId,
        image_id: image.id,
        method,
        input: { image_id: image.id, import_req: { ...body, method: asked.method } as JsonObject, backend: wanted },
        stores: wanted,
        every: body.all_stores_must_succeed ?? true,
        file,
        secret: asked.secret && (await sealed(call.tx, key, asked.secret)),
        inject: who.roles.includes('admin') ? {} : config.importPlugins.inject,
      }
      await beginImport(tx, image, task)
    },
  }),
]

export async function sealed(tx: Tx, key: SealingKeys, secret: Secret): Promise<{ id: string; sealed: Buffer }> {
  const id = randomUUID()
  return { id, sealed: await sealIn(tx, key, nameOfTaskSecret(id), Buffer.from(JSON.stringify(secret))) }
}

/** Whether the image can be imported by this method now. @returns the staged file, for glance-direct @throws Fault 409 */
async function refuseState({ tx }: Pick<Call, 'tx'>, image: ImageRow, method: Method): Promise<string | null> {
  const { id, status } = image
  if ('os_glance_import_task' in (image.properties as object))
    throw conflict(`New operation on image '${id}' is not permitted as prior operation is still in progress`)
  if (status === 'active' && method !== 'copy-image') throw conflict('Image with status active cannot be target for import')
  if (status !== 'active' && method === 'copy-image') throw conflict('Only images with status active can be targeted for copying')
  if (status !== 'queued' && (method === 'web-download' || method === 'glance-download'))
    throw conflict(`Image needs to be in 'queued' state to use '${method}' method`)
  if (status !== 'uploading' && method === 'glance-direct')
    throw conflict("Image needs to be staged before 'glance-direct' method can be used")
  for (const name of ['container_format', 'disk_format'] as const)
    if (!image[name]) throw conflict(`'${name}' needs to be set before import`)
  if (method !== 'glance-direct') return null
  const staged = await tx
    .selectFrom('image.staged')
    .select(['file', 'complete'])
    .where('image_id', '=', id)
    .where('complete', '=', true)
    .executeTakeFirst()
  if (!staged) throw conflict(`The data of image ${id} is still being staged. Import it when that has ended.`)
  return staged.file
}

/** @throws Fault 400 for a contradiction, 409 for a store that does not exist */
function wantedStores({ headers }: Pick<Call, 'headers'>, stores: Stores, { all_stores, stores: named }: ImportBody): string[] {
  const able = stores.all.filter(({ kind }) => kind !== 'http').map(({ id }) => id)
  const header = headers['x-image-meta-store']
  if (all_stores) {
    if (named || header !== undefined)
      throw badRequest("All_stores parameter can't be used with x-image-meta-store header or stores parameter")
    return able.sort()
  }
  if (named && header !== undefined) throw badRequest("Stores parameter and x-image-meta-store header can't be both specified")
  const wanted = [...new Set(named ?? [header === undefined ? stores.default.id : String(header)])].sort()
  const unknown = wanted.find((store) => !able.includes(store))
  if (unknown !== undefined) throw conflict(`Store for identifier ${unknown.slice(0, 60)} not found, or read-only`)
  return wanted
}

interface Asked {
  /** As shown. */
  method: object
  secret: Secret | null
}

async function readMethod(call: Call, config: ImportConfig, asked: ImportBody['method'], method: Method, image: ImageRow): Promise<Asked> {
  if (method === 'web-download') {
    const url = checkUrl({ allow: config.importAllow, deny: config.importDeny }, asked.uri)
    return { method: { ...asked, uri: shown(asked.uri) }, secret: { url: url.href } }
  }
  if (method !== 'glance-download') return { method: asked, secret: null }
  const { glance_region: region, glance_image_id: id, glance_service_interface: face = 'public' } = asked
  if (typeof region !== 'string') throw badRequest("'glance_region' needs to be set for glance-download import method")
  if (typeof id !== 'string') throw badRequest("'glance_image_id' needs to be set for glance-download import method")
  if (!uuid.test(id)) throw badRequest(`Remote image id does not look like a UUID: ${id.slice(0, 60)}`)
  const { disk_format, container_format, properties } = image
  const endpoint = await imageEndpoint(call, region, String(face))
  return {
    method: { ...asked, glance_service_interface: face },
    secret: {
      url: endpoint === undefined ? '' : `${endpoint}/v2/images/${id}`,
      token: tokenOf(call.headers) ?? '',
      before: { disk_format, container_format, properties: properties as JsonObject },
    },
  }
}

/** Where the catalog has the image service of a region; undefined where it has none, which the task will tell. */
async function imageEndpoint({ tx, url, who }: Call, region: string, face: string): Promise<string | undefined> {
  const catalog = catalogFor(await readCatalog(tx), url.origin, {
    user_id: who.user.id,
    ...(who.project && { project_id: who.project.id }),
  })
  const endpoints = catalog.filter(({ type }) => type === 'image').flatMap((service) => service.endpoints) as Record<string, string>[]
  const found = endpoints.find((one) => one.interface === face && one.region_id?.toLowerCase() === region.toLowerCase())
  return found?.url?.replace(/\/+$/, '').replace(/\/v2$/, '')
}
