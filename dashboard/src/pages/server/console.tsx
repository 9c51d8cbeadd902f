// A console inside a server's page, its screen or its serial port: asks compute for a one-time address and connects with its token.
import { Button } from '@patternfly/react-core'
import { useMutation } from '@tanstack/react-query'
import { useEffect } from 'react'
import { serverCan } from '../../api/can.ts'
import { type ConsoleProtocol, createConsoleToken, type Server } from '../../api/compute.ts'
import { useSession } from '../../api/session.ts'
import { useText } from '../../i18n/index.ts'
import { ConsoleView } from '../../ui/console-view.tsx'
import { Nothing } from '../../ui/nothing.tsx'
import { Waiting } from '../../ui/pieces.tsx'
import { Problem } from '../../ui/problem.tsx'
import { toastProblem } from '../../ui/toasts.tsx'

export function ServerConsole({ server, protocol }: { server: Server; protocol: ConsoleProtocol }) {
  const t = useText()
  const no = serverCan.console(server, useSession())
  const ask = useMutation({ mutationFn: () => createConsoleToken(server.id, protocol) })
  const ownWindow = useMutation({
    mutationFn: () => createConsoleToken(server.id, protocol),
    onSuccess: (token) => {
      window.open(`/dashboard/console?${new URLSearchParams({ token, protocol, server: server.id })}`, '_blank', 'noopener')
    },
    onError: (error) => toastProblem(t.servers.doing.console, error),
  })
  const { mutate } = ask
  useEffect(() => {
    if (no === undefined) mutate()
  }, [no, mutate])
  if (no !== undefined) return <Nothing title={t.why[no]} />
  if (ask.isError) return <Problem error={ask.error} what={t.servers.doing.console} retry={() => mutate()} />
  if (ask.data === undefined) return <Waiting />
  return (
    <ConsoleView key={ask.data} protocol={protocol} token={ask.data} renew={() => mutate()}>
      <Button variant="secondary" size="sm" onClick={() => ownWindow.mutate()}>
        {t.console.ownWindow}
      </Button>
    </ConsoleView>
  )
}
