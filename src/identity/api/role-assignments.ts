// The list of all role assignments, as they were given or (?effective) as they work out.
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { badRequest } from '../../http/fault.ts'
import { type Call, type RawQuery, row } from '../../http/table.ts'
import { type Assignment, listAssignments, type Wanted } from '../control/assignments.ts'
import { projectsBelow } from '../control/projects.ts'
import { found, peekProject } from './find.ts'
import { asked, askedFlag, base } from './list.ts'

interface Thing {
  id: string
  name: string
  domain: { id: string; name: string } | null
}
type Names = Map<string, Thing>

export const roleAssignments = [
  row({
    route: 'GET /role_assignments',
    policy: 'identity:list_role_assignments',
    target: 'loaded',
    reply: 200,
    summary: 'List role assignments',
    async run(call) {
      const { query, tx, who } = call
      const subtree = askedFlag(query, 'include_subtree')
      const rule = subtree ? 'identity:list_role_assignments_for_tree' : 'identity:list_role_assignments'
      const projectId = asked(query, 'scope.project.id')
      const project = subtree && projectId ? await peekProject(tx, projectId) : undefined
      call.must(rule, { target: { domain_id: subtree ? project?.domain_id : who.domain?.id } })
      if (subtree && !projectId) throw badRequest('scope.project.id must be specified if include_subtree is also specified')

      const wanted: Wanted = { ...wantedBy(query), ...(who.domain && { within: who.domain.id }) }
      if (subtree && projectId) {
        found(project, 'project', projectId)
        wanted.targets = { type: 'project', ids: [projectId, ...(await projectsBelow(tx, projectId)).map(({ id }) => id)] }
      }
      const all = await listAssignments(tx, wanted)
      const names = askedFlag(query, 'include_names') ? await namesFor(tx, all) : undefined
      const self = call.url.origin + call.url.path + call.url.search
      return { role_assignments: all.map((one) => view(call, one, names)), links: { self, previous: null, next: null } }
    },
  }),
]

/** @throws Fault 400 for filters that contradict each other, in Keystone's words */
function wantedBy(query: RawQuery): Wanted {
  const [user, group, role, project, domain, system, inheritedTo] = [
    'user.id',
    'group.id',
    'role.id',
    'scope.project.id',
    'scope.domain.id',
    'scope.system',
    'scope.OS-INHERIT:inherited_to',
  ].map((name) => asked(query, name))
  const effective = askedFlag(query, 'effective')
  if (domain && project) throw badRequest('Specify a domain or project, not both')
  if (domain && system) throw badRequest('Specify system or domain, not both')
  if (project && system) throw badRequest('Specify system or project, not both')
  if (user && group) throw badRequest('Specify a user or group, not both')
  if (effective && group) throw badRequest('Combining effective and group filter will always result in an empty list.')
  if (effective && inheritedTo && domain)
    throw badRequest('Combining effective, domain and inherited filters will always result in an empty list.')
  return {
    effective,
    ...(user && { user }),
    ...(group && { group }),
    ...(role && { role }),
    ...(project && { targets: { type: 'project', ids: [project] } }),
    ...(domain && { targets: { type: 'domain', ids: [domain] } }),
    ...(system && { targets: { type: 'system', ids: ['all'] } }),
    ...(inheritedTo !== undefined && { inherited: inheritedTo === 'projects' }),
  }
}

/** As Keystone writes it (keystone/api/role_assignments.py, _format_entity). */
function view(call: Pick<Call, 'url'>, a: Assignment, names: Names | undefined) {
  const { indirect = {} } = a
  const thing = (kind: string, id: string) => {
    const known = names?.get(`${kind} ${id}`)
    if (!known) return { id }
    return { id, name: known.name, ...(known.domain && { domain: known.domain }) }
  }
  const inherited = a.inherited || indirect.project_id !== undefined || indirect.domain_id !== undefined
  const scope = {
    ...(a.target_type === 'system' ? { system: { all: true } } : { [a.target_type]: thing(a.target_type, a.target_id) }),
    ...(inherited && { 'OS-INHERIT:inherited_to': 'projects' }),
  }
  const where = indirect.domain_id
    ? `/domains/${indirect.domain_id}`
    : a.target_type === 'system'
      ? '/system'
      : `/${indirect.project_id ? 'project' : a.target_type}s/${indirect.project_id ?? a.target_id}`
  const whom = indirect.group_id ? `/groups/${indirect.group_id}` : `/${a.actor_type}s/${a.actor_id}`
  const path = `${where}${whom}/roles/${indirect.role_id ?? a.role_id}`
  return {
    links: {
      assignment: base(call) + (inherited ? `/OS-INHERIT${path}/inherited_to_projects` : path),
      ...(indirect.group_id && { membership: `${base(call)}/groups/${indirect.group_id}/users/${a.actor_id}` }),
      ...(indirect.role_id && { prior_role: `${base(call)}/prior_role/${a.role_id}/implies/${indirect.role_id}` }),
    },
    scope,
    [a.actor_type]: thing(a.actor_type, a.actor_id),
    role: thing('role', a.role_id),
  }
}

/** Names of everything that is part of these assignments. */
async function namesFor(tx: Tx, all: Assignment[]): Promise<Names> {
  const ids = (of: (a: Assignment) => string) => [...new Set(all.map(of))]
  const { rows } = await sql<{ kind: string; id: string; name: string; domain_id: string | null; domain_name: string | null }>`
    select x.*, d.name as domain_name from (
      select case when is_domain then 'domain' else 'project' end as kind, id, name, domain_id from identity.project
      where id = any(${ids(({ target_id }) => target_id)})
      union all select 'user', id, name, domain_id from identity."user" where id = any(${ids(({ actor_id }) => actor_id)})
      union all select 'group', id, name, domain_id from identity."group" where id = any(${ids(({ actor_id }) => actor_id)})
      union all select 'role', id, name, domain_id from identity.role where id = any(${ids(({ role_id }) => role_id)})
    ) x left join identity.project d on d.id = x.domain_id`.execute(tx)
  return new Map(
    rows.map(({ kind, id, name, domain_id, domain_name }) => [
      `${kind} ${id}`,
      { id, name, domain: domain_id === null ? null : { id: domain_id, name: domain_name ?? '' } },
    ]),
  )
}
