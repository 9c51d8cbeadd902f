// An upload while it goes on: its progress, a way to stop it, and when the connection breaks, a way to take it up again. The image's record
// stays while it is broken, so nothing that was filled in is lost.
import { Button, Progress } from '@patternfly/react-core'
import { useEffect, useRef, useState } from 'react'
import { ApiError } from '../api/http.ts'
import { afterCutOff, uploadImage } from '../api/image-data.ts'
import { useText } from '../i18n/index.ts'
import { bytes } from './format.ts'
import { Problem } from './problem.tsx'

export type Upload = {
  sent: number
  size: number
  /** Why it stands still, while it waits for someone to take it up again. */
  broken: ApiError | undefined
  again: () => void
  stop: () => void
  /** Resolves when everything is stored. Throws AbortError when it was stopped, ApiError when it was refused. */
  run: (imageId: string, file: Blob, store: string | undefined) => Promise<void>
}

const isBreak = (error: unknown): error is ApiError => error instanceof ApiError && [0, 502, 503, 504].includes(error.status)

export function useUpload(): Upload {
  const [sent, setSent] = useState(0)
  const [size, setSize] = useState(0)
  const [broken, setBroken] = useState<ApiError>()
  const wake = useRef<() => void>(undefined)
  const abort = useRef<AbortController>(undefined)

  /** Until someone asks for another try, or the browser says that it is connected again. */
  const asked = (signal: AbortSignal) =>
    new Promise<void>((resolve) => {
      wake.current = resolve
      window.addEventListener('online', () => resolve(), { once: true, signal })
      signal.addEventListener('abort', () => resolve(), { once: true })
    })

  const run = async (imageId: string, file: Blob, store: string | undefined): Promise<void> => {
    const stop = new AbortController()
    abort.current = stop
    setSize(file.size)
    for (let first = true; ; first = false) {
      try {
        if (!first && (await afterCutOff(imageId, stop.signal)) === 'done') return
        setSent(0)
        return await uploadImage(imageId, file, store, setSent, stop.signal)
      } catch (error) {
        if (stop.signal.aborted || !isBreak(error)) throw error
        setBroken(error)
        await asked(stop.signal)
        setBroken(undefined)
        stop.signal.throwIfAborted()
      }
    }
  }
  return { sent, size, broken, again: () => wake.current?.(), stop: () => abort.current?.abort(), run }
}

export function UploadProgress({ upload, stop }: { upload: Upload; stop: () => void }) {
  const t = useText()
  const { sent, size, broken, again } = upload
  useEffect(() => {
    // Leaving the page ends the upload; the browser asks first.
    const ask = (event: BeforeUnloadEvent) => event.preventDefault()
    window.addEventListener('beforeunload', ask)
    return () => window.removeEventListener('beforeunload', ask)
  }, [])
  return (
    <div className="wisp-column">
      {broken !== undefined && <Problem error={broken} what={t.images.doing.upload} />}
      <div className="wisp-inline wisp-upload">
        <Progress
          value={size === 0 ? 100 : Math.floor((sent / size) * 100)}
          title={sent >= size ? t.images.checking : t.images.uploading(bytes(sent), bytes(size))}
          variant={broken === undefined ? undefined : 'danger'}
          aria-label={t.images.upload}
        />
        {broken !== undefined && <Button onClick={again}>{t.images.uploadAgain}</Button>}
        <Button variant="secondary" onClick={stop}>
          {t.images.stopUpload}
        </Button>
      </div>
    </div>
  )
}
