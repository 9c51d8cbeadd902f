// One security group and its rules.
import { Button } from '@patternfly/react-core'
import { useMutation, useQuery } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { useState } from 'react'
import { roleCan } from '../api/can.ts'
import { keys } from '../api/keys.ts'
import { deleteSecurityGroupRule, type SecurityGroup, type SecurityGroupRule } from '../api/network.ts'
import { securityGroupQuery, securityGroupsQuery } from '../api/queries.ts'
import { queryClient } from '../api/query-client.ts'
import { useSession } from '../api/session.ts'
import { SecurityGroupRuleCreate } from '../forms/security-group-rule.tsx'
import { useText } from '../i18n/index.ts'
import { DetailPage } from '../ui/detail-page.tsx'
import { shortId } from '../ui/format.ts'
import { List } from '../ui/list.tsx'
import { Nothing } from '../ui/nothing.tsx'
import { toastProblem } from '../ui/toasts.tsx'

const route = getRouteApi('/inside/security-groups/$groupId')

export function SecurityGroupPage() {
  const t = useText()
  const session = useSession()
  const { groupId } = route.useParams()
  const query = useQuery(securityGroupQuery(groupId))
  const groups = useQuery(securityGroupsQuery(session.project.id))
  const [adding, setAdding] = useState(false)
  const remove = useMutation({
    mutationFn: deleteSecurityGroupRule,
    onSuccess: () => queryClient.invalidateQueries({ queryKey: keys.securityGroups }),
    onError: (error) => toastProblem(t.securityGroups.doing.removeRule, error),
  })
  const no = roleCan.change(session)
  const ports = ({ port_range_min, port_range_max }: SecurityGroupRule) => {
    if (port_range_min === null) return t.securityGroups.anyPort
    return port_range_min === port_range_max ? String(port_range_min) : `${port_range_min} – ${port_range_max}`
  }
  const remoteOf =
    (group: SecurityGroup) =>
    ({ remote_ip_prefix, remote_group_id }: SecurityGroupRule) => {
      if (remote_group_id === groupId) return t.securityGroups.group(group.name || shortId(group.id))
      if (remote_group_id !== null)
        return t.securityGroups.group(groups.data?.find(({ id }) => id === remote_group_id)?.name || shortId(remote_group_id))
      return remote_ip_prefix === null ? t.securityGroups.anywhere : <code>{remote_ip_prefix}</code>
    }
  const rulesOf = (group: SecurityGroup) =>
    group.security_group_rules.toSorted((a, b) => b.direction.localeCompare(a.direction) || a.ethertype.localeCompare(b.ethertype))
  return (
    <DetailPage
      query={query}
      kind={t.securityGroups.one}
      back={{ to: '/security-groups', text: t.securityGroups.title }}
      head={({ id, name, description }) => ({
        title: name || id,
        line: description,
        actions: no === undefined && <Button onClick={() => setAdding(true)}>{t.securityGroups.addRule}</Button>,
      })}
    >
      {(group) => (
        <>
          <div className="wisp-card">
            {rulesOf(group).length === 0 ? (
              <Nothing title={t.securityGroups.noRules} />
            ) : (
              <List
                label={t.securityGroups.rules}
                rows={rulesOf(group)}
                idOf={({ id }) => id}
                nameOf={(rule) => `${t.securityGroups[rule.direction]} ${rule.protocol ?? t.securityGroups.any} ${ports(rule)}`}
                columns={[
                  { title: t.securityGroups.direction, main: true, cell: ({ direction }) => t.securityGroups[direction] },
                  { title: t.securityGroups.version, cell: ({ ethertype }) => ethertype },
                  { title: t.securityGroups.protocol, cell: ({ protocol }) => protocol?.toUpperCase() ?? t.securityGroups.any },
                  { title: t.securityGroups.ports, cell: ports },
                  { title: t.securityGroups.remote, cell: remoteOf(group) },
                  { title: t.description, cell: ({ description }) => description || '—' },
                ]}
                actions={(rule) => [{ title: t.securityGroups.removeRule, no, danger: true, run: () => remove.mutate(rule.id) }]}
              />
            )}
          </div>
          {adding && <SecurityGroupRuleCreate groupId={groupId} close={() => setAdding(false)} />}
        </>
      )}
    </DetailPage>
  )
}
