// Identity v3: roles, which of them imply others, and who has which role where.
import { command, request } from './http.ts'

export type Role = { id: string; name: string; domain_id: string | null; description?: string | null }

/** The cloud's roles; with a domain, that domain's own. */
export async function listRoles(domainId?: string, signal?: AbortSignal): Promise<Role[]> {
  const { roles } = await request<{ roles: Role[] }>('identity', '/roles', { signal, query: { domain_id: domainId } })
  return roles.toSorted((a, b) => a.name.localeCompare(b.name))
}

export type RoleFields = { name: string; description?: string; domain_id?: string }

export async function createRole(role: RoleFields): Promise<Role> {
  return (await request<{ role: Role }>('identity', '/roles', { method: 'POST', body: { role } })).role
}

export async function changeRole(id: string, role: Partial<RoleFields>): Promise<Role> {
  return (await request<{ role: Role }>('identity', `/roles/${id}`, { method: 'PATCH', body: { role } })).role
}

export async function deleteRole(id: string): Promise<void> {
  await command('identity', `/roles/${id}`, { method: 'DELETE' })
}

export type Inference = { prior_role: { id: string; name: string }; implies: { id: string; name: string }[] }

/** For each role that implies others, which. */
export async function listInferences(signal?: AbortSignal): Promise<Inference[]> {
  return (await request<{ role_inferences: Inference[] }>('identity', '/role_inferences', { signal })).role_inferences
}

export async function implyRole(priorId: string, impliedId: string): Promise<void> {
  await command('identity', `/roles/${priorId}/implies/${impliedId}`, { method: 'PUT' })
}

export async function noLongerImplyRole(priorId: string, impliedId: string): Promise<void> {
  await command('identity', `/roles/${priorId}/implies/${impliedId}`, { method: 'DELETE' })
}

type Named = { id: string; name: string; domain?: { id: string; name: string } }

export type Assignment = {
  role: Named
  user?: Named
  group?: Named
  scope: {
    project?: Named
    domain?: Named
    system?: { all: boolean }
    'OS-INHERIT:inherited_to'?: string
  }
}

/** Whose assignments, or those to what. */
export type AssignmentQuery = { user?: string; group?: string; project?: string; domain?: string }

/** Assignments as they were made (not what follows from groups and implied roles), with the names of everything in them. */
export async function listAssignments({ user, group, project, domain }: AssignmentQuery, signal?: AbortSignal): Promise<Assignment[]> {
  const query = {
    include_names: true,
    'user.id': user,
    'group.id': group,
    'scope.project.id': project,
    'scope.domain.id': domain,
  }
  return (await request<{ role_assignments: Assignment[] }>('identity', '/role_assignments', { signal, query })).role_assignments
}

/** Who gets or loses a role on what. An inherited role is one on the projects below, not on the place itself. */
export type Grant = {
  role: string
  actor: { kind: 'user' | 'group'; id: string }
  target: { kind: 'project' | 'domain' | 'system'; id: string }
  inherited: boolean
}

/** The address of a grant: granting is PUT, taking away DELETE. */
export function grantPath({ role, actor, target, inherited }: Grant): string {
  const who = `${actor.kind}s/${actor.id}/roles/${role}`
  if (target.kind === 'system') return `/system/${who}`
  const path = `/${target.kind}s/${target.id}/${who}`
  return inherited ? `/OS-INHERIT${path}/inherited_to_projects` : path
}

export async function grant(what: Grant): Promise<void> {
  await command('identity', grantPath(what), { method: 'PUT' })
}

export async function revoke(what: Grant): Promise<void> {
  await command('identity', grantPath(what), { method: 'DELETE' })
}

/** What has to be revoked to take an assignment away. */
export function grantOf({ role, user, group, scope }: Assignment): Grant {
  const target = scope.project ?? scope.domain
  return {
    role: role.id,
    actor: user === undefined ? { kind: 'group', id: group?.id ?? '' } : { kind: 'user', id: user.id },
    target: {
      kind: scope.project !== undefined ? 'project' : scope.domain !== undefined ? 'domain' : 'system',
      id: target?.id ?? 'all',
    },
    inherited: scope['OS-INHERIT:inherited_to'] === 'projects',
  }
}
