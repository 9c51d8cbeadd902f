// The list of all role assignments, as they were given or (?effective) as they work out.
import type { Tx } from '../../database/connect.ts'
import { badRequest } from '../../http/fault.ts'
import { type Call, type RawQuery, row } from '../../http/table.ts'
import { type Assignment, listAssignments, type Wanted } from '../control/assignments.ts'
import { projectsBelow } from '../control/projects.ts'
import { peekProject } from './find.ts'
import { asked, askedFlag, base } from './list.ts'
import { refuseDomainScope } from './policies.ts'

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
      refuseDomainScope(call, rule)
      call.must(rule, { target: { domain_id: subtree ? project?.domain_id : who.domain?.id } })
      if (subtree && !projectId) throw badRequest('scope.project.id must be specified if include_subtree is also specified')

      const wanted = wantedBy(query)
      if (subtree && projectId)
        wanted.targets = { type: 'project', ids: [projectId, ...(await projectsBelow(tx, projectId)).map(({ id }) => id)] }
      let all = await listAssignments(tx, wanted)
      if (who.domain) {
        const inside = await tx.selectFrom('identity.project').select('id').where('domain_id', '=', who.domain.id).execute()
        const ids = new Set([who.domain.id, ...inside.map(({ id }) => id)])
        all = all.filter(({ target_id }) => ids.has(target_id))
      }
      const names = askedFlag(query, 'include_names') ? await namesFor(tx) : undefined
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

/** Names of everything that can be part of an assignment. */
async function namesFor(tx: Tx): Promise<Names> {
  const names: Names = new Map()
  const projects = await tx.selectFrom('identity.project').select(['id', 'name', 'domain_id']).execute()
  const domains = new Map(projects.filter(({ domain_id }) => domain_id === null).map(({ id, name }) => [id, { id, name }]))
  const note = (kind: string, rows: { id: string; name: string; domain_id: string | null }[]) => {
    for (const { id, name, domain_id } of rows) names.set(`${kind} ${id}`, { id, name, domain: domains.get(domain_id ?? '') ?? null })
  }
  note('project', projects)
  note('domain', projects)
  note('user', await tx.selectFrom('identity.user').select(['id', 'name', 'domain_id']).execute())
  note('group', await tx.selectFrom('identity.group').select(['id', 'name', 'domain_id']).execute())
  note('role', await tx.selectFrom('identity.role').select(['id', 'name', 'domain_id']).execute())
  return names
}
