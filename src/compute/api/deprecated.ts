// Nova's relics: proxies to other services, which vanish from 2.36 on (404), and APIs that Nova itself removed (410 at every version).
import { Fault, notBuilt } from '../../http/fault.ts'
import { type AnyRow, type Route, row } from '../../http/table.ts'

const anyone = 'os_compute_api:extensions'

/** The service that really has it, the last microversion, its routes and rules. */
const proxies: { of: string; until: string; routes: [Route, string][] }[] = [
  {
    of: 'image',
    until: '2.35',
    routes: [
      ['GET /images', anyone],
      ['GET /images/detail', anyone],
      ['GET /images/:id', anyone],
      ['DELETE /images/:id', anyone],
    ],
  },
  {
    of: 'image',
    until: '2.38',
    routes: [
      ['GET /images/:id/metadata', anyone],
      ['POST /images/:id/metadata', anyone],
      ['PUT /images/:id/metadata', anyone],
      ['GET /images/:id/metadata/:key', anyone],
      ['PUT /images/:id/metadata/:key', anyone],
      ['DELETE /images/:id/metadata/:key', anyone],
    ],
  },
  {
    of: 'network',
    until: '2.35',
    routes: [
      ['GET /os-networks', 'os_compute_api:os-networks:list'],
      ['GET /os-networks/:id', 'os_compute_api:os-networks:show'],
      ['GET /os-tenant-networks', 'os_compute_api:os-tenant-networks:list'],
      ['GET /os-tenant-networks/:id', 'os_compute_api:os-tenant-networks:show'],
      ['GET /os-floating-ip-pools', 'os_compute_api:os-floating-ip-pools'],
      ['GET /os-floating-ips', 'os_compute_api:os-floating-ips:list'],
      ['GET /os-floating-ips/:id', 'os_compute_api:os-floating-ips:show'],
      ['POST /os-floating-ips', 'os_compute_api:os-floating-ips:create'],
      ['DELETE /os-floating-ips/:id', 'os_compute_api:os-floating-ips:delete'],
    ],
  },
  {
    of: 'block storage',
    until: '2.35',
    routes: [
      ['GET /os-volumes', 'os_compute_api:os-volumes:list'],
      ['GET /os-volumes/detail', 'os_compute_api:os-volumes:detail'],
      ['GET /os-volumes/:id', 'os_compute_api:os-volumes:show'],
      ['POST /os-volumes', 'os_compute_api:os-volumes:create'],
      ['DELETE /os-volumes/:id', 'os_compute_api:os-volumes:delete'],
      ['GET /os-snapshots', 'os_compute_api:os-volumes:snapshots:list'],
      ['GET /os-snapshots/detail', 'os_compute_api:os-volumes:snapshots:detail'],
      ['GET /os-snapshots/:id', 'os_compute_api:os-volumes:snapshots:show'],
      ['POST /os-snapshots', 'os_compute_api:os-volumes:snapshots:create'],
      ['DELETE /os-snapshots/:id', 'os_compute_api:os-volumes:snapshots:delete'],
    ],
  },
  {
    of: 'bare metal',
    until: '2.35',
    routes: [
      ['GET /os-baremetal-nodes', 'os_compute_api:os-baremetal-nodes:list'],
      ['GET /os-baremetal-nodes/:id', 'os_compute_api:os-baremetal-nodes:show'],
    ],
  },
]

/** Old names of os-hypervisors and os-services, gone from 2.43 on. */
const hosts: [Route, string][] = [
  ['GET /os-hosts', 'os_compute_api:os-hosts:list'],
  ['GET /os-hosts/:id', 'os_compute_api:os-hosts:show'],
  ['PUT /os-hosts/:id', 'os_compute_api:os-hosts:update'],
  ['GET /os-hosts/:id/reboot', 'os_compute_api:os-hosts:reboot'],
  ['GET /os-hosts/:id/shutdown', 'os_compute_api:os-hosts:shutdown'],
  ['GET /os-hosts/:id/startup', 'os_compute_api:os-hosts:start'],
]

const removed: Route[] = [
  'GET /os-agents',
  'POST /os-agents',
  'PUT /os-agents/:id',
  'DELETE /os-agents/:id',
  'POST /os-baremetal-nodes',
  'DELETE /os-baremetal-nodes/:id',
  'POST /os-baremetal-nodes/:id/action',
  'GET /os-cells',
  'POST /os-cells',
  'GET /os-cells/capacities',
  'GET /os-cells/detail',
  'GET /os-cells/info',
  'POST /os-cells/sync_instances',
  'GET /os-cells/:id',
  'PUT /os-cells/:id',
  'DELETE /os-cells/:id',
  'GET /os-cells/:id/capacities',
  'POST /os-certificates',
  'GET /os-certificates/:id',
  'GET /os-cloudpipe',
  'POST /os-cloudpipe',
  'PUT /os-cloudpipe/:id',
  'GET /os-fixed-ips/:id',
  'POST /os-fixed-ips/:id/action',
  'GET /os-floating-ip-dns',
  'PUT /os-floating-ip-dns/:id',
  'DELETE /os-floating-ip-dns/:id',
  'GET /os-floating-ip-dns/:id/entries/:entry',
  'PUT /os-floating-ip-dns/:id/entries/:entry',
  'DELETE /os-floating-ip-dns/:id/entries/:entry',
  'GET /os-floating-ips-bulk',
  'POST /os-floating-ips-bulk',
  'GET /os-floating-ips-bulk/:id',
  'PUT /os-floating-ips-bulk/:id',
  'GET /os-fping',
  'GET /os-fping/:id',
  'POST /os-networks',
  'POST /os-networks/add',
  'DELETE /os-networks/:id',
  'POST /os-networks/:id/action',
  'POST /os-tenant-networks',
  'DELETE /os-tenant-networks/:id',
  'GET /os-security-group-default-rules',
  'POST /os-security-group-default-rules',
  'GET /os-security-group-default-rules/:id',
  'DELETE /os-security-group-default-rules/:id',
  'GET /os-volumes_boot',
  'POST /os-volumes_boot',
  'GET /os-volumes_boot/detail',
  'GET /os-volumes_boot/:id',
  'PUT /os-volumes_boot/:id',
  'DELETE /os-volumes_boot/:id',
  'POST /os-volumes_boot/:id/action',
  'GET /servers/:id/consoles',
  'POST /servers/:id/consoles',
  'GET /servers/:id/consoles/:console',
  'DELETE /servers/:id/consoles/:console',
  'GET /servers/:id/os-virtual-interfaces',
]

const relic = (route: Route, policy: string, until: string, why: string) =>
  row({
    route,
    policy,
    until,
    reply: 200,
    run: () => {
      throw notBuilt(why)
    },
  })

const gone = (route: Route) =>
  row({
    route,
    policy: anyone,
    reply: 200,
    run: () => {
      throw new Fault(410, 'This resource is no longer available. No forwarding address is given.')
    },
  })

export const deprecated: AnyRow[] = [
  ...proxies.flatMap(({ of, until, routes }) =>
    routes.map(([route, policy]) =>
      relic(route, policy, until, `The proxy of compute to the ${of} API (deprecated since 2.36: use the ${of} API itself)`),
    ),
  ),
  ...hosts.map(([route, policy]) => relic(route, policy, '2.42', 'os-hosts (deprecated since 2.43: use os-hypervisors and os-services)')),
  ...removed.map(gone),
]
