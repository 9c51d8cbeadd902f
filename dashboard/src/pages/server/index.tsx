// One server: its name, state and actions on top, and a tab for each way of looking at it. The tab is in the address.
import { Button, Tab, Tabs, TabTitleText } from '@patternfly/react-core'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { lazy, Suspense } from 'react'
import { serverCan } from '../../api/can.ts'
import type { Server } from '../../api/compute.ts'
import { serverQuery } from '../../api/queries.ts'
import { useText } from '../../i18n/index.ts'
import { type ServerTab, serverTabs } from '../../routes.tsx'
import { ActionMenu } from '../../ui/list.tsx'
import { PageHeader, ServerStatus, Waiting } from '../../ui/pieces.tsx'
import { Problem } from '../../ui/problem.tsx'
import { useServerActions, useServerVerbs } from '../../ui/server-actions.tsx'
import { ServerOverview } from './overview.tsx'

const route = getRouteApi('/inside/servers/$serverId')

const ServerLog = lazy(async () => ({ default: (await import('./log.tsx')).ServerLog }))
const ServerConsole = lazy(async () => ({ default: (await import('./console.tsx')).ServerConsole }))
const ServerTimeline = lazy(async () => ({ default: (await import('./timeline.tsx')).ServerTimeline }))
const ServerInterfaces = lazy(async () => ({ default: (await import('./interfaces.tsx')).ServerInterfaces }))

function TabContent({ tab, server }: { tab: ServerTab; server: Server }) {
  switch (tab) {
    case 'overview':
      return <ServerOverview server={server} />
    case 'log':
      return <ServerLog server={server} />
    case 'console':
      return <ServerConsole server={server} />
    case 'timeline':
      return <ServerTimeline server={server} />
    case 'interfaces':
      return <ServerInterfaces server={server} />
  }
}

export function ServerPage() {
  const t = useText()
  const navigate = useNavigate()
  const { serverId } = route.useParams()
  const { tab = 'overview' } = route.useSearch()
  const query = useQuery(serverQuery(serverId))
  const { ask, dialog } = useServerVerbs(() => void navigate({ to: '/servers' }))
  const actions = useServerActions(ask)
  const back = { to: '/servers', text: t.servers.title } as const
  if (query.data === undefined)
    return (
      <>
        <PageHeader title={t.servers.one} back={back} />
        {query.isError ? <Problem error={query.error} retry={() => void query.refetch()} /> : <Waiting />}
      </>
    )
  const server = query.data
  const open = (next: ServerTab) =>
    void navigate({ to: '/servers/$serverId', params: { serverId }, search: { tab: next === 'overview' ? undefined : next } })
  return (
    <>
      <PageHeader title={server.name} back={back} beside={<ServerStatus server={server} />}>
        {serverCan.start(server) === undefined && (
          <Button variant="secondary" onClick={() => ask('start', [server])}>
            {t.servers.start}
          </Button>
        )}
        {tab !== 'console' && serverCan.console(server) === undefined && (
          <Button variant="secondary" onClick={() => open('console')}>
            {t.server.console}
          </Button>
        )}
        <ActionMenu label={`${t.moreActions}: ${server.name}`} actions={actions(server)} />
      </PageHeader>
      {query.isError && <Problem error={query.error} retry={() => void query.refetch()} />}
      <Tabs activeKey={tab} onSelect={(_event, next) => open(next as ServerTab)} aria-label={server.name} className="wisp-tabs">
        {serverTabs.map((name) => (
          <Tab key={name} eventKey={name} title={<TabTitleText>{t.server[name]}</TabTitleText>} tabContentId={`tab-${name}`} />
        ))}
      </Tabs>
      <div role="tabpanel" id={`tab-${tab}`} aria-label={t.server[tab]} className="wisp-tab">
        <Suspense fallback={<Waiting />}>
          <TabContent tab={tab} server={server} />
        </Suspense>
      </div>
      {dialog}
    </>
  )
}
