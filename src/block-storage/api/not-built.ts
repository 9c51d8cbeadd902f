// What Cinder has and Wisp does not have yet: each operation is here, so that it answers with a clear 501 and never with a fake success.
import { notBuilt } from '../../http/fault.ts'
import { type AnyRow, type Route, row } from '../../http/table.ts'

const operations: Record<string, Route[]> = {
  'Volume types': [
    'PUT /types/:id',
    'POST /types/:id/extra_specs',
    'GET /types/:id/extra_specs',
    'GET /types/:id/extra_specs/:key',
    'PUT /types/:id/extra_specs/:key',
    'DELETE /types/:id/extra_specs/:key',
    'GET /types/default',
    'DELETE /types/:id',
    'POST /types',
    'GET /types/:id/encryption',
    'GET /types/:id/encryption/:key',
    'DELETE /types/:id/encryption/:key',
    'POST /types/:id/encryption',
    'PUT /types/:id/encryption/:key',
    'POST /types/:id/action',
    'GET /types/:id/os-volume-type-access',
  ],
  Volumes: [
    'POST /volumes',
    'PUT /volumes/:id',
    'DELETE /volumes/:id',
    'POST /volumes/:id/metadata',
    'GET /volumes/:id/metadata',
    'PUT /volumes/:id/metadata',
    'GET /volumes/:id/metadata/:key',
    'DELETE /volumes/:id/metadata/:key',
    'PUT /volumes/:id/metadata/:key',
    'GET /volumes/summary',
    'POST /volumes/:id/action',
  ],
  'Managing existing volumes': ['POST /manageable_volumes', 'GET /manageable_volumes', 'GET /manageable_volumes/detail'],
  'Volume snapshots': [
    'POST /snapshots',
    'GET /snapshots/:id/metadata',
    'POST /snapshots/:id/metadata',
    'PUT /snapshots/:id/metadata',
    'PUT /snapshots/:id',
    'DELETE /snapshots/:id',
    'DELETE /snapshots/:id/metadata/:key',
    'PUT /snapshots/:id/metadata/:key',
    'POST /snapshots/:id/action',
    'GET /snapshot/:id/metadata/:key',
  ],
  'Managing existing snapshots': ['POST /manageable_snapshots', 'GET /manageable_snapshots', 'GET /manageable_snapshots/detail'],
  'Volume transfers': [
    'POST /os-volume-transfer/:id/accept',
    'POST /os-volume-transfer',
    'GET /os-volume-transfer/:id',
    'DELETE /os-volume-transfer/:id',
    'POST /volume-transfers/:id/accept',
    'POST /volume-transfers',
    'GET /volume-transfers/:id',
    'DELETE /volume-transfers/:id',
  ],
  'Volume attachments': ['DELETE /attachments/:id', 'POST /attachments', 'PUT /attachments/:id', 'POST /attachments/:id/action'],
  'Availability zones of volumes': ['GET /os-availability-zone'],
  'Volume backups': [
    'DELETE /backups/:id',
    'POST /backups/:id/restore',
    'POST /backups',
    'PUT /backups/:id',
    'GET /backups/:id/export_record',
    'POST /backups/import_record',
    'POST /backups/:id/action',
  ],
  'Capabilities of storage back ends': ['GET /capabilities/:id'],
  'Clusters of volume services': [
    'PUT /clusters/disable',
    'PUT /clusters/enable',
    'GET /clusters/:id',
    'GET /clusters',
    'GET /clusters/detail',
  ],
  'Consistency groups': [
    'GET /consistencygroups',
    'POST /consistencygroups',
    'GET /consistencygroups/:id',
    'POST /consistencygroups/create_from_src',
    'POST /consistencygroups/:id/delete',
    'GET /consistencygroups/detail',
    'PUT /consistencygroups/:id/update',
  ],
  'Snapshots of consistency groups': [
    'DELETE /cgsnapshots/:id',
    'GET /cgsnapshots/:id',
    'GET /cgsnapshots/detail',
    'GET /cgsnapshots',
    'POST /cgsnapshots',
  ],
  'Volume services': [
    'PUT /os-services/disable',
    'PUT /os-services/disable-log-reason',
    'PUT /os-services/enable',
    'PUT /os-services/get-log',
    'PUT /os-services/set-log',
    'PUT /os-services/freeze',
    'PUT /os-services/thaw',
    'PUT /os-services/failover_host',
  ],
  'Groups of volumes': ['POST /groups', 'GET /groups/:id', 'POST /groups/action', 'POST /groups/:id/action', 'PUT /groups/:id'],
  'Snapshots of groups of volumes': [
    'DELETE /group_snapshots/:id',
    'GET /group_snapshots/:id',
    'POST /group_snapshots',
    'POST /group_snapshots/:id/action',
  ],
  'Types of groups of volumes': [
    'PUT /group_types/:id',
    'GET /group_types/:id',
    'GET /group_types/default',
    'DELETE /group_types/:id',
    'POST /group_types',
    'POST /group_types/:id/group_specs',
    'GET /group_types/:id/group_specs',
    'GET /group_types/:id/group_specs/:key',
    'PUT /group_types/:id/group_specs/:key',
    'DELETE /group_types/:id/group_specs/:key',
  ],
  'Volume hosts': ['GET /os-hosts', 'GET /os-hosts/:id'],
  'Messages of block storage': ['DELETE /messages/:id', 'GET /messages/:id'],
  'Resource filters': ['GET /resource_filters'],
  'QoS specs of volume types': [
    'GET /qos-specs/:id/disassociate_all',
    'PUT /qos-specs/:id/delete_keys',
    'GET /qos-specs/:id/associations',
    'GET /qos-specs/:id/associate',
    'GET /qos-specs/:id/disassociate',
    'GET /qos-specs/:id',
    'PUT /qos-specs/:id',
    'DELETE /qos-specs/:id',
    'POST /qos-specs',
  ],
  'Cleaning up after workers': ['POST /workers/cleanup'],
  'Setting quotas of block storage': ['PUT /os-quota-class-sets/:id', 'PUT /os-quota-sets/:id', 'DELETE /os-quota-sets/:id'],
}

const missing = (route: Route, what: string): AnyRow =>
  row({
    route,
    policy: 'xena_system_admin_or_project_member',
    reply: 501,
    run: () => {
      throw notBuilt(what)
    },
  })

export const notBuiltRows: AnyRow[] = Object.entries(operations).flatMap(([what, routes]) => routes.map((route) => missing(route, what)))

const defaultTypes: Route[] = [
  'GET /default-types',
  'GET /default-types/:project_id',
  'PUT /default-types/:project_id',
  'DELETE /default-types/:project_id',
]

/** What has no project in its address. */
export const notBuiltOfAll: AnyRow[] = defaultTypes.map((route) => missing(route, 'Default volume types of projects'))
