// The consoles inside a server's page, the screen or the serial line: asks compute for a one-time address and connects with its token.
import { Button, ToggleGroup, ToggleGroupItem } from '@patternfly/react-core'
import { useMutation } from '@tanstack/react-query'
import { lazy, Suspense, useEffect, useState } from 'react'
import { serverCan } from '../../api/can.ts'
import { type ConsoleKind, createRemoteConsole, type Server } from '../../api/compute.ts'
import { useText } from '../../i18n/index.ts'
import { Nothing } from '../../ui/nothing.tsx'
import { Waiting } from '../../ui/pieces.tsx'
import { Problem } from '../../ui/problem.tsx'

const Screen = lazy(async () => ({ default: (await import('../../ui/screen.tsx')).Screen }))
const SerialLine = lazy(async () => ({ default: (await import('../../ui/serial-line.tsx')).SerialLine }))
const kinds: ConsoleKind[] = ['vnc', 'serial']

export function ServerConsole({ server }: { server: Server }) {
  const t = useText()
  const no = serverCan.console(server)
  const [kind, setKind] = useState<ConsoleKind>('vnc')
  const ask = useMutation({ mutationFn: (asked: ConsoleKind) => createRemoteConsole(server.id, asked) })
  const ownWindow = useMutation({
    mutationFn: () => createRemoteConsole(server.id, kind),
    onSuccess: (url) => void window.open(url, '_blank', 'noopener'),
  })
  const { mutate } = ask
  useEffect(() => {
    if (no === undefined) mutate(kind)
  }, [no, kind, mutate])
  if (no !== undefined) return <Nothing title={t.why[no]} />
  if (ask.isError) return <Problem error={ask.error} what={t.servers.console} retry={() => mutate(kind)} />
  const token = ask.data === undefined ? '' : (new URL(ask.data, location.href).searchParams.get('token') ?? '')
  const Console = kind === 'vnc' ? Screen : SerialLine
  return (
    <>
      <ToggleGroup aria-label={t.console.kind} className="wisp-gap-below">
        {kinds.map((each) => (
          <ToggleGroupItem
            key={each}
            buttonId={`console-${each}`}
            text={t.console.kinds[each]}
            isSelected={kind === each}
            onChange={() => setKind(each)}
          />
        ))}
      </ToggleGroup>
      {token === '' || ask.isPending || ask.variables !== kind ? (
        <Waiting />
      ) : (
        <Suspense fallback={<Waiting />}>
          <Console key={token} token={token} renew={() => mutate(kind)} help={t.console.keyboard[kind]}>
            <Button variant="secondary" size="sm" onClick={() => ownWindow.mutate()}>
              {t.console.ownWindow}
            </Button>
          </Console>
        </Suspense>
      )}
    </>
  )
}
