// What the matrix test has of compute, network and placement: one of everything that a project may have, and where its ids stand in paths.
import type { FastifyInstance } from 'fastify'
import type { Database } from '../../src/database/connect.ts'
import type { PolicyDefaults } from '../../src/http/policy.ts'

/** By the collection that stands before the id in a path. */
export type CloudThings = Record<
  'servers' | 'os-keypairs' | 'networks' | 'subnets' | 'ports' | 'security-groups' | 'security-group-rules',
  string
>

export const cloudServices = ['compute', 'network', 'placement']

const imageId = '11111111-2222-4333-8444-555555555555'

/** An image that every project may launch from. */
export async function makePublicImage({ read }: Database, owner: string): Promise<void> {
  await read
    .insertInto('image.image')
    .values({
      id: imageId,
      owner,
      name: 'public',
      status: 'active',
      visibility: 'public',
      container_format: 'bare',
      disk_format: 'qcow2',
      size: 1 << 20,
      os_hash_algo: 'sha512',
      os_hash_value: 'h'.repeat(128),
    })
    .execute()
}

/** Made by `token`, whose project owns them. Nothing is placed on a host. */
export async function makeCloudThings(app: FastifyInstance, token: string, name: string): Promise<CloudThings> {
  const make = async (url: string, payload: object): Promise<Record<string, string>> => {
    const headers = { 'x-auth-token': token, 'openstack-api-version': 'compute 2.90' }
    const answer = await app.inject({ method: 'POST', url, payload, headers })
    if (answer.statusCode >= 300) throw new Error(`${url}: ${answer.statusCode} ${answer.body}`)
    return Object.values(answer.json() as Record<string, Record<string, string>>)[0]!
  }
  const network = await make('/network/v2.0/networks', { network: { name } })
  const subnet = await make('/network/v2.0/subnets', { subnet: { network_id: network.id, name, ip_version: 4, cidr: '10.9.0.0/24' } })
  const group = await make('/network/v2.0/security-groups', { security_group: { name: `${name} web` } })
  const rule = await make('/network/v2.0/security-group-rules', {
    security_group_rule: { security_group_id: group.id, direction: 'ingress', protocol: 'tcp', port_range_min: 80, port_range_max: 80 },
  })
  const port = await make('/network/v2.0/ports', { port: { network_id: network.id, name } })
  const keypair = await make('/compute/v2.1/os-keypairs', { keypair: { name: `key-of-${name}` } })
  const server = await make('/compute/v2.1/servers', {
    server: { name, imageRef: imageId, flavorRef: '42', networks: [{ uuid: network.id }], metadata: { plain: 'yes' }, tags: ['plain'] },
  })
  return {
    servers: server.id!,
    'os-keypairs': keypair.name!,
    networks: network.id!,
    subnets: subnet.id!,
    ports: port.id!,
    'security-groups': group.id!,
    'security-group-rules': rule.id!,
  }
}

const byProject = ['os-quota-sets', 'os-simple-tenant-usage', 'quotas']

/** Ids in paths, by collection and param; what a project has goes by its own id. */
export function cloudIds(things: CloudThings, project: string): Map<string, string> {
  const ids = new Map(Object.entries(things))
  ids.set('security_groups', things['security-groups'])
  ids.set('os-security-groups', things['security-groups'])
  ids.set('os-security-group-rules', things['security-group-rules'])
  ids.set('network-ip-availabilities', things.networks)
  ids.set('allocations', things.servers)
  ids.set('flavors', '42')
  for (const name of byProject) ids.set(name, project)
  return ids
}

/** Collections whose objects belong to a project or user: nobody else can tell one from none. */
export const owned = new Set([
  'servers',
  'os-keypairs',
  'networks',
  'subnets',
  'ports',
  'security-groups',
  'security_groups',
  'security-group-rules',
])

/** Whether the row is about something that a project has, and not about what all share or what it makes itself. */
export const hasOwner = (path: string) =>
  [...owned, 'os-security-groups', 'os-security-group-rules', 'network-ip-availabilities', 'allocations', ...byProject].includes(
    /([\w-]+)\/:/.exec(path)?.[1] ?? '',
  )

/** Bodies in place of samples: those name everything, also what only administrators may set. */
export const plainBodies: Record<string, unknown> = {
  'PUT /v2.0/networks/:id': { network: { description: 'changed' } },
  'PUT /v2.0/ports/:id': { port: { description: 'changed' } },
}

/** Queries that say whose things are asked for. */
export const queries: Record<string, (project: string) => string> = { 'GET /usages': (project) => `?project_id=${project}` }

/** What oslo.policy does not know of Neutron's rules: nothing here is shared or external, and no port is a network's own. */
export const plainRules = (policies: PolicyDefaults): PolicyDefaults =>
  Object.fromEntries(Object.entries(policies).map(([rule, check]) => [rule, check.replaceAll(/field:\S+/g, '!')]))
