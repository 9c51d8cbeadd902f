// Tags: short words on a project, to find it by.

import { Type as t } from 'typebox'
import { Value } from 'typebox/value'
import type { Tx } from '../../database/connect.ts'
import { badRequest, notFound } from '../../http/fault.ts'
import { row } from '../../http/table.ts'
import { tags } from './fields.ts'
import { findProject, lock } from './find.ts'
import { selfLink } from './list.ts'
import { theProject } from './projects.ts'

/** Under its lock: of two tags that are given at once both stay. */
async function projectToTag(tx: Tx, id: string) {
  await lock(tx, 'project', id)
  return findProject(tx, id)
}

async function setTags(tx: Tx, id: string, tags: string[]): Promise<void> {
  await tx.updateTable('identity.project').set({ tags }).where('id', '=', id).execute()
}

export const projectTags = [
  row({
    route: 'GET /projects/:project_id/tags',
    policy: 'identity:list_project_tags',
    target: theProject,
    reply: 200,
    summary: "List a project's tags",
    async run(call) {
      const { id, tags } = await findProject(call.tx, call.params.project_id)
      return { links: selfLink(call, 'projects', id, 'tags'), tags }
    },
  }),
  row({
    route: 'PUT /projects/:project_id/tags',
    policy: 'identity:update_project_tags',
    target: theProject,
    body: t.Object({ tags }, { additionalProperties: false }),
    reply: 200,
    summary: "Replace all of a project's tags",
    async run(call) {
      const { id } = await findProject(call.tx, call.params.project_id)
      await setTags(call.tx, id, call.body.tags)
      return { links: selfLink(call, 'projects', id, 'tags'), tags: call.body.tags }
    },
  }),
  row({
    route: 'DELETE /projects/:project_id/tags',
    policy: 'identity:delete_project_tags',
    target: theProject,
    reply: 204,
    summary: "Remove all of a project's tags",
    async run({ tx, params }) {
      const { id } = await findProject(tx, params.project_id)
      await setTags(tx, id, [])
    },
  }),
  row({
    route: 'GET /projects/:project_id/tags/:value',
    policy: 'identity:get_project_tag',
    target: theProject,
    reply: 204,
    summary: 'Check whether a project has a tag',
    async run({ tx, params }) {
      const { tags } = await findProject(tx, params.project_id)
      if (!tags.includes(params.value)) throw notFound(`Could not find project tag: ${params.value}.`)
    },
  }),
  row({
    route: 'PUT /projects/:project_id/tags/:value',
    policy: 'identity:create_project_tag',
    target: theProject,
    reply: 201,
    summary: 'Add a tag to a project',
    async run(call) {
      const { tx, params } = call
      const project = await projectToTag(tx, params.project_id)
      const all = [...new Set([...project.tags, params.value])]
      if (!Value.Check(tags, all))
        throw badRequest(
          `Invalid input for field 'tag': '${params.value}' is no tag (1 to 255 characters, without comma or slash), or there are too many`,
        )
      await setTags(tx, project.id, all)
      call.header('location', selfLink(call, 'projects', project.id, 'tags', params.value).self)
    },
  }),
  row({
    route: 'DELETE /projects/:project_id/tags/:value',
    policy: 'identity:delete_project_tag',
    target: theProject,
    reply: 204,
    summary: 'Remove a tag from a project',
    async run({ tx, params }) {
      const { id, tags } = await projectToTag(tx, params.project_id)
      if (!tags.includes(params.value)) throw notFound(`Could not find project tag: ${params.value}.`)
      await setTags(
        tx,
        id,
        tags.filter((tag) => tag !== params.value),
      )
    },
  }),
]
