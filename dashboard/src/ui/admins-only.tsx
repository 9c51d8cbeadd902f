// Pages that only administrators may read say so to everyone else, and what to do, instead of asking the service to refuse.
import type { ReactNode } from 'react'
import { isAdmin, useSession } from '../api/session.ts'
import { useText } from '../i18n/index.ts'
import { Nothing } from './nothing.tsx'

export function AdminsOnly({ children }: { children: () => ReactNode }) {
  const t = useText()
  return isAdmin(useSession()) ? children() : <Nothing title={t.why.needsAdmin} line={t.remedies.forbidden} />
}
