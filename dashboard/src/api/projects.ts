// Identity v3: projects, which form trees, and the domains at their roots.
import { command, request } from './http.ts'

export type Project = {
  id: string
  name: string
  description?: string | null
  enabled: boolean
  domain_id: string
  parent_id?: string | null
  is_domain?: boolean
  tags?: string[]
}

export type Domain = { id: string; name: string; description?: string | null; enabled: boolean; tags?: string[] }

/** Every project of the cloud; administrators only. */
export async function listAllProjects(signal?: AbortSignal): Promise<Project[]> {
  return (await request<{ projects: Project[] }>('identity', '/projects', { signal })).projects
}

/** The projects on which a user has a role; everyone may ask for their own. */
export async function listProjectsOf(userId: string, signal?: AbortSignal): Promise<Project[]> {
  return (await request<{ projects: Project[] }>('identity', `/users/${userId}/projects`, { signal })).projects
}

export async function getProject(id: string, signal?: AbortSignal): Promise<Project> {
  return (await request<{ project: Project }>('identity', `/projects/${encodeURIComponent(id)}`, { signal })).project
}

export type ProjectFields = { name: string; description: string; enabled: boolean; tags: string[]; domain_id?: string; parent_id?: string }

export async function createProject(project: ProjectFields): Promise<Project> {
  return (await request<{ project: Project }>('identity', '/projects', { method: 'POST', body: { project } })).project
}

export async function changeProject(id: string, project: Partial<ProjectFields>): Promise<Project> {
  return (await request<{ project: Project }>('identity', `/projects/${id}`, { method: 'PATCH', body: { project } })).project
}

export async function deleteProject(id: string): Promise<void> {
  await command('identity', `/projects/${id}`, { method: 'DELETE' })
}

/** Projects as the rows of a tree: each under its parent, `depth` 0 for those whose parent is a domain or isn't among them. */
export function asTree(projects: Project[]): { project: Project; depth: number }[] {
  const known = new Set(projects.map(({ id }) => id))
  const below = Map.groupBy(projects, ({ parent_id }) => (parent_id != null && known.has(parent_id) ? parent_id : ''))
  const rows: { project: Project; depth: number }[] = []
  const add = (parent: string, depth: number): void => {
    for (const project of (below.get(parent) ?? []).toSorted((a, b) => a.name.localeCompare(b.name))) {
      rows.push({ project, depth })
      add(project.id, depth + 1)
    }
  }
  add('', 0)
  return rows
}

export async function listDomains(signal?: AbortSignal): Promise<Domain[]> {
  const { domains } = await request<{ domains: Domain[] }>('identity', '/domains', { signal })
  return domains.toSorted((a, b) => a.name.localeCompare(b.name))
}

export async function getDomain(id: string, signal?: AbortSignal): Promise<Domain> {
  return (await request<{ domain: Domain }>('identity', `/domains/${encodeURIComponent(id)}`, { signal })).domain
}

export type DomainFields = { name: string; description: string; enabled: boolean }

export async function createDomain(domain: DomainFields): Promise<Domain> {
  return (await request<{ domain: Domain }>('identity', '/domains', { method: 'POST', body: { domain } })).domain
}

export async function changeDomain(id: string, domain: Partial<DomainFields>): Promise<Domain> {
  return (await request<{ domain: Domain }>('identity', `/domains/${id}`, { method: 'PATCH', body: { domain } })).domain
}

export async function deleteDomain(id: string): Promise<void> {
  await command('identity', `/domains/${id}`, { method: 'DELETE' })
}
