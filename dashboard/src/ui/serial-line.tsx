// A server's serial console: a terminal on the controller's WebSocket. Unlike the screen it can be copied from, and works without graphics.
import '@xterm/xterm/css/xterm.css'
import { Terminal } from '@xterm/xterm'
import { useEffect, useRef, useState } from 'react'
import { useText } from '../i18n/index.ts'
import { ConsoleFrame, type ConsoleProps, type ConsoleState, consoleSocket, useWayOut } from './console-frame.tsx'

/** What a serial line's other end takes for granted. */
const size = { cols: 80, rows: 24 }

export function SerialLine({ token, renew, help, children }: ConsoleProps) {
  const t = useText()
  const place = useRef<HTMLDivElement>(null)
  const terminal = useRef<Terminal>(undefined)
  const [state, setState] = useState<ConsoleState>('connecting')
  useEffect(() => {
    let socket: WebSocket | undefined
    let shown: Terminal | undefined
    setState('connecting')
    // As with the screen: the token is good for one connection only.
    const timer = setTimeout(() => {
      if (place.current === null) return
      shown = new Terminal({ ...size, cursorBlink: true, scrollback: 5_000, screenReaderMode: true, theme: { background: '#05070f' } })
      terminal.current = shown
      shown.open(place.current)
      const line = new WebSocket(consoleSocket('serial', token), ['binary'])
      socket = line
      line.binaryType = 'arraybuffer'
      let wasConnected = false
      line.onopen = () => {
        wasConnected = true
        setState('connected')
        shown?.focus()
        // The line is silent until someone speaks: a new line brings up the prompt.
        line.send(new TextEncoder().encode('\r'))
      }
      line.onmessage = ({ data }: MessageEvent<ArrayBuffer>) => shown?.write(new Uint8Array(data))
      line.onclose = () => setState(wasConnected ? 'lost' : 'refused')
      shown.onData((typed) => {
        if (line.readyState === WebSocket.OPEN) line.send(new TextEncoder().encode(typed))
      })
    }, 0)
    return () => {
      clearTimeout(timer)
      if (socket !== undefined) socket.onclose = null
      socket?.close()
      shown?.dispose()
      terminal.current = undefined
    }
  }, [token])
  useWayOut(() => terminal.current?.blur())
  return (
    <ConsoleFrame state={state} place={place} label={t.console.serialLabel} renew={renew} help={help} className="wisp-serial">
      {children}
    </ConsoleFrame>
  )
}
