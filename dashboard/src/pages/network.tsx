// One network: its subnets, and what is attached to it.
import { Button } from '@patternfly/react-core'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useState } from 'react'
import { networkCan } from '../api/can.ts'
import { keys } from '../api/keys.ts'
import { deleteNetwork, deleteSubnet, type Port, type Subnet } from '../api/network.ts'
import { networkQuery, portsQuery, serverListQuery, subnetsQuery } from '../api/queries.ts'
import { queryClient } from '../api/query-client.ts'
import { isAdmin, useSession } from '../api/session.ts'
import { NetworkCreate } from '../forms/network-create.tsx'
import { useText } from '../i18n/index.ts'
import { Confirm } from '../ui/confirm.tsx'
import { DetailPage, useLeave } from '../ui/detail-page.tsx'
import { shortId } from '../ui/format.ts'
import { ActionMenu, List } from '../ui/list.tsx'
import { Copyable, Facts, Panel, PortStatus, Waiting } from '../ui/pieces.tsx'
import { Problem } from '../ui/problem.tsx'

const route = getRouteApi('/inside/networks/$networkId')

function Device({ port }: { port: Port }) {
  const t = useText()
  const admin = isAdmin(useSession())
  const servers = useQuery(serverListQuery({ sort: 'created', dir: 'desc', limit: 200, ...(admin ? { allProjects: true } : {}) }))
  if (!port.device_owner.startsWith('compute:')) return <>{t.networks.owner[port.device_owner] ?? (port.device_owner || '—')}</>
  return (
    <Link to="/servers/$serverId" params={{ serverId: port.device_id }}>
      {servers.data?.servers.find(({ id }) => id === port.device_id)?.name ?? shortId(port.device_id)}
    </Link>
  )
}

function Ports({ networkId }: { networkId: string }) {
  const t = useText()
  const ports = useQuery(portsQuery({ network_id: networkId }))
  return (
    <Panel title={t.networks.ports} wide>
      {ports.isPending && <Waiting />}
      {ports.isError && <Problem error={ports.error} retry={() => void ports.refetch()} />}
      {ports.data?.length === 0 && <p className="wisp-subtle">{t.networks.noPorts}</p>}
      {ports.data !== undefined && ports.data.length > 0 && (
        <List
          label={t.networks.ports}
          rows={ports.data}
          idOf={({ id }) => id}
          nameOf={({ mac_address }) => mac_address}
          columns={[
            { title: t.networks.device, main: true, cell: (port) => <Device port={port} /> },
            { title: t.status, cell: ({ status }) => <PortStatus status={status} /> },
            {
              title: t.server.fixedIps,
              cell: ({ fixed_ips }) => fixed_ips.map(({ ip_address }) => <div key={ip_address}>{<code>{ip_address}</code>}</div>),
            },
            { title: t.server.mac, cell: ({ mac_address }) => <code>{mac_address}</code> },
            { title: t.id, cell: ({ id }) => <Copyable value={id} shown={shortId(id)} /> },
          ]}
        />
      )}
    </Panel>
  )
}

export function NetworkPage() {
  const t = useText()
  const session = useSession()
  const leave = useLeave('/networks')
  const { networkId } = route.useParams()
  const query = useQuery(networkQuery(networkId))
  const ports = useQuery(portsQuery({ network_id: networkId }))
  const subnets = useQuery(subnetsQuery)
  const [form, setForm] = useState<'subnet' | 'delete'>()
  const [doomed, setDoomed] = useState<Subnet>()
  const own = subnets.data?.filter(({ network_id }) => network_id === networkId) ?? []
  const refresh = () => {
    for (const queryKey of [keys.networks, keys.subnets, keys.networkQuotas]) void queryClient.invalidateQueries({ queryKey })
  }
  return (
    <DetailPage
      query={query}
      kind={t.nav.network}
      back={{ to: '/networks', text: t.networks.title }}
      head={(network) => ({
        title: network.name || network.id,
        beside: <PortStatus status={network.status} />,
        actions: (
          <>
            {networkCan.change(network, session) === undefined && (
              <Button variant="secondary" onClick={() => setForm('subnet')}>
                {t.networks.addSubnet}
              </Button>
            )}
            <ActionMenu
              label={`${t.moreActions}: ${network.name || network.id}`}
              actions={[
                { title: t.delete, danger: true, no: networkCan.delete(network, ports.data, session), run: () => setForm('delete') },
              ]}
            />
          </>
        ),
      })}
    >
      {(network) => (
        <>
          <div className="wisp-panels">
            <Panel title={t.nav.network}>
              <Facts
                of={[
                  [t.id, <Copyable key="id" value={network.id} />],
                  [t.networks.shared, network.shared ? t.yes : t.no],
                  [t.networks.external, network['router:external'] === true ? t.yes : t.no],
                  [t.networks.mtu, network.mtu],
                  ...(network['provider:network_type'] === undefined
                    ? []
                    : ([
                        [
                          t.networks.type,
                          [network['provider:network_type'], network['provider:segmentation_id']].filter((part) => part != null).join(' '),
                        ],
                      ] as [string, string][])),
                ]}
              />
            </Panel>
            <Panel title={t.networks.subnets} wide>
              {own.length === 0 ? (
                <p className="wisp-subtle">{t.networks.noSubnets}</p>
              ) : (
                <List
                  label={t.networks.subnets}
                  rows={own}
                  idOf={({ id }) => id}
                  nameOf={({ name, cidr }) => name || cidr}
                  columns={[
                    { title: 'CIDR', main: true, cell: ({ cidr }) => <code>{cidr}</code> },
                    { title: t.name, cell: ({ name }) => name || '—' },
                    { title: t.networks.gateway, cell: ({ gateway_ip }) => (gateway_ip === null ? t.none : <code>{gateway_ip}</code>) },
                    { title: t.networks.dhcp, cell: ({ enable_dhcp }) => (enable_dhcp ? t.yes : t.no) },
                    {
                      title: t.networks.pools,
                      cell: ({ allocation_pools }) =>
                        allocation_pools.map(({ start, end }) => <div key={start}>{`${start} – ${end}`}</div>),
                    },
                    { title: t.networks.dns, cell: ({ dns_nameservers }) => dns_nameservers.join(', ') || '—' },
                  ]}
                  actions={(subnet) => [
                    { title: t.delete, danger: true, no: networkCan.change(network, session), run: () => setDoomed(subnet) },
                  ]}
                />
              )}
            </Panel>
            <Ports networkId={networkId} />
          </div>
          {form === 'subnet' && <NetworkCreate network={network} close={() => setForm(undefined)} />}
          {form === 'delete' && (
            <Confirm
              title={t.networks.confirmDelete}
              line={t.networks.confirmDeleteLine}
              objects={[{ id: network.id, name: network.name || network.id }]}
              button={t.delete}
              what={t.networks.doing.delete}
              run={async () => {
                await deleteNetwork(networkId)
                refresh()
                leave()
              }}
              close={() => setForm(undefined)}
            />
          )}
          {doomed !== undefined && (
            <Confirm
              title={t.networks.confirmDeleteSubnet}
              line=""
              objects={[{ id: doomed.id, name: doomed.name || doomed.cidr }]}
              button={t.delete}
              what={t.networks.doing.deleteSubnet}
              run={async () => {
                await deleteSubnet(doomed.id)
                refresh()
              }}
              close={() => setDoomed(undefined)}
            />
          )}
        </>
      )}
    </DetailPage>
  )
}
