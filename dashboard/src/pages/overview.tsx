// The first page: what the project uses of its quotas, its latest servers, and for those who have none, the way to the first one.
import { Button } from '@patternfly/react-core'
import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { roleCan } from '../api/can.ts'
import { imagesQuery, keyPairsQuery, limitsQuery, networkQuotasQuery, serverListQuery } from '../api/queries.ts'
import { useSession } from '../api/session.ts'
import { useText } from '../i18n/index.ts'
import { mebibytes } from '../ui/format.ts'
import { Copyable, PageHeader, Panel, QuotaBar, ServerStatus, StatusWord, Waiting, When } from '../ui/pieces.tsx'
import { Problem } from '../ui/problem.tsx'

const plain = (count: number) => String(count)

function Quotas() {
  const t = useText()
  const { project } = useSession()
  const limits = useQuery(limitsQuery)
  const network = useQuery(networkQuotasQuery(project.id))
  const rows: [string, string][] = [
    ['network', t.overview.networks],
    ['subnet', t.overview.subnets],
    ['port', t.overview.ports],
    ['security_group', t.overview.securityGroups],
    ['security_group_rule', t.overview.securityGroupRules],
    ['router', t.overview.routers],
    ['floatingip', t.overview.floatingIps],
  ]
  return (
    <Panel title={t.overview.quotas} wide>
      <div className="wisp-quotas">
        {limits.isPending && <Waiting />}
        {limits.isError && <Problem error={limits.error} retry={() => void limits.refetch()} />}
        {limits.isSuccess && (
          <>
            <QuotaBar name={t.overview.servers} used={limits.data.totalInstancesUsed} limit={limits.data.maxTotalInstances} show={plain} />
            <QuotaBar name={t.overview.vcpus} used={limits.data.totalCoresUsed} limit={limits.data.maxTotalCores} show={plain} />
            <QuotaBar name={t.overview.memory} used={limits.data.totalRAMUsed} limit={limits.data.maxTotalRAMSize} show={mebibytes} />
          </>
        )}
        {network.isError && <Problem error={network.error} retry={() => void network.refetch()} />}
        {rows.map(([key, name]) => {
          const quota = network.data?.[key]
          return quota === undefined ? null : <QuotaBar key={key} name={name} used={quota.used} limit={quota.limit} show={plain} />
        })}
      </div>
    </Panel>
  )
}

function Step({ done, title, line, children }: { done: boolean; title: string; line: string; children: ReactNode }) {
  const t = useText()
  return (
    <li className={done ? 'wisp-step wisp-step-done' : 'wisp-step'}>
      <div>
        <h3>
          {title} {done && <StatusWord tone="good">{t.overview.done}</StatusWord>}
        </h3>
        <p className="wisp-subtle">{line}</p>
      </div>
      {children}
    </li>
  )
}

function GettingStarted() {
  const t = useText()
  const navigate = useNavigate()
  const keyPairs = useQuery(keyPairsQuery)
  const images = useQuery(imagesQuery)
  return (
    <Panel title={t.overview.started} wide>
      <p className="wisp-subtle">{t.overview.startedLine}</p>
      <ol className="wisp-steps">
        <Step done={(keyPairs.data?.length ?? 0) > 0} title={t.overview.step1} line={t.overview.step1Line}>
          <Link to="/key-pairs">{t.nav.keyPairs}</Link>
        </Step>
        <Step done={images.data?.some(({ status }) => status === 'active') ?? false} title={t.overview.step2} line={t.overview.step2Line}>
          <Link to="/images">{t.nav.images}</Link>
        </Step>
        <Step done={false} title={t.overview.step3} line={t.overview.step3Line}>
          <Button onClick={() => void navigate({ to: '/servers/launch' })}>{t.servers.launch}</Button>
        </Step>
      </ol>
      <p className="wisp-subtle wisp-command-line">{t.overview.commandLine}</p>
      <Copyable value="openstack server create --image wisp-guest --flavor m1.nano --network private --wait one" />
    </Panel>
  )
}

function LatestServers() {
  const t = useText()
  const mayLaunch = roleCan.change(useSession()) === undefined
  const latest = useQuery(serverListQuery({ sort: 'created', dir: 'desc', limit: 6 }))
  if (latest.isPending) return <Waiting />
  if (latest.isError) return <Problem error={latest.error} retry={() => void latest.refetch()} />
  if (latest.data.servers.length === 0 && mayLaunch) return <GettingStarted />
  return (
    <Panel title={t.overview.running} wide actions={<Link to="/servers">{t.overview.allServers}</Link>}>
      {latest.data.servers.length === 0 && <p className="wisp-subtle">{t.servers.empty}</p>}
      <ul className="wisp-rows">
        {latest.data.servers.map((server) => (
          <li key={server.id}>
            <Link to="/servers/$serverId" params={{ serverId: server.id }} className="wisp-row-name">
              {server.name}
            </Link>
            <ServerStatus server={server} />
            <span className="wisp-subtle wisp-row-address">
              {Object.values(server.addresses)
                .flat()
                .map(({ addr }) => addr)
                .join(', ')}
            </span>
            <span className="wisp-subtle">
              <When time={server.created} />
            </span>
          </li>
        ))}
      </ul>
    </Panel>
  )
}

export function OverviewPage() {
  const t = useText()
  const navigate = useNavigate()
  const session = useSession()
  const mayLaunch = roleCan.change(session) === undefined
  return (
    <>
      <PageHeader title={t.overview.title} line={session.project.name}>
        {mayLaunch && <Button onClick={() => void navigate({ to: '/servers/launch' })}>{t.servers.launch}</Button>}
      </PageHeader>
      <div className="wisp-panels">
        <LatestServers />
        <Quotas />
      </div>
    </>
  )
}
