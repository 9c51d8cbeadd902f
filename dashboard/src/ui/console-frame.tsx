// What stands around every console, a screen or a serial port: the state of its connection, full screen, and the way back when it is lost.
import { Button } from '@patternfly/react-core'
import { type ReactNode, useEffect, useRef } from 'react'
import { useText } from '../i18n/index.ts'
import { StatusWord } from './pieces.tsx'

export type ConsoleState = 'connecting' | 'connected' | 'lost' | 'refused'

/** What a console is given: the token of its address, how to get a new one where that is possible, and what else its bar shows. */
export type ConsoleProps = { token: string; renew?: () => void; children?: ReactNode }

type FrameProps = Pick<ConsoleProps, 'renew' | 'children'> & {
  state: ConsoleState
  /** Why the connection ended, in the cloud's words, where it said so. */
  reason?: string | undefined
  help?: string
  /** Buttons of this kind of console. */
  buttons?: ReactNode
  /** Takes the keyboard away from the guest, which gets every key, Tab too. */
  leave: () => void
  place: ReactNode
}

/** The WebSocket that belongs to a console address: the token is good on the origin that served the page. */
export function consoleSocket(protocol: 'vnc' | 'serial', token: string): string {
  const origin = location.origin.replace(/^http/, 'ws')
  return `${origin}/console/v1/${protocol}?token=${encodeURIComponent(token)}`
}

export function ConsoleFrame({ state, reason, renew, help, buttons, leave, place, children }: FrameProps) {
  const t = useText()
  const frame = useRef<HTMLDivElement>(null)
  const leaving = useRef(leave)
  leaving.current = leave
  useEffect(() => {
    const heard = (event: KeyboardEvent) => {
      if (event.ctrlKey && event.altKey && event.shiftKey) leaving.current()
    }
    window.addEventListener('keydown', heard, true)
    return () => window.removeEventListener('keydown', heard, true)
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
        {buttons}
        <Button variant="secondary" size="sm" onClick={() => void frame.current?.requestFullscreen()}>
          {t.console.fullScreen}
        </Button>
      </div>
      {(state === 'lost' || state === 'refused') && (
        <div className="wisp-screen-lost" role="alert">
          <p>{state === 'lost' ? t.console.lost : t.console.refused}</p>
          {reason !== undefined && reason !== '' && <p className="wisp-subtle">{reason}</p>}
          {renew === undefined ? <p className="wisp-subtle">{t.console.newUrl}</p> : <Button onClick={renew}>{t.console.again}</Button>}
        </div>
      )}
      {place}
      {help !== undefined && <p className="wisp-subtle wisp-screen-help">{help}</p>}
    </div>
  )
}
