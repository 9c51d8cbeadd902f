// How much of everything a project may have: identity's registered and project limits, and the quotas of compute and network with their use.
import { command, request } from './http.ts'
import type { Quota } from './network.ts'

export type RegisteredLimit = {
  id: string
  service_id: string
  region_id: string | null
  resource_name: string
  default_limit: number
  description: string | null
}

export type ProjectLimit = {
  id: string
  service_id: string
  region_id: string | null
  resource_name: string
  resource_limit: number
  description: string | null
  project_id: string | null
  domain_id: string | null
}

export type Service = { id: string; name?: string; type: string }

export async function listRegisteredLimits(signal?: AbortSignal): Promise<RegisteredLimit[]> {
  const answer = await request<{ registered_limits: RegisteredLimit[] }>('identity', '/registered_limits', { signal })
  return answer.registered_limits.toSorted((a, b) => a.resource_name.localeCompare(b.resource_name))
}

export type RegisteredLimitFields = {
  service_id: string
  region_id?: string | null
  resource_name: string
  default_limit: number
  description?: string
}

export async function createRegisteredLimit(limit: RegisteredLimitFields): Promise<void> {
  await command('identity', '/registered_limits', { method: 'POST', body: { registered_limits: [limit] } })
}

export async function changeRegisteredLimit(id: string, limit: Partial<RegisteredLimitFields>): Promise<void> {
  await command('identity', `/registered_limits/${id}`, { method: 'PATCH', body: { registered_limit: limit } })
}

export async function deleteRegisteredLimit(id: string): Promise<void> {
  await command('identity', `/registered_limits/${id}`, { method: 'DELETE' })
}

/** The limits that a project has of its own, instead of the registered ones. */
export async function listProjectLimits(projectId: string, signal?: AbortSignal): Promise<ProjectLimit[]> {
  return (await request<{ limits: ProjectLimit[] }>('identity', '/limits', { signal, query: { project_id: projectId } })).limits
}

export async function createProjectLimit(limit: Omit<ProjectLimit, 'id' | 'description' | 'domain_id'>): Promise<void> {
  await command('identity', '/limits', { method: 'POST', body: { limits: [limit] } })
}

export async function changeProjectLimit(id: string, resourceLimit: number): Promise<void> {
  await command('identity', `/limits/${id}`, { method: 'PATCH', body: { limit: { resource_limit: resourceLimit } } })
}

export async function deleteProjectLimit(id: string): Promise<void> {
  await command('identity', `/limits/${id}`, { method: 'DELETE' })
}

/** The catalog's services, of which limits name one; administrators only. */
export async function listServices(signal?: AbortSignal): Promise<Service[]> {
  return (await request<{ services: Service[] }>('identity', '/services', { signal })).services
}

/** What holds for a project: each registered limit with the project's own value, where it has one. */
export type EffectiveLimit = { registered: RegisteredLimit; own: ProjectLimit | undefined; limit: number }

export function effectiveLimits(registered: RegisteredLimit[], own: ProjectLimit[]): EffectiveLimit[] {
  return registered.map((limit) => {
    const mine = own.find(
      ({ service_id, region_id, resource_name }) =>
        service_id === limit.service_id && region_id === limit.region_id && resource_name === limit.resource_name,
    )
    return { registered: limit, own: mine, limit: mine?.resource_limit ?? limit.default_limit }
  })
}

export type ComputeQuota = { in_use: number; limit: number; reserved: number }

/** A project's quotas of compute with their use, by compute's names (cores, instances, ram, …). */
export async function getComputeQuotas(projectId: string, signal?: AbortSignal): Promise<Record<string, Quota>> {
  const answer = await request<{ quota_set: Record<string, ComputeQuota | string> }>('compute', `/os-quota-sets/${projectId}/detail`, {
    signal,
  })
  const sets = Object.entries(answer.quota_set).filter((entry): entry is [string, ComputeQuota] => typeof entry[1] === 'object')
  return Object.fromEntries(sets.map(([name, { in_use, limit }]) => [name, { used: in_use, limit }]))
}

export async function setComputeQuotas(projectId: string, quotas: Record<string, number>): Promise<void> {
  await command('compute', `/os-quota-sets/${projectId}`, { method: 'PUT', body: { quota_set: quotas } })
}

export async function setNetworkQuotas(projectId: string, quotas: Record<string, number>): Promise<void> {
  await command('network', `/quotas/${projectId}`, { method: 'PUT', body: { quota: quotas } })
}
