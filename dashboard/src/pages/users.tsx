// The cloud's users, for administrators.
import { Button, FormSelect, FormSelectOption } from '@patternfly/react-core'
import UserIcon from '@patternfly/react-icons/dist/esm/icons/user-icon'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { projectsQuery, usersQuery } from '../api/identity-queries.ts'
import { useSession } from '../api/session.ts'
import { UserEdit } from '../forms/user-edit.tsx'
import { useText } from '../i18n/index.ts'
import type { IdentitySearch } from '../routes.tsx'
import { AdminsOnly } from '../ui/admins-only.tsx'
import { Collection } from '../ui/collection.tsx'
import { DomainFilter, useDomainName } from '../ui/domain-filter.tsx'
import { List } from '../ui/list.tsx'
import { NameFilter } from '../ui/name-filter.tsx'
import { Pages, pageOf } from '../ui/pages.tsx'
import { PageHeader } from '../ui/pieces.tsx'
import { EnabledState } from '../ui/state.tsx'
import { useUserVerbs } from '../ui/user-verbs.tsx'

const route = getRouteApi('/inside/users')

function Users() {
  const t = useText()
  const session = useSession()
  const navigate = useNavigate()
  const search = route.useSearch()
  const users = useQuery(usersQuery)
  const projects = useQuery(projectsQuery)
  const domainName = useDomainName()
  const [creating, setCreating] = useState(false)
  const { actions, dialog } = useUserVerbs()
  const change = (next: Partial<IdentitySearch>) =>
    void navigate({ to: '/users', search: { ...search, page: undefined, ...next }, replace: 'name' in next })
  const wanted = search.name?.toLowerCase() ?? ''
  const left = (users.data ?? [])
    .filter(({ id, name, email }) => `${name} ${email ?? ''}`.toLowerCase().includes(wanted) || id === wanted)
    .filter(({ domain_id }) => search.domain === undefined || domain_id === search.domain)
    .filter(({ enabled }) => search.enabled === undefined || enabled === search.enabled)
  const { rows, page, pages } = pageOf(left, search.page ?? 1)
  const filtered = search.name !== undefined || search.domain !== undefined || search.enabled !== undefined
  const create = <Button onClick={() => setCreating(true)}>{t.users.create}</Button>
  return (
    <>
      <PageHeader title={t.users.title}>{create}</PageHeader>
      <div className="wisp-card">
        <div className="wisp-toolbar">
          <NameFilter label={t.users.filter} value={search.name ?? ''} change={(name) => change({ name })} />
          <DomainFilter value={search.domain} change={(domain) => change({ domain })} />
          <FormSelect
            aria-label={t.state}
            value={String(search.enabled ?? '')}
            onChange={(_event, enabled) => change({ enabled: enabled === '' ? undefined : enabled === 'true' })}
          >
            <FormSelectOption value="" label={t.servers.anyStatus} />
            <FormSelectOption value="true" label={t.enabled} />
            <FormSelectOption value="false" label={t.disabled} />
          </FormSelect>
        </div>
        <Collection
          query={users}
          all={users.data?.length ?? 0}
          shown={rows.length}
          empty={{ title: t.users.empty, icon: UserIcon, action: create }}
          {...(filtered ? { clear: () => void navigate({ to: '/users' }) } : {})}
        >
          <List
            label={t.users.title}
            rows={rows}
            idOf={({ id }) => id}
            nameOf={({ name }) => name}
            columns={[
              {
                title: t.name,
                main: true,
                cell: ({ id, name }) => (
                  <>
                    <Link to="/users/$userId" params={{ userId: id }}>
                      {name}
                    </Link>
                    {id === session.user.id && <span className="wisp-subtle"> · {t.users.you}</span>}
                  </>
                ),
              },
              { title: t.state, cell: ({ enabled }) => <EnabledState enabled={enabled} /> },
              { title: t.users.email, cell: ({ email }) => email || '—' },
              { title: t.domains.one, cell: ({ domain_id }) => domainName(domain_id) },
              {
                title: t.users.defaultProject,
                cell: ({ default_project_id: id }) => projects.data?.find((project) => project.id === id)?.name ?? id ?? '—',
                secondary: true,
              },
            ]}
            actions={actions}
          />
          <Pages page={page} pages={pages} open={(next) => change({ page: next })} />
        </Collection>
      </div>
      {creating && (
        <UserEdit close={() => setCreating(false)} done={(userId) => void navigate({ to: '/users/$userId', params: { userId } })} />
      )}
      {dialog}
    </>
  )
}

export function UsersPage() {
  return <AdminsOnly>{() => <Users />}</AdminsOnly>
}
