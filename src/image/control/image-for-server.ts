// The image that a server is to be made of: one that the caller sees and that has bits.
import type { Selectable } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import type { ImageImage } from '../../database/types.ts'
import { badRequest, type Fault, notFound } from '../../http/fault.ts'
import type { Who } from '../../http/who.ts'
import { isBare } from './formats.ts'
import { visibleTo } from './visible.ts'

/** The row, or the Fault to answer with: 404 if the caller sees no such image, 400 if no server can start from it. Locks nothing. */
export async function imageForServer(tx: Tx, who: Who, id: string): Promise<Selectable<ImageImage> | Fault> {
  const viewer = { project: who.project?.id ?? '', admin: who.roles.includes('admin') }
  const image = await tx.selectFrom('image.image as i').selectAll().where('id', '=', id).where(visibleTo(viewer, 'i')).executeTakeFirst()
  if (!image) return notFound(`Image ${id} could not be found.`)
  if (image.status !== 'active') return badRequest(`Image ${id} is not active.`)
  if (!isBare(image.container_format)) {
    return badRequest(
      `Image ${id} is a container of format ${image.container_format}, which a server cannot start from. Upload the disk itself as bare.`,
    )
  }
  return image
}
