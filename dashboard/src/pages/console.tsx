// A console in a window of its own, as `openstack console url show` hands it out: the token in the address is all it needs.
import { getRouteApi } from '@tanstack/react-router'
import { useEffect } from 'react'
import { useText } from '../i18n/index.ts'
import { Brand } from '../ui/brand.tsx'
import { ConsoleView } from '../ui/console-view.tsx'
import { Nothing } from '../ui/nothing.tsx'

const route = getRouteApi('/console')

export function ConsolePage() {
  const t = useText()
  const { token, server, protocol = 'vnc' } = route.useSearch()
  const title = protocol === 'serial' ? t.server.serial : t.server.console
  useEffect(() => {
    document.title = `${title}${server === undefined ? '' : ` ${server}`} · Wisp`
  }, [title, server])
  if (token === undefined) return <Nothing title={t.console.noToken} line={t.console.newUrl} />
  return (
    <div className="wisp-console-window">
      <ConsoleView protocol={protocol} token={token}>
        <span className="wisp-console-brand">
          <Brand />
          {server !== undefined && <code>{server}</code>}
        </span>
      </ConsoleView>
    </div>
  )
}
