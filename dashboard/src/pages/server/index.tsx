// One server: its name, state and actions on top, and a tab for each way of looking at it. The tab is in the address.
import { Button } from '@patternfly/react-core'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { lazy, Suspense } from 'react'
import { roleCan, serverCan } from '../../api/can.ts'
import type { Server } from '../../api/compute.ts'
import { serverQuery } from '../../api/queries.ts'
import { useSession } from '../../api/session.ts'
import { useText } from '../../i18n/index.ts'
import { type ServerTab, serverTabs } from '../../routes.tsx'
import { DetailPage, useLeave } from '../../ui/detail-page.tsx'
import { ActionMenu } from '../../ui/list.tsx'
import { ServerStatus, Waiting } from '../../ui/pieces.tsx'
import { useServerActions, useServerVerbs } from '../../ui/server-actions.tsx'
import { Tabbed } from '../../ui/tabbed.tsx'
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
      return <ServerConsole key="vnc" server={server} protocol="vnc" />
    case 'serial':
      return <ServerConsole key="serial" server={server} protocol="serial" />
    case 'timeline':
      return <ServerTimeline server={server} />
    case 'interfaces':
      return <ServerInterfaces server={server} />
  }
}

/** What readers of a project may not read: all of it can carry secrets. */
const ofMembers: ServerTab[] = ['log', 'console', 'serial']

export function ServerPage() {
  const t = useText()
  const session = useSession()
  const navigate = useNavigate()
  const { serverId } = route.useParams()
  const { tab = 'overview' } = route.useSearch()
  const query = useQuery(serverQuery(serverId))
  const { ask, dialog } = useServerVerbs(useLeave('/servers'))
  const actions = useServerActions(ask)
  const tabs = serverTabs.filter((name) => roleCan.change(session) === undefined || !ofMembers.includes(name))
  const shown = tabs.includes(tab) ? tab : 'overview'
  const open = (next: ServerTab) =>
    void navigate({ to: '/servers/$serverId', params: { serverId }, search: { tab: next === 'overview' ? undefined : next } })
  return (
    <DetailPage
      query={query}
      kind={t.servers.one}
      back={{ to: '/servers', text: t.servers.title }}
      head={(server) => ({
        title: server.name,
        beside: <ServerStatus server={server} />,
        actions: (
          <>
            {serverCan.start(server, session) === undefined && (
              <Button variant="secondary" onClick={() => ask('start', [server])}>
                {t.servers.start}
              </Button>
            )}
            {shown !== 'console' && serverCan.console(server, session) === undefined && (
              <Button variant="secondary" onClick={() => open('console')}>
                {t.server.console}
              </Button>
            )}
            <ActionMenu label={`${t.moreActions}: ${server.name}`} actions={actions(server)} />
          </>
        ),
      })}
    >
      {(server) => (
        <>
          <Tabbed label={server.name} tabs={tabs} words={t.server} shown={shown} open={open}>
            <Suspense fallback={<Waiting />}>
              <TabContent tab={shown} server={server} />
            </Suspense>
          </Tabbed>
          {dialog}
        </>
      )}
    </DetailPage>
  )
}
