// Domains, for administrators of the system: each holds users, groups and projects of its own.
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { roleCan } from '../api/can.ts'
import { domainsQuery } from '../api/identity-queries.ts'
import { useSession } from '../api/session.ts'
import { DomainEdit } from '../forms/domain-edit.tsx'
import { useText } from '../i18n/index.ts'
import { useDomainVerbs } from '../ui/domain-verbs.tsx'
import { ListPage } from '../ui/list-page.tsx'
import { MaySee } from '../ui/may-see.tsx'
import { NameFilter } from '../ui/name-filter.tsx'
import { EnabledState } from '../ui/state.tsx'

const route = getRouteApi('/inside/domains')

function Domains() {
  const t = useText()
  const session = useSession()
  const navigate = useNavigate()
  const search = route.useSearch()
  const domains = useQuery(domainsQuery)
  const { actions, dialog } = useDomainVerbs()
  const wanted = search.name?.toLowerCase() ?? ''
  const left = (domains.data ?? []).filter(({ name }) => name.toLowerCase().includes(wanted))
  return (
    <ListPage
      title={t.domains.title}
      line={t.domains.line}
      create={{ button: t.domains.create, no: roleCan.administer(session), form: (close) => <DomainEdit close={close} /> }}
      filters={
        <NameFilter
          label={t.domains.filter}
          value={search.name ?? ''}
          change={(name) => void navigate({ to: '/domains', search: { name }, replace: true })}
        />
      }
      query={domains}
      left={left}
      clear={search.name === undefined ? undefined : () => void navigate({ to: '/domains' })}
      page={search.page}
      open={(page) => void navigate({ to: '/domains', search: { ...search, page } })}
      empty={{ title: t.domains.empty }}
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
    >
      {dialog}
    </ListPage>
  )
}

export function DomainsPage() {
  return <MaySee of="people">{() => <Domains />}</MaySee>
}
