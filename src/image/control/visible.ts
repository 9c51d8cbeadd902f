// Who sees which image: one's own, public and community ones, and those shared with one's project; administrators see all.
import { type RawBuilder, sql } from 'kysely'

export interface Viewer {
  /** '' for a token of no project. */
  project: string
  admin: boolean
}

/** A condition on the image of this alias: that the viewer may be shown it by its id. */
export function visibleTo({ project, admin }: Viewer, i: string): RawBuilder<boolean> {
  if (admin) return sql<boolean>`true`
  return sql<boolean>`(${sql.ref(`${i}.visibility`)} in ('public', 'community')
    or (${sql.ref(`${i}.owner`)} = ${project} and ${project} <> '')
    or (${sql.ref(`${i}.visibility`)} = 'shared' and exists (
      select from image.member m where m.image_id = ${sql.ref(`${i}.id`)} and m.member_id = ${project})))`
}
