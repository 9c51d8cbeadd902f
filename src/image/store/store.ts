// What every kind of store can do; store.test.ts holds all kinds to it. Bits lie under a key, which the store makes the name of a file,
// an object or a volume; keys are used once and never again.
import type { Readable } from 'node:stream'
import { type Fault, tooLarge } from '../../http/fault.ts'

/** Bits on their way in, a mebibyte at a time. A block is only lent: once the next is asked for it may change. */
export type Blocks = AsyncGenerator<Buffer, void>

/** Bytes, both ends included. */
export interface Range {
  start: number
  end: number
}

export interface ImageStore {
  /** As the API names it. */
  id: string
  kind: 'file' | 's3' | 'http' | 'rbd'
  description: string
  /** Of several stores that have an image, the one with the largest weight is read. */
  weight: number
  /** What administrators are shown of its settings; no secrets. */
  properties: Record<string, unknown>
  /** Where the bits of this key are, as a URL. */
  url(key: string): string
  /** Takes all blocks, or throws and leaves nothing. The bits are safe when it resolves. @param expected how many bytes, where known */
  write(key: string, blocks: Blocks, expected?: number): Promise<void>
  /** Undefined where there are no such bits. */
  read(key: string, range?: Range): Promise<Readable | undefined>
  /** In bytes; undefined where there are no such bits. */
  size(key: string): Promise<number | undefined>
  /** Removes whatever there is under this key, also what was written in part. */
  remove(key: string): Promise<void>
  /** Whether something outside of Wisp depends on these bits, so that they cannot be removed; without it nothing ever does. */
  inUse?(key: string): Promise<boolean>
}

/** What a write throws for which there is no room; told to the client in Glance's words. */
export const storeFull = (id: string, cause: unknown): Fault =>
  tooLarge(
    `Image storage media is full: there is no room left in the image store ${id}. Delete images or make room, then upload it again, or name another store.`,
    { cause },
  )
