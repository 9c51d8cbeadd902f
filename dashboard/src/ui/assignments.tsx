// Who has which role where: the members of a project or a domain, or all the roles of a user or a group; to look at, to add to, to take away.
import { Button } from '@patternfly/react-core'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { type ReactNode, useState } from 'react'
import { roleCan } from '../api/can.ts'
import { assignmentsQuery } from '../api/identity-queries.ts'
import { keys } from '../api/keys.ts'
import { queryClient } from '../api/query-client.ts'
import { type Assignment, type AssignmentQuery, type Grant, grantOf, grantPath, revoke } from '../api/roles.ts'
import { useSession } from '../api/session.ts'
import { GrantRole } from '../forms/grant-role.tsx'
import { useText } from '../i18n/index.ts'
import { Collection } from './collection.tsx'
import { Confirm } from './confirm.tsx'
import { type Column, List } from './list.tsx'

type AssignmentsProps = {
  of: AssignmentQuery
  /** The one side that is known: of a project or domain its actors are shown, of a user or group its targets. */
  target?: Grant['target'] & { domain: string }
  actor?: Grant['actor']
}

function Actor({ user, group }: Assignment): ReactNode {
  const t = useText()
  if (user !== undefined)
    return (
      <Link to="/users/$userId" params={{ userId: user.id }}>
        {user.name}
      </Link>
    )
  return (
    <>
      <Link to="/groups/$groupId" params={{ groupId: group?.id ?? '' }}>
        {group?.name}
      </Link>
      <span className="wisp-subtle"> · {t.groups.one}</span>
    </>
  )
}

function Target({ scope }: Assignment): ReactNode {
  const t = useText()
  const { project, domain } = scope
  if (project !== undefined)
    return (
      <>
        <Link to="/projects/$projectId" params={{ projectId: project.id }}>
          {project.name}
        </Link>
        {project.domain !== undefined && <span className="wisp-subtle"> · {project.domain.name}</span>}
      </>
    )
  if (domain === undefined) return t.roles.system
  return (
    <>
      <Link to="/domains/$domainId" params={{ domainId: domain.id }}>
        {domain.name}
      </Link>
      <span className="wisp-subtle"> · {t.domains.one}</span>
    </>
  )
}

export function Assignments({ of, target, actor }: AssignmentsProps) {
  const t = useText()
  const session = useSession()
  const assignments = useQuery(assignmentsQuery(of))
  const [adding, setAdding] = useState(false)
  const [doomed, setDoomed] = useState<Assignment>()
  const rows = assignments.data ?? []
  const nameOf = ({ role, user, group, scope }: Assignment) =>
    [role.name, user?.name ?? group?.name, scope.project?.name ?? scope.domain?.name].filter((part) => part !== undefined).join(' · ')
  const inherited = ({ scope }: Assignment) => scope['OS-INHERIT:inherited_to'] === 'projects'
  const no = roleCan.administerPeople(session)
  const side: Column<Assignment>[] =
    target !== undefined
      ? [
          { title: t.roles.who, main: true, cell: Actor },
          { title: t.domains.one, cell: ({ user, group }) => (user ?? group)?.domain?.name ?? '—', secondary: true },
        ]
      : [{ title: t.roles.where, main: true, cell: Target }]
  return (
    <div className="wisp-card">
      {no === undefined && (
        <div className="wisp-toolbar">
          <Button onClick={() => setAdding(true)}>{t.roles.grant}</Button>
        </div>
      )}
      <Collection query={assignments} all={rows.length} shown={rows.length} empty={{ title: t.roles.noAssignments }}>
        <List
          label={t.roles.assignments}
          rows={rows}
          idOf={(assignment) => grantPath(grantOf(assignment))}
          nameOf={nameOf}
          columns={[
            ...side,
            { title: t.roles.one, cell: ({ role }) => role.name },
            { title: t.roles.holdsFor, cell: (assignment) => (inherited(assignment) ? t.roles.projectsBelow : t.roles.itself) },
          ]}
          actions={(assignment) => [{ title: t.roles.revoke, no, run: () => setDoomed(assignment), danger: true }]}
        />
      </Collection>
      {adding && <GrantRole target={target} actor={actor} close={() => setAdding(false)} />}
      {doomed !== undefined && (
        <Confirm
          title={t.roles.confirmRevoke}
          line={t.roles.confirmRevokeLine}
          objects={[{ id: doomed.role.id, name: nameOf(doomed) }]}
          button={t.roles.revoke}
          what={t.roles.doing.revoke}
          run={async () => {
            await revoke(grantOf(doomed))
            await queryClient.invalidateQueries({ queryKey: keys.assignments })
          }}
          close={() => setDoomed(undefined)}
        />
      )}
    </div>
  )
}
