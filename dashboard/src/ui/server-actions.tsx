// What can be done to one or several servers, with the questions asked before the harmful ones. Used by the list and by a server's own page.
import { useMutation } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { type ReactNode, useState } from 'react'
import { serverCan } from '../api/can.ts'
import { actOnServer, deleteServer, type Server, type ServerAction } from '../api/compute.ts'
import { keys } from '../api/keys.ts'
import { queryClient } from '../api/query-client.ts'
import { useSession } from '../api/session.ts'
import { useText } from '../i18n/index.ts'
import { Confirm } from './confirm.tsx'
import type { RowAction } from './list.tsx'
import { toastProblem } from './toasts.tsx'

export type Verb = ServerAction | 'delete'

async function perform(verb: Verb, servers: Server[]): Promise<void> {
  const outcomes = await Promise.allSettled(servers.map(({ id }) => (verb === 'delete' ? deleteServer(id) : actOnServer(id, verb))))
  void queryClient.invalidateQueries({ queryKey: ['server'] })
  void queryClient.invalidateQueries({ queryKey: keys.limits })
  const refused = outcomes.find((outcome) => outcome.status === 'rejected')
  if (refused !== undefined) throw refused.reason
}

/** `ask(verb, servers)` does it, after a question where one is due; `dialog` must be rendered by the caller. */
export function useServerVerbs(afterDelete?: () => void): { ask: (verb: Verb, servers: Server[]) => void; dialog: ReactNode } {
  const t = useText()
  const [asked, setAsked] = useState<{ verb: Verb; servers: Server[] }>()
  const direct = useMutation({
    mutationFn: ({ verb, servers }: { verb: Verb; servers: Server[] }) => perform(verb, servers),
    onError: (error, { verb }) => toastProblem(t.servers.doing[verb], error),
  })
  const ask = (verb: Verb, servers: Server[]) => {
    if (verb === 'start' || verb === 'soft-reboot') direct.mutate({ verb, servers })
    else setAsked({ verb, servers })
  }
  if (asked === undefined) return { ask, dialog: null }
  const { verb, servers } = asked
  const count = servers.length
  const words = {
    delete: [t.servers.confirmDelete(count), t.servers.confirmDeleteLine, t.delete],
    stop: [t.servers.confirmStop(count), t.servers.confirmStopLine, t.servers.stop],
    'hard-reboot': [t.servers.confirmHard(count), t.servers.confirmHardLine, t.servers.hardReboot],
  }[verb as 'delete' | 'stop' | 'hard-reboot']
  const dialog = (
    <Confirm
      title={words[0] ?? ''}
      line={words[1] ?? ''}
      button={words[2] ?? ''}
      objects={servers}
      what={t.servers.doing[verb]}
      danger={verb !== 'stop'}
      run={async () => {
        await perform(verb, servers)
        if (verb === 'delete') afterDelete?.()
      }}
      close={() => setAsked(undefined)}
    />
  )
  return { ask, dialog }
}

export function useServerActions(ask: (verb: Verb, servers: Server[]) => void): (server: Server) => RowAction[] {
  const t = useText()
  const session = useSession()
  const navigate = useNavigate()
  return (server) => [
    {
      title: t.servers.console,
      no: serverCan.console(server, session),
      run: () => void navigate({ to: '/servers/$serverId', params: { serverId: server.id }, search: { tab: 'console' } }),
    },
    { title: t.servers.start, no: serverCan.start(server, session), run: () => ask('start', [server]), separate: true },
    { title: t.servers.stop, no: serverCan.stop(server, session), run: () => ask('stop', [server]) },
    { title: t.servers.softReboot, no: serverCan['soft-reboot'](server, session), run: () => ask('soft-reboot', [server]) },
    { title: t.servers.hardReboot, no: serverCan['hard-reboot'](server, session), run: () => ask('hard-reboot', [server]) },
    { title: t.delete, no: serverCan.delete(server, session), run: () => ask('delete', [server]), danger: true, separate: true },
  ]
}
