// The frame of a console, be it a screen or a serial line: how its connection is, what can be done with it, and how to get it back.
import { Button } from '@patternfly/react-core'
import { type ReactNode, type RefObject, useEffect, useRef } from 'react'
import { useText } from '../i18n/index.ts'
import { StatusWord } from './pieces.tsx'

export type ConsoleState = 'connecting' | 'connected' | 'lost' | 'refused'

/** The WebSocket that belongs to a console address: the token is good on the origin that served the page. */
export function consoleSocket(protocol: 'vnc' | 'serial', token: string): string {
  const origin = location.origin.replace(/^http/, 'ws')
  return `${origin}/console/v1/${protocol}?token=${encodeURIComponent(token)}`
}

/** The guest gets every key, Tab too; Ctrl+Alt+Shift is the keyboard's way out of a console. */
export function useWayOut(blur: () => void): void {
  const latest = useRef(blur)
  latest.current = blur
  useEffect(() => {
    const leave = (event: KeyboardEvent) => {
      if (event.ctrlKey && event.altKey && event.shiftKey) latest.current()
    }
    window.addEventListener('keydown', leave, true)
    return () => window.removeEventListener('keydown', leave, true)
  }, [])
}

/** What both kinds of consoles are given. */
export type ConsoleProps = { token: string; renew?: () => void; help?: string; children?: ReactNode }

type ConsoleFrameProps = {
  state: ConsoleState
  place: RefObject<HTMLDivElement | null>
  label: string
  /** Asks for a new address; without it the person is told how to. */
  renew?: (() => void) | undefined
  help?: string | undefined
  /** Buttons in its bar. */
  children?: ReactNode
  className?: string
}

export function ConsoleFrame({ state, place, label, renew, help, children, className }: ConsoleFrameProps) {
  const t = useText()
  const frame = useRef<HTMLDivElement>(null)
  const tone = state === 'connected' ? 'good' : state === 'connecting' ? 'busy' : 'bad'
  const word = state === 'connecting' || state === 'connected' ? t.console[state] : t.console.disconnected
  return (
    <div className="wisp-screen" ref={frame}>
      <div className="wisp-screen-bar">
        <StatusWord tone={tone}>
          <span role="status">{word}</span>
        </StatusWord>
        <span className="wisp-header-space" />
        {children}
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
      <section ref={place} className={`wisp-screen-place ${className ?? ''}`} aria-label={label} />
      {help !== undefined && <p className="wisp-subtle wisp-screen-help">{help}</p>}
    </div>
  )
}
