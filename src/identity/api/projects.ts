// Projects: what servers, networks and volumes belong to. They form trees; the root of each is a domain.

import { sql } from 'kysely'
import { Type as t } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { badRequest, Fault, forbidden } from '../../http/fault.ts'
import { type Call, type RawQuery, row } from '../../http/table.ts'
import { identityChanged, newId } from '../control/changed.ts'
import { type LimitModel, limitModels, limitsOf } from '../control/limits.ts'
import { forgetTargets, projectsAbove, projectsBelow } from '../control/projects.ts'
import { projectsOf } from '../control/reach.ts'
import { deleteDomain } from './domains.ts'
import {
  enabled,
  extraOf,
  id,
  name,
  nullable,
  options,
  optionsOf,
  partial,
  refuseDelete,
  refuseUpdate,
  sameDomain,
  sameId,
  tags,
  taken,
  text,
  wrapped,
} from './fields.ts'
import { findDomain, findProject, livesOf, lock, orGone, type ProjectRow, peekProject } from './find.ts'
import { homeDomain } from './home.ts'
import { asked, askedFlag, limitOf, matching, selfLink } from './list.ts'
import { remembering, shownCollection, versionOf } from './shown.ts'

const properties = {
  name: name(64),
  description: text,
  domain_id: t.Optional(nullable(id)),
  parent_id: t.Optional(nullable(id)),
  is_domain: t.Optional(t.Boolean()),
  enabled,
  options,
  tags: t.Optional(tags),
}
const known = Object.keys(properties)
/** Keystone's max_project_tree_depth or what the model allows, and the domain above. */
const deepestIn = (model: LimitModel) => Math.min(5, limitModels[model].depth ?? 5) + 1

const duplicate = ({ id, name, is_domain }: { id: string; name: string; is_domain: boolean }) =>
  taken(
    'project',
    is_domain
      ? `it is not permitted to have two projects acting as domains with the same name: ${name}`
      : `it is not permitted to have two projects with either the same name or same id in the same domain: name is ${name}, project id ${id}`,
  )

const plainView = (project: ProjectRow) => ({
  ...(project.extra as object),
  id: project.id,
  name: project.name,
  domain_id: project.domain_id,
  parent_id: project.parent_id,
  is_domain: project.is_domain,
  enabled: project.enabled,
  description: project.description,
  tags: project.tags,
  options: project.options,
})

export const projectView = (call: Pick<Call, 'url'>, project: ProjectRow) => ({
  ...plainView(project),
  links: selfLink(call, 'projects', project.id),
})

const version = versionOf('p').as('version')
const show = remembering((project: ProjectRow & { version: string }) => plainView(project))

/** Where policy looks at the project that the path names. */
export const theProject = async ({ tx, params }: { tx: Tx; params: Record<string, string> }) => ({
  target: { project: await peekProject(tx, params.project_id ?? '') },
})

export const projects = [
  row({
    route: 'GET /projects',
    policy: 'identity:list_projects',
    target: ({ who }) => ({ target: { domain_id: who.domain?.id } }),
    reply: 200,
    summary: 'List projects',
    async run(call) {
      const { query, tx, who } = call
      const versions = await tx
        .selectFrom('identity.project as p')
        .select(version)
        .where('is_domain', '=', askedFlag(query, 'is_domain'))
        .$if(who.domain !== null, (q) => q.where('domain_id', '=', who.domain!.id))
        .where(matching(query, { name: 'text', domain_id: 'text', parent_id: 'text', enabled: 'boolean' }, 'p'))
        .where(tagged(query))
        .orderBy('id')
        .limit(limitOf(query))
        .execute()
      const read = (ids: string[]) =>
        tx.selectFrom('identity.project as p').selectAll('p').select(version).where('p.id', '=', sql<string>`any(${ids})`).execute()
      return shownCollection(
        call,
        'projects',
        versions.map((one) => one.version),
        show,
        read,
      )
    },
  }),
  row({
    route: 'GET /projects/:project_id',
    policy: 'identity:get_project',
    target: theProject,
    reply: 200,
    summary: 'Show a project, with ?parents_as_list, parents_as_ids, subtree_as_list or subtree_as_ids its relatives',
    async run(call) {
      const project = await findProject(call.tx, call.params.project_id)
      return { project: { ...projectView(call, project), ...(await relatives(call, project)) } }
    },
  }),
  row({
    route: 'PATCH /projects/:project_id',
    policy: 'identity:update_project',
    target: theProject,
    body: wrapped('project', partial(properties)),
    reply: 200,
    summary: 'Change a project; while it is disabled, nobody can work in it',
    async run(call) {
      const { body, tx } = call
      await lock(tx, 'project', call.params.project_id)
      const old = await findProject(tx, call.params.project_id)
      sameId(body.project, old.id)
      sameDomain(body.project, old.domain_id)
      refuseUpdate(old.is_domain ? 'domain' : 'project', old, body.project)
      const { description, enabled = old.enabled, options, tags = old.tags, parent_id, is_domain } = body.project
      if (parent_id !== undefined && parent_id !== old.parent_id) throw forbidden('Update of `parent_id` is not allowed.')
      if (is_domain !== undefined && is_domain !== old.is_domain) throw badRequest('Update of `is_domain` is not allowed.')
      if (enabled !== old.enabled) await refuseSwitch(tx, old, enabled)
      const name = body.project.name?.trim() ?? old.name
      const project = await tx
        .updateTable('identity.project')
        .set({ name, enabled, tags, description: description === undefined ? old.description : (description ?? '') })
        .set({ options: optionsOf(options, old.options), extra: extraOf(body.project, known, old.extra), lives: livesOf(old, enabled) })
        .where('id', '=', old.id)
        .returningAll()
        .executeTakeFirstOrThrow(orGone('project', old.id))
        .catch(duplicate({ ...old, name }))
      await identityChanged(tx)
      return { project: projectView(call, project) }
    },
  }),
  row({
    route: 'DELETE /projects/:project_id',
    policy: 'identity:delete_project',
    target: theProject,
    reply: 204,
    summary: 'Delete a project without children',
    async run({ tx, params }) {
      const project = await findProject(tx, params.project_id)
      if (project.is_domain) return await deleteDomain(tx, project)
      refuseDelete('project', project)
      const child = await tx.selectFrom('identity.project').select('id').where('parent_id', '=', project.id).executeTakeFirst()
      if (child) {
        throw forbidden(
          `Cannot delete the project ${project.id} since it is not a leaf in the hierarchy. Use the cascade option if you want to delete a whole subtree.`,
        )
      }
      await forgetTargets(tx, [project.id])
      await tx.deleteFrom('identity.project').where('id', '=', project.id).execute()
      await identityChanged(tx)
    },
  }),
]

/** How deep a tree of projects may be depends on how limits are enforced. */
export const createProject = (model: LimitModel) =>
  row({
    route: 'POST /projects',
    policy: 'identity:create_project',
    target: ({ body }) => ({ target: { project: body.project } }),
    body: wrapped('project', t.Object(properties, { additionalProperties: true })),
    reply: 201,
    summary: 'Create a project',
    async run(call) {
      const { body, tx } = call
      const { description, enabled = true, is_domain = false, options, tags = [] } = body.project
      const place = is_domain ? rootPlace(body.project) : await placeFor(call, body.project, deepestIn(model))
      const values = { id: newId(), name: body.project.name.trim(), description: description ?? '', enabled, is_domain, tags, ...place }
      const project = await tx
        .insertInto('identity.project')
        .values({ ...values, options: optionsOf(options), extra: extraOf(body.project, known) })
        .returningAll()
        .executeTakeFirstOrThrow()
        .catch(duplicate(values))
      await identityChanged(tx)
      return { project: projectView(call, project) }
    },
  })

function rootPlace({ domain_id, parent_id }: { domain_id?: string | null | undefined; parent_id?: string | null | undefined }) {
  if (parent_id || domain_id) throw badRequest('only root projects are allowed to act as domains.')
  return { domain_id: null, parent_id: null }
}

/** Domain and parent of a new project, checked against each other; what does not exist is the request's fault (400), not a 404. */
async function placeFor(
  { tx, who }: Pick<Call, 'tx' | 'who'>,
  wanted: { domain_id?: string | null | undefined; parent_id?: string | null | undefined },
  deepest: number,
): Promise<{ domain_id: string; parent_id: string }> {
  const domain_id = wanted.domain_id ?? homeDomain(who)
  const parent_id = wanted.parent_id ?? domain_id
  try {
    await findDomain(tx, domain_id)
    const parent = await findProject(tx, parent_id)
    if ((parent.is_domain ? parent.id : parent.domain_id) !== domain_id) {
      throw badRequest(
        `Cannot create project, since it specifies its domain_id ${domain_id}, but specifies a parent in a different domain (${parent.domain_id ?? parent.id}).`,
      )
    }
    const above = [parent, ...(await projectsAbove(tx, parent_id))]
    const disabled = above.find(({ enabled }) => !enabled)
    if (disabled) throw badRequest(`cannot create a project in a branch containing a disabled project: ${disabled.id}`)
    if (above.length + 1 > deepest) throw forbidden(`Max hierarchy depth reached for ${parent_id} branch.`)
  } catch (error) {
    if (error instanceof Fault && error.status === 404) throw badRequest(error.message)
    throw error
  }
  return { domain_id, parent_id }
}

/** A branch is disabled from its leaves and enabled from its root. */
async function refuseSwitch(tx: Tx, { id, is_domain }: ProjectRow, enabled: boolean): Promise<void> {
  if (enabled) {
    const above = await projectsAbove(tx, id)
    if (above.some((project) => !project.enabled)) throw forbidden(`Cannot enable project ${id} since it has disabled parents`)
  } else if (!is_domain) {
    const below = await projectsBelow(tx, id)
    if (below.some((project) => project.enabled))
      throw forbidden(`Cannot disable project ${id} since its subtree contains enabled projects.`)
  }
}

/** Lists show only those projects that the caller has a role in, with ?include_limits their limits; the ids are shown to whoever may see the project. */
async function relatives(call: Pick<Call, 'tx' | 'who' | 'url'> & { query: RawQuery }, { id, parent_id }: ProjectRow): Promise<object> {
  const { query, tx, who } = call
  const wants = (name: string) => askedFlag(query, name)
  for (const side of ['parents', 'subtree']) {
    if (wants(`${side}_as_list`) && wants(`${side}_as_ids`)) {
      throw badRequest(`Cannot use ${side}_as_list and ${side}_as_ids query params at the same time.`)
    }
  }
  const out: Record<string, unknown> = {}
  const listed = async (all: { id: string }[]) => {
    const mine = new Map((await projectsOf(tx, who.user.id)).map((project) => [project.id, project]))
    const shown = all.filter(({ id }) => mine.has(id)).map(({ id }) => mine.get(id)!)
    if (!wants('include_limits')) return shown.map((project) => ({ project: projectView(call, project) }))
    const limits = await limitsOf(
      tx,
      shown.map(({ id }) => id),
    )
    return shown.map((project) => ({ project: { ...projectView(call, project), limits: limits.get(project.id) ?? [] } }))
  }
  if (wants('parents_as_list')) out.parents = await listed(await projectsAbove(tx, id))
  if (wants('parents_as_ids')) {
    const above = await projectsAbove(tx, id)
    out.parents = parent_id === null ? null : above.reduceRight<object | null>((rest, project) => ({ [project.id]: rest }), null)
  }
  if (wants('subtree_as_list')) out.subtree = await listed(await projectsBelow(tx, id))
  if (wants('subtree_as_ids')) {
    const below = await projectsBelow(tx, id)
    const under = (parent: string): object | null => {
      const children = below.filter((project) => project.parent_id === parent)
      return children.length > 0 ? Object.fromEntries(children.map((child) => [child.id, under(child.id)])) : null
    }
    out.subtree = under(id)
  }
  return out
}

/** tags (all of them), tags-any, not-tags, not-tags-any: lists with commas. */
function tagged(query: RawQuery) {
  const list = (name: string) => asked(query, name)?.split(',')
  const [all, any, notAll, notAny] = ['tags', 'tags-any', 'not-tags', 'not-tags-any'].map(list)
  const conditions = [sql<boolean>`true`]
  if (all) conditions.push(sql`p.tags @> ${all}::text[]`)
  if (any) conditions.push(sql`p.tags && ${any}::text[]`)
  if (notAll) conditions.push(sql`not p.tags @> ${notAll}::text[]`)
  if (notAny) conditions.push(sql`not p.tags && ${notAny}::text[]`)
  return sql<boolean>`${sql.join(conditions, sql` and `)}`
}
