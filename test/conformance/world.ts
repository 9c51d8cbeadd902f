// Things for tests that walk over all rows: one of everything that a caller may make, and paths with what exists in place of their params.
import assert from 'node:assert/strict'
import type { Cloud } from './cloud.ts'
import { allPlaces } from './services.ts'

/** What nothing has. */
export const nowhere = '3f3f3f3f-0000-4000-8000-3f3f3f3f3f3f'
export const nobody = (path: string) => path.replaceAll(/:\w+/g, nowhere)

/**
 * Fills params with what exists: the first thing that the collection before the param lists, unless the walk needs it itself;
 * else with an id that nothing has.
 */
export async function realIds(cloud: Cloud, token: string): Promise<(path: string) => string> {
  await makeThings(cloud, token)
  const kept = await needed(cloud, token)
  const known = new Map<string, string>()
  const collections = new Set(allPlaces().flatMap(({ path }) => [...path.matchAll(/\/:\w+/g)].map(({ index }) => path.slice(0, index))))
  // The short ones first: the longer ones need them.
  for (const collection of [...collections].sort((a, b) => a.length - b.length)) {
    const answer = await cloud.ask('GET', fill(collection, known), {
      token,
      headers: { 'openstack-api-version': 'placement 1.39,compute 2.96' },
    })
    const lists = Object.values((answer.status === 200 && (answer.body as object)) || {}).filter(Array.isArray)
    const id = (lists[0] ?? []).map(idOf).find((one: string | undefined) => one && !kept.has(one))
    if (id) known.set(collection, encodeURIComponent(id))
  }
  return (path) => nobody(fill(path, known))
}

/** The id of one thing in a list, whatever the service calls it. */
function idOf(thing: unknown): string | undefined {
  if (typeof thing === 'string') return thing
  const { id, uuid, keypair, namespace, name } = thing as {
    id?: string
    uuid?: string
    keypair?: { name: string }
    namespace?: string
    name?: string
  }
  return id === undefined ? (uuid ?? keypair?.name ?? namespace ?? name) : String(id)
}

const fill = (path: string, known: Map<string, string>): string => {
  let filled = ''
  let template = ''
  for (const part of path.split('/').slice(1)) {
    const id = part.startsWith(':') ? known.get(template) : undefined
    filled += `/${id ?? part}`
    template += `/${part}`
  }
  return filled || '/'
}

/** What must not be spoiled: the caller's own user, project, domain, roles, and the shared network. */
async function needed(cloud: Cloud, token: string): Promise<Set<string>> {
  const mine = await cloud.ask('GET', '/identity/v3/auth/tokens', { token, headers: { 'x-subject-token': token } })
  const { token: said } = mine.body as {
    token: {
      user: { id: string }
      project: { id: string }
      roles: { id: string }[]
      catalog: { id: string; endpoints: { id: string }[] }[]
    }
  }
  return new Set([said.user.id, said.project.id, 'default', ...said.roles.map(({ id }) => id)])
}

async function makeThings(cloud: Cloud, token: string): Promise<void> {
  const make = async (path: string, body: unknown) => {
    const answer = await cloud.ask('POST', path, { token, body })
    assert.ok(answer.status < 300, `${path}: ${answer.text}`)
    return Object.values(answer.body as Record<string, { id: string }>)[0]!
  }
  const identity = '/identity/v3'
  // What every object of JavaScript has: a table that is asked for it as if it held nothing else finds something.
  const name = 'constructor'
  const domain = await make(`${identity}/domains`, { domain: { name } })
  await make(`${identity}/users`, { user: { name, domain_id: domain.id } })
  await make(`${identity}/projects`, { project: { name, domain_id: domain.id, tags: [name] } })
  await make(`${identity}/groups`, { group: { name, domain_id: domain.id } })
  await make(`${identity}/roles`, { role: { name } })
  const service = await make(`${identity}/services`, { service: { name, type: name } })
  const limit = { service_id: service.id, resource_name: name, default_limit: 5 }
  await make(`${identity}/registered_limits`, { registered_limits: [limit] })
  await make(`${identity}/policies`, { policy: { type: 'application/json', blob: '{}' } })
  const defined = { title: 'Prey', type: 'string' }
  await make('/image/v2/metadefs/namespaces', {
    namespace: name,
    resource_type_associations: [{ name: 'OS::Prey' }],
    properties: { [name]: defined },
    objects: [{ name, properties: { [name]: defined } }],
    tags: [{ name }],
  })
  await make('/image/v2/images', { name, disk_format: 'raw', container_format: 'bare', tags: [name], [name]: name, hw_architecture: name })
  const network = await make('/network/v2.0/networks', { network: { name } })
  await make('/network/v2.0/subnets', { subnet: { network_id: network.id, ip_version: 4, cidr: '10.9.0.0/24' } })
  await make('/network/v2.0/ports', { port: { network_id: network.id, name, device_owner: name } })
  await make('/network/v2.0/security-groups', { security_group: { name } })
  await make('/compute/v2.1/flavors/42/os-extra_specs', { extra_specs: { [name]: name } })
  await make('/compute/v2.1/os-keypairs', { keypair: { name } })
  await make('/compute/v2.1/servers', {
    server: { name, imageRef: cloud.images[0], flavorRef: '42', networks: [{ uuid: network.id }], metadata: { [name]: 'yes' } },
  })
}
