// Domains, for administrators of the system: each holds users, groups and projects of its own.
import { Button } from '@patternfly/react-core'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { domainsQuery } from '../api/identity-queries.ts'
import { DomainEdit } from '../forms/domain-edit.tsx'
import { useText } from '../i18n/index.ts'
import { AdminsOnly } from '../ui/admins-only.tsx'
import { Collection } from '../ui/collection.tsx'
import { useDomainVerbs } from '../ui/domain-verbs.tsx'
import { List } from '../ui/list.tsx'
import { NameFilter } from '../ui/name-filter.tsx'
import { Pages, pageOf } from '../ui/pages.tsx'
import { PageHeader } from '../ui/pieces.tsx'
import { EnabledState } from '../ui/state.tsx'

const route = getRouteApi('/inside/domains')

function Domains() {
  const t = useText()
  const navigate = useNavigate()
  const search = route.useSearch()
  const domains = useQuery(domainsQuery)
  const [creating, setCreating] = useState(false)
  const { actions, dialog } = useDomainVerbs()
  const wanted = search.name?.toLowerCase() ?? ''
  const left = (domains.data ?? []).filter(({ name }) => name.toLowerCase().includes(wanted))
  const { rows, page, pages } = pageOf(left, search.page ?? 1)
  const create = <Button onClick={() => setCreating(true)}>{t.domains.create}</Button>
  return (
    <>
      <PageHeader title={t.domains.title} line={t.domains.line}>
        {create}
      </PageHeader>
      <div className="wisp-card">
        <div className="wisp-toolbar">
          <NameFilter
            label={t.domains.filter}
            value={search.name ?? ''}
            change={(name) => void navigate({ to: '/domains', search: { name }, replace: true })}
          />
        </div>
        <Collection
          query={domains}
          all={domains.data?.length ?? 0}
          shown={rows.length}
          empty={{ title: t.domains.empty, action: create }}
          {...(search.name === undefined ? {} : { clear: () => void navigate({ to: '/domains' }) })}
        >
          <List
            label={t.domains.title}
            rows={rows}
            idOf={({ id }) => id}
            nameOf={({ name }) => name}
            columns={[
              {
                title: t.name,
                main: true,
                cell: ({ id, name }) => (
                  <Link to="/domains/$domainId" params={{ domainId: id }}>
                    {name}
                  </Link>
                ),
              },
              { title: t.state, cell: ({ enabled }) => <EnabledState enabled={enabled} /> },
              { title: t.description, cell: ({ description }) => description || '—' },
              { title: t.id, cell: ({ id }) => <code>{id}</code>, secondary: true },
            ]}
            actions={actions}
          />
          <Pages page={page} pages={pages} open={(next) => void navigate({ to: '/domains', search: { ...search, page: next } })} />
        </Collection>
      </div>
      {creating && <DomainEdit close={() => setCreating(false)} />}
      {dialog}
    </>
  )
}

export function DomainsPage() {
  return <AdminsOnly>{() => <Domains />}</AdminsOnly>
}
