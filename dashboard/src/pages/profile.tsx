// Who one is to this cloud: oneself, one's roles in the present project, one's projects; and the change of one's password.
import { Alert, Button, Label } from '@patternfly/react-core'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { domainQuery, projectsOfQuery, userQuery } from '../api/identity-queries.ts'
import { useSession } from '../api/session.ts'
import { PasswordChange } from '../forms/password-change.tsx'
import { useText } from '../i18n/index.ts'
import { Labels } from '../ui/labels.tsx'
import { Copyable, Facts, PageHeader, Panel, Waiting, When } from '../ui/pieces.tsx'
import { Problem } from '../ui/problem.tsx'
import { scopeWord } from '../ui/scope.tsx'

export function ProfilePage() {
  const t = useText()
  const session = useSession()
  const query = useQuery(userQuery(session.user.id))
  const projects = useQuery(projectsOfQuery(session.user.id))
  const [changing, setChanging] = useState(false)
  const [changed, setChanged] = useState(false)
  const user = query.data
  const domain = useQuery({ ...domainQuery(user?.domain_id ?? ''), enabled: user !== undefined })
  return (
    <>
      <PageHeader title={session.user.name} line={t.profile.line}>
        <Button onClick={() => setChanging(true)}>{t.profile.changePassword}</Button>
      </PageHeader>
      {changed && <Alert isInline variant="success" variantLabel="" title={t.profile.passwordChanged} className="wisp-gap-below" />}
      <div className="wisp-panels">
        <Panel title={t.users.one}>
          {query.isPending && <Waiting />}
          {query.isError && <Problem error={query.error} retry={() => void query.refetch()} />}
          {user !== undefined && (
            <Facts
              of={[
                [t.id, <Copyable key="id" value={user.id} />],
                [t.domains.one, domain.data?.name ?? user.domain_id],
                [t.users.email, user.email],
                [t.description, user.description],
                [
                  t.users.passwordExpires,
                  user.password_expires_at == null ? t.users.never : <When key="expires" time={user.password_expires_at} coming />,
                ],
              ]}
            />
          )}
        </Panel>
        <Panel title={t.projects.yourRoles}>
          <Labels label={t.projects.yourRoles}>
            {session.roles.map((role) => (
              <Label key={role}>{role}</Label>
            ))}
          </Labels>
          <p className="wisp-subtle wisp-note-line">{scopeWord(t, session.scope)}</p>
        </Panel>
        <Panel title={t.projects.title} actions={<Link to="/projects">{t.projects.title}</Link>}>
          {projects.isPending && <Waiting />}
          {projects.isError && <Problem error={projects.error} retry={() => void projects.refetch()} />}
          <ul className="wisp-plain-list">
            {projects.data?.map(({ id, name, description }) => (
              <li key={id}>
                <Link to="/projects/$projectId" params={{ projectId: id }}>
                  {name}
                </Link>{' '}
                <span className="wisp-subtle">{description}</span>
              </li>
            ))}
          </ul>
        </Panel>
        <Panel title={t.applicationCredentials.title}>
          <p className="wisp-note-line">{t.applicationCredentials.line}</p>
          <Link to="/application-credentials">{t.applicationCredentials.title}</Link>
        </Panel>
      </div>
      {changing && <PasswordChange close={() => setChanging(false)} done={() => setChanged(true)} />}
    </>
  )
}
