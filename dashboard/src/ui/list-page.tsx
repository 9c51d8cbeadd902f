// A page that is a list of things of identity: its heading with the button that makes a new one, filters, rows, and where there are many, pages.
import { Button } from '@patternfly/react-core'
import { type ComponentType, type ReactNode, useState } from 'react'
import type { Verdict } from '../api/can.ts'
import { Collection } from './collection.tsx'
import { type Column, List, type RowAction } from './list.tsx'
import { Pages, pageOf } from './pages.tsx'
import { PageHeader } from './pieces.tsx'
import { WithReason } from './with-reason.tsx'

type ListPageProps<T> = {
  title: string
  line?: string | undefined
  /** The button and form that make a new one; left out where that isn't offered at all. `no` is why it can't be done by this person. */
  create?: { button: string; no?: Verdict; form: (close: () => void) => ReactNode } | undefined
  filters?: ReactNode
  query: { data: T[] | undefined; isPending: boolean; error: Error | null; refetch: () => unknown }
  /** What is left by the filters; everything where there are none. */
  left?: T[]
  /** Takes the filters away; only where some are set. */
  clear?: (() => void) | undefined
  /** Without `open` everything is on one page. */
  page?: number | undefined
  open?: (page: number | undefined) => void
  empty: { title: string; line?: string; icon?: ComponentType }
  columns: Column<T>[]
  actions: (row: T) => RowAction[]
  /** Dialogs about rows. */
  children?: ReactNode
}

export function ListPage<T extends { id: string; name: string }>(props: ListPageProps<T>) {
  const { title, line, create, filters, query, left = query.data ?? [], clear, open, empty, columns, actions, children } = props
  const [creating, setCreating] = useState(false)
  const { rows, page, pages } = open === undefined ? { rows: left, page: 1, pages: 1 } : pageOf(left, props.page ?? 1)
  const button = create !== undefined && (
    <WithReason no={create.no}>
      <Button isDisabled={create.no !== undefined} onClick={() => setCreating(true)}>
        {create.button}
      </Button>
    </WithReason>
  )
  return (
    <>
      <PageHeader title={title} line={line}>
        {button}
      </PageHeader>
      <div className="wisp-card">
        {filters !== undefined && <div className="wisp-toolbar">{filters}</div>}
        <Collection
          query={query}
          all={query.data?.length ?? 0}
          shown={rows.length}
          empty={{ ...empty, action: button }}
          {...(clear === undefined ? {} : { clear })}
        >
          <List label={title} rows={rows} idOf={({ id }) => id} nameOf={({ name }) => name} columns={columns} actions={actions} />
          {open !== undefined && <Pages page={page} pages={pages} open={open} />}
        </Collection>
      </div>
      {creating && create?.form(() => setCreating(false))}
      {children}
    </>
  )
}
