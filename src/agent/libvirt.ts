// The client of libvirtd that the rest of Wisp uses: every call of libvirt-protocol.ts as a typed function, events, and a
// connection that comes back by itself. libvirtd may restart at any time; domains run on, and so do we.
import { setTimeout as sleep } from 'node:timers/promises'
import { type CallOptions, type Connection, LibvirtConnectionLost, LibvirtError, openConnection } from './libvirt-connection.ts'
import { ErrorCode } from './libvirt-constants.ts'
import {
  type Args,
  type DomainRef,
  type EventMessage,
  type EventName,
  events,
  type ProcedureName,
  procedures,
  type Reply,
} from './libvirt-protocol.ts'
import type { Reader, Xdr } from './xdr.ts'

export { type CallOptions, LibvirtConnectionLost, LibvirtError } from './libvirt-connection.ts'
export * from './libvirt-constants.ts'
export { type DomainRef, plainParams, type SecretRef, type TypedParam } from './libvirt-protocol.ts'

export interface LibvirtOptions {
  /** Default `/run/libvirt/libvirt-sock`. */
  socket?: string
  /** Default `qemu:///system`. */
  uri?: string
  /** Milliseconds of silence before a ping; the connection counts as lost after five unanswered. Default 5,000. */
  keepAliveMs?: number
  /** Aborting ends the client, as close() does. */
  signal?: AbortSignal
}

type OwnCalls = 'authList' | 'connectOpen' | 'connectClose' | 'connectDomainEventCallbackRegisterAny'

/** Every procedure by its name: takes its named arguments, resolves with its reply, rejects with LibvirtError. */
export type LibvirtCalls = {
  [N in Exclude<ProcedureName, OwnCalls>]: (args: Args<N>, options?: CallOptions) => Promise<Reply<N>>
}

/** `connected` comes after every (re)connection: events were missed in between, so look at everything again. */
export type LibvirtEvents = { [N in EventName]: EventMessage<N> } & { connected: undefined; disconnected: LibvirtConnectionLost }

export interface Libvirt extends LibvirtCalls {
  readonly socket: string
  isConnected(): boolean
  /** Calls `handler` on each such event until the returned function is called. */
  on<N extends keyof LibvirtEvents>(event: N, handler: (message: LibvirtEvents[N]) => void): () => void
  /** The domains whose state fits the flags (ListDomains; 0 = all). */
  listDomains(flags?: number): Promise<DomainRef[]>
  /** The domain with this UUID, or undefined. */
  findDomain(uuid: string): Promise<DomainRef | undefined>
  /** Total, free, buffers and cached memory of the machine, in KiB. */
  nodeMemory(): Promise<Record<string, number>>
  close(): Promise<void>
}

/** Whether an error is libvirt's answer with one of these codes (ErrorCode). */
export function isLibvirtError(error: unknown, ...codes: number[]): error is LibvirtError {
  return error instanceof LibvirtError && codes.includes(error.code)
}

const RETRY_FIRST_MS = 100
const RETRY_MOST_MS = 5_000

/**
 * Connects to libvirtd. Rejects with LibvirtConnectionLost if the first attempt fails; after that the client reconnects
 * by itself, with growing pauses of up to 5 s. While there is no connection every call is rejected at once.
 */
export async function connectLibvirt(options: LibvirtOptions = {}): Promise<Libvirt> {
  const { socket = '/run/libvirt/libvirt-sock', uri = 'qemu:///system', keepAliveMs = 5_000 } = options
  const handlers = new Map<string, Set<(message: unknown) => void>>()
  const eventByProcedure = new Map(
    Object.entries(events).map(([name, event]) => [event.number, { name, message: event.message as Xdr<unknown> }]),
  )
  const ended = new AbortController()
  let connection: Connection | undefined
  let lastError: LibvirtConnectionLost | undefined

  function emit<N extends keyof LibvirtEvents>(name: N, message: LibvirtEvents[N]) {
    // Not within the socket's reading: a handler that throws is its owner's bug and must not look like a broken message.
    for (const handler of handlers.get(name) ?? []) queueMicrotask(() => handler(message))
  }

  async function attempt(): Promise<void> {
    let lost = false
    const fresh = await openConnection(
      {
        socket,
        keepAliveMs,
        onEvent(procedure: number, reader: Reader) {
          const event = eventByProcedure.get(procedure)
          if (event) emit(event.name as EventName, event.message.unpack(reader) as never)
        },
        onLost(error) {
          lost = true
          if (connection !== fresh) return
          connection = undefined
          lastError = error
          emit('disconnected', error)
          if (!ended.signal.aborted) void reconnect()
        },
      },
      ended.signal,
    )
    try {
      const kinds = await fresh.call('authList', procedures.authList, {})
      if (!kinds.includes(0)) {
        throw new LibvirtConnectionLost(socket, 'it wants a login; run Wisp as root, or set auth_unix_rw = "none" in libvirtd.conf')
      }
      await fresh.call('connectOpen', procedures.connectOpen, { name: uri })
      const register = procedures.connectDomainEventCallbackRegisterAny
      await Promise.all(Object.values(events).map((event) => fresh.call('registerEvent', register, { eventId: event.id })))
    } catch (error) {
      fresh.destroy('it could not be set up')
      throw error
    }
    if (lost) throw new LibvirtConnectionLost(socket, 'it was lost while it was set up')
    connection = fresh
    lastError = undefined
    emit('connected', undefined)
  }

  async function reconnect(): Promise<void> {
    for (let pause = RETRY_FIRST_MS; !ended.signal.aborted; pause = Math.min(pause * 2, RETRY_MOST_MS)) {
      try {
        await sleep(pause, undefined, { signal: ended.signal })
        await attempt()
        return
      } catch (error) {
        if (error instanceof LibvirtConnectionLost) lastError = error
      }
    }
  }

  async function call<N extends ProcedureName>(name: N, args: Args<N>, callOptions?: CallOptions): Promise<Reply<N>> {
    if (!connection) throw lastError ?? new LibvirtConnectionLost(socket, 'the client was closed')
    return connection.call(name, procedures[name] as { number: number; args: Xdr<Args<N>>; reply: Xdr<Reply<N>> }, args, callOptions)
  }

  async function close(): Promise<void> {
    if (ended.signal.aborted) return
    const last = connection
    ended.abort()
    await last?.call('connectClose', procedures.connectClose, {}, { timeoutMs: 1_000 }).catch(() => {})
    last?.destroy('the client was closed')
  }

  const calls = Object.fromEntries(
    (Object.keys(procedures) as ProcedureName[]).map((name) => [
      name,
      (args: never, callOptions?: CallOptions) => call(name, args, callOptions),
    ]),
  ) as unknown as LibvirtCalls

  options.signal?.throwIfAborted()
  options.signal?.addEventListener('abort', () => void close(), { once: true })
  await attempt()

  return {
    ...calls,
    socket,
    isConnected: () => connection !== undefined,
    on(event, handler) {
      const set = handlers.get(event) ?? new Set()
      handlers.set(event, set)
      set.add(handler as (message: unknown) => void)
      return () => void set.delete(handler as (message: unknown) => void)
    },
    listDomains: async (flags = 0) => (await call('connectListAllDomains', { flags })).domains,
    async findDomain(uuid) {
      try {
        return await call('domainLookupByUuid', { uuid })
      } catch (error) {
        if (isLibvirtError(error, ErrorCode.NO_DOMAIN)) return undefined
        throw error
      }
    },
    async nodeMemory() {
      const { count } = await call('nodeGetMemoryStats', { count: 0, cell: -1 })
      const { params } = await call('nodeGetMemoryStats', { count, cell: -1 })
      return Object.fromEntries(params.map((param) => [param.field, param.value]))
    },
    close,
  }
}
