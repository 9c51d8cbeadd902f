// The bits of an image: streamed in and streamed out.
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { badRequest, forbidden, unsupportedMediaType } from '../../http/fault.ts'
import { type Call, row } from '../../http/table.ts'
import { openImage, rangeAsked } from '../control/download.ts'
import { type Stores, storeNamed } from '../control/stores.ts'
import { uploadImage } from '../control/upload.ts'
import { findImage, viewerOf } from './find.ts'

/** How much of a refused upload is still read, in bytes and milliseconds, so that clients which write before they read see why. */
const patience = { bytes: 64 * 2 ** 20, time: 5_000 }

export const imageData = (stores: Stores) => [
  row({
    route: 'PUT /v2/images/:image_id/file',
    policy: 'upload_image',
    target: 'loaded',
    input: 'stream',
    transaction: 'own',
    reply: 204,
    summary: 'Upload the data of an image',
    run: (call) =>
      takeStream(call, async (expected) => {
        const store = storeNamed(stores, call.headers['x-image-meta-store'])
        const image = await findImage(call, call.params.image_id, 'upload_image')
        await uploadImage(call.db, stores, image.id, call.input, { expected, store })
      }),
  }),
  row({
    route: 'GET /v2/images/:image_id/file',
    policy: 'download_image',
    target: 'loaded',
    reply: 200,
    summary: 'Download the data of an image, or a range of it',
    async run(call) {
      const { header, headers, params, status } = call
      const image = await findImage(call, params.image_id, 'download_image')
      if (image.status === 'deactivated' && !viewerOf(call).admin) {
        throw forbidden('The requested image has been deactivated. Image data download is forbidden.')
      }
      if (image.status !== 'active' && image.status !== 'deactivated') return status(204)
      const download = await openImage(stores, image, rangeAsked(headers))
      status(download.status)
      for (const [name, value] of Object.entries(download.headers)) header(name, value)
      return download.stream
    },
  }),
]

/** Gives what a client sends to `take`, which hears its size in bytes where the client told it beforehand. */
export async function takeStream(
  { headers, input }: Pick<Call, 'headers' | 'input'>,
  take: (expected?: number) => Promise<void>,
): Promise<void> {
  try {
    if (headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase() !== 'application/octet-stream') {
      throw unsupportedMediaType('The data of an image is sent as application/octet-stream.')
    }
    await take(announced(headers))
  } catch (error) {
    await readOn(input)
    throw error
  }
}

function announced(headers: Call['headers']): number | undefined {
  const text = headers['x-openstack-image-size'] ?? headers['content-length']
  if (text === undefined || text === '0') return undefined
  if (typeof text !== 'string' || !/^\d{1,15}$/.test(text)) throw badRequest('Invalid or missing image size in request headers.')
  return Number(text)
}

async function readOn(input: Readable): Promise<void> {
  if (input.destroyed || input.readableEnded) return
  let left = patience.bytes
  const done = new AbortController()
  const count = (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) done.abort()
  }
  const stop = () => done.abort()
  input.on('data', count).once('end', stop).once('close', stop).once('error', stop)
  await sleep(patience.time, undefined, { signal: done.signal, ref: false }).catch(() => {})
  input.off('data', count).pause()
}
