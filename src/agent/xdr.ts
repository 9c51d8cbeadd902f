// XDR (RFC 4506), the encoding of libvirt's protocol, as small two-way types that compose: one description gives the
// packer, the unpacker and the TypeScript type, so the three cannot drift apart.

/** A growing buffer to pack into. */
export interface Writer {
  buffer: Buffer
  length: number
}

/** A cursor over received bytes; every read is checked against the end. */
export interface Reader {
  buffer: Buffer
  offset: number
}

export interface Xdr<T> {
  pack(writer: Writer, value: T): void
  unpack(reader: Reader): T
}

export type XdrValue<X> = X extends Xdr<infer T> ? T : never

export class XdrError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'XdrError'
  }
}

export function newWriter(size = 256): Writer {
  return { buffer: Buffer.alloc(size), length: 0 }
}

export function newReader(buffer: Buffer): Reader {
  return { buffer, offset: 0 }
}

export function written(writer: Writer): Buffer {
  return writer.buffer.subarray(0, writer.length)
}

/** Makes room for `size` more zeroed bytes and returns where they begin. */
function grow(writer: Writer, size: number): number {
  const start = writer.length
  const needed = start + size
  if (needed > writer.buffer.length) {
    const larger = Buffer.alloc(Math.max(needed, writer.buffer.length * 2))
    writer.buffer.copy(larger, 0, 0, start)
    writer.buffer = larger
  }
  writer.length = needed
  return start
}

function take(reader: Reader, size: number): number {
  const start = reader.offset
  if (size > reader.buffer.length - start) {
    throw new XdrError(`Wanted ${size} bytes at ${start}, but the message ends at ${reader.buffer.length}`)
  }
  reader.offset = start + size
  return start
}

const padded = (size: number) => size + ((4 - (size % 4)) % 4)

function whole(value: number, min: number, max: number): number {
  if (!Number.isInteger(value) || value < min || value > max) throw new XdrError(`${value} is not a whole number from ${min} to ${max}`)
  return value
}

export const int: Xdr<number> = {
  pack: (w, value) => {
    whole(value, -(2 ** 31), 2 ** 31 - 1)
    const at = grow(w, 4)
    w.buffer.writeInt32BE(value, at)
  },
  unpack: (r) => r.buffer.readInt32BE(take(r, 4)),
}

export const uint: Xdr<number> = {
  pack: (w, value) => {
    whole(value, 0, 2 ** 32 - 1)
    const at = grow(w, 4)
    w.buffer.writeUInt32BE(value, at)
  },
  unpack: (r) => r.buffer.readUInt32BE(take(r, 4)),
}

/** 64 bits as a number: exact up to 2^53, which bytes and counters stay below; larger ones ("unlimited") are rounded. */
export const hyper: Xdr<number> = {
  pack: (w, value) => {
    whole(value, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
    const at = grow(w, 8)
    w.buffer.writeBigInt64BE(BigInt(value), at)
  },
  unpack: (r) => Number(r.buffer.readBigInt64BE(take(r, 8))),
}

/** As hyper, without sign. */
export const uhyper: Xdr<number> = {
  pack: (w, value) => {
    whole(value, 0, Number.MAX_SAFE_INTEGER)
    const at = grow(w, 8)
    w.buffer.writeBigUInt64BE(BigInt(value), at)
  },
  unpack: (r) => Number(r.buffer.readBigUInt64BE(take(r, 8))),
}

export const double: Xdr<number> = {
  pack: (w, value) => {
    const at = grow(w, 8)
    w.buffer.writeDoubleBE(value, at)
  },
  unpack: (r) => r.buffer.readDoubleBE(take(r, 8)),
}

export const bool: Xdr<boolean> = {
  pack: (w, value) => int.pack(w, value ? 1 : 0),
  unpack: (r) => int.unpack(r) !== 0,
}

export const nothing: Xdr<void> = { pack: () => {}, unpack: () => {} }

export const opaque: Xdr<Buffer> = {
  pack: (w, value) => {
    uint.pack(w, value.length)
    const at = grow(w, padded(value.length))
    value.copy(w.buffer, at)
  },
  unpack: (r) => {
    const size = uint.unpack(r)
    const at = take(r, padded(size))
    return Buffer.from(r.buffer.subarray(at, at + size))
  },
}

export const string: Xdr<string> = {
  pack: (w, value) => opaque.pack(w, Buffer.from(value, 'utf8')),
  unpack: (r) => opaque.unpack(r).toString('utf8'),
}

/** `char name[size]`: each character is packed as an int of four bytes; the text ends at the first zero. */
export function charArray(size: number): Xdr<string> {
  return {
    pack: (w, value) => {
      const bytes = Buffer.from(value, 'latin1')
      if (bytes.length > size) throw new XdrError(`'${value}' is longer than ${size} characters`)
      for (let i = 0; i < size; i++) int.pack(w, bytes[i] ?? 0)
    },
    unpack: (r) => {
      const bytes = Array.from({ length: size }, () => int.unpack(r) & 0xff)
      const end = bytes.indexOf(0)
      return Buffer.from(end === -1 ? bytes : bytes.slice(0, end)).toString('latin1')
    },
  }
}

/** 16 bytes, written the way people write a UUID. */
export const uuid: Xdr<string> = {
  pack: (w, value) => {
    const hex = value.replaceAll('-', '')
    if (!/^[0-9a-fA-F]{32}$/.test(hex)) throw new XdrError(`'${value}' is not a UUID`)
    const at = grow(w, 16)
    w.buffer.write(hex, at, 'hex')
  },
  unpack: (r) => {
    const at = take(r, 16)
    return r.buffer.toString('hex', at, at + 16).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  },
}

export function optional<T>(type: Xdr<T>): Xdr<T | null | undefined> {
  return {
    pack: (w, value) => {
      uint.pack(w, value == null ? 0 : 1)
      if (value != null) type.pack(w, value)
    },
    unpack: (r) => (uint.unpack(r) === 0 ? null : type.unpack(r)),
  }
}

export function array<T>(type: Xdr<T>): Xdr<T[]> {
  return {
    pack: (w, values) => {
      uint.pack(w, values.length)
      for (const value of values) type.pack(w, value)
    },
    unpack: (r) => {
      const length = uint.unpack(r)
      // Every element takes at least four bytes, so a length that the message cannot hold is refused before looping.
      if (length * 4 > r.buffer.length - r.offset) throw new XdrError(`An array of ${length} does not fit into the message`)
      return Array.from({ length }, () => type.unpack(r))
    },
  }
}

/** What packs as `fallback` when left out. */
export function withDefault<T>(type: Xdr<T>, fallback: T): Xdr<T | undefined> {
  return { pack: (w, value) => type.pack(w, value ?? fallback), unpack: (r) => type.unpack(r) }
}

/** A field that may be undefined may also be left out. */
export type Struct<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: T[K]
}

/** Fields in the order in which they are written down. */
export function struct<T extends object>(fields: { [K in keyof T]: Xdr<T[K]> }): Xdr<Struct<T>> {
  const entries = Object.entries(fields) as [string, Xdr<unknown>][]
  return {
    pack: (w, value) => {
      const named = value as Record<string, unknown>
      for (const [name, type] of entries) {
        try {
          type.pack(w, named[name])
        } catch (error) {
          throw error instanceof XdrError ? new XdrError(`${name}: ${error.message}`) : error
        }
      }
    },
    unpack: (r) => Object.fromEntries(entries.map(([name, type]) => [name, type.unpack(r)])) as Struct<T>,
  }
}
