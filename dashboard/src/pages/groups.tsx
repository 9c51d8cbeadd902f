// Groups of users, for administrators: a role given to a group is a role of everyone in it.
import UsersIcon from '@patternfly/react-icons/dist/esm/icons/users-icon'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { roleCan } from '../api/can.ts'
import { groupsQuery } from '../api/identity-queries.ts'
import { useSession } from '../api/session.ts'
import { GroupEdit } from '../forms/group-edit.tsx'
import { useText } from '../i18n/index.ts'
import type { IdentitySearch } from '../routes.tsx'
import { DomainFilter, useDomainName } from '../ui/domain-filter.tsx'
import { useGroupVerbs } from '../ui/group-verbs.tsx'
import { ListPage } from '../ui/list-page.tsx'
import { MaySee } from '../ui/may-see.tsx'
import { NameFilter } from '../ui/name-filter.tsx'

const route = getRouteApi('/inside/groups')

function Groups() {
  const t = useText()
  const session = useSession()
  const navigate = useNavigate()
  const search = route.useSearch()
  const groups = useQuery(groupsQuery)
  const domainName = useDomainName()
  const { actions, dialog } = useGroupVerbs()
  const change = (next: Partial<IdentitySearch>) =>
    void navigate({ to: '/groups', search: { ...search, page: undefined, ...next }, replace: 'name' in next })
  const wanted = search.name?.toLowerCase() ?? ''
  const left = (groups.data ?? [])
    .filter(({ id, name }) => name.toLowerCase().includes(wanted) || id === wanted)
    .filter(({ domain_id }) => search.domain === undefined || domain_id === search.domain)
  const filtered = search.name !== undefined || search.domain !== undefined
  return (
    <ListPage
      title={t.groups.title}
      create={{
        button: t.groups.create,
        no: roleCan.administerPeople(session),
        form: (close) => <GroupEdit close={close} done={(groupId) => void navigate({ to: '/groups/$groupId', params: { groupId } })} />,
      }}
      filters={
        <>
          <NameFilter label={t.groups.filter} value={search.name ?? ''} change={(name) => change({ name })} />
          <DomainFilter value={search.domain} change={(domain) => change({ domain })} />
        </>
      }
      query={groups}
      left={left}
      clear={filtered ? () => void navigate({ to: '/groups' }) : undefined}
      page={search.page}
      open={(page) => change({ page })}
      empty={{ title: t.groups.empty, line: t.groups.emptyLine, icon: UsersIcon }}
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
    >
      {dialog}
    </ListPage>
  )
}

export function GroupsPage() {
  return <MaySee of="people">{() => <Groups />}</MaySee>
}
