// The bits of images: uploads with progress (XMLHttpRequest, because fetch can't report an upload's), imports that the cloud does by itself,
// downloads that are written while they arrive.
import { ApiError, command, headersFor, messageOf, request } from './http.ts'
import { getImage } from './image.ts'
import { currentSession, endpoint } from './session.ts'

/** Uploads an image's bits. `onProgress` gets bytes sent so far; aborting the signal cuts the upload off, after which it may be tried again. */
export function uploadImage(
  id: string,
  file: Blob,
  store: string | undefined,
  onProgress: (sent: number) => void,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const upload = new XMLHttpRequest()
    upload.open('PUT', `${endpoint('image')}/images/${id}/file`)
    upload.setRequestHeader('content-type', 'application/octet-stream')
    upload.setRequestHeader('x-auth-token', currentSession()?.token ?? '')
    if (store !== undefined) upload.setRequestHeader('x-image-meta-store', store)
    upload.upload.onprogress = ({ loaded }) => onProgress(loaded)
    upload.onload = () => {
      if (upload.status < 300) return resolve()
      const requestId = upload.getResponseHeader('x-openstack-request-id') ?? undefined
      reject(new ApiError('image', upload.status, messageOf(upload.responseText, upload.status), requestId))
    }
    upload.onerror = () => reject(new ApiError('image', 0, 'connection lost'))
    upload.onabort = () => reject(new DOMException('upload stopped', 'AbortError'))
    signal.addEventListener('abort', () => upload.abort(), { once: true })
    upload.send(file)
  })
}

/** How often, and with how long a pause in ms, a cut-off upload asks whether the image is ready for another one. */
const settle = { times: 30, pause: 1_000 }

/**
 * After an upload was cut off: waits until the service has noticed. Resolves to 'again' when the image waits for its bits once more, to 'done'
 * when they had all arrived and only the answer was lost.
 */
export async function afterCutOff(id: string, signal: AbortSignal): Promise<'again' | 'done'> {
  for (let count = 0; ; count += 1) {
    const { status } = await getImage(id, signal)
    if (status === 'queued') return 'again'
    if (status === 'active') return 'done'
    if (count === settle.times) throw new ApiError('image', 409, `The image is ${status}`)
    await new Promise((resolve) => setTimeout(resolve, settle.pause))
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
