// A server's serial port: xterm on the controller's WebSocket. A serial line tells nobody how large the terminal is, so guests take it for
// one of 80 columns and 24 rows, and that is what it is here, in letters as large as fit.
import '@xterm/xterm/css/xterm.css'
import { Terminal } from '@xterm/xterm'
import { useEffect, useRef, useState } from 'react'
import { useText } from '../i18n/index.ts'
import { ConsoleFrame, type ConsoleProps, type ConsoleState, consoleSocket } from './console-frame.tsx'

const columns = 80
const rows = 24
const theme = { background: '#05070f', foreground: '#d7def5', cursor: '#5eead4', selectionBackground: '#3b4a7a' }

/** The largest letters (CSS px) with which the whole terminal fits into a place of this size; a letter of the font is 0.6 wide and 1.2 high. */
const fontFor = ({ width, height }: DOMRectReadOnly) =>
  Math.max(7, Math.min(26, Math.floor(Math.min((width - 32) / columns / 0.602, (height - 16) / rows / 1.2))))

export function SerialTerminal({ token, renew, children }: ConsoleProps) {
  const t = useText()
  const label = t.console.serialLabel
  const place = useRef<HTMLElement>(null)
  const inside = useRef<HTMLDivElement>(null)
  const terminal = useRef<Terminal>(undefined)
  const [{ state, reason }, setState] = useState<{ state: ConsoleState; reason?: string }>({ state: 'connecting' })
  useEffect(() => {
    Terminal.strings.promptLabel = label
  }, [label])
  useEffect(() => {
    let socket: WebSocket | undefined
    let gone = false
    setState({ state: 'connecting' })
    const screen = new Terminal({ cols: columns, rows, scrollback: 5000, cursorBlink: true, fontFamily: 'Red Hat Mono, monospace', theme })
    terminal.current = screen
    const resized = new ResizeObserver(([entry]) => {
      if (entry !== undefined) screen.options.fontSize = fontFor(entry.contentRect)
    })
    // The token is good for one connection, and React's development mode mounts twice: connect only when this mount has lasted.
    const timer = setTimeout(() => {
      if (inside.current === null || place.current === null) return
      screen.options.fontSize = fontFor(place.current.getBoundingClientRect())
      screen.open(inside.current)
      resized.observe(place.current)
      socket = new WebSocket(consoleSocket('serial', token), 'binary')
      socket.binaryType = 'arraybuffer'
      let wasConnected = false
      /** What was typed before there was a connection. */
      const early: Uint8Array<ArrayBuffer>[] = []
      socket.onopen = () => {
        wasConnected = true
        for (const bytes of early) socket?.send(bytes)
        setState({ state: 'connected' })
        screen.focus()
      }
      socket.onmessage = ({ data }) => screen.write(new Uint8Array(data as ArrayBuffer))
      socket.onclose = ({ reason }) => {
        if (!gone) setState({ state: wasConnected ? 'lost' : 'refused', reason })
      }
      const keys = new TextEncoder()
      const send = (bytes: Uint8Array<ArrayBuffer>) => {
        if (socket?.readyState === WebSocket.CONNECTING) early.push(bytes)
        else if (socket?.readyState === WebSocket.OPEN) socket.send(bytes)
      }
      screen.onData((text) => send(keys.encode(text)))
      screen.onBinary((text) => send(Uint8Array.from(text, (letter) => letter.charCodeAt(0))))
    }, 0)
    return () => {
      gone = true
      clearTimeout(timer)
      resized.disconnect()
      socket?.close()
      screen.dispose()
      terminal.current = undefined
    }
  }, [token])
  return (
    <ConsoleFrame
      state={state}
      reason={reason}
      {...(renew && { renew })}
      help={t.console.serialKeyboard}
      leave={() => terminal.current?.blur()}
      place={
        <section ref={place} className="wisp-screen-place wisp-terminal" aria-label={label}>
          <div ref={inside} />
        </section>
      }
    >
      {children}
    </ConsoleFrame>
  )
}
