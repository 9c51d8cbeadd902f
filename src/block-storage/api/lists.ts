// The lists of block storage. There is nothing in them yet: volumes come with their own version of Wisp; until then every list is truly
// empty, and every single object truly not found.
import { notFound } from '../../http/fault.ts'
import { type AnyRow, type Route, row } from '../../http/table.ts'

const lists: Record<string, { routes: Route[]; policy: string }> = {
  volumes: { routes: ['GET /volumes', 'GET /volumes/detail'], policy: 'volume:get_all' },
  snapshots: { routes: ['GET /snapshots', 'GET /snapshots/detail'], policy: 'volume:get_all_snapshots' },
  backups: { routes: ['GET /backups', 'GET /backups/detail'], policy: 'backup:get_all' },
  volume_types: { routes: ['GET /types'], policy: 'volume_extension:type_get_all' },
  attachments: { routes: ['GET /attachments', 'GET /attachments/detail'], policy: 'volume:get_all' },
  transfers: {
    routes: ['GET /os-volume-transfer', 'GET /os-volume-transfer/detail', 'GET /volume-transfers', 'GET /volume-transfers/detail'],
    policy: 'volume:get_all_transfers',
  },
  groups: { routes: ['GET /groups', 'GET /groups/detail'], policy: 'group:get_all' },
  group_types: { routes: ['GET /group_types'], policy: 'group:get_all' },
  group_snapshots: { routes: ['GET /group_snapshots', 'GET /group_snapshots/detail'], policy: 'group:get_all_group_snapshots' },
  qos_specs: { routes: ['GET /qos-specs'], policy: 'volume_extension:qos_specs_manage:get_all' },
  messages: { routes: ['GET /messages'], policy: 'message:get_all' },
  extensions: { routes: ['GET /extensions'], policy: 'volume:get_all' },
  services: { routes: ['GET /os-services'], policy: 'volume_extension:services:index' },
  pools: { routes: ['GET /scheduler-stats/get_pools'], policy: 'scheduler_extension:scheduler_stats:get_pools' },
}

const singles: Record<string, { route: Route; policy: string }> = {
  Volume: { route: 'GET /volumes/:id', policy: 'volume:get' },
  Snapshot: { route: 'GET /snapshots/:id', policy: 'volume:get_snapshot' },
  Backup: { route: 'GET /backups/:id', policy: 'backup:get' },
  'Volume type': { route: 'GET /types/:id', policy: 'volume_extension:type_get' },
  'Volume attachment': { route: 'GET /attachments/:id', policy: 'volume:get' },
}

export const listRows: AnyRow[] = [
  ...Object.entries(lists).flatMap(([name, { routes, policy }]) =>
    routes.map((route) => row({ route, policy, reply: 200, run: () => ({ [name]: [] }) })),
  ),
  ...Object.entries(singles).map(([name, { route, policy }]) =>
    row({
      route,
      policy,
      reply: 200,
      run: ({ params }) => {
        throw notFound(`${name} ${params.id} could not be found.`)
      },
    }),
  ),
]

const reader = 'rule:xena_system_admin_or_project_reader'
export const policies = {
  admin_api: 'is_admin:True or (role:admin and is_admin_project:True) or role:admin',
  xena_system_admin_or_project_reader: '(role:admin) or (role:reader and project_id:%(project_id)s)',
  xena_system_admin_or_project_member: '(role:admin) or (role:member and project_id:%(project_id)s)',
  'volume:get': reader,
  'volume:get_all': reader,
  'volume:get_snapshot': reader,
  'volume:get_all_snapshots': reader,
  'volume:get_all_transfers': reader,
  'backup:get': reader,
  'backup:get_all': reader,
  'group:get_all': reader,
  'group:get_all_group_snapshots': reader,
  'message:get_all': reader,
  'limits_extension:used_limits': reader,
  'volume_extension:quotas:show': reader,
  'volume_extension:quota_classes:get': 'rule:admin_api',
  'volume_extension:type_get': reader,
  'volume_extension:type_get_all': reader,
  'volume_extension:qos_specs_manage:get_all': 'rule:admin_api',
  'volume_extension:services:index': 'rule:admin_api',
  'scheduler_extension:scheduler_stats:get_pools': 'rule:admin_api',
}
