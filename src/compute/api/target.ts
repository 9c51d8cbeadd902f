// Which server a request is about, and who asks: the same few lines for every row under /servers/{id}.
import { type Fault, forbidden, notFound } from '../../http/fault.ts'
import type { Call } from '../../http/table.ts'
import { type Facts, readFacts, type Server } from '../control/facts.ts'
import type { Asker } from '../control/wish.ts'

type AnyCall = Pick<Call, 'tx' | 'who' | 'may' | 'must' | 'requestId'>

export const noServer = (id: string): Fault => notFound(`Instance ${id} could not be found.`)

/** @throws Fault 403 for a token that is not scoped to a project */
export function projectOf({ who }: Pick<Call, 'who'>): string {
  if (!who.project) throw forbidden('This request needs a token that is scoped to a project.')
  return who.project.id
}

/** What policy rules see of a server. */
export const targetOf = ({ project_id, user_id }: Pick<Server, 'project_id' | 'user_id'>) => ({ project_id, user_id })

/** Another project's server is one that does not exist, except for administrators. */
export function seen<S extends Pick<Server, 'project_id' | 'user_id'>>(call: AnyCall, rule: string, id: string, server: S | undefined): S {
  if (!server || (server.project_id !== call.who.project?.id && !call.may('context_is_admin'))) throw noServer(id)
  call.must(rule, targetOf(server))
  return server
}

/** Reads and locks the server of the path, if the caller may do `rule` to it. @throws Fault 403, 404 */
export async function lockServer(call: AnyCall, id: string, rule: string): Promise<Facts> {
  const facts = await readFacts(call.tx, id)
  seen(call, rule, id, facts?.server)
  return facts!
}

/** Some columns of the server of the path, unlocked. @throws Fault 403, 404 */
export async function findServer(call: AnyCall, id: string, rule: string) {
  const server = await call.tx
    .selectFrom('compute.server')
    .select([
      'id',
      'project_id',
      'user_id',
      'host',
      'vm_state',
      'task_state',
      'power_state',
      'metadata',
      'tags',
      'launched_at',
      'security_groups',
      'config_drive',
    ])
    .where('id', '=', id)
    .executeTakeFirst()
  return seen(call, rule, id, server)
}

export const askerOf = (call: AnyCall): Asker => ({
  user_id: call.who.user.id,
  request_id: call.requestId,
  admin: call.may('context_is_admin'),
})
