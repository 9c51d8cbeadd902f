// The networks a project can put servers on, each with the address ranges of its subnets.
import { Button } from '@patternfly/react-core'
import NetworkIcon from '@patternfly/react-icons/dist/esm/icons/network-icon'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { networkCan, roleCan } from '../api/can.ts'
import { keys } from '../api/keys.ts'
import { deleteNetwork, type Network } from '../api/network.ts'
import { networksQuery, subnetsQuery } from '../api/queries.ts'
import { queryClient } from '../api/query-client.ts'
import { useSession } from '../api/session.ts'
import { NetworkCreate } from '../forms/network-create.tsx'
import { useText } from '../i18n/index.ts'
import { Confirm } from '../ui/confirm.tsx'
import { List } from '../ui/list.tsx'
import { Nothing } from '../ui/nothing.tsx'
import { Pages, pageOf } from '../ui/pages.tsx'
import { PageHeader, PortStatus, Waiting } from '../ui/pieces.tsx'
import { Problem } from '../ui/problem.tsx'

const route = getRouteApi('/inside/networks')

export function NetworksPage() {
  const t = useText()
  const navigate = useNavigate()
  const search = route.useSearch()
  const session = useSession()
  const networks = useQuery(networksQuery)
  const subnets = useQuery(subnetsQuery)
  const [creating, setCreating] = useState(false)
  const [doomed, setDoomed] = useState<Network>()
  const { rows, page, pages } = pageOf(networks.data ?? [], search.page ?? 1)
  const create = roleCan.change(session) === undefined && <Button onClick={() => setCreating(true)}>{t.networks.create}</Button>
  return (
    <>
      <PageHeader title={t.networks.title}>{create}</PageHeader>
      <div className="wisp-card">
        {networks.isPending && <Waiting />}
        {networks.isError && <Problem error={networks.error} retry={() => void networks.refetch()} />}
        {networks.data?.length === 0 && (
          <Nothing title={t.networks.empty} line={t.networks.emptyLine} icon={NetworkIcon}>
            {create}
          </Nothing>
        )}
        {networks.data !== undefined && networks.data.length > 0 && (
          <>
            <List
              label={t.networks.title}
              rows={rows}
              idOf={({ id }) => id}
              nameOf={({ id, name }) => name || id}
              columns={[
                {
                  title: t.name,
                  main: true,
                  cell: ({ id, name }) => (
                    <Link to="/networks/$networkId" params={{ networkId: id }}>
                      {name || id}
                    </Link>
                  ),
                },
                { title: t.status, cell: ({ status }) => <PortStatus status={status} /> },
                {
                  title: t.networks.subnets,
                  cell: ({ id }) =>
                    subnets.data
                      ?.filter(({ network_id }) => network_id === id)
                      .map((subnet) => (
                        <div key={subnet.id}>
                          <code>{subnet.cidr}</code> <span className="wisp-subtle">{subnet.name}</span>
                        </div>
                      )),
                },
                { title: t.networks.shared, cell: ({ shared }) => (shared ? t.yes : t.no) },
                { title: t.networks.mtu, cell: ({ mtu }) => mtu ?? '—' },
              ]}
              actions={(network) => [
                {
                  title: t.delete,
                  danger: true,
                  no: networkCan.delete(network, undefined, session),
                  run: () => setDoomed(network),
                },
              ]}
            />
            <Pages page={page} pages={pages} open={(next) => void navigate({ to: '/networks', search: { page: next } })} />
          </>
        )}
      </div>
      {creating && <NetworkCreate close={() => setCreating(false)} />}
      {doomed !== undefined && (
        <Confirm
          title={t.networks.confirmDelete}
          line={t.networks.confirmDeleteLine}
          objects={[{ id: doomed.id, name: doomed.name || doomed.id }]}
          button={t.delete}
          what={t.networks.doing.delete}
          run={async () => {
            await deleteNetwork(doomed.id)
            for (const queryKey of [keys.networks, keys.subnets, keys.networkQuotas]) void queryClient.invalidateQueries({ queryKey })
          }}
          close={() => setDoomed(undefined)}
        />
      )}
    </>
  )
}
