// The console in a window of its own, as `openstack console url show` hands it out: the token in the address is all it needs.
import { getRouteApi } from '@tanstack/react-router'
import { useEffect } from 'react'
import { useText } from '../i18n/index.ts'
import { Brand } from '../ui/brand.tsx'
import { Nothing } from '../ui/nothing.tsx'
import { Screen } from '../ui/screen.tsx'

const route = getRouteApi('/console')

export function ConsolePage() {
  const t = useText()
  const { token, server } = route.useSearch()
  useEffect(() => {
    document.title = `${t.server.console}${server === undefined ? '' : ` ${server}`} · Wisp`
  }, [t, server])
  if (token === undefined) return <Nothing title={t.console.noToken} line={t.console.newUrl} />
  return (
    <div className="wisp-console-window">
      <Screen token={token}>
        <span className="wisp-console-brand">
          <Brand />
          {server !== undefined && <code>{server}</code>}
        </span>
      </Screen>
    </div>
  )
}
