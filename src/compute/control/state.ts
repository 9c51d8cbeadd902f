// How vm_state, task_state, power_state and status follow from what is wanted of a server and what its host observed. Pure: the API and
// the ladder both store what `stateOf` says, so a client polling either side of a change sees the values that Nova would show.
import type { ServerObservation } from '../../wire/documents.ts'

export type Wanted = 'active' | 'stopped' | 'paused' | 'suspended' | 'gone'
export type Power = ServerObservation['power']

/** The newest report of the host that carries the server; `server` is missing while the host only says that it is working. */
export interface Observed {
  generation: number
  state: 'ready' | 'failed' | 'working'
  error?: { message: string; final: boolean; tries: number }
  server?: ServerObservation
}

export interface StateFacts {
  wanted: Wanted
  host: string | null
  /** The host has failed to make it, and it is on its way to another. */
  moving: boolean
  generation: number
  reboots: number
  reboot_type: string
  /** It has been ready once. */
  launched: boolean
  fault: boolean
  observed: Observed | null
  /** What was stored last: holds where the host's report says nothing about power. */
  vm_state: string
}

export interface State {
  vm_state: string
  task_state: string | null
  power_state: number
}

const vmStateOf: Record<Power, string> = {
  running: 'active',
  paused: 'paused',
  stopped: 'stopped',
  suspended: 'suspended',
  crashed: 'stopped',
}
// nova/compute/power_state.py. A domain saved to disk is shut down, as Nova's libvirt driver shows it.
const powerStateOf: Record<Power, number> = { running: 1, paused: 3, stopped: 4, suspended: 4, crashed: 6 }
const powerOfVmState: Partial<Record<string, Power>> = { active: 'running', paused: 'paused', stopped: 'stopped', suspended: 'suspended' }
const powerWanted: Record<Exclude<Wanted, 'gone'>, Power> = {
  active: 'running',
  stopped: 'stopped',
  paused: 'paused',
  suspended: 'suspended',
}

export function stateOf(facts: StateFacts): State {
  const power = powerOf(facts)
  return { vm_state: vmState(facts, power), task_state: taskState(facts, power), power_state: power ? powerStateOf[power] : 0 }
}

function powerOf({ observed, vm_state, launched }: StateFacts): Power | null {
  return observed?.server?.power ?? (launched ? (powerOfVmState[vm_state] ?? null) : null)
}

function vmState({ fault, launched, wanted }: StateFacts, power: Power | null): string {
  if (fault) return 'error'
  if (!launched) return 'building'
  if (power) return vmStateOf[power]
  return wanted === 'gone' ? 'active' : vmStateOf[powerWanted[wanted]]
}

function taskState(facts: StateFacts, power: Power | null): string | null {
  const { wanted, fault, launched, reboot_type } = facts
  if (wanted === 'gone') return 'deleting'
  if (fault) return null
  if (!launched) return launching(facts)
  if (rebootsBehind(facts)) return reboot_type === 'HARD' ? 'rebooting_hard' : 'rebooting'
  if (!power || power === powerWanted[wanted]) return null
  if (wanted === 'stopped') return power === 'crashed' ? null : 'powering-off'
  if (wanted === 'paused') return 'pausing'
  if (wanted === 'suspended') return 'suspending'
  return power === 'paused' ? 'unpausing' : power === 'suspended' ? 'resuming' : 'powering-on'
}

function launching({ host, moving, observed }: StateFacts): string {
  if (!host || moving) return 'scheduling'
  return observed ? 'spawning' : 'networking'
}

function rebootsBehind({ reboots, generation, observed }: StateFacts): boolean {
  if (observed?.server) return observed.server.reboots < reboots
  return reboots > 0 && observed !== null && observed.generation < generation
}

/** Whether the host has made true everything that is wanted. */
export function caughtUp(facts: StateFacts): boolean {
  const { observed, wanted, generation, reboots } = facts
  if (!observed?.server || observed.state !== 'ready' || observed.generation < generation || wanted === 'gone') return false
  const power = observed.server.power
  return observed.server.reboots >= reboots && (power === powerWanted[wanted] || (wanted === 'stopped' && power === 'crashed'))
}

/**
 * Whether the guest went down by itself, as by `poweroff` in it: then stopped is what is wanted from now on (Nova's power sync).
 * A report from before the newest order doesn't count, nor does a host that went down: what ran on it shall run again.
 */
export function wentDownByItself({ observed, wanted, generation }: StateFacts): boolean {
  if (!observed?.server || observed.generation < generation || wanted === 'gone' || wanted === 'stopped') return false
  const { power, reason } = observed.server
  return power === 'crashed' || (power === 'stopped' && reason === 'guest')
}

const statuses: Record<string, { default: string } & Record<string, string>> = {
  active: { default: 'ACTIVE', rebooting: 'REBOOT', rebooting_hard: 'HARD_REBOOT' },
  building: { default: 'BUILD' },
  stopped: { default: 'SHUTOFF' },
  paused: { default: 'PAUSED' },
  suspended: { default: 'SUSPENDED' },
  error: { default: 'ERROR' },
}

/** The status that clients see, as nova/api/openstack/common.py maps it. */
export const statusOf = ({ vm_state, task_state }: Pick<State, 'vm_state' | 'task_state'>): string =>
  statuses[vm_state]?.[task_state ?? 'default'] ?? statuses[vm_state]?.default ?? 'UNKNOWN'

/** The stored states behind a status, for filters. `task` null = any that no other status claims. Empty for a status that no server can have. */
export function statesBehind(status: string): { vm_state: string; task: string | null; except: string[] }[] {
  return Object.entries(statuses).flatMap(([vm_state, byTask]) =>
    Object.entries(byTask)
      .filter(([, name]) => name === status.toUpperCase())
      .map(([task]) => ({
        vm_state,
        task: task === 'default' ? null : task,
        except: task === 'default' ? Object.keys(byTask).filter((key) => key !== 'default') : [],
      })),
  )
}
