// The image that a path names. Who may not see it gets a 404 whatever it asked for; who sees it but may not do that, a 403 (Glance's rule).
import type { Selectable } from 'kysely'
import type { ImageImage } from '../../database/types.ts'
import { notFound } from '../../http/fault.ts'
import type { Call, Target } from '../../http/table.ts'
import { type Viewer, visibleTo } from '../control/visible.ts'

export type ImageRow = Selectable<ImageImage>
export type Asking = Pick<Call, 'tx' | 'who' | 'may' | 'must'>

export const viewerOf = (call: Pick<Call, 'who' | 'may'>): Viewer => ({
  project: call.who.project?.id ?? '',
  admin: call.may('context_is_admin', {}),
})

/** What policy asks of an image. */
export const imageTarget = ({ owner, visibility, id }: ImageRow): Target => ({ project_id: owner, owner, visibility, image_id: id })

/**
 * The image, if the caller may do what the rule is for. Its row stays locked where `lock` is set, until the transaction ends.
 * @throws Fault 404, 403
 */
export async function findImage(call: Asking, id: string, rule: string, lock: 'lock' | 'look' = 'look'): Promise<ImageRow> {
  const image = await seeImage(call, id, lock)
  call.must(rule, imageTarget(image))
  return image
}

/** The image, if the caller may see it. @throws Fault 404 */
export async function seeImage(call: Asking, id: string, lock: 'lock' | 'look' = 'look'): Promise<ImageRow> {
  const image = await call.tx
    .selectFrom('image.image as i')
    .selectAll()
    .where('id', '=', id)
    .where(visibleTo(viewerOf(call), 'i'))
    .$if(lock === 'lock', (query) => query.forUpdate())
    .executeTakeFirst()
  if (!image || !call.may('get_image', imageTarget(image))) throw notFound(`No image found with ID ${id}`)
  return image
}
