// Identity v3: users and the groups they are in.
import { command, request } from './http.ts'

export type User = {
  id: string
  name: string
  domain_id: string
  enabled: boolean
  description?: string | null
  email?: string | null
  default_project_id?: string | null
  password_expires_at?: string | null
  options?: Record<string, unknown>
}

export async function listUsers(signal?: AbortSignal): Promise<User[]> {
  return byName((await request<{ users: User[] }>('identity', '/users', { signal })).users)
}

export async function getUser(id: string, signal?: AbortSignal): Promise<User> {
  return (await request<{ user: User }>('identity', `/users/${encodeURIComponent(id)}`, { signal })).user
}

export type UserFields = {
  name: string
  domain_id?: string
  enabled: boolean
  description?: string | null
  email?: string | null
  default_project_id?: string | null
  password?: string
  options?: Record<string, boolean>
}

export async function createUser(user: UserFields): Promise<User> {
  return (await request<{ user: User }>('identity', '/users', { method: 'POST', body: { user } })).user
}

/** `password` sets a new one without asking for the old one: administrators only. */
export async function changeUser(id: string, user: Partial<UserFields>): Promise<User> {
  return (await request<{ user: User }>('identity', `/users/${id}`, { method: 'PATCH', body: { user } })).user
}

export async function deleteUser(id: string): Promise<void> {
  await command('identity', `/users/${id}`, { method: 'DELETE' })
}

/** Changes one's own password. All tokens of the user end with the old one. */
export async function changeOwnPassword(id: string, original: string, password: string): Promise<void> {
  const body = { user: { original_password: original, password } }
  await command('identity', `/users/${id}/password`, { method: 'POST', body, keepSession: true })
}

export type Group = { id: string; name: string; domain_id: string; description?: string | null }

export async function listGroups(signal?: AbortSignal): Promise<Group[]> {
  return byName((await request<{ groups: Group[] }>('identity', '/groups', { signal })).groups)
}

export async function listGroupsOf(userId: string, signal?: AbortSignal): Promise<Group[]> {
  return byName((await request<{ groups: Group[] }>('identity', `/users/${userId}/groups`, { signal })).groups)
}

export async function getGroup(id: string, signal?: AbortSignal): Promise<Group> {
  return (await request<{ group: Group }>('identity', `/groups/${encodeURIComponent(id)}`, { signal })).group
}

export type GroupFields = { name: string; description: string; domain_id?: string }

export async function createGroup(group: GroupFields): Promise<Group> {
  return (await request<{ group: Group }>('identity', '/groups', { method: 'POST', body: { group } })).group
}

export async function changeGroup(id: string, group: Partial<GroupFields>): Promise<Group> {
  return (await request<{ group: Group }>('identity', `/groups/${id}`, { method: 'PATCH', body: { group } })).group
}

export async function deleteGroup(id: string): Promise<void> {
  await command('identity', `/groups/${id}`, { method: 'DELETE' })
}

export async function listUsersInGroup(groupId: string, signal?: AbortSignal): Promise<User[]> {
  return byName((await request<{ users: User[] }>('identity', `/groups/${groupId}/users`, { signal })).users)
}

export async function addToGroup(groupId: string, userId: string): Promise<void> {
  await command('identity', `/groups/${groupId}/users/${userId}`, { method: 'PUT' })
}

export async function removeFromGroup(groupId: string, userId: string): Promise<void> {
  await command('identity', `/groups/${groupId}/users/${userId}`, { method: 'DELETE' })
}

const byName = <T extends { name: string }>(rows: T[]): T[] => rows.toSorted((a, b) => a.name.localeCompare(b.name))
