// What Nova has and Wisp does not have yet, as one table: present, so that clients get a clear 501 instead of a riddle, with Nova's rules,
// so that nothing opens up by accident when it is built. What can only be empty here is answered as empty.
import { Type as t } from 'typebox'
import { notBuilt } from '../../http/fault.ts'
import { type AnyRow, type Route, row } from '../../http/table.ts'
import { action } from './server-actions.ts'
import { findServer } from './target.ts'

const rule = (name: string) => `os_compute_api:${name}`

interface Missing {
  action: string
  policy: string
  what: string
  since?: string
  until?: string
}

const actions: Missing[] = [
  { action: 'changePassword', policy: 'os-admin-password', what: "Changing a server's password" },
  { action: 'createImage', policy: 'servers:create_image', what: 'Creating an image of a server' },
  { action: 'createBackup', policy: 'os-create-backup', what: 'Creating a backup of a server' },
  { action: 'rebuild', policy: 'servers:rebuild', what: 'Rebuilding servers' },
  { action: 'resize', policy: 'servers:resize', what: 'Resizing servers' },
  { action: 'confirmResize', policy: 'servers:confirm_resize', what: 'Resizing servers' },
  { action: 'revertResize', policy: 'servers:revert_resize', what: 'Resizing servers' },
  { action: 'rescue', policy: 'os-rescue', what: 'Rescuing servers' },
  { action: 'unrescue', policy: 'os-unrescue', what: 'Rescuing servers' },
  { action: 'restore', policy: 'os-deferred-delete:restore', what: 'Restoring deleted servers' },
  { action: 'shelve', policy: 'os-shelve:shelve', what: 'Shelving servers' },
  { action: 'shelveOffload', policy: 'os-shelve:shelve_offload', what: 'Shelving servers' },
  { action: 'unshelve', policy: 'os-shelve:unshelve', what: 'Shelving servers' },
  { action: 'trigger_crash_dump', policy: 'servers:trigger_crash_dump', what: 'Triggering a crash dump', since: '2.17' },
  { action: 'migrate', policy: 'os-migrate-server:migrate', what: 'Migrating servers' },
  { action: 'os-migrateLive', policy: 'os-migrate-server:migrate_live', what: 'Live migration' },
  { action: 'evacuate', policy: 'os-evacuate', what: 'Evacuating servers' },
  { action: 'injectNetworkInfo', policy: 'os-admin-actions:inject_network_info', what: 'Injecting network information' },
  { action: 'addFixedIp', policy: 'os-multinic:add', what: 'Adding fixed IPs', until: '2.43' },
  { action: 'removeFixedIp', policy: 'os-multinic:remove', what: 'Removing fixed IPs', until: '2.43' },
  { action: 'addFloatingIp', policy: 'os-floating-ips:add', what: 'Floating IPs', until: '2.43' },
  { action: 'removeFloatingIp', policy: 'os-floating-ips:remove', what: 'Floating IPs', until: '2.43' },
]

const actionRow = ({ action: name, policy, what, since, until }: Missing): AnyRow =>
  row({
    route: `POST /servers/:id/action#${name}` as Route,
    policy: rule(policy),
    target: 'loaded',
    ...(since !== undefined && { since }),
    ...(until !== undefined && { until }),
    body: action(name),
    reply: 202,
    run: async (call) => {
      await findServer(call, call.params.id!, rule(policy))
      throw notBuilt(what)
    },
  })

/** [route, policy, what, bounds] */
type Line = [route: Route, policy: string, what: string, bounds?: { since?: string; until?: string }]

const volumes = 'Attaching volumes'
const shares = 'Attaching shares'
const migrations = 'Migrating servers'
const aggregates = 'Host aggregates'
const groups = 'Server groups'

const ofServers: Line[] = [
  ['GET /servers/:id/os-volume_attachments/:volume', 'os-volumes-attachments:show', volumes],
  ['POST /servers/:id/os-volume_attachments', 'os-volumes-attachments:create', volumes],
  ['PUT /servers/:id/os-volume_attachments/:volume', 'os-volumes-attachments:update', volumes],
  ['DELETE /servers/:id/os-volume_attachments/:volume', 'os-volumes-attachments:delete', volumes],
  ['GET /servers/:id/migrations/:migration', 'servers:migrations:show', migrations, { since: '2.23' }],
  ['POST /servers/:id/migrations/:migration/action', 'servers:migrations:force_complete', migrations, { since: '2.22' }],
  ['DELETE /servers/:id/migrations/:migration', 'servers:migrations:delete', migrations, { since: '2.24' }],
  ['GET /servers/:id/shares', 'os-volumes-attachments:index', shares],
  ['GET /servers/:id/shares/:share', 'os-volumes-attachments:show', shares],
  ['POST /servers/:id/shares', 'os-volumes-attachments:create', shares],
  ['DELETE /servers/:id/shares/:share', 'os-volumes-attachments:delete', shares],
  ['GET /servers/:id/topology', 'server:topology:index', "Showing a server's topology", { since: '2.78' }],
]

const others: Line[] = [
  ['POST /os-aggregates', 'os-aggregates:create', aggregates],
  ['GET /os-aggregates/:id', 'os-aggregates:show', aggregates],
  ['PUT /os-aggregates/:id', 'os-aggregates:update', aggregates],
  ['DELETE /os-aggregates/:id', 'os-aggregates:delete', aggregates],
  ['POST /os-aggregates/:id/action', 'os-aggregates:set_metadata', aggregates],
  ['POST /os-aggregates/:id/images', 'os-aggregates:set_metadata', 'Caching images on hosts beforehand', { since: '2.81' }],
  ['POST /os-server-groups', 'os-server-groups:create', groups],
  ['GET /os-server-groups/:id', 'os-server-groups:show', groups],
  ['DELETE /os-server-groups/:id', 'os-server-groups:delete', groups],
  ['POST /os-server-external-events', 'os-server-external-events:create', 'Receiving events of other services (there are none outside)'],
  ['POST /os-assisted-volume-snapshots', 'os-assisted-volume-snapshots:create', 'Assisted volume snapshots'],
  ['DELETE /os-assisted-volume-snapshots/:id', 'os-assisted-volume-snapshots:delete', 'Assisted volume snapshots'],
  ['GET /os-instance_usage_audit_log', 'os-instance-usage-audit-log:list', 'The usage audit log'],
  ['GET /os-instance_usage_audit_log/:id', 'os-instance-usage-audit-log:show', 'The usage audit log'],
]

const line = ([route, policy, what, bounds = {}]: Line, ofServer: boolean): AnyRow =>
  row({
    route,
    policy: rule(policy),
    ...(ofServer && { target: 'loaded' as const }),
    ...bounds,
    reply: 200,
    run: async (call) => {
      if (ofServer) await findServer(call, (call.params as { id: string }).id, rule(policy))
      throw notBuilt(what)
    },
  })

/** Lists of what cannot exist yet, so that clients that look there find nothing rather than an error. */
const empty = [
  row({
    route: 'GET /servers/:id/os-volume_attachments',
    policy: rule('os-volumes-attachments:index'),
    target: 'loaded',
    reply: 200,
    run: async (call) => {
      await findServer(call, call.params.id, rule('os-volumes-attachments:index'))
      return { volumeAttachments: [] }
    },
  }),
  row({
    route: 'GET /servers/:id/migrations',
    since: '2.23',
    policy: rule('servers:migrations:index'),
    target: 'loaded',
    reply: 200,
    run: async (call) => {
      await findServer(call, call.params.id, rule('servers:migrations:index'))
      return { migrations: [] }
    },
  }),
  row({
    route: 'GET /servers/:id/os-server-password',
    policy: rule('os-server-password:show'),
    target: 'loaded',
    reply: 200,
    run: async (call) => {
      await findServer(call, call.params.id, rule('os-server-password:show'))
      return { password: '' }
    },
  }),
  row({
    route: 'DELETE /servers/:id/os-server-password',
    policy: rule('os-server-password:clear'),
    target: 'loaded',
    reply: 204,
    run: async (call) => {
      await findServer(call, call.params.id, rule('os-server-password:clear'))
    },
  }),
  row({
    route: 'GET /os-migrations',
    policy: rule('os-migrations:index'),
    query: t.Unknown(),
    reply: 200,
    run: () => ({ migrations: [] }),
  }),
  row({ route: 'GET /os-aggregates', policy: rule('os-aggregates:index'), reply: 200, run: () => ({ aggregates: [] }) }),
  row({ route: 'GET /os-server-groups', policy: rule('os-server-groups:index'), reply: 200, run: () => ({ server_groups: [] }) }),
]

export const notBuiltYet: AnyRow[] = [
  ...actions.map(actionRow),
  ...ofServers.map((one) => line(one, true)),
  ...others.map((one) => line(one, false)),
  ...empty,
]
