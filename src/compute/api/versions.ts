// What versions and extensions there are: how clients find out what this compute API can do.
import { notFound } from '../../http/fault.ts'
import { type Call, row } from '../../http/table.ts'

export const min = '2.1'
export const max = '2.96'

type Asked = Pick<Call, 'url'>

const link = (call: Asked, id: string) => ({ rel: 'self', href: `${call.url.origin}/compute/${id === 'v2.0' ? 'v2' : id}/` })

/** v2.0 is the same API under its old address, for clients that know no other; they ask for no microversion. */
const known = {
  'v2.0': { status: 'SUPPORTED', version: '', min_version: '', updated: '2011-01-21T11:33:21Z' },
  'v2.1': { status: 'CURRENT', version: max, min_version: min, updated: '2013-07-23T11:33:21Z' },
}
type Id = keyof typeof known

const brief = (call: Asked, id: Id) => ({ id, ...known[id], links: [link(call, id)] })

const detailed = (call: Asked, id: Id) => ({
  version: {
    ...brief(call, id),
    links: [link(call, id), { rel: 'describedby', type: 'text/html', href: 'https://docs.openstack.org/' }],
    'media-types': [{ base: 'application/json', type: `application/vnd.openstack.compute+json;version=${id === 'v2.0' ? '2' : '2.1'}` }],
  },
})

/** Which of the two addresses the caller came by. */
const here = (call: Asked): Id => (/^\/compute\/v2(\/|$)/.test(call.url.path) ? 'v2.0' : 'v2.1')

/** At /compute. */
export const versionList = [
  row({ route: 'GET /', policy: null, reply: 200, run: (call) => ({ versions: [brief(call, 'v2.0'), brief(call, 'v2.1')] }) }),
]

// Every extension became part of the API with 2.1; the list is there for clients that still ask (nova/api/openstack/compute/extension_info.py).
const aliases =
  'os-admin-actions os-admin-password os-agents os-aggregates os-assisted-volume-snapshots os-attach-interfaces os-availability-zone os-block-device-mapping-v2-boot os-config-drive os-console-auth-tokens os-console-output os-consoles os-create-backup os-create-server-ext os-deferred-delete os-evacuate os-extended-availability-zone os-extended-server-attributes os-extended-status os-extended-volumes os-flavor-access os-flavor-extra-specs os-flavor-manage os-flavor-rxtx os-flavor-swap os-hosts os-hypervisors os-instance-actions os-keypairs os-lock-server os-migrate-server os-migrations os-multiple-create os-pause-server os-quota-class-sets os-quota-sets os-remote-consoles os-rescue os-scheduler-hints os-security-groups os-server-diagnostics os-server-external-events os-server-groups os-server-password os-server-usage os-services os-shelve os-simple-tenant-usage os-suspend-server os-used-limits os-user-data os-volumes'.split(
    ' ',
  )
const extension = (alias: string) => ({
  alias,
  name: alias
    .replace(/^os-/, '')
    .split('-')
    .map((word) => word[0]!.toUpperCase() + word.slice(1))
    .join(''),
  description: `${alias}, part of the compute API.`,
  links: [],
  namespace: 'http://docs.openstack.org/compute/ext/fake_xml',
  updated: '2014-12-03T00:00:00Z',
})

export const versions = [
  row({ route: 'GET /', policy: null, reply: 200, run: (call) => detailed(call, here(call)) }),
  // What clients of the first hour ask for; there is only one API left to tell of.
  row({ route: 'GET /2.0', policy: null, reply: 200, run: (call) => detailed(call, 'v2.1') }),
  row({
    route: 'GET /versions/:id',
    policy: null,
    reply: 200,
    run: (call) => {
      const { id } = call.params
      if (!Object.hasOwn(known, id)) throw notFound(`There is no version '${id.slice(0, 40)}' of the compute API.`)
      return detailed(call, id as Id)
    },
  }),
  row({ route: 'GET /extensions', policy: 'os_compute_api:extensions', reply: 200, run: () => ({ extensions: aliases.map(extension) }) }),
  row({
    route: 'GET /extensions/:id',
    policy: 'os_compute_api:extensions',
    reply: 200,
    run: (call) => {
      if (!aliases.includes(call.params.id)) throw notFound()
      return { extension: extension(call.params.id) }
    },
  }),
]
