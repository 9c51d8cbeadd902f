// A server's screen: noVNC on the controller's WebSocket, with its state, Ctrl+Alt+Del and full screen.
import RFB from '@novnc/novnc'
import { Button } from '@patternfly/react-core'
import { type ReactNode, useEffect, useRef, useState } from 'react'
import { useText } from '../i18n/index.ts'
import { StatusWord } from './pieces.tsx'

type State = 'connecting' | 'connected' | 'lost' | 'refused'

/** The WebSocket that belongs to a console address: the token is good on the origin that served the page. */
export function consoleSocket(token: string): string {
  const origin = location.origin.replace(/^http/, 'ws')
  return `${origin}/console/v1/vnc?token=${encodeURIComponent(token)}`
}

export function Screen({ token, renew, help, children }: { token: string; renew?: () => void; help?: string; children?: ReactNode }) {
  const t = useText()
  const place = useRef<HTMLDivElement>(null)
  const frame = useRef<HTMLDivElement>(null)
  const rfb = useRef<RFB>(undefined)
  const [state, setState] = useState<State>('connecting')
  useEffect(() => {
    let gone = false
    let connection: RFB | undefined
    setState('connecting')
    // The token is good for one connection, and React's development mode mounts twice: connect only when this mount has lasted.
    const timer = setTimeout(() => {
      if (place.current === null) return
      connection = new RFB(place.current, consoleSocket(token))
      rfb.current = connection
      connection.scaleViewport = true
      connection.background = '#05070f'
      let wasConnected = false
      connection.addEventListener('connect', () => {
        wasConnected = true
        setState('connected')
        connection?.focus()
      })
      connection.addEventListener('disconnect', () => {
        if (!gone) setState(wasConnected ? 'lost' : 'refused')
      })
    }, 0)
    return () => {
      gone = true
      clearTimeout(timer)
      connection?.disconnect()
      rfb.current = undefined
    }
  }, [token])
  useEffect(() => {
    // The guest gets every key, Tab too; this chord is the keyboard's way out of the screen.
    const leave = (event: KeyboardEvent) => {
      if (event.ctrlKey && event.altKey && event.shiftKey) rfb.current?.blur()
    }
    window.addEventListener('keydown', leave, true)
    return () => window.removeEventListener('keydown', leave, true)
  }, [])
  const tone = state === 'connected' ? 'good' : state === 'connecting' ? 'busy' : 'bad'
  const word = {
    connecting: t.console.connecting,
    connected: t.console.connected,
    lost: t.console.disconnected,
    refused: t.console.disconnected,
  }
  return (
    <div className="wisp-screen" ref={frame}>
      <div className="wisp-screen-bar">
        <StatusWord tone={tone}>
          <span role="status">{word[state]}</span>
        </StatusWord>
        <span className="wisp-header-space" />
        {children}
        <Button variant="secondary" size="sm" isDisabled={state !== 'connected'} onClick={() => rfb.current?.sendCtrlAltDel()}>
          {t.console.ctrlAltDel}
        </Button>
        <Button variant="secondary" size="sm" onClick={() => void frame.current?.requestFullscreen()}>
          {t.console.fullScreen}
        </Button>
      </div>
      {(state === 'lost' || state === 'refused') && (
        <div className="wisp-screen-lost" role="alert">
          <p>{state === 'lost' ? t.console.lost : t.console.refused}</p>
          {renew === undefined ? <p className="wisp-subtle">{t.console.newUrl}</p> : <Button onClick={renew}>{t.console.again}</Button>}
        </div>
      )}
      <section ref={place} className="wisp-screen-place" aria-label={t.console.label} />
      {help !== undefined && <p className="wisp-subtle wisp-screen-help">{help}</p>}
    </div>
  )
}
