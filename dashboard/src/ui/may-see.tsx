// Pages that only some may read say so to everyone else, and what to do, instead of asking the service to refuse.
import type { ReactNode } from 'react'
import { seesCloud, seesPeople, useSession } from '../api/session.ts'
import { useText } from '../i18n/index.ts'
import { Nothing } from './nothing.tsx'

/** `of`: what concerns the whole cloud, or the people and projects of it or of one domain. */
export function MaySee({ of, children }: { of: 'cloud' | 'people'; children: () => ReactNode }) {
  const t = useText()
  const session = useSession()
  const may = of === 'people' ? seesPeople(session) : seesCloud(session)
  return may ? children() : <Nothing title={t.why.needsAdmin} line={t.remedies.forbidden} />
}
