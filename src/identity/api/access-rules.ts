// Access rules: the requests that an application credential may make. Users keep them, so that several credentials can share one.
import { Type as t } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { badRequest, forbidden, notFound } from '../../http/fault.ts'
import { type Call, row } from '../../http/table.ts'
import { newId } from '../control/changed.ts'
import { refuseTrustAndOauth } from './lent.ts'
import { collection, limitOf, matching, selfLink } from './list.ts'
import { theUser } from './users.ts'

/** As they are given with an application credential: by id, or as what they say. */
export const ruleProperties = {
  id: t.Optional(t.String({ minLength: 1, maxLength: 64 })),
  path: t.Optional(t.String({ maxLength: 225, pattern: '^/' })),
  service: t.Optional(t.String({ minLength: 1, maxLength: 64, pattern: '^[a-zA-Z0-9-]+$' })),
  method: t.Optional(t.Union(['DELETE', 'GET', 'HEAD', 'PATCH', 'POST', 'PUT'].map((method) => t.Literal(method)))),
}
export interface GivenRule {
  id?: string
  path?: string
  service?: string
  method?: string
}

/**
 * The ids of these rules of the user; those that are not there yet are made.
 * @throws Fault 400 for a rule that is incomplete, or named by an id that is none of the user's
 */
export async function takeRules(tx: Tx, userId: string, given: GivenRule[]): Promise<string[]> {
  if (given.length === 0) return []
  const has = tx.selectFrom('identity.access_rule').selectAll().where('user_id', '=', userId).forShare()
  const kept = await has.execute()
  const fresh: { id: string; user_id: string; path: string; service: string; method: string }[] = []
  const ids = given.map(({ id, path, service, method }) => {
    const all = [...kept, ...fresh]
    const known =
      all.find((rule) => rule.id === id) ?? all.find((rule) => rule.path === path && rule.service === service && rule.method === method)
    if (known) return known.id
    if (path === undefined || service === undefined || method === undefined) {
      throw badRequest(
        id === undefined
          ? 'An access rule needs a path, a method and a service.'
          : `There is no access rule ${id}: give its path, method and service.`,
      )
    }
    const rule = { id: newId(), user_id: userId, path, service, method }
    fresh.push(rule)
    return rule.id
  })
  if (fresh.length > 0) await tx.insertInto('identity.access_rule').values(fresh).execute()
  return [...new Set(ids)]
}

/** @throws Fault 404 */
async function findRule(tx: Tx, userId: string, id: string) {
  const rule = await tx.selectFrom('identity.access_rule').selectAll().where('id', '=', id).where('user_id', '=', userId).executeTakeFirst()
  if (!rule) throw notFound(`Could not find Access Rule: ${id}.`)
  return rule
}

const view = (call: Pick<Call, 'url'>, { id, path, method, service, user_id }: Awaited<ReturnType<typeof findRule>>) => ({
  id,
  path,
  method,
  service,
  links: selfLink(call, 'users', user_id, 'access_rules', id),
})

export const accessRules = [
  row({
    route: 'GET /users/:user_id/access_rules',
    policy: 'identity:list_access_rules',
    target: theUser,
    reply: 200,
    summary: 'List the access rules of a user',
    async run(call) {
      const { query, tx, who, params } = call
      refuseTrustAndOauth(who)
      const rows = await tx
        .selectFrom('identity.access_rule as r')
        .selectAll()
        .where('r.user_id', '=', params.user_id)
        .where(matching(query, { service: 'text', path: 'text', method: 'text' }, 'r'))
        .orderBy('r.id')
        .limit(limitOf(query))
        .execute()
      return collection(call, 'access_rules', rows, (rule) => view(call, rule))
    },
  }),
  row({
    route: 'GET /users/:user_id/access_rules/:access_rule_id',
    policy: 'identity:get_access_rule',
    target: theUser,
    reply: 200,
    summary: 'Show an access rule',
    async run(call) {
      refuseTrustAndOauth(call.who)
      return { access_rule: view(call, await findRule(call.tx, call.params.user_id, call.params.access_rule_id)) }
    },
  }),
  row({
    route: 'DELETE /users/:user_id/access_rules/:access_rule_id',
    policy: 'identity:delete_access_rule',
    target: theUser,
    reply: 204,
    summary: 'Delete an access rule that no application credential uses',
    async run({ tx, who, params }) {
      refuseTrustAndOauth(who)
      const { id } = await findRule(tx, params.user_id, params.access_rule_id)
      await tx
        .deleteFrom('identity.access_rule')
        .where('id', '=', id)
        .execute()
        .catch((error: unknown) => {
          if (error instanceof Error && 'code' in error && error.code === '23503') throw forbidden('May not delete access rule in use')
          throw error
        })
    },
  }),
]
