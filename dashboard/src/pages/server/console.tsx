// The VNC console inside a server's page: asks compute for a one-time address and connects with its token.
import { Button } from '@patternfly/react-core'
import { useMutation } from '@tanstack/react-query'
import { useEffect } from 'react'
import { serverCan } from '../../api/can.ts'
import { createRemoteConsole, type Server } from '../../api/compute.ts'
import { useText } from '../../i18n/index.ts'
import { Nothing } from '../../ui/nothing.tsx'
import { Waiting } from '../../ui/pieces.tsx'
import { Problem } from '../../ui/problem.tsx'
import { Screen } from '../../ui/screen.tsx'

export function ServerConsole({ server }: { server: Server }) {
  const t = useText()
  const no = serverCan.console(server)
  const ask = useMutation({ mutationFn: () => createRemoteConsole(server.id) })
  const ownWindow = useMutation({
    mutationFn: () => createRemoteConsole(server.id),
    onSuccess: (url) => void window.open(url, '_blank', 'noopener'),
  })
  const { mutate } = ask
  useEffect(() => {
    if (no === undefined) mutate()
  }, [no, mutate])
  if (no !== undefined) return <Nothing title={t.why[no]} />
  if (ask.isError) return <Problem error={ask.error} what={t.servers.console} retry={() => mutate()} />
  if (ask.data === undefined) return <Waiting />
  const token = new URL(ask.data, location.href).searchParams.get('token') ?? ''
  return (
    <Screen key={token} token={token} renew={() => mutate()} help={t.console.keyboard}>
      <Button variant="secondary" size="sm" onClick={() => ownWindow.mutate()}>
        {t.console.ownWindow}
      </Button>
    </Screen>
  )
}
