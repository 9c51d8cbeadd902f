// What keeps the page current without a reload: one stream of server-sent events from the controller, each naming an object that changed. It is read
// with fetch because EventSource can't send a token. While there is no stream, queries poll instead; either way what is shown is what was read.
import { useSyncExternalStore } from 'react'
import { keys } from './keys.ts'
import { queryClient } from './query-client.ts'
import { currentSession } from './session.ts'

export type LiveStatus = 'connecting' | 'stream' | 'polling'
export type LiveEvent = { kind: 'server' | 'image' | 'network' | 'port' | 'volume'; id: string }

let status: LiveStatus = 'connecting'
const listeners = new Set<() => void>()

function become(next: LiveStatus): void {
  if (next === status) return
  status = next
  for (const listener of listeners) listener()
  // Changes may have been missed meanwhile, and each query has to decide anew how often it asks.
  if (next !== 'connecting') void queryClient.invalidateQueries()
}

export function useLive(): LiveStatus {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    () => status,
  )
}

/** How often a query asks again, in ms: hardly ever with a stream; without one, quickly while something is on its way to another state. */
export function pollInterval(transitional: boolean): number {
  if (status === 'stream') return 60_000
  return transitional ? 2_000 : 15_000
}

/** The query keys that an event makes stale. */
export function staleKeys(event: LiveEvent): readonly (readonly string[])[] {
  switch (event.kind) {
    case 'server':
      return [keys.serverLists, keys.server(event.id), keys.serverActions(event.id), keys.limits]
    case 'image':
      return [keys.images]
    case 'network':
      return [keys.networks, keys.subnets, keys.networkQuotas]
    case 'port':
      return [keys.ports, keys.networkQuotas]
    default:
      // Nothing shows volumes yet; and a newer controller may name kinds that this page doesn't know.
      return []
  }
}

/** Takes complete lines out of the stream; returns the events and the unfinished rest. Comments and unknown fields are skipped, as the format asks. */
export function parseEvents(buffer: string): { events: LiveEvent[]; rest: string } {
  const lines = buffer.split(/\r?\n/)
  const rest = lines.pop() ?? ''
  const events = lines
    .filter((line) => line.startsWith('data:'))
    .flatMap((line) => {
      try {
        return [JSON.parse(line.slice(5)) as LiveEvent]
      } catch {
        return []
      }
    })
  return { events, rest }
}

const waiting = new Map<string, readonly string[]>()

/** A hundred servers starting at once are one refetch of the list every quarter of a second, not a hundred. */
function invalidateSoon(event: LiveEvent): void {
  const timerRuns = waiting.size > 0
  for (const key of staleKeys(event)) waiting.set(key.join('/'), key)
  if (timerRuns) return
  setTimeout(() => {
    for (const queryKey of waiting.values()) void queryClient.invalidateQueries({ queryKey })
    waiting.clear()
  }, 250)
}

/** Follows the stream until the signal is aborted, reconnecting with growing pauses. */
export async function followEvents(signal: AbortSignal): Promise<void> {
  let pause = 1_000
  while (!signal.aborted) {
    try {
      const response = await fetch('/dashboard/events', {
        headers: { 'x-auth-token': currentSession()?.token ?? '', accept: 'text/event-stream' },
        signal,
        cache: 'no-store',
      })
      const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true
      if (!response.ok || !isStream || response.body === null) {
        await response.body?.cancel()
        pause = 30_000
      } else {
        become('stream')
        pause = 1_000
        let rest = ''
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
        for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
          const parsed = parseEvents(rest + chunk.value)
          rest = parsed.rest
          for (const event of parsed.events) invalidateSoon(event)
        }
      }
    } catch {
      // The connection broke or the page is going away; the loop's condition tells which.
    }
    if (signal.aborted) break
    become('polling')
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, pause)
      const stop = () => {
        clearTimeout(timer)
        resolve()
      }
      signal.addEventListener('abort', stop, { once: true })
    })
    pause = Math.min(pause * 2, 30_000)
  }
  become('connecting')
}
