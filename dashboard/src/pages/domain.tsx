// One domain: what it holds, and who has which role on it.
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { domainQuery, groupsQuery, projectsQuery, usersQuery } from '../api/identity-queries.ts'
import { useText } from '../i18n/index.ts'
import { Assignments } from '../ui/assignments.tsx'
import { DetailPage, useLeave } from '../ui/detail-page.tsx'
import { useDomainVerbs } from '../ui/domain-verbs.tsx'
import { ActionMenu } from '../ui/list.tsx'
import { MaySee } from '../ui/may-see.tsx'
import { Copyable, Facts, Panel } from '../ui/pieces.tsx'
import { EnabledState } from '../ui/state.tsx'

const route = getRouteApi('/inside/domains/$domainId')

function OneDomain() {
  const t = useText()
  const { domainId } = route.useParams()
  const query = useQuery(domainQuery(domainId))
  const users = useQuery(usersQuery)
  const groups = useQuery(groupsQuery)
  const projects = useQuery(projectsQuery)
  const { actions, dialog } = useDomainVerbs(useLeave('/domains'))
  const count = (rows: { domain_id: string }[] | undefined) => rows?.filter(({ domain_id }) => domain_id === domainId).length ?? '…'
  const search = { domain: domainId }
  return (
    <DetailPage
      query={query}
      kind={t.domains.one}
      back={{ to: '/domains', text: t.domains.title }}
      head={(domain) => ({
        title: domain.name,
        line: domain.description || undefined,
        beside: <EnabledState enabled={domain.enabled} />,
        actions: <ActionMenu label={`${t.moreActions}: ${domain.name}`} actions={actions(domain)} />,
      })}
    >
      {(domain) => (
        <>
          <div className="wisp-panels">
            <Panel wide>
              <Facts
                of={[
                  [t.id, <Copyable key="id" value={domain.id} />],
                  [
                    t.projects.title,
                    <Link key="projects" to="/projects" search={search}>
                      {count(projects.data)}
                    </Link>,
                  ],
                  [
                    t.users.title,
                    <Link key="users" to="/users" search={search}>
                      {count(users.data)}
                    </Link>,
                  ],
                  [
                    t.groups.title,
                    <Link key="groups" to="/groups" search={search}>
                      {count(groups.data)}
                    </Link>,
                  ],
                ]}
              />
            </Panel>
          </div>
          <h2 className="wisp-list-heading">{t.roles.title}</h2>
          <Assignments of={{ domain: domainId }} target={{ kind: 'domain', id: domainId, domain: domainId }} />
          {dialog}
        </>
      )}
    </DetailPage>
  )
}

export function DomainPage() {
  return <MaySee of="people">{() => <OneDomain />}</MaySee>
}
