// What is different for domains whose users come from an LDAP directory: before their users and groups are shown, the directory is asked;
// and what it says can only be changed there. The rows of users and groups know nothing of it.
import type { AnyRow, Call, RawQuery } from '../../http/table.ts'
import { type DirectoryDeps, outsideDomain, refreshDomain, refreshOf, refuseInOutside, refuseOutside } from '../control/directory.ts'
import { homeDomain } from './home.ts'
import { asked } from './list.ts'

type Before = (call: Call<Body>, deps: DirectoryDeps) => Promise<void>
type Body = { user?: { domain_id?: string }; group?: { domain_id?: string } } | undefined

/** Without a domain only those are shown who have been seen before: one directory that is away must not hide the others. */
const refreshListed: Before = async ({ query, who }, deps) => {
  const id = asked(query as RawQuery, 'domain_id') ?? who.domain?.id
  const domain = id === undefined ? undefined : await outsideDomain(deps.db.read, { id })
  if (domain) await refreshDomain(deps, domain)
}
const refreshUser: Before = ({ params }, deps) => refreshOf(deps, 'user', params.user_id ?? '')
const refreshGroup: Before = ({ params }, deps) => refreshOf(deps, 'group', params.group_id ?? '')
const refuseNew: Before = ({ body, who }, { db }) => refuseInOutside(db.read, (body?.user ?? body?.group)?.domain_id ?? homeDomain(who))
const refuseUser: Before = ({ params }, { db }) => refuseOutside(db.read, 'user', params.user_id ?? '')
const refuseGroup: Before = ({ params }, { db }) => refuseOutside(db.read, 'group', params.group_id ?? '')
const refuseBoth: Before = async (call, deps) => {
  await refuseGroup(call, deps)
  await refuseUser(call, deps)
}

const before: Record<string, Before> = {
  'GET /users': refreshListed,
  'GET /users/:user_id': refreshUser,
  'GET /users/:user_id/groups': refreshUser,
  'GET /groups': refreshListed,
  'GET /groups/:group_id': refreshGroup,
  'GET /groups/:group_id/users': refreshGroup,
  'GET /groups/:group_id/users/:user_id': refreshGroup,
  'POST /users': refuseNew,
  'PATCH /users/:user_id': refuseUser,
  'DELETE /users/:user_id': refuseUser,
  'POST /users/:user_id/password': refuseUser,
  'POST /groups': refuseNew,
  'PATCH /groups/:group_id': refuseGroup,
  'DELETE /groups/:group_id': refuseGroup,
  'PUT /groups/:group_id/users/:user_id': refuseBoth,
  'DELETE /groups/:group_id/users/:user_id': refuseBoth,
}

/** Policy has been asked by then, so nobody makes us call a directory who may not see what it says. */
export const withDirectory =
  (deps: DirectoryDeps) =>
  (row: AnyRow): AnyRow => {
    const first = before[row.route]
    if (!first) return row
    const run = row.run as (call: Call) => unknown
    return {
      ...row,
      async run(call: Call) {
        await first(call as Call<Body>, deps)
        return await run(call)
      },
    }
  }
