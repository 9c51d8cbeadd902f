// Signing in as a program: by an application credential's id or name, and its secret.
import type { Database } from '../../database/connect.ts'
import { unauthorized } from '../../http/fault.ts'
import { noteWrong, refuseFlood } from './attempts.ts'
import { expecting } from './faults.ts'
import { verifyPassword } from './passwords.ts'
import { untilRefusal } from './refusals.ts'
import type { RememberedPasswords } from './remembered-passwords.ts'
import type { AuthRequest, Proof } from './sign-in.ts'

/**
 * The user to whom the credential belongs; who else the request names is not asked for, where the id is given.
 * @param remote the client's address
 * @param remembered secrets that need not be hashed again
 * @throws Fault 400 for what is missing, 401 for anything wrong, in the same time; 429 after too many wrong secrets
 */
export async function byApplicationCredential(
  db: Database,
  { id, name, user, secret }: NonNullable<AuthRequest['identity']['application_credential']>,
  remote: string,
  remembered?: RememberedPasswords,
): Promise<Proof> {
  if (!id) {
    if (!name) throw expecting('name or ID', 'application credential')
    if (!user) throw expecting('user', 'application credential')
    if (!user.id && !user.name) throw expecting('id or name', 'user')
    if (!user.id && !user.domain) throw expecting('domain', 'user')
  }
  const called = id ?? `${user?.id ?? user?.name} ${name}`
  refuseFlood(remote, called)
  const began = performance.now()
  const found = await db.read
    .selectFrom('identity.application_credential as c')
    .innerJoin('identity.user as u', 'u.id', 'c.user_id')
    .innerJoin('identity.project as d', 'd.id', 'u.domain_id')
    .select(['c.id', 'c.secret_hash', 'u.id as user', 'u.enabled', 'u.tokens_valid_from', 'd.enabled as domain_enabled'])
    .where((eb) => {
      if (id) return eb('c.id', '=', id)
      const owner = user?.id
        ? eb('u.id', '=', user.id)
        : eb.and([
            eb('u.name', '=', user?.name ?? ''),
            eb(user?.domain?.id ? 'd.id' : 'd.name', '=', user?.domain?.id ?? user?.domain?.name ?? ''),
          ])
      return eb.and([eb('c.name', '=', name ?? ''), owner])
    })
    .executeTakeFirst()
  const right = await verifyPassword(secret ?? '', found?.secret_hash, remote, remembered)
  if (!right) noteWrong(remote, called)
  if (!found || !right || !found.enabled || !found.domain_enabled) {
    await untilRefusal(db, began)
    throw unauthorized()
  }
  return {
    user: found.user,
    since: found.tokens_valid_from.getTime(),
    methods: [],
    delegation: { kind: 'application_credential', id: found.id },
  }
}
