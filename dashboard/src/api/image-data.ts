// The bits of images: uploads that go on where they were (XMLHttpRequest, because fetch can't report an upload's progress), imports that the
// cloud does by itself, downloads that are written while they arrive.
import { ApiError, command, headersFor, messageOf, request } from './http.ts'
import { getImage } from './image.ts'
import { currentSession, endpoint } from './session.ts'

/** What broke on the way, or will be well again by itself: another try goes on where this one ended. */
export class Interrupted extends ApiError {}

const gateways = [502, 503, 504]

/** How much of an image has arrived, and until when it is kept. */
export type Staged = { size: number; total: number | null; complete: boolean; expires_at: string | null; sha256?: string }

/** What is there of an image whose upload has begun; undefined for nothing. @param hashed whether what is there is to be hashed, which takes a while */
export async function getStaged(id: string, hashed: boolean, signal?: AbortSignal): Promise<Staged | undefined> {
  try {
    return await request<Staged>('image', `/images/${id}/stage`, { query: { sha256: hashed || undefined }, signal })
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    if (error.status === 404) return undefined
    if (error.status === 0 || gateways.includes(error.status)) throw new Interrupted('image', error.status, error.message, error.requestId)
    throw error
  }
}

/**
 * Uploads an image's bits from a byte on; they stay when this is cut off. `onProgress` gets bytes that are there so far.
 * @throws Interrupted where another try may do; AbortError when the signal said so
 */
export function sendFrom(id: string, file: Blob, from: number, onProgress: (there: number) => void, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const upload = new XMLHttpRequest()
    upload.open('PUT', `${endpoint('image')}/images/${id}/stage`)
    upload.setRequestHeader('content-type', 'application/octet-stream')
    upload.setRequestHeader('content-range', `bytes ${from}-${file.size - 1}/${file.size}`)
    upload.setRequestHeader('x-auth-token', currentSession()?.token ?? '')
    upload.upload.onprogress = ({ loaded }) => onProgress(from + loaded)
    upload.onload = () => {
      if (upload.status < 300) return resolve()
      const passing = gateways.includes(upload.status) || upload.getResponseHeader('retry-after') !== null
      const requestId = upload.getResponseHeader('x-openstack-request-id') ?? undefined
      reject(new (passing ? Interrupted : ApiError)('image', upload.status, messageOf(upload.responseText, upload.status), requestId))
    }
    upload.onerror = () => reject(new Interrupted('image', 0, 'connection lost'))
    upload.onabort = () => reject(new DOMException('upload stopped', 'AbortError'))
    signal.addEventListener('abort', () => upload.abort(), { once: true })
    upload.send(file.slice(from))
  })
}

/** Has the cloud check and store what was uploaded. */
export async function importStaged(id: string, store: string | undefined): Promise<void> {
  const body = { method: { name: 'glance-direct' }, ...(store === undefined ? {} : { stores: [store] }) }
  await command('image', `/images/${id}/import`, { method: 'POST', body })
}

/** Waits until an image that is being imported can be used. @throws ApiError with the reason why it never will */
export async function whenImported(id: string, signal: AbortSignal): Promise<void> {
  for (let pause = 100; ; pause = Math.min(pause * 1.5, 2_000)) {
    // What is asked here may be asked again; only an answer counts.
    const image = await getImage(id, signal).catch((error: unknown) => {
      if (error instanceof ApiError && (error.status === 0 || gateways.includes(error.status))) return undefined
      throw error
    })
    if (image?.status === 'active') return
    if (image !== undefined && image.status !== 'importing') {
      const [last] = await listImageTasks(id, signal)
      throw new ApiError('image', 400, last?.message || `The image is ${image.status}`)
    }
    await new Promise((resolve) => setTimeout(resolve, pause))
    signal.throwIfAborted()
  }
}

/** How images can be brought in beside an upload: 'glance-direct', 'web-download', … */
export async function listImportMethods(signal?: AbortSignal): Promise<string[]> {
  const { 'import-methods': methods } = await request<{ 'import-methods': { value: string[] } }>('image', '/info/import', { signal })
  return methods.value
}

export type Store = { id: string; description?: string; default?: string | boolean; 'read-only'?: string | boolean }

/** The stores that can be written to, the default one first. */
export async function listStores(signal?: AbortSignal): Promise<Store[]> {
  const isSet = (flag: string | boolean | undefined) => String(flag ?? 'false').toLowerCase() === 'true'
  const { stores } = await request<{ stores: Store[] }>('image', '/info/stores', { signal })
  return stores.filter((store) => !isSet(store['read-only'])).toSorted((a, b) => Number(isSet(b.default)) - Number(isSet(a.default)))
}

/** Asks the cloud to fetch an image's bits from an address by itself. */
export async function importFromWeb(id: string, uri: string, store: string | undefined): Promise<void> {
  const body = { method: { name: 'web-download', uri }, ...(store === undefined ? {} : { stores: [store] }) }
  await command('image', `/images/${id}/import`, { method: 'POST', body })
}

export type ImageTask = { id: string; type: string; status: string; message?: string; created_at: string; updated_at: string }

/** The imports that were made into an image, newest first. */
export async function listImageTasks(id: string, signal?: AbortSignal): Promise<ImageTask[]> {
  const { tasks } = await request<{ tasks: ImageTask[] }>('image', `/images/${id}/tasks`, { signal })
  return tasks.toSorted((a, b) => b.created_at.localeCompare(a.created_at))
}

/** Where a download is written to. */
export type Sink = { write: (chunk: Uint8Array<ArrayBuffer>) => Promise<void>; close: () => Promise<void>; abort: () => Promise<void> }

/** How often a download goes on by itself where it was cut off. */
const patience = 5

/** Downloads an image's bits into a sink; a connection that breaks is taken up again where it broke. `onProgress` gets bytes received so far. */
export async function downloadImage(id: string, sink: Sink, onProgress: (received: number) => void, signal: AbortSignal): Promise<void> {
  let received = 0
  for (let breaks = 0; ; ) {
    try {
      const range: Record<string, string> = received === 0 ? {} : { range: `bytes=${received}-` }
      const response = await fetch(`${endpoint('image')}/images/${id}/file`, { headers: { ...headersFor('image', {}), ...range }, signal })
      if (!response.ok) {
        const requestId = response.headers.get('x-openstack-request-id') ?? undefined
        throw new ApiError('image', response.status, messageOf(await response.text(), response.status), requestId)
      }
      if (received > 0 && response.status !== 206) throw new ApiError('image', 0, 'connection lost')
      const reader = response.body?.getReader()
      for (let part = await reader?.read(); part !== undefined && !part.done; part = await reader?.read()) {
        await sink.write(part.value)
        received += part.value.length
        breaks = 0
        onProgress(received)
      }
      return await sink.close()
    } catch (error) {
      breaks += 1
      if (signal.aborted || error instanceof ApiError || breaks > patience) {
        await sink.abort()
        throw error instanceof TypeError ? new ApiError('image', 0, error.message) : error
      }
      await new Promise((resolve) => setTimeout(resolve, 1_000))
    }
  }
}
