// Small pieces that many pages share: page header, facts, status, times, copyable values.
import { Button, Spinner, Tooltip } from '@patternfly/react-core'
import CheckIcon from '@patternfly/react-icons/dist/esm/icons/check-icon'
import CopyIcon from '@patternfly/react-icons/dist/esm/icons/copy-icon'
import { Link } from '@tanstack/react-router'
import { type ReactNode, useEffect, useState } from 'react'
import { isTransitional } from '../api/can.ts'
import type { Server } from '../api/compute.ts'
import { useLanguage, useText } from '../i18n/index.ts'
import { fromNow, parseTime } from './format.ts'

type HeaderProps = { title: ReactNode; line?: ReactNode; back?: { to: string; text: string }; beside?: ReactNode; children?: ReactNode }

/** A page's heading, with what can be done on its right; also names the browser's tab. */
export function PageHeader({ title, line, back, beside, children }: HeaderProps) {
  useEffect(() => {
    document.title = typeof title === 'string' ? `${title} · Wisp` : 'Wisp'
  }, [title])
  return (
    <header className="wisp-page-header">
      <div className="wisp-page-heading">
        {back !== undefined && (
          <Link to={back.to} className="wisp-back">
            ‹ {back.text}
          </Link>
        )}
        <div className="wisp-title-line">
          <h1>{title}</h1>
          {beside}
        </div>
        {line !== undefined && <p className="wisp-subtle">{line}</p>}
      </div>
      {children !== undefined && <div className="wisp-page-actions">{children}</div>}
    </header>
  )
}

export type Tone = 'good' | 'bad' | 'idle' | 'busy' | 'warn'

/** A coloured dot with its word; the dot breathes while the state is passing. */
export function StatusWord({ tone, children }: { tone: Tone; children: ReactNode }) {
  return (
    <span className={`wisp-status wisp-status-${tone}`}>
      <span className="wisp-dot" aria-hidden="true" />
      <span>{children}</span>
    </span>
  )
}

export function ServerStatus({ server }: { server: Server }) {
  const t = useText()
  const task = server['OS-EXT-STS:task_state']
  const tones: Record<string, Tone> = {
    ACTIVE: 'good',
    ERROR: 'bad',
    SHUTOFF: 'idle',
    PAUSED: 'warn',
    SUSPENDED: 'warn',
    VERIFY_RESIZE: 'warn',
  }
  const tone = isTransitional(server) ? 'busy' : (tones[server.status] ?? 'idle')
  return (
    <StatusWord tone={tone}>
      {t.serverStatus[server.status] ?? server.status}
      {task !== null && <span className="wisp-subtle"> · {t.task[task] ?? task}</span>}
    </StatusWord>
  )
}

export function ImageStatus({ status }: { status: string }) {
  const t = useText()
  const tones: Record<string, Tone> = { active: 'good', killed: 'bad', deactivated: 'warn', queued: 'idle' }
  return <StatusWord tone={tones[status] ?? 'busy'}>{t.imageStatus[status] ?? status}</StatusWord>
}

export function PortStatus({ status }: { status: string }) {
  const t = useText()
  const tones: Record<string, Tone> = { ACTIVE: 'good', ERROR: 'bad', DOWN: 'idle', BUILD: 'busy' }
  return <StatusWord tone={tones[status] ?? 'idle'}>{t.portStatus[status] ?? status}</StatusWord>
}

/**
 * How long ago, with the exact time on hover; counts on by itself. What has happened is at most "now", though the clocks differ; `coming` is for
 * what may be still to come.
 */
export function When({ time, coming = false }: { time: string | null | undefined; coming?: boolean }) {
  const { locale } = useLanguage()
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 15_000)
    return () => clearInterval(timer)
  }, [])
  if (time === null || time === undefined) return <>—</>
  const at = parseTime(time)
  const present = Math.max(now, Date.now())
  return (
    <time dateTime={new Date(at).toISOString()} title={new Date(at).toLocaleString(locale)}>
      {fromNow(coming ? at : Math.min(at, present), present, locale)}
    </time>
  )
}

/** A value in a fixed-width face with a button that copies it. */
export function Copyable({ value, shown }: { value: string; shown?: string }) {
  const t = useText()
  return (
    <span className="wisp-copyable">
      <code>{shown ?? value}</code>
      <CopyButton value={value} label={`${t.copy}: ${shown ?? value}`} />
    </span>
  )
}

export function CopyButton({ value, label }: { value: string; label: string }) {
  const t = useText()
  const [done, setDone] = useState(false)
  useEffect(() => {
    if (!done) return
    const timer = setTimeout(() => setDone(false), 1_500)
    return () => clearTimeout(timer)
  }, [done])
  return (
    <Tooltip content={done ? t.copied : t.copy} aria="none">
      <Button
        variant="plain"
        size="sm"
        aria-label={done ? t.copied : label}
        icon={done ? <CheckIcon /> : <CopyIcon />}
        onClick={() => void copyText(value).then(() => setDone(true))}
      />
    </Tooltip>
  )
}

/** The clipboard API exists only on https and localhost; elsewhere the old way still works. */
async function copyText(value: string): Promise<void> {
  if (navigator.clipboard !== undefined) return navigator.clipboard.writeText(value)
  const area = document.createElement('textarea')
  area.value = value
  document.body.append(area)
  area.select()
  document.execCommand('copy')
  area.remove()
}

/** A card with a heading. */
export function Panel({ title, children, actions, wide }: { title?: ReactNode; children: ReactNode; actions?: ReactNode; wide?: boolean }) {
  return (
    <section className={wide === true ? 'wisp-panel wisp-panel-wide' : 'wisp-panel'}>
      {(title !== undefined || actions !== undefined) && (
        <div className="wisp-panel-head">
          <h2>{title}</h2>
          {actions}
        </div>
      )}
      {children}
    </section>
  )
}

/** Names and values, one under the other. */
export function Facts({ of }: { of: [string, ReactNode][] }) {
  return (
    <dl className="wisp-facts">
      {of.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value === null || value === undefined || value === '' ? '—' : value}</dd>
        </div>
      ))}
    </dl>
  )
}

/** A bar that says how much of a limit is used; -1 is "no limit". `added` shows what a launch would add. */
export function QuotaBar({
  name,
  used,
  limit,
  added = 0,
  show,
}: {
  name: string
  used: number
  limit: number
  added?: number
  show: (n: number) => string
}) {
  const t = useText()
  const unlimited = limit < 0
  const share = (count: number) => (unlimited || limit === 0 ? (count > 0 && limit === 0 ? 100 : 0) : Math.min(100, (count / limit) * 100))
  const over = !unlimited && used + added > limit
  const tone = over ? 'over' : share(used + added) >= 90 ? 'high' : 'fine'
  const text = t.overview.of(show(used + added), unlimited ? t.overview.unlimited : show(limit))
  return (
    <div className="wisp-quota">
      <div className="wisp-quota-text">
        <span>{name}</span>
        <span className="wisp-subtle">{text}</span>
      </div>
      <div className={`wisp-quota-bar wisp-quota-${tone}`} aria-hidden="true">
        <span style={{ width: `${share(used)}%` }} />
        {added > 0 && <span className="wisp-quota-added" style={{ width: `${Math.min(share(added), 100 - share(used))}%` }} />}
      </div>
    </div>
  )
}

/** Stands where content will be. */
export function Waiting() {
  const t = useText()
  return (
    <div className="wisp-waiting">
      <Spinner size="lg" aria-label={t.loading} />
    </div>
  )
}
