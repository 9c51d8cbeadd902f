// What a user may wish of a server, and when. A wish changes what is wanted; the ladder makes it true. Refusals are in Nova's words
// (nova/compute/api.py, check_instance_state), decided on the same row lock as the change.
import type { Tx } from '../../database/connect.ts'
import { conflict, overQuota } from '../../http/fault.ts'
import { poke } from '../../work/engine.ts'
import { beginActions } from './action.ts'
import { type Change, type Facts, type Server, save } from './facts.ts'
import { leave } from './server.ts'

interface Wish {
  /** The vm_states in which it makes sense. */
  from: string[]
  /** Recorded in os-instance-actions. */
  action: string
  change: (server: Server) => Change
  /** It may also be asked while another change is under way. */
  whileBusy?: (task: string) => boolean
}

const allowHardReboot = ['active', 'stopped', 'paused', 'suspended', 'error']

export const wishes = {
  stop: { from: ['active', 'error'], action: 'stop', change: () => ({ wanted: 'stopped', fault: null }) },
  start: { from: ['stopped'], action: 'start', change: ({ starts }) => ({ wanted: 'active', starts: starts + 1 }) },
  pause: { from: ['active'], action: 'pause', change: () => ({ wanted: 'paused' }) },
  unpause: { from: ['paused'], action: 'unpause', change: () => ({ wanted: 'active' }) },
  suspend: { from: ['active'], action: 'suspend', change: () => ({ wanted: 'suspended' }) },
  resume: { from: ['suspended'], action: 'resume', change: () => ({ wanted: 'active' }) },
  'soft reboot': { from: ['active'], action: 'reboot', change: ({ reboots }) => ({ reboots: reboots + 1, reboot_type: 'SOFT' }) },
  'hard reboot': {
    from: allowHardReboot,
    action: 'reboot',
    // Asked for when nothing else helps: so it may interrupt anything but itself and a deletion.
    whileBusy: (task) => ['rebooting', 'resuming', 'unpausing', 'pausing', 'suspending'].includes(task),
    change: ({ reboots, starts }) => ({ wanted: 'active', reboots: reboots + 1, reboot_type: 'HARD', starts: starts + 1, fault: null }),
  },
} satisfies Record<string, Wish>

export type WishName = keyof typeof wishes

export interface Asker {
  user_id: string
  request_id: string
  /** Administrators pass a lock. */
  admin: boolean
}

/** @throws Fault 409 when the server is locked, or in a state in which this makes no sense */
export async function wish(tx: Tx, facts: Facts, asker: Asker, name: WishName): Promise<Facts> {
  const { server } = facts
  const { from, action, change, whileBusy }: Wish = wishes[name]
  mustBeUnlocked(server, asker)
  const said = action === 'reboot' ? 'reboot' : name
  if (!from.includes(server.vm_state)) throw invalidState(said, server.id, 'vm_state', server.vm_state)
  if (server.task_state !== null && !whileBusy?.(server.task_state)) throw invalidState(said, server.id, 'task_state', server.task_state)
  if (server.host === null) throw conflict(`Instance ${server.id} is not ready`)
  const [wished] = await Promise.all([
    save(tx, facts, { ...change(server), generation: server.generation + 1 }),
    beginActions(tx, [server], asker.user_id, asker.request_id, action),
  ])
  await poke(tx, 'server', server.id)
  return wished
}

/** Wants the server gone. Wishing it again does nothing. Where no host carries it, it is gone at once, as in Nova. */
export async function remove(tx: Tx, facts: Facts, asker: Asker, action: 'delete' | 'forceDelete' = 'delete'): Promise<void> {
  mustBeUnlocked(facts.server, asker)
  if (facts.server.wanted === 'gone') return
  const [wished] = await Promise.all([
    save(tx, facts, { wanted: 'gone' }),
    beginActions(tx, [facts.server], asker.user_id, asker.request_id, action),
  ])
  if (wished.server.host === null) await leave(tx, wished)
  else await poke(tx, 'server', facts.server.id)
}

/** Changes what the guest or its host is told of the server without touching its power, such as its name or metadata. */
export async function change(tx: Tx, facts: Facts, asker: Asker, changed: Change, told = true): Promise<Facts> {
  mustBeUnlocked(facts.server, asker)
  if (facts.server.wanted === 'gone') throw invalidState('update', facts.server.id, 'task_state', 'deleting')
  const result = await save(tx, facts, { ...changed, ...(told && { generation: facts.server.generation + 1 }) })
  if (told) await poke(tx, 'server', facts.server.id)
  return result
}

/** An administrator's word on the state. 'active' forgets the fault: what is wanted is tried again, also a launch that found no host. */
export async function resetState(tx: Tx, facts: Facts, asker: Asker, state: 'active' | 'error'): Promise<void> {
  await beginActions(tx, [facts.server], asker.user_id, asker.request_id, 'resetState', true)
  const fault = { code: 500, message: 'The state was set to error by an administrator.', details: '', created: new Date().toISOString() }
  await save(tx, facts, state === 'active' ? { fault: null, tried: [] } : { fault })
  await poke(tx, 'server', facts.server.id)
}

export async function lock(tx: Tx, facts: Facts, asker: Asker, reason: string | null): Promise<void> {
  await beginActions(tx, [facts.server], asker.user_id, asker.request_id, 'lock', true)
  await save(tx, facts, { locked_by: asker.admin && asker.user_id !== facts.server.user_id ? 'admin' : 'owner', locked_reason: reason })
}

export async function unlock(tx: Tx, facts: Facts, asker: Asker): Promise<void> {
  await beginActions(tx, [facts.server], asker.user_id, asker.request_id, 'unlock', true)
  await save(tx, facts, { locked_by: null, locked_reason: null })
}

/** @throws Fault 403 when there are more items than the quota allows */
export function checkMetadata(metadata: Record<string, string>, most: number): void {
  if (most >= 0 && Object.keys(metadata).length > most) throw overQuota(`Maximum number of metadata items exceeds ${most}`)
}

export function mustBeUnlocked({ id, locked_by }: Server, { admin }: Asker): void {
  if (locked_by !== null && !admin) throw conflict(`Instance ${id} is locked`)
}

export const invalidState = (action: string, id: string, attribute: string, state: string) =>
  conflict(`Cannot '${action}' instance ${id} while it is in ${attribute} ${state}`)
