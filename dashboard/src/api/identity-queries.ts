// What the pages read of identity, as TanStack Query options. No event tells of a change here: what someone else changed shows at the next look.
import { queryOptions } from '@tanstack/react-query'
import { listApplicationCredentials } from './application-credentials.ts'
import { keys } from './keys.ts'
import * as limits from './limits.ts'
import * as projects from './projects.ts'
import * as roles from './roles.ts'
import * as users from './users.ts'

export const projectsQuery = queryOptions({
  queryKey: keys.projectList,
  queryFn: ({ signal }) => projects.listAllProjects(signal),
  staleTime: 60_000,
})

export const projectsOfQuery = (userId: string) =>
  queryOptions({ queryKey: keys.projectsOf(userId), queryFn: ({ signal }) => projects.listProjectsOf(userId, signal) })

export const projectQuery = (id: string) =>
  queryOptions({ queryKey: keys.project(id), queryFn: ({ signal }) => projects.getProject(id, signal) })

export const domainsQuery = queryOptions({
  queryKey: keys.domainList,
  queryFn: ({ signal }) => projects.listDomains(signal),
  staleTime: 60_000,
})

export const domainQuery = (id: string) =>
  queryOptions({ queryKey: keys.domain(id), queryFn: ({ signal }) => projects.getDomain(id, signal) })

export const usersQuery = queryOptions({ queryKey: keys.userList, queryFn: ({ signal }) => users.listUsers(signal) })

export const userQuery = (id: string) => queryOptions({ queryKey: keys.user(id), queryFn: ({ signal }) => users.getUser(id, signal) })

export const usersInGroupQuery = (groupId: string) =>
  queryOptions({ queryKey: keys.usersInGroup(groupId), queryFn: ({ signal }) => users.listUsersInGroup(groupId, signal) })

export const groupsQuery = queryOptions({ queryKey: keys.groupList, queryFn: ({ signal }) => users.listGroups(signal) })

export const groupQuery = (id: string) => queryOptions({ queryKey: keys.group(id), queryFn: ({ signal }) => users.getGroup(id, signal) })

export const groupsOfQuery = (userId: string) =>
  queryOptions({ queryKey: keys.groupsOf(userId), queryFn: ({ signal }) => users.listGroupsOf(userId, signal) })

export const rolesQuery = (domainId?: string) =>
  queryOptions({ queryKey: keys.roleList(domainId), queryFn: ({ signal }) => roles.listRoles(domainId, signal) })

export const inferencesQuery = queryOptions({ queryKey: keys.inferences, queryFn: ({ signal }) => roles.listInferences(signal) })

export const assignmentsQuery = (of: roles.AssignmentQuery) =>
  queryOptions({ queryKey: keys.assignmentsOf(of), queryFn: ({ signal }) => roles.listAssignments(of, signal) })

export const applicationCredentialsQuery = (userId: string) =>
  queryOptions({
    queryKey: [...keys.applicationCredentials, userId],
    queryFn: ({ signal }) => listApplicationCredentials(userId, signal),
  })

export const registeredLimitsQuery = queryOptions({
  queryKey: keys.registeredLimits,
  queryFn: ({ signal }) => limits.listRegisteredLimits(signal),
})

export const projectLimitsQuery = (projectId: string) =>
  queryOptions({ queryKey: keys.projectLimits(projectId), queryFn: ({ signal }) => limits.listProjectLimits(projectId, signal) })

export const servicesQuery = queryOptions({
  queryKey: keys.services,
  queryFn: ({ signal }) => limits.listServices(signal),
  staleTime: 300_000,
})

export const computeQuotasQuery = (projectId: string) =>
  queryOptions({ queryKey: keys.computeQuotas(projectId), queryFn: ({ signal }) => limits.getComputeQuotas(projectId, signal) })
