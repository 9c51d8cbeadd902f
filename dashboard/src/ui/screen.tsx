// A server's screen: noVNC on the controller's WebSocket.
import RFB from '@novnc/novnc'
import { Button } from '@patternfly/react-core'
import { useEffect, useRef, useState } from 'react'
import { useText } from '../i18n/index.ts'
import { ConsoleFrame, type ConsoleProps, type ConsoleState, consoleSocket } from './console-frame.tsx'

export function Screen({ token, renew, children }: ConsoleProps) {
  const t = useText()
  const place = useRef<HTMLDivElement>(null)
  const rfb = useRef<RFB>(undefined)
  const [state, setState] = useState<ConsoleState>('connecting')
  useEffect(() => {
    let gone = false
    let connection: RFB | undefined
    setState('connecting')
    // The token is good for one connection, and React's development mode mounts twice: connect only when this mount has lasted.
    const timer = setTimeout(() => {
      if (place.current === null) return
      connection = new RFB(place.current, consoleSocket('vnc', token))
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
  return (
    <ConsoleFrame
      state={state}
      {...(renew && { renew })}
      help={t.console.keyboard}
      leave={() => rfb.current?.blur()}
      buttons={
        <Button variant="secondary" size="sm" isDisabled={state !== 'connected'} onClick={() => rfb.current?.sendCtrlAltDel()}>
          {t.console.ctrlAltDel}
        </Button>
      }
      place={<section ref={place} className="wisp-screen-place" aria-label={t.console.label} />}
    >
      {children}
    </ConsoleFrame>
  )
}
