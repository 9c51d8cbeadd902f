// What can be done to a server: its power, its lock, its state. Each is a wish that the ladder makes true; the answer 202 comes before it is.
import { type TSchema, Type as t } from 'typebox'
import { badRequest } from '../../http/fault.ts'
import { type Route, row, since } from '../../http/table.ts'
import { lock, resetState, unlock, type WishName, wish } from '../control/wish.ts'
import { askerOf, lockServer } from './target.ts'

export const action = <Name extends string>(name: Name, schema: TSchema = t.Unknown()) =>
  t.Object({ [name]: schema } as Record<Name, TSchema>, { additionalProperties: false })

const power = (name: string, policy: string, wished: WishName, summary: string) =>
  row({
    route: `POST /servers/:id/action#${name}` as Route,
    policy,
    target: 'loaded',
    body: action(name),
    reply: 202,
    summary,
    run: async (call) => {
      const facts = await lockServer(call, call.params.id!, policy)
      await wish(call.tx, facts, askerOf(call), wished)
    },
  })

const Reboot = t.Object(
  { reboot: t.Object({ type: t.String({ pattern: '^([Hh][Aa][Rr][Dd]|[Ss][Oo][Ff][Tt])$' }) }, { additionalProperties: false }) },
  { additionalProperties: false },
)
const Lock = t.Object(
  {
    lock: t.Union([
      t.Null(),
      t.Object({ locked_reason: t.Optional(since('2.73', t.String({ minLength: 1, maxLength: 255 }))) }, { additionalProperties: false }),
    ]),
  },
  { additionalProperties: false },
)
const ResetState = t.Object(
  { 'os-resetState': t.Object({ state: t.Union([t.Literal('active'), t.Literal('error')]) }, { additionalProperties: false }) },
  { additionalProperties: false },
)

export const serverActions = [
  power('os-start', 'os_compute_api:servers:start', 'start', 'Start a server'),
  power('os-stop', 'os_compute_api:servers:stop', 'stop', 'Stop a server'),
  power('pause', 'os_compute_api:os-pause-server:pause', 'pause', 'Pause a server'),
  power('unpause', 'os_compute_api:os-pause-server:unpause', 'unpause', 'Unpause a server'),
  power('suspend', 'os_compute_api:os-suspend-server:suspend', 'suspend', 'Suspend a server'),
  power('resume', 'os_compute_api:os-suspend-server:resume', 'resume', 'Resume a server'),
  row({
    route: 'POST /servers/:id/action#reboot',
    policy: 'os_compute_api:servers:reboot',
    target: 'loaded',
    body: Reboot,
    reply: 202,
    summary: 'Reboot a server',
    run: async (call) => {
      const facts = await lockServer(call, call.params.id, 'os_compute_api:servers:reboot')
      await wish(call.tx, facts, askerOf(call), call.body.reboot.type.toUpperCase() === 'HARD' ? 'hard reboot' : 'soft reboot')
    },
  }),
  row({
    route: 'POST /servers/:id/action#lock',
    policy: 'os_compute_api:os-lock-server:lock',
    target: 'loaded',
    body: Lock,
    reply: 202,
    summary: 'Lock a server',
    run: async (call) => {
      const facts = await lockServer(call, call.params.id, 'os_compute_api:os-lock-server:lock')
      await lock(call.tx, facts, askerOf(call), call.body.lock?.locked_reason ?? null)
    },
  }),
  row({
    route: 'POST /servers/:id/action#unlock',
    policy: 'os_compute_api:os-lock-server:unlock',
    target: 'loaded',
    body: action('unlock'),
    reply: 202,
    summary: 'Unlock a server',
    run: async (call) => {
      const facts = await lockServer(call, call.params.id, 'os_compute_api:os-lock-server:unlock')
      const { server } = facts
      if (server.locked_by === 'admin') call.must('os_compute_api:os-lock-server:unlock:unlock_override', { project_id: server.project_id })
      await unlock(call.tx, facts, askerOf(call))
    },
  }),
  row({
    route: 'POST /servers/:id/action#os-resetState',
    policy: 'os_compute_api:os-admin-actions:reset_state',
    target: 'loaded',
    body: ResetState,
    reply: 202,
    summary: 'Reset the state of a server',
    run: async (call) => {
      const facts = await lockServer(call, call.params.id, 'os_compute_api:os-admin-actions:reset_state')
      await resetState(call.tx, facts, askerOf(call), call.body['os-resetState'].state)
    },
  }),
  row({
    route: 'POST /servers/:id/action#resetNetwork',
    policy: 'os_compute_api:os-admin-actions:inject_network_info',
    target: 'loaded',
    body: action('resetNetwork'),
    reply: 202,
    summary: 'Reset networking on a server (XenServer only)',
    run: async (call) => {
      await lockServer(call, call.params.id, 'os_compute_api:os-admin-actions:inject_network_info')
      throw badRequest('Resetting the network is an action of XenServer, which has been removed.')
    },
  }),
]
