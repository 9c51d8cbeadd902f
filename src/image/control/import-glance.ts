// glance-download: an image of another region's image service comes with its formats, and with those of its properties that say how
// servers run.
import { text } from 'node:stream/consumers'
import { badRequest } from '../../http/fault.ts'
import { containerFormats, diskFormats } from './formats.ts'
import { fetchUrl } from './reach.ts'

/** Glance's glance_download_properties. */
const copied = ['hw_', 'trait:', 'os_distro', 'os_secure_boot', 'os_type']

export interface GlanceMetadata {
  size: number
  disk_format: string
  container_format: string
  properties: Record<string, string>
}

/** What the other service says of the image. @param secret the image's address there, and the client's token @throws Fault 400 */
export async function fetchMetadata({ url, token }: { url: string; token?: string }, signal: AbortSignal): Promise<GlanceMetadata> {
  const { data } = await fetchUrl({ allow: [], deny: [] }, url, { signal, trusted: true, headers: { 'x-auth-token': token ?? '' } })
  const image = asObject(await text(data))
  const { status, size, disk_format, container_format } = image
  if (status !== 'active') throw badRequest(`Source image status should be active instead of ${String(status).slice(0, 40)}`)
  if (typeof size !== 'number' || !Number.isSafeInteger(size))
    throw badRequest('The other image service does not say how large the image is.')
  if (!diskFormats.includes(String(disk_format)) || !containerFormats.includes(String(container_format)))
    throw badRequest('The image is of a disk or container format that this cloud does not have.')
  const properties = Object.entries(image).flatMap(([name, value]): [string, string][] =>
    typeof value === 'string' && name.length <= 255 && copied.some((prefix) => name.startsWith(prefix)) ? [[name, value]] : [],
  )
  return { size, disk_format: String(disk_format), container_format: String(container_format), properties: Object.fromEntries(properties) }
}

function asObject(body: string): Record<string, unknown> {
  try {
    return JSON.parse(body) as Record<string, unknown>
  } catch {
    throw badRequest('The other image service answers with what is no JSON.')
  }
}
