// Image v2: images and the upload of their bits, which goes through XMLHttpRequest because fetch can't report an upload's progress.
import { ApiError, command, messageOf, request } from './http.ts'
import { currentSession, endpoint } from './session.ts'

export type Image = {
  id: string
  name: string | null
  status: string
  visibility: string
  owner: string | null
  size: number | null
  virtual_size?: number | null
  disk_format: string | null
  container_format: string | null
  min_disk: number
  min_ram: number
  checksum: string | null
  os_hash_algo?: string | null
  os_hash_value?: string | null
  protected: boolean
  created_at: string
  updated_at: string
  tags: string[]
  [property: string]: unknown
}

/** All images the project may use, newest first; follows `next` to the last page. */
export async function listImages(signal?: AbortSignal): Promise<Image[]> {
  const images: Image[] = []
  let path: string | undefined = '/images?sort=created_at:desc&limit=200'
  while (path !== undefined) {
    const page: { images: Image[]; next?: string } = await request('image', path, { signal })
    images.push(...page.images)
    path = page.next?.replace(/^.*\/v2(?=\/images)/, '')
  }
  return images
}

export async function getImage(id: string, signal?: AbortSignal): Promise<Image> {
  return request<Image>('image', `/images/${encodeURIComponent(id)}`, { signal })
}

export type ImageCreate = {
  name: string
  disk_format: string
  container_format: string
  visibility: string
  min_disk: number
  min_ram: number
}

export async function createImage(body: ImageCreate): Promise<Image> {
  return request<Image>('image', '/images', { method: 'POST', body })
}

export async function deleteImage(id: string): Promise<void> {
  await command('image', `/images/${id}`, { method: 'DELETE' })
}

/** Uploads an image's bits. `onProgress` gets bytes sent so far; aborting the signal cuts the upload off, after which it may be tried again. */
export function uploadImage(id: string, file: Blob, onProgress: (sent: number) => void, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const upload = new XMLHttpRequest()
    upload.open('PUT', `${endpoint('image')}/images/${id}/file`)
    upload.setRequestHeader('content-type', 'application/octet-stream')
    upload.setRequestHeader('x-auth-token', currentSession()?.token ?? '')
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
