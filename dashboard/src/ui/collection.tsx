// What every list of identity shows around its rows: waiting, a refusal, a feature that this cloud does not offer, nothing yet, nothing that matches.
import { Button } from '@patternfly/react-core'
import type { ComponentType, ReactNode } from 'react'
import { isNotOffered } from '../api/explain.ts'
import { useText } from '../i18n/index.ts'
import { Nothing } from './nothing.tsx'
import { Waiting } from './pieces.tsx'
import { Problem } from './problem.tsx'

type Query = { isPending: boolean; error: Error | null; refetch: () => unknown }

type CollectionProps = {
  query: Query
  /** How many there are in all, and how many are left by the filters. */
  all: number
  shown: number
  empty: { title: string; line?: string; icon?: ComponentType; action?: ReactNode }
  clear?: () => void
  children: ReactNode
}

export function Collection({ query, all, shown, empty, clear, children }: CollectionProps) {
  const t = useText()
  if (query.error !== null) return <Refusal error={query.error} retry={() => void query.refetch()} />
  if (query.isPending) return <Waiting />
  if (all === 0 && clear === undefined)
    return (
      <Nothing
        title={empty.title}
        {...(empty.line === undefined ? {} : { line: empty.line })}
        {...(empty.icon === undefined ? {} : { icon: empty.icon })}
      >
        {empty.action}
      </Nothing>
    )
  if (shown === 0)
    return (
      <Nothing title={t.noneMatch}>
        {clear !== undefined && (
          <Button variant="link" onClick={clear}>
            {t.clearFilters}
          </Button>
        )}
      </Nothing>
    )
  return children
}

/** Why a list can't be shown. A cloud without the feature is no fault, and is not shown as one. */
export function Refusal({ error, retry }: { error: Error; retry: () => void }) {
  const t = useText()
  return isNotOffered(error) ? <Nothing title={t.notOffered} line={error.message} /> : <Problem error={error} retry={retry} />
}
