// One's own application credentials: what programs log in with instead of a password.
import { Label } from '@patternfly/react-core'
import KeyIcon from '@patternfly/react-icons/dist/esm/icons/key-icon'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { type ApplicationCredential, deleteApplicationCredential } from '../api/application-credentials.ts'
import { isNotOffered } from '../api/explain.ts'
import { applicationCredentialsQuery } from '../api/identity-queries.ts'
import { keys } from '../api/keys.ts'
import { queryClient } from '../api/query-client.ts'
import { useSession } from '../api/session.ts'
import { ApplicationCredentialCreate } from '../forms/application-credential-create.tsx'
import { useText } from '../i18n/index.ts'
import { Confirm } from '../ui/confirm.tsx'
import { parseTime } from '../ui/format.ts'
import { Labels } from '../ui/labels.tsx'
import { ListPage } from '../ui/list-page.tsx'
import { Copyable, StatusWord, When } from '../ui/pieces.tsx'

function Expiry({ of }: { of: ApplicationCredential }) {
  const t = useText()
  if (of.expires_at === null) return t.applicationCredentials.never
  if (parseTime(of.expires_at) > Date.now()) return <When time={of.expires_at} coming />
  return (
    <StatusWord tone="bad">
      {t.applicationCredentials.expired} <When time={of.expires_at} />
    </StatusWord>
  )
}

export function ApplicationCredentialsPage() {
  const t = useText()
  const session = useSession()
  const credentials = useQuery(applicationCredentialsQuery(session.user.id))
  const [doomed, setDoomed] = useState<ApplicationCredential>()
  const projectName = (id: string) => session.projects.find((project) => project.id === id)?.name ?? id
  const offered = credentials.error === null || !isNotOffered(credentials.error)
  return (
    <ListPage
      title={t.applicationCredentials.title}
      line={t.applicationCredentials.line}
      create={
        offered ? { button: t.applicationCredentials.create, form: (close) => <ApplicationCredentialCreate close={close} /> } : undefined
      }
      query={credentials}
      empty={{ title: t.applicationCredentials.empty, line: t.applicationCredentials.emptyLine, icon: KeyIcon }}
      columns={[
        {
          title: t.name,
          main: true,
          cell: ({ name, description }) => (
            <>
              <span className="wisp-row-name">{name}</span>
              {description && <div className="wisp-subtle">{description}</div>}
            </>
          ),
        },
        { title: t.id, cell: ({ id }) => <Copyable value={id} shown={`${id.slice(0, 8)}…`} /> },
        { title: t.servers.project, cell: ({ project_id }) => projectName(project_id) },
        {
          title: t.roles.title,
          cell: ({ roles, name }) => (
            <Labels label={`${name}: ${t.roles.title}`}>
              {roles.map((role) => (
                <Label key={role.id} isCompact>
                  {role.name}
                </Label>
              ))}
            </Labels>
          ),
        },
        {
          title: t.applicationCredentials.may,
          cell: ({ unrestricted, access_rules }) => {
            if (unrestricted) return <StatusWord tone="warn">{t.applicationCredentials.unrestricted}</StatusWord>
            const rules = access_rules ?? []
            return rules.length === 0 ? t.applicationCredentials.everything : t.applicationCredentials.rulesCount(rules.length)
          },
        },
        { title: t.applicationCredentials.expires, cell: (credential) => <Expiry of={credential} /> },
      ]}
      actions={(credential) => [{ title: t.delete, danger: true, run: () => setDoomed(credential) }]}
    >
      {doomed !== undefined && (
        <Confirm
          title={t.applicationCredentials.confirmDelete}
          line={t.applicationCredentials.confirmDeleteLine}
          objects={[doomed]}
          button={t.delete}
          what={t.applicationCredentials.doing.delete}
          run={async () => {
            await deleteApplicationCredential(session.user.id, doomed.id)
            await queryClient.invalidateQueries({ queryKey: keys.applicationCredentials })
          }}
          close={() => setDoomed(undefined)}
        />
      )}
    </ListPage>
  )
}
