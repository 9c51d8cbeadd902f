// One connection to libvirtd: frames in and out of its Unix socket, replies matched to calls by serial, keepalive.
// It lives until the socket closes or the daemon falls silent; staying connected is libvirt.ts's business.
import { connect, type Socket } from 'node:net'
import {
  HEADER_BYTES,
  header,
  KEEPALIVE_PING,
  KEEPALIVE_PONG,
  KEEPALIVE_PROGRAM,
  MESSAGE_MAX_BYTES,
  MessageStatus,
  MessageType,
  PROTOCOL_VERSION,
  REMOTE_PROGRAM,
  remoteError,
} from './libvirt-protocol.ts'
import { newReader, newWriter, type Reader, type Writer, written, type Xdr, type XdrValue } from './xdr.ts'

/** What libvirtd answered instead of a result. Compare `code` with ErrorCode; `domain` is the part of libvirt that says so. */
export class LibvirtError extends Error {
  readonly code: number
  readonly domain: number
  readonly procedure: string

  constructor(procedure: string, error: { code: number; domain: number; message?: string | null }) {
    super(error.message ?? `libvirt refused ${procedure} with code ${error.code}`)
    this.name = 'LibvirtError'
    this.code = error.code
    this.domain = error.domain
    this.procedure = procedure
  }
}

/** There is no libvirtd at the other end (any more). Whether an interrupted call took effect is unknown: look again. */
export class LibvirtConnectionLost extends Error {
  constructor(socket: string, why: string, cause?: unknown) {
    super(`No connection to libvirtd at ${socket}: ${why}`, { cause })
    this.name = 'LibvirtConnectionLost'
  }
}

export interface CallOptions {
  signal?: AbortSignal
  /** How long to wait for the answer; 0 = for ever (migration, managed save). The daemon may still complete the call. */
  timeoutMs?: number
}

export interface Connection {
  call<A, R>(name: string, procedure: { number: number; args: Xdr<A>; reply: Xdr<R> }, args: A, options?: CallOptions): Promise<R>
  /** Ends the connection; pending calls are rejected. */
  destroy(why: string): void
}

export interface ConnectionOptions {
  socket: string
  /** After this long without a word from the daemon it is pinged; after five unanswered pings it counts as gone. */
  keepAliveMs: number
  onEvent(procedure: number, reader: Reader): void
  onLost(error: LibvirtConnectionLost): void
}

interface Pending {
  resolve(reader: Reader): void
  reject(error: unknown): void
}

const UNANSWERED_PINGS = 5
/** libvirtd's default `max_client_requests`: with so many at work it reads nothing more from us, not even a ping. */
const DAEMON_READS_NO_FURTHER = 5

/** Dials the socket. Rejects with LibvirtConnectionLost if nobody listens there. */
export async function openConnection(options: ConnectionOptions, signal?: AbortSignal): Promise<Connection> {
  const socket = await dial(options.socket, signal)
  const pending = new Map<number, Pending>()
  let serial = 0
  let silentPings = 0
  let lost: LibvirtConnectionLost | undefined

  function lose(why: string, cause?: unknown) {
    if (lost) return
    lost = new LibvirtConnectionLost(options.socket, why, cause)
    clearInterval(keepAlive)
    socket.destroy()
    for (const call of pending.values()) call.reject(lost)
    pending.clear()
    options.onLost(lost)
  }

  function send(fields: Omit<XdrValue<typeof header>, 'length' | 'version'>, body?: (writer: Writer) => void) {
    const writer = newWriter()
    header.pack(writer, { length: 0, version: PROTOCOL_VERSION, ...fields })
    body?.(writer)
    if (writer.length > MESSAGE_MAX_BYTES) throw new Error(`A message of ${writer.length} bytes is too long for libvirt`)
    const message = written(writer)
    message.writeUInt32BE(writer.length, 0)
    socket.write(message)
  }

  function sendKeepAlive(procedure: number) {
    send({ program: KEEPALIVE_PROGRAM, procedure, type: MessageType.MESSAGE, serial: 0, status: MessageStatus.OK })
  }

  function receive(message: Buffer) {
    silentPings = 0
    const reader = newReader(message)
    const head = header.unpack(reader)
    if (head.program === KEEPALIVE_PROGRAM) {
      if (head.procedure === KEEPALIVE_PING) sendKeepAlive(KEEPALIVE_PONG)
    } else if (head.program === REMOTE_PROGRAM && head.type === MessageType.MESSAGE) {
      options.onEvent(head.procedure, reader)
    } else if (head.program === REMOTE_PROGRAM && head.type === MessageType.REPLY) {
      const call = pending.get(head.serial)
      pending.delete(head.serial)
      if (head.status === MessageStatus.OK) call?.resolve(reader)
      else call?.reject(remoteError.unpack(reader))
    }
  }

  const keepAlive = setInterval(() => {
    if (pending.size >= DAEMON_READS_NO_FURTHER) return
    if (silentPings >= UNANSWERED_PINGS) lose(`it answered none of ${silentPings} pings`)
    else {
      silentPings += 1
      sendKeepAlive(KEEPALIVE_PING)
    }
  }, options.keepAliveMs)
  keepAlive.unref()

  socket.on('error', (error) => lose(error.message, error))
  socket.on('close', () => lose('the connection was closed'))
  socket.on(
    'data',
    frames(
      (message) => {
        try {
          receive(message)
        } catch (error) {
          lose(`it sent what isn't libvirt's protocol: ${error instanceof Error ? error.message : error}`, error)
        }
      },
      (length) => lose(`it announced a message of ${length} bytes`),
    ),
  )

  async function call<A, R>(
    name: string,
    procedure: { number: number; args: Xdr<A>; reply: Xdr<R> },
    args: A,
    { signal, timeoutMs = 60_000 }: CallOptions = {},
  ): Promise<R> {
    if (lost) throw lost
    signal?.throwIfAborted()
    const mine = ++serial
    let timer: NodeJS.Timeout | undefined
    let onAbort: (() => void) | undefined
    try {
      const reader = await new Promise<Reader>((resolve, reject) => {
        send(
          { program: REMOTE_PROGRAM, procedure: procedure.number, type: MessageType.CALL, serial: mine, status: MessageStatus.OK },
          (writer) => procedure.args.pack(writer, args),
        )
        pending.set(mine, {
          resolve,
          reject: (error) => reject(error instanceof Error ? error : new LibvirtError(name, error as XdrValue<typeof remoteError>)),
        })
        onAbort = () => reject(signal?.reason)
        signal?.addEventListener('abort', onAbort, { once: true })
        if (timeoutMs > 0)
          timer = setTimeout(() => reject(new Error(`libvirtd has not answered ${name} within ${timeoutMs} ms`)), timeoutMs)
      })
      return procedure.reply.unpack(reader)
    } finally {
      clearTimeout(timer)
      if (onAbort) signal?.removeEventListener('abort', onAbort)
    }
  }

  return { call, destroy: (why) => lose(why) }
}

function dial(path: string, signal?: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const socket = connect({ path })
    const fail = (error: NodeJS.ErrnoException) => {
      const absent = error.code === 'ENOENT' || error.code === 'ECONNREFUSED'
      reject(new LibvirtConnectionLost(path, absent ? 'nobody listens there; is libvirtd running?' : error.message, error))
    }
    const abort = () => {
      socket.destroy()
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', abort, { once: true })
    socket.once('error', fail)
    socket.once('connect', () => {
      signal?.removeEventListener('abort', abort)
      socket.off('error', fail)
      resolve(socket)
    })
  })
}

/** Cuts a stream of bytes into messages by their length word, however the bytes are sliced on the way. */
export function frames(onMessage: (message: Buffer) => void, onBadLength: (length: number) => void): (chunk: Buffer) => void {
  let chunks: Buffer[] = []
  let size = 0
  let bad = false
  return (chunk) => {
    if (bad) return
    chunks.push(chunk)
    size += chunk.length
    // The length word may itself be cut; joining is worth it only when a whole message is there.
    while (size >= 4) {
      if (chunks[0]!.length < 4) chunks = [Buffer.concat(chunks)]
      const length = chunks[0]!.readUInt32BE(0)
      if (length < HEADER_BYTES || length > MESSAGE_MAX_BYTES) {
        bad = true
        chunks = []
        onBadLength(length)
        return
      }
      if (size < length) return
      const all = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
      const rest = all.subarray(length)
      chunks = rest.length > 0 ? [rest] : []
      size = rest.length
      onMessage(all.subarray(0, length))
    }
  }
}
