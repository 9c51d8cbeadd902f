// One user: what is known of them, the groups they are in, and the roles they have.
import { Label } from '@patternfly/react-core'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { groupsOfQuery, projectsQuery, userQuery } from '../api/identity-queries.ts'
import type { User } from '../api/users.ts'
import { useText } from '../i18n/index.ts'
import { Assignments } from '../ui/assignments.tsx'
import { DetailPage, useLeave } from '../ui/detail-page.tsx'
import { useDomainName } from '../ui/domain-filter.tsx'
import { Labels } from '../ui/labels.tsx'
import { ActionMenu } from '../ui/list.tsx'
import { MaySee } from '../ui/may-see.tsx'
import { Copyable, Facts, Panel, Waiting, When } from '../ui/pieces.tsx'
import { Problem } from '../ui/problem.tsx'
import { EnabledState } from '../ui/state.tsx'
import { useUserVerbs } from '../ui/user-verbs.tsx'

const route = getRouteApi('/inside/users/$userId')

function Groups({ userId }: { userId: string }) {
  const t = useText()
  const groups = useQuery(groupsOfQuery(userId))
  return (
    <Panel title={t.groups.title}>
      {groups.isPending && <Waiting />}
      {groups.isError && <Problem error={groups.error} retry={() => void groups.refetch()} />}
      {groups.data?.length === 0 && <p className="wisp-subtle">{t.users.noGroups}</p>}
      <ul className="wisp-plain-list">
        {groups.data?.map(({ id, name }) => (
          <li key={id}>
            <Link to="/groups/$groupId" params={{ groupId: id }}>
              {name}
            </Link>
          </li>
        ))}
      </ul>
    </Panel>
  )
}

/** What was set for a user beside the usual: exceptions from the rules for passwords, several factors. */
function Options({ options }: { options: User['options'] }) {
  const t = useText()
  const set = Object.entries(options ?? {}).filter(([, value]) => value !== null && value !== false)
  if (set.length === 0) return null
  return (
    <Panel title={t.users.options}>
      <Labels label={t.users.options}>
        {set.map(([name, value]) => (
          <Label key={name}>{value === true ? (t.users.optionNames[name] ?? name) : `${name}: ${JSON.stringify(value)}`}</Label>
        ))}
      </Labels>
    </Panel>
  )
}

function OneUser() {
  const t = useText()
  const { userId } = route.useParams()
  const query = useQuery(userQuery(userId))
  const projects = useQuery(projectsQuery)
  const domainName = useDomainName()
  const { actions, dialog } = useUserVerbs(useLeave('/users'))
  const homeOf = ({ default_project_id: home }: User) => projects.data?.find(({ id }) => id === home)?.name ?? home
  return (
    <DetailPage
      query={query}
      kind={t.users.one}
      back={{ to: '/users', text: t.users.title }}
      head={(user) => ({
        title: user.name,
        line: user.description || undefined,
        beside: <EnabledState enabled={user.enabled} />,
        actions: <ActionMenu label={`${t.moreActions}: ${user.name}`} actions={actions(user)} />,
      })}
    >
      {(user) => (
        <>
          <div className="wisp-panels">
            <Panel title={t.users.one}>
              <Facts
                of={[
                  [t.id, <Copyable key="id" value={user.id} />],
                  [t.domains.one, domainName(user.domain_id)],
                  [t.users.email, user.email],
                  [t.users.defaultProject, homeOf(user)],
                  [
                    t.users.passwordExpires,
                    user.password_expires_at == null ? t.users.never : <When key="expires" time={user.password_expires_at} coming />,
                  ],
                ]}
              />
            </Panel>
            <Groups userId={userId} />
            <Options options={user.options} />
          </div>
          <h2 className="wisp-list-heading">{t.roles.title}</h2>
          <Assignments of={{ user: userId }} actor={{ kind: 'user', id: userId }} />
          {dialog}
        </>
      )}
    </DetailPage>
  )
}

export function UserPage() {
  return <MaySee of="people">{() => <OneUser />}</MaySee>
}
