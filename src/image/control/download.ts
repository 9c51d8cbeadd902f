// How bits get out of an image: streamed, in whole or a range of them, to clients (api/image-data.ts) and to the hosts that cache them.
import type { IncomingHttpHeaders } from 'node:http'
import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import type { Database } from '../../database/connect.ts'
import { Fault, notFound } from '../../http/fault.ts'
import { hostDoor } from '../../wire/join.ts'
import type { Range } from '../store/store.ts'
import { byWeight, keyOf, type Stores } from './stores.ts'

export interface Download {
  status: 200 | 206
  headers: Record<string, string>
  stream: Readable
}

interface Stored {
  id: string
  size: number | null
  checksum: string | null
  locations: unknown
}

/**
 * Opens the bits of an image that has some.
 * @param range as a Range header says it; one range of bytes is served, several at once are answered with the whole
 * @throws Fault 404 if the file is missing, 416 for a range outside of it
 */
export async function openImage(stores: Stores, image: Stored, range: string | undefined): Promise<Download> {
  const size = image.size ?? 0
  const wanted = rangeOf(range, size)
  const { start, end } = wanted ?? { start: 0, end: size - 1 }
  const stream = size === 0 ? Readable.from([]) : await firstOf(stores, image, wanted)
  if (!stream) throw notFound(`The data of image ${image.id} is missing from the image store.`)
  return {
    status: wanted ? 206 : 200,
    headers: {
      'content-type': 'application/octet-stream',
      'content-length': String(end - start + 1),
      'accept-ranges': 'bytes',
      ...(image.checksum !== null && { 'content-md5': image.checksum }),
      ...(wanted && { 'content-range': `bytes ${start}-${end}/${size}` }),
    },
    stream,
  }
}

/** From the store with the largest weight that has them. @throws what the last one said, if none works */
async function firstOf(stores: Stores, image: Stored, range: Range | undefined): Promise<Readable | undefined> {
  let failure: unknown
  for (const { location, store } of byWeight(stores, image)) {
    try {
      const stream = await store.read(keyOf(location), range)
      if (stream) return stream
    } catch (error) {
      // What the system says of a file names folders that are nobody's business.
      failure =
        error instanceof Fault
          ? error
          : new Fault(503, `The image store ${store.id} does not work (${(error as NodeJS.ErrnoException).code}). Try again later.`, {
              cause: error,
            })
    }
  }
  if (failure) throw failure
}

/** The range that a request asks for: in Range, or as old clients of Glance do, in Content-Range (`bytes 0-9/100` or `bytes 0-9/*`). */
export function rangeAsked(headers: IncomingHttpHeaders): string | undefined {
  const { range, 'content-range': old } = headers
  if (range !== undefined || old === undefined) return range
  const [, first, last] = /^bytes (\d{1,15})-(\d{1,15})\/(?:\d+|\*)$/.exec(old) ?? []
  if (first === undefined)
    throw new Fault(416, `The header Content-Range must read as 'bytes 0-9/100', not '${old.slice(0, 60)}'. Use Range.`)
  return `bytes=${first}-${last}`
}

/** RFC 9110, 14.1.2. Undefined for no range and for several. */
export function rangeOf(header: string | undefined, size: number): Range | undefined {
  if (header === undefined || !header.startsWith('bytes=') || header.includes(',')) return undefined
  const [, first, last] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header.replaceAll(' ', '')) ?? []
  const start = first ? Number(first) : Math.max(size - Number(last), 0)
  const end = first && last ? Math.min(Number(last), size - 1) : size - 1
  if ((!first && !last) || first === undefined || start > end || (first && last && Number(last) < Number(first))) {
    throw new Fault(416, `The range '${header.slice(0, 60)}' lies outside of the image, which has ${size} bytes.`, {
      headers: { 'content-range': `bytes */${size}` },
    })
  }
  return { start, end }
}

/** Adds `GET /wire/v1/images/{id}/data`: hosts fetch images with the secret that they got when they joined. */
export function registerImageDownload(app: FastifyInstance, { db, stores }: { db: Database; stores: Stores }): void {
  const door = hostDoor(db)
  app.get('/wire/v1/images/:id/data', async (request, reply) => {
    try {
      await door(request.headers.authorization)
      const { id } = request.params as { id: string }
      const image = await db.read
        .selectFrom('image.image')
        .select(['id', 'size', 'checksum', 'locations', 'status'])
        .where('id', '=', id)
        .where('status', 'in', ['active', 'deactivated'])
        .executeTakeFirst()
      if (!image) throw notFound(`There is no image ${id} with data.`)
      const { status, headers, stream } = await openImage(stores, image, request.headers.range)
      return reply.code(status).headers(headers).send(stream)
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      return reply
        .code(error.status)
        .headers(error.headers ?? {})
        .send({ error: error.message })
    }
  })
}
