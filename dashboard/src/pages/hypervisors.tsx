// The machines that carry the servers, for administrators: which are up, and how full they are.
import ServerIcon from '@patternfly/react-icons/dist/esm/icons/server-icon'
import { useQuery } from '@tanstack/react-query'
import type { Hypervisor } from '../api/compute.ts'
import { hypervisorsQuery } from '../api/queries.ts'
import { isAdmin, useSession } from '../api/session.ts'
import { useText } from '../i18n/index.ts'
import { gibibytes, mebibytes } from '../ui/format.ts'
import { List } from '../ui/list.tsx'
import { Nothing } from '../ui/nothing.tsx'
import { PageHeader, QuotaBar, StatusWord, Waiting } from '../ui/pieces.tsx'
import { Problem } from '../ui/problem.tsx'

function State({ of }: { of: Hypervisor }) {
  const t = useText()
  if (of.state !== 'up') return <StatusWord tone="bad">{t.hypervisors.down}</StatusWord>
  if (of.status === 'enabled') return <StatusWord tone="good">{t.hypervisors.up}</StatusWord>
  const reason = of.service?.disabled_reason
  return <StatusWord tone="warn">{typeof reason === 'string' ? `${t.hypervisors.disabled}: ${reason}` : t.hypervisors.disabled}</StatusWord>
}

function Use({ name, used, all, show }: { name: string; used: number | undefined; all: number | undefined; show: (n: number) => string }) {
  if (used === undefined || all === undefined) return <>—</>
  return <QuotaBar name={name} used={used} limit={all} show={show} />
}

export function HypervisorsPage() {
  const t = useText()
  const session = useSession()
  const hypervisors = useQuery({ ...hypervisorsQuery, enabled: isAdmin(session) })
  if (!isAdmin(session)) return <Nothing title={t.hypervisors.adminOnly} />
  return (
    <>
      <PageHeader title={t.hypervisors.title} />
      <div className="wisp-card">
        {hypervisors.isPending && <Waiting />}
        {hypervisors.isError && <Problem error={hypervisors.error} retry={() => void hypervisors.refetch()} />}
        {hypervisors.data?.length === 0 && <Nothing title={t.hypervisors.empty} line={t.hypervisors.emptyLine} icon={ServerIcon} />}
        {hypervisors.data !== undefined && hypervisors.data.length > 0 && (
          <List
            label={t.hypervisors.title}
            rows={hypervisors.data}
            idOf={({ id }) => String(id)}
            nameOf={({ hypervisor_hostname }) => hypervisor_hostname}
            columns={[
              {
                title: t.hypervisors.host,
                main: true,
                cell: ({ hypervisor_hostname, host_ip }) => (
                  <>
                    {hypervisor_hostname} <div className="wisp-subtle">{host_ip}</div>
                  </>
                ),
              },
              { title: t.hypervisors.state, cell: (host) => <State of={host} /> },
              { title: t.hypervisors.type, cell: ({ hypervisor_type }) => hypervisor_type },
              { title: t.hypervisors.servers, cell: ({ running_vms }) => running_vms ?? '—' },
              {
                title: t.hypervisors.vcpus,
                cell: ({ vcpus, vcpus_used }) => <Use name={t.hypervisors.vcpus} used={vcpus_used} all={vcpus} show={String} />,
              },
              {
                title: t.hypervisors.memory,
                cell: ({ memory_mb, memory_mb_used }) => (
                  <Use name={t.hypervisors.memory} used={memory_mb_used} all={memory_mb} show={mebibytes} />
                ),
              },
              {
                title: t.hypervisors.disk,
                cell: ({ local_gb, local_gb_used }) => (
                  <Use name={t.hypervisors.disk} used={local_gb_used} all={local_gb} show={gibibytes} />
                ),
              },
            ]}
          />
        )}
      </div>
    </>
  )
}
