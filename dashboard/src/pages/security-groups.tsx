// A project's security groups.
import { Button } from '@patternfly/react-core'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { roleCan, securityGroupCan } from '../api/can.ts'
import { keys } from '../api/keys.ts'
import { deleteSecurityGroup, type SecurityGroup } from '../api/network.ts'
import { securityGroupsQuery } from '../api/queries.ts'
import { queryClient } from '../api/query-client.ts'
import { useSession } from '../api/session.ts'
import { SecurityGroupCreate } from '../forms/security-group-create.tsx'
import { useText } from '../i18n/index.ts'
import { Confirm } from '../ui/confirm.tsx'
import { List } from '../ui/list.tsx'
import { Nothing } from '../ui/nothing.tsx'
import { Pages, pageOf } from '../ui/pages.tsx'
import { PageHeader, Waiting } from '../ui/pieces.tsx'
import { Problem } from '../ui/problem.tsx'

const route = getRouteApi('/inside/security-groups')

export function SecurityGroupsPage() {
  const t = useText()
  const search = route.useSearch()
  const navigate = useNavigate()
  const session = useSession()
  const groups = useQuery(securityGroupsQuery(session.project.id))
  const [creating, setCreating] = useState(false)
  const [doomed, setDoomed] = useState<SecurityGroup>()
  const { rows, page, pages } = pageOf(groups.data ?? [], search.page ?? 1)
  return (
    <>
      <PageHeader title={t.securityGroups.title}>
        {roleCan.change(session) === undefined && <Button onClick={() => setCreating(true)}>{t.securityGroups.create}</Button>}
      </PageHeader>
      <div className="wisp-card">
        {groups.isPending && <Waiting />}
        {groups.isError && <Problem error={groups.error} retry={() => void groups.refetch()} />}
        {groups.data?.length === 0 && <Nothing title={t.securityGroups.empty} />}
        {groups.data !== undefined && groups.data.length > 0 && (
          <>
            <List
              label={t.securityGroups.title}
              rows={rows}
              idOf={({ id }) => id}
              nameOf={({ id, name }) => name || id}
              columns={[
                {
                  title: t.name,
                  main: true,
                  cell: ({ id, name }) => (
                    <Link to="/security-groups/$groupId" params={{ groupId: id }}>
                      {name || id}
                    </Link>
                  ),
                },
                { title: t.securityGroups.rules, cell: ({ security_group_rules }) => security_group_rules.length },
                { title: t.description, cell: ({ description }) => description || '—' },
              ]}
              actions={(group) => [
                { title: t.delete, danger: true, no: securityGroupCan.delete(group, session), run: () => setDoomed(group) },
              ]}
            />
            <Pages page={page} pages={pages} open={(next) => void navigate({ to: '/security-groups', search: { page: next } })} />
          </>
        )}
      </div>
      {creating && (
        <SecurityGroupCreate
          close={() => setCreating(false)}
          done={(groupId) => void navigate({ to: '/security-groups/$groupId', params: { groupId } })}
        />
      )}
      {doomed !== undefined && (
        <Confirm
          title={t.securityGroups.confirmDelete}
          line={t.securityGroups.confirmDeleteLine}
          objects={[{ id: doomed.id, name: doomed.name || doomed.id }]}
          button={t.delete}
          what={t.securityGroups.doing.delete}
          run={async () => {
            await deleteSecurityGroup(doomed.id)
            await queryClient.invalidateQueries({ queryKey: keys.securityGroups })
          }}
          close={() => setDoomed(undefined)}
        />
      )}
    </>
  )
}
