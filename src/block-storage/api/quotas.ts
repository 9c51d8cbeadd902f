// Quotas and limits of block storage. No volume can be made yet, so what a project may have of each kind is none, and that is also what it has.
// They can be read, because clients that show a project's quotas ask every service, and show nothing at all where one refuses.
import { Type as t } from 'typebox'
import { type AnyRow, row } from '../../http/table.ts'

const kinds = ['volumes', 'snapshots', 'gigabytes', 'per_volume_gigabytes', 'backups', 'backup_gigabytes', 'groups']
const none = <T>(amount: T) => Object.fromEntries(kinds.map((kind) => [kind, amount]))
const ofProject = ({ params }: { params: { id: string } }) => ({ project_id: params.id })

/** Cinder's names of the limits and of what is used of them. */
const absolute = [
  ...['maxTotalVolumes', 'maxTotalSnapshots', 'maxTotalVolumeGigabytes', 'maxTotalBackups', 'maxTotalBackupGigabytes'],
  ...['totalVolumesUsed', 'totalSnapshotsUsed', 'totalGigabytesUsed', 'totalBackupsUsed', 'totalBackupGigabytesUsed'],
]

export const quotaRows: AnyRow[] = [
  row({
    route: 'GET /os-quota-sets/:id',
    policy: 'volume_extension:quotas:show',
    target: ofProject,
    query: t.Object({ usage: t.Optional(t.String()) }),
    reply: 200,
    run: ({ params, query }) => {
      const withUsage = /^(1|t|true|on|y|yes)$/i.test(query.usage ?? '')
      return { quota_set: { id: params.id, ...(withUsage ? none({ limit: 0, in_use: 0, reserved: 0 }) : none(0)) } }
    },
  }),
  row({
    route: 'GET /os-quota-sets/:id/defaults',
    policy: 'volume_extension:quotas:show',
    target: ofProject,
    reply: 200,
    run: ({ params }) => ({ quota_set: { id: params.id, ...none(0) } }),
  }),
  row({
    route: 'GET /os-quota-class-sets/:id',
    policy: 'volume_extension:quota_classes:get',
    reply: 200,
    run: ({ params }) => ({ quota_class_set: { id: params.id, ...none(0) } }),
  }),
  row({
    route: 'GET /limits',
    policy: 'limits_extension:used_limits',
    reply: 200,
    run: () => ({ limits: { rate: [], absolute: Object.fromEntries(absolute.map((name) => [name, 0])) } }),
  }),
]
