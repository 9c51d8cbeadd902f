// What to do next with a server on its host: the heart of ./server.ts, without hands.
import { type DomainRef, PausedReason, ShutoffReason } from '../../agent/libvirt.ts'
import type { ServerDocument } from '../../wire/documents.ts'
import type { Done } from './disks.ts'

export type Power = 'running' | 'paused' | 'off' | 'saved'

export interface Seen {
  /** Null when libvirt does not know the domain. */
  domain: DomainRef | null
  power: Power
  /** libvirt's ShutoffReason when off, PausedReason when paused. */
  reason: number
}

export type Step =
  | 'start'
  | 'power off'
  | 'shut down'
  | 'restart'
  | 'pause'
  | 'resume'
  | 'resume halted'
  | 'save'
  | 'leave off'
  | 'crashed'
  | 'nothing'

/** What to do next, from the document, what is seen and what this host has already done for the server. Pure. */
export function nextStep(
  want: Pick<ServerDocument, 'power' | 'starts' | 'reboots' | 'reboot_type'>,
  seen: Pick<Seen, 'power' | 'reason'>,
  done: Done,
): Step {
  const on = seen.power === 'running' || seen.power === 'paused'
  if (want.power === 'stopped') return on ? 'shut down' : seen.power === 'saved' ? 'power off' : 'nothing'
  if (want.power === 'suspended') return on ? 'save' : seen.power === 'saved' ? 'nothing' : 'start'
  if (on && done.reboots < want.reboots) return want.reboot_type === 'HARD' || seen.power === 'paused' ? 'restart' : 'shut down'
  if (!on) {
    const ordered = done.starts < want.starts || done.reboots < want.reboots || seen.power === 'saved'
    if (!ordered && (seen.reason === ShutoffReason.SHUTDOWN || seen.reason === ShutoffReason.DESTROYED)) return 'leave off'
    if (!ordered && seen.reason === ShutoffReason.CRASHED) return 'crashed'
    return 'start'
  }
  if (want.power === 'paused') return seen.power === 'paused' ? 'nothing' : 'pause'
  if (seen.power === 'paused') return seen.reason === PausedReason.IO_ERROR ? 'resume halted' : 'resume'
  return 'nothing'
}
