// An upload from its first byte to the image that can be used, however often it is cut off between: what has arrived stays with the cloud,
// and each try begins where the last one ended. Someone who comes back with a file is asked by its hash whether it is the same one.
import { sha256 } from '@noble/hashes/sha2.js'
import { ApiError } from './http.ts'
import { getImage } from './image.ts'
import { getStaged, Interrupted, importStaged, sendFrom, whenImported } from './image-data.ts'

/** The file is not the one of which a part has arrived. */
export class OtherFile extends Error {}

export type Step = 'comparing' | 'sending' | 'checking'

export type UploadOptions = {
  imageId: string
  file: Blob
  store?: string | undefined
  /** Begin at the first byte, whatever has arrived. */
  anew?: boolean
  /** The file is known to be the one that the cloud has a part of. */
  known?: boolean
  signal: AbortSignal
  /** Bytes so far: compared, or arrived. */
  report: (step: Step, bytes: number) => void
  /** Waits for the next try after a cut-off; rejects to end the upload. */
  broken: (error: Interrupted, tries: number) => Promise<void>
}

/** Resolves when the image can be used. @throws OtherFile; AbortError; ApiError for what is refused */
export async function upload({ imageId, file, store, anew = false, known = false, signal, report, broken }: UploadOptions): Promise<void> {
  let same = known
  let again = anew
  const finish = () => {
    report('checking', file.size)
    return whenImported(imageId, signal)
  }
  for (let tries = 0; ; ) {
    let from = 0
    try {
      const staged = again ? undefined : await getStaged(imageId, !same, signal)
      if (staged === undefined && !again && (await isPast(imageId, signal))) return await finish()
      if (staged !== undefined && !same && !(await isSame(file, staged, signal, report))) throw new OtherFile()
      same = true
      if (staged?.complete !== true) {
        from = staged?.size ?? 0
        again = false
        report('sending', from)
        await sendFrom(imageId, file, from, (there) => report('sending', there), signal)
      }
      await importStaged(imageId, store)
      return await finish()
    } catch (error) {
      if (signal.aborted || !isPassing(error)) throw error
      // A connection that carried something was a good one: the patience begins anew.
      const now = await getStaged(imageId, false, signal).catch(() => undefined)
      tries = now !== undefined && now.size > from ? 1 : tries + 1
      await broken(error instanceof Interrupted ? error : new Interrupted('image', error.status, error.message, error.requestId), tries)
      signal.throwIfAborted()
    }
  }
}

const isPassing = (error: unknown): error is ApiError =>
  error instanceof Interrupted || (error instanceof ApiError && [0, 502, 503, 504].includes(error.status))

/** Nothing waits in the staging area: is that so because everything is on its way, or stored, already? */
async function isPast(id: string, signal: AbortSignal): Promise<boolean> {
  return ['importing', 'active'].includes((await getImage(id, signal)).status)
}

/** Bytes that are read and hashed at once, between which the page may breathe. */
const stride = 4 * 1024 ** 2

/** Does the file begin with what has arrived, and is it as long as was announced? */
async function isSame(
  file: Blob,
  { size, total, sha256: theirs }: { size: number; total: number | null; sha256?: string },
  signal: AbortSignal,
  report: UploadOptions['report'],
): Promise<boolean> {
  if (total !== null && total !== file.size) return false
  const ours = sha256.create()
  for (let at = 0; at < size; at += stride) {
    report('comparing', at)
    ours.update(new Uint8Array(await file.slice(at, Math.min(at + stride, size)).arrayBuffer()))
    signal.throwIfAborted()
  }
  return [...ours.digest()].map((byte) => byte.toString(16).padStart(2, '0')).join('') === theirs
}
