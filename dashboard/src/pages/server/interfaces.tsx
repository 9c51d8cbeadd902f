// A server's interfaces: the ports that bear its id, with network, addresses, MAC and security groups.
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import type { Server } from '../../api/compute.ts'
import { networksQuery, portsQuery, securityGroupsQuery } from '../../api/queries.ts'
import { useText } from '../../i18n/index.ts'
import { shortId } from '../../ui/format.ts'
import { List } from '../../ui/list.tsx'
import { Nothing } from '../../ui/nothing.tsx'
import { Copyable, PortStatus, Waiting } from '../../ui/pieces.tsx'
import { Problem } from '../../ui/problem.tsx'

export function ServerInterfaces({ server }: { server: Server }) {
  const t = useText()
  const ports = useQuery(portsQuery({ device_id: server.id }))
  const networks = useQuery(networksQuery)
  const groups = useQuery(securityGroupsQuery(server.tenant_id))
  if (ports.isPending) return <Waiting />
  if (ports.isError) return <Problem error={ports.error} retry={() => void ports.refetch()} />
  if (ports.data.length === 0) return <Nothing title={t.server.noInterfaces} />
  return (
    <div className="wisp-card">
      <List
        label={t.server.interfaces}
        rows={ports.data}
        idOf={({ id }) => id}
        nameOf={({ mac_address }) => mac_address}
        columns={[
          {
            title: t.nav.network,
            main: true,
            cell: ({ network_id }) => (
              <Link to="/networks/$networkId" params={{ networkId: network_id }}>
                {networks.data?.find(({ id }) => id === network_id)?.name || shortId(network_id)}
              </Link>
            ),
          },
          { title: t.status, cell: ({ status }) => <PortStatus status={status} /> },
          {
            title: t.server.fixedIps,
            cell: ({ fixed_ips }) =>
              fixed_ips.map(({ ip_address }) => (
                <div key={ip_address}>
                  <Copyable value={ip_address} />
                </div>
              )),
          },
          { title: t.server.mac, cell: ({ mac_address }) => <Copyable value={mac_address} /> },
          {
            title: t.nav.securityGroups,
            cell: ({ security_groups }) =>
              security_groups.map((group) => groups.data?.find(({ id }) => id === group)?.name || shortId(group)).join(', ') || '—',
          },
          { title: t.server.port, cell: ({ id }) => <Copyable value={id} shown={shortId(id)} /> },
        ]}
      />
    </div>
  )
}
