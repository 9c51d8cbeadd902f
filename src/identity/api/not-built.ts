// What Keystone has and Wisp does not have yet: each operation is here with its own rule, and answers 501 to whoever would be allowed
// (to others 403, to strangers 401), so that clients can tell "not available" from "wrong address". Building one takes it out of here.
import { notBuilt } from '../../http/fault.ts'
import { type AnyRow, type PolicyDefaults, type Route, row } from '../../http/table.ts'
import { admin, adminOrReader } from './policies.ts'

interface Feature {
  what: string
  /** The rules, with their defaults in Keystone. */
  rules: PolicyDefaults
  /** '<method> <path> <rule>' each; without a rule the operation is open to strangers. */
  operations: string[]
}

const crudRules = (one: string, many: string): PolicyDefaults => ({
  [`create_${one}`]: admin,
  [`get_${one}`]: adminOrReader,
  [`list_${many}`]: adminOrReader,
  [`update_${one}`]: admin,
  [`delete_${one}`]: admin,
})
const crud = (path: string, id: string, one: string, many: string, create = `POST ${path}`) => [
  `${create} create_${one}`,
  `GET ${path} list_${many}`,
  `GET ${path}/:${id} get_${one}`,
  `PATCH ${path}/:${id} update_${one}`,
  `DELETE ${path}/:${id} delete_${one}`,
]

const features: Feature[] = [
  {
    what: 'OAuth',
    rules: {
      ...crudRules('consumer', 'consumers'),
      authorize_request_token: admin,
      get_access_token: admin,
      list_access_tokens: admin,
      delete_access_token: admin,
      get_access_token_role: admin,
      list_access_token_roles: admin,
    },
    operations: [
      ...crud('/OS-OAUTH1/consumers', 'consumer_id', 'consumer', 'consumers'),
      'POST /OS-OAUTH1/request_token',
      'PUT /OS-OAUTH1/authorize/:request_token_id authorize_request_token',
      'POST /OS-OAUTH1/access_token',
      'GET /users/:user_id/OS-OAUTH1/access_tokens list_access_tokens',
      'GET /users/:user_id/OS-OAUTH1/access_tokens/:access_token_id get_access_token',
      'DELETE /users/:user_id/OS-OAUTH1/access_tokens/:access_token_id delete_access_token',
      'GET /users/:user_id/OS-OAUTH1/access_tokens/:access_token_id/roles list_access_token_roles',
      'GET /users/:user_id/OS-OAUTH1/access_tokens/:access_token_id/roles/:role_id get_access_token_role',
      'POST /OS-OAUTH2/token',
    ],
  },
]

export const notBuiltPolicies: PolicyDefaults = Object.fromEntries(
  features.flatMap(({ rules }) => Object.entries(rules).map(([rule, check]) => [`identity:${rule}`, check])),
)

export const notBuiltRows: AnyRow[] = features.flatMap(({ what, operations }) =>
  operations.map((operation) => {
    const [method, path, rule] = operation.split(' ')
    return row({
      route: `${method} ${path}` as Route,
      policy: rule === undefined ? null : `identity:${rule}`,
      ...(rule !== undefined && { target: ({ params }) => ({ target: { user: { id: params.user_id } } }) }),
      reply: 200,
      summary: `${what} (not available yet)`,
      run() {
        throw notBuilt(what)
      },
    })
  }),
)
