// Groups of users, for administrators: a role given to a group is a role of everyone in it.
import { Button } from '@patternfly/react-core'
import UsersIcon from '@patternfly/react-icons/dist/esm/icons/users-icon'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { groupsQuery } from '../api/identity-queries.ts'
import { GroupEdit } from '../forms/group-edit.tsx'
import { useText } from '../i18n/index.ts'
import type { IdentitySearch } from '../routes.tsx'
import { AdminsOnly } from '../ui/admins-only.tsx'
import { Collection } from '../ui/collection.tsx'
import { DomainFilter, useDomainName } from '../ui/domain-filter.tsx'
import { useGroupVerbs } from '../ui/group-verbs.tsx'
import { List } from '../ui/list.tsx'
import { NameFilter } from '../ui/name-filter.tsx'
import { Pages, pageOf } from '../ui/pages.tsx'
import { PageHeader } from '../ui/pieces.tsx'

const route = getRouteApi('/inside/groups')

function Groups() {
  const t = useText()
  const navigate = useNavigate()
  const search = route.useSearch()
  const groups = useQuery(groupsQuery)
  const domainName = useDomainName()
  const [creating, setCreating] = useState(false)
  const { actions, dialog } = useGroupVerbs()
  const change = (next: Partial<IdentitySearch>) =>
    void navigate({ to: '/groups', search: { ...search, page: undefined, ...next }, replace: 'name' in next })
  const wanted = search.name?.toLowerCase() ?? ''
  const left = (groups.data ?? [])
    .filter(({ id, name }) => name.toLowerCase().includes(wanted) || id === wanted)
    .filter(({ domain_id }) => search.domain === undefined || domain_id === search.domain)
  const { rows, page, pages } = pageOf(left, search.page ?? 1)
  const create = <Button onClick={() => setCreating(true)}>{t.groups.create}</Button>
  return (
    <>
      <PageHeader title={t.groups.title}>{create}</PageHeader>
      <div className="wisp-card">
        <div className="wisp-toolbar">
          <NameFilter label={t.groups.filter} value={search.name ?? ''} change={(name) => change({ name })} />
          <DomainFilter value={search.domain} change={(domain) => change({ domain })} />
        </div>
        <Collection
          query={groups}
          all={groups.data?.length ?? 0}
          shown={rows.length}
          empty={{ title: t.groups.empty, line: t.groups.emptyLine, icon: UsersIcon, action: create }}
          {...(search.name === undefined && search.domain === undefined ? {} : { clear: () => void navigate({ to: '/groups' }) })}
        >
          <List
            label={t.groups.title}
            rows={rows}
            idOf={({ id }) => id}
            nameOf={({ name }) => name}
            columns={[
              {
                title: t.name,
                main: true,
                cell: ({ id, name }) => (
                  <Link to="/groups/$groupId" params={{ groupId: id }}>
                    {name}
                  </Link>
                ),
              },
              { title: t.domains.one, cell: ({ domain_id }) => domainName(domain_id) },
              { title: t.description, cell: ({ description }) => description || '—' },
            ]}
            actions={actions}
          />
          <Pages page={page} pages={pages} open={(next) => change({ page: next })} />
        </Collection>
      </div>
      {creating && (
        <GroupEdit close={() => setCreating(false)} done={(groupId) => void navigate({ to: '/groups/$groupId', params: { groupId } })} />
      )}
      {dialog}
    </>
  )
}

export function GroupsPage() {
  return <AdminsOnly>{() => <Groups />}</AdminsOnly>
}
