// The cloud's users, for administrators.
import { FormSelect, FormSelectOption } from '@patternfly/react-core'
import UserIcon from '@patternfly/react-icons/dist/esm/icons/user-icon'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { roleCan } from '../api/can.ts'
import { projectsQuery, usersQuery } from '../api/identity-queries.ts'
import { useSession } from '../api/session.ts'
import { UserEdit } from '../forms/user-edit.tsx'
import { useText } from '../i18n/index.ts'
import type { IdentitySearch } from '../routes.tsx'
import { DomainFilter, useDomainName } from '../ui/domain-filter.tsx'
import { ListPage } from '../ui/list-page.tsx'
import { MaySee } from '../ui/may-see.tsx'
import { NameFilter } from '../ui/name-filter.tsx'
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
  const { actions, dialog } = useUserVerbs()
  const change = (next: Partial<IdentitySearch>) =>
    void navigate({ to: '/users', search: { ...search, page: undefined, ...next }, replace: 'name' in next })
  const wanted = search.name?.toLowerCase() ?? ''
  const left = (users.data ?? [])
    .filter(({ id, name, email }) => `${name} ${email ?? ''}`.toLowerCase().includes(wanted) || id === wanted)
    .filter(({ domain_id }) => search.domain === undefined || domain_id === search.domain)
    .filter(({ enabled }) => search.enabled === undefined || enabled === search.enabled)
  const filtered = search.name !== undefined || search.domain !== undefined || search.enabled !== undefined
  return (
    <ListPage
      title={t.users.title}
      create={{
        button: t.users.create,
        no: roleCan.administerPeople(session),
        form: (close) => <UserEdit close={close} done={(userId) => void navigate({ to: '/users/$userId', params: { userId } })} />,
      }}
      filters={
        <>
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
        </>
      }
      query={users}
      left={left}
      clear={filtered ? () => void navigate({ to: '/users' }) : undefined}
      page={search.page}
      open={(page) => change({ page })}
      empty={{ title: t.users.empty, icon: UserIcon }}
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
    >
      {dialog}
    </ListPage>
  )
}

export function UsersPage() {
  return <MaySee of="people">{() => <Users />}</MaySee>
}
