// An upload while it goes on: how much is there, how fast and how long still; a way to pause it, and when the connection breaks, tries by
// itself and a way to try at once. Closing it keeps what has arrived: the image's page goes on from there.
import { Button, Progress } from '@patternfly/react-core'
import { useEffect, useRef, useState } from 'react'
import type { ApiError } from '../api/http.ts'
import { type Step, upload as uploadAll } from '../api/upload.ts'
import { useText } from '../i18n/index.ts'
import { bytes, duration } from './format.ts'
import { Problem } from './problem.tsx'

/** Why the signal of an upload was given. */
type End = 'paused' | 'closed' | 'discarded'

export type Upload = {
  step: Step
  /** Bytes of the present step that are done, and of the file. */
  done: number
  size: number
  /** Bytes per second, once it is known. */
  rate: number | undefined
  paused: boolean
  /** Why it stands still, and when it is tried again by itself. */
  broken: { error: ApiError; at: number } | undefined
  pause: () => void
  /** After a pause, or without waiting for the next try. */
  goOn: () => void
  /** Ends it; `run` resolves to what became of it. */
  end: (how: 'closed' | 'discarded') => void
  /** Resolves when the image can be used, or when it was ended. Throws ApiError when it was refused, OtherFile for another file than the first. */
  run: (imageId: string, file: Blob, store: string | undefined, anew?: boolean) => Promise<'done' | 'closed' | 'discarded'>
}

/** The rate is that of the last seconds, so that it follows a connection that gets better or worse. */
const window_ms = 6_000
/** Pauses between tries by itself, ms. */
const patience = [1_000, 2_000, 4_000, 8_000, 15_000]

export function useUpload(): Upload {
  const [progress, setProgress] = useState<{ step: Step; done: number; rate: number | undefined }>({
    step: 'sending',
    done: 0,
    rate: undefined,
  })
  const [size, setSize] = useState(0)
  const [paused, setPaused] = useState(false)
  const [broken, setBroken] = useState<Upload['broken']>()
  const wake = useRef<() => void>(undefined)
  const abort = useRef<AbortController>(undefined)

  /** Until someone asks for it, the browser is connected again, or `wait` is over. */
  const asked = (signal: AbortSignal, wait?: number) =>
    new Promise<void>((resolve) => {
      const timer = wait === undefined ? undefined : setTimeout(resolve, wait)
      wake.current = () => {
        clearTimeout(timer)
        resolve()
      }
      if (wait !== undefined) window.addEventListener('online', () => wake.current?.(), { once: true, signal })
      signal.addEventListener('abort', () => wake.current?.(), { once: true })
    })

  const run: Upload['run'] = async (imageId, file, store, anew = false) => {
    setSize(file.size)
    const ended = new AbortController()
    let known = false
    for (let again = anew; ; again = false) {
      const stop = new AbortController()
      abort.current = stop
      let samples: { at: number; bytes: number }[] = []
      try {
        await uploadAll({
          imageId,
          file,
          store,
          anew: again,
          known,
          signal: stop.signal,
          report: (step, done) => {
            known ||= step === 'sending'
            const now = performance.now()
            if (samples.length > 0 && done < (samples.at(-1)?.bytes ?? 0)) samples = []
            samples = [...samples.filter(({ at }) => now - at < window_ms), { at: now, bytes: done }]
            const first = samples[0]
            const span = first === undefined ? 0 : now - first.at
            setProgress({ step, done, rate: first !== undefined && span > 500 ? ((done - first.bytes) / span) * 1000 : undefined })
          },
          broken: async (error, tries) => {
            const wait = patience[Math.min(tries, patience.length) - 1] ?? 1_000
            setBroken({ error, at: Date.now() + wait })
            await asked(stop.signal, wait)
            setBroken(undefined)
            samples = []
          },
        })
        return 'done'
      } catch (error) {
        const how = stop.signal.aborted ? (stop.signal.reason as End) : undefined
        if (how === undefined) throw error
        if (how !== 'paused') return how
        setPaused(true)
        abort.current = ended
        await asked(ended.signal)
        setPaused(false)
        if (ended.signal.aborted) return ended.signal.reason as 'closed' | 'discarded'
      }
    }
  }
  return {
    ...progress,
    size,
    paused,
    broken,
    pause: () => abort.current?.abort('paused' satisfies End),
    goOn: () => wake.current?.(),
    end: (how) => abort.current?.abort(how satisfies End),
    run,
  }
}

/** Seconds until a moment, counting down. */
function useSecondsUntil(at: number): number {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 500)
    return () => clearInterval(timer)
  }, [])
  return Math.max(0, Math.ceil((at - now) / 1000))
}

function Broken({ error, at, now }: { error: ApiError; at: number; now: () => void }) {
  const t = useText()
  const seconds = useSecondsUntil(at)
  return (
    <Problem error={error} what={t.images.doing.upload}>
      <p>
        {t.images.triesAgain(seconds)}{' '}
        <Button variant="link" isInline onClick={now}>
          {t.images.uploadAgain}
        </Button>
      </p>
    </Problem>
  )
}

export function UploadProgress({ upload, discard }: { upload: Upload; discard?: () => void }) {
  const t = useText()
  const { step, done, size, rate, paused, broken, pause, goOn } = upload
  useEffect(() => {
    // Leaving the page interrupts the upload; the browser asks first.
    const ask = (event: BeforeUnloadEvent) => event.preventDefault()
    window.addEventListener('beforeunload', ask)
    return () => window.removeEventListener('beforeunload', ask)
  }, [])
  const arrived = step === 'checking' || done >= size
  const left = rate !== undefined && rate > 0 ? duration(((size - done) / rate) * 1000) : undefined
  const words = {
    comparing: t.images.comparing(bytes(done)),
    checking: t.images.checking,
    sending: [
      t.images.uploading(bytes(done), bytes(size)),
      ...(rate === undefined || paused || broken !== undefined ? [] : [`${bytes(Math.round(rate))}/s`]),
      ...(left === undefined || paused || broken !== undefined ? [] : [t.images.timeLeft(left)]),
    ].join(' · '),
  }
  return (
    <div className="wisp-column">
      {broken !== undefined && <Broken {...broken} now={goOn} />}
      <div className="wisp-upload">
        <Progress
          value={size === 0 || step === 'checking' ? 100 : Math.floor((done / size) * 100)}
          title={paused ? `${t.images.paused} · ${words.sending}` : words[step === 'sending' && arrived ? 'checking' : step]}
          variant={broken !== undefined ? 'danger' : paused ? 'warning' : undefined}
          aria-label={t.images.upload}
        />
        <div className="wisp-row">
          {paused ? (
            <Button onClick={goOn}>{t.images.goOn}</Button>
          ) : (
            <Button variant="secondary" isDisabled={arrived || broken !== undefined} onClick={pause}>
              {t.images.pause}
            </Button>
          )}
          {discard !== undefined && (
            <Button variant="link" isDanger onClick={discard}>
              {t.images.discardUpload}
            </Button>
          )}
        </div>
        <p className="wisp-subtle">{t.images.keptWhenClosed}</p>
      </div>
    </div>
  )
}
