// How users are shown, and the list of them.
import { type RawBuilder, sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { badRequest } from '../../http/fault.ts'
import { type AnyRow, type Call, type RawQuery, row } from '../../http/table.ts'
import type { SecurityCompliance } from '../../security-compliance.ts'
import { dayOf, isEnabled } from '../control/prove-password.ts'
import { linked } from './federation/linked-users.ts'
import type { UserRow } from './find.ts'
import { asked, limitOf, matching, selfLink } from './list.ts'
import { remembering, shownCollection, versionOf } from './shown.ts'

/** A user as lists read them: with the day on which the password expires. */
type Shown = UserRow & { password_expires_at: Date | null }

const given = (fields: Record<string, unknown>) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null))

const plainView = (user: Shown, compliance: SecurityCompliance) => ({
  ...(user.extra as object),
  id: user.id,
  name: user.name,
  domain_id: user.domain_id,
  enabled: isEnabled(user, compliance),
  ...given({ description: user.description, email: user.email, default_project_id: user.default_project_id }),
  options: user.options,
  password_expires_at: user.password_expires_at && timestamp(user.password_expires_at),
})

export const userView = (call: Pick<Call, 'url'>, user: Shown, compliance: SecurityCompliance) => ({
  ...plainView(user, compliance),
  links: selfLink(call, 'users', user.id),
})

/** As Keystone writes times here: with microseconds and without a zone. */
const timestamp = (time: Date) => time.toISOString().replace('Z', '000')

const passwordExpiresAt = sql<Date | null>`(select p.expires_at from identity.password p where p.user_id = u.id order by p.id desc limit 1)`

/** All users with what the view needs; add conditions on `u`. */
export const shownUsers = (tx: Tx) => tx.selectFrom('identity.user as u').selectAll('u').select(passwordExpiresAt.as('password_expires_at'))

/**
 * What a list shows of users follows from these, and from the day where those who are idle for too long count as disabled: the day of this
 * machine's clock, which tells who is idle, not of the database's.
 */
const userVersion = ({ disable_user_account_days_inactive: days }: SecurityCompliance) =>
  versionOf('u', passwordExpiresAt, sql`${days === 0 ? '' : String(dayOf(new Date()))}::text`)

const operators = new Map(Object.entries({ lt: '<', lte: '<=', gt: '>', gte: '>=', eq: '=', neq: '<>' }))

/** The condition of `?password_expires_at=lt:2016-12-08T22:02:00Z` on the alias `u`. @throws Fault 400 for what is no operator and time */
export function expiring(query: RawQuery): RawBuilder<boolean> {
  const given = asked(query, 'password_expires_at')
  if (given === undefined) return sql`true`
  const [, word = 'eq', time = ''] = /^(?:([a-z]+):)?(\d{4}-.*)$/.exec(given) ?? []
  const operator = operators.get(word)
  const at = new Date(/(Z|[+-]\d\d:?\d\d)$/i.test(time) ? time : `${time}Z`)
  if (operator === undefined || Number.isNaN(at.getTime())) {
    throw badRequest(
      `Invalid input for field 'password_expires_at': '${given.slice(0, 60)}' must be an operator (${[...operators.keys()].join(', ')}), a colon and a time as 2016-12-08T22:02:00Z`,
    )
  }
  return sql`u.id in (
    select p.user_id from identity.password p
    where p.expires_at ${sql.raw(operator)} ${at}
      and not exists (select from identity.password newer where newer.user_id = p.user_id and newer.id > p.id))`
}

export function listUsers(compliance: SecurityCompliance): AnyRow {
  const show = remembering((user: Shown & { version: string }) => plainView(user, compliance))
  return row({
    route: 'GET /users',
    policy: 'identity:list_users',
    target: ({ who }) => ({ target: { domain_id: who.domain?.id } }),
    reply: 200,
    summary: 'List users',
    async run(call) {
      const { query, tx, who } = call
      const version = userVersion(compliance).as('version')
      const versions = await tx
        .selectFrom('identity.user as u')
        .select(version)
        .$if(who.domain !== null, (q) => q.where('u.domain_id', '=', who.domain!.id))
        .where(matching(query, { name: 'text', domain_id: 'text', enabled: 'boolean' }, 'u'))
        .where(expiring(query))
        .where(linked(query))
        .orderBy('u.id')
        .limit(limitOf(query))
        .execute()
      const read = (ids: string[]) => shownUsers(tx).select(version).where('u.id', '=', sql<string>`any(${ids})`).execute()
      return shownCollection(
        call,
        'users',
        versions.map((one) => one.version),
        show,
        read,
      )
    },
  })
}
