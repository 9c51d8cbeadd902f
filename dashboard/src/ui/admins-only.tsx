// Pages that only administrators may read say so to everyone else, and what to do, instead of asking the service to refuse.
import type { ReactNode } from 'react'
import { administersPeople, isAdmin, useSession } from '../api/session.ts'
import { useText } from '../i18n/index.ts'
import { Nothing } from './nothing.tsx'

/** @param ofDomains whether whoever administers one domain sees it, too */
export function AdminsOnly({ ofDomains = false, children }: { ofDomains?: boolean; children: () => ReactNode }) {
  const t = useText()
  const session = useSession()
  const may = ofDomains ? administersPeople(session) : isAdmin(session)
  return may ? children() : <Nothing title={t.why.needsAdmin} line={t.remedies.forbidden} />
}
