// Key pairs: the SSH keys that users inject into servers. Owned by the user, not the project.
import { type Selectable, sql } from 'kysely'
import { Type as t } from 'typebox'
import type { ComputeKeypair } from '../../database/types.ts'
import { badRequest, conflict, notFound, overQuota } from '../../http/fault.ts'
import { type Listing, listPage, novaLinks, novaPage } from '../../http/page.ts'
import { type Call, changed, lives, row, since } from '../../http/table.ts'
import { everyProject } from '../../identity/control/quota.ts'
import { generateKey, importKey } from '../control/keypair.ts'
import { limitOf, standingsOf } from '../control/quota.ts'

type AnyCall = Pick<Call, 'tx' | 'who' | 'version' | 'must'>

const Create = t.Object(
  {
    keypair: t.Object(
      {
        name: changed(
          '2.92',
          t.String({ minLength: 1, maxLength: 255, pattern: '^(?! )[a-zA-Z0-9 _.\\-]+(?<! )$' }),
          t.String({ minLength: 1, maxLength: 255, pattern: '^(?! )[a-zA-Z0-9 _.@\\-]+(?<! )$' }),
        ),
        public_key: t.Optional(t.String({ maxLength: 65_535 })),
        type: t.Optional(since('2.2', t.Union([t.Literal('ssh'), t.Literal('x509')]))),
        user_id: t.Optional(since('2.10', t.String({ minLength: 1, maxLength: 255 }))),
      },
      { additionalProperties: false, required: changed('2.92', ['name'], ['name', 'public_key']) },
    ),
  },
  { additionalProperties: false },
)
const Owner = t.Object({ user_id: t.Optional(since('2.10', t.String())) }, { additionalProperties: changed('2.75', true, false) })
const ListQuery = t.Object(
  {
    user_id: t.Optional(since('2.10', t.String())),
    limit: t.Optional(since('2.35', t.String())),
    marker: t.Optional(since('2.35', t.String())),
  },
  { additionalProperties: changed('2.75', true, false) },
)

/** Whose keys: the caller's own, or since 2.10 another user's for those who may. */
function ownerOf(call: AnyCall, asked: string | undefined, rule: string): string {
  const owner = (lives({ since: '2.10' }, call.version) ? asked : undefined) ?? call.who.user.id
  call.must(rule, { user_id: owner })
  return owner
}

const noKeypair = (name: string, user: string) => notFound(`Keypair ${name} not found for user ${user}`)
const typed = (call: AnyCall, type: string) => (lives({ since: '2.2' }, call.version) ? { type } : {})
const brief = (call: AnyCall, { name, public_key, fingerprint, type }: Selectable<ComputeKeypair>) => ({
  name,
  public_key,
  fingerprint,
  ...typed(call, type),
})

const listing: Listing = {
  id: 'compute.keypair.name',
  columns: { name: 'compute.keypair.name' },
  sort: [{ key: 'name', direction: 'asc' }],
}

export const keypairs = [
  row({
    route: 'GET /os-keypairs',
    policy: 'os_compute_api:os-keypairs:index',
    target: 'loaded',
    query: ListQuery,
    reply: 200,
    run: async (call) => {
      const owner = ownerOf(call, call.query.user_id, 'os_compute_api:os-keypairs:index')
      const all = call.tx.selectFrom('compute.keypair').selectAll('compute.keypair').where('user_id', '=', owner)
      const paged = lives({ since: '2.35' }, call.version) ? { limit: call.query.limit, marker: call.query.marker } : {}
      const { rows, more } = await listPage(all, novaPage(paged, listing), listing)
      return {
        keypairs: rows.map((keypair) => ({ keypair: brief(call, keypair) })),
        ...(lives({ since: '2.35' }, call.version) && novaLinks('keypairs', call.url, more, rows.at(-1)?.name)),
      }
    },
  }),
  row({
    route: 'POST /os-keypairs',
    policy: 'os_compute_api:os-keypairs:create',
    target: 'loaded',
    body: Create,
    reply: changed('2.2', 200, 201),
    run: async (call) => {
      const { name, public_key, type = 'ssh', user_id } = call.body.keypair
      const owner = ownerOf(call, user_id, 'os_compute_api:os-keypairs:create')
      if (type === 'x509') throw badRequest('Key pairs of type x509 are not available in this version of Wisp; use type ssh.')
      const made = public_key === undefined ? generateKey('Generated-by-Wisp') : importKey(public_key)
      const most = limitOf(await standingsOf(call.tx, call.who.project?.id ?? everyProject, owner), 'key_pairs')
      // Of two that are made at once one waits, and counts the other.
      await sql`select pg_advisory_xact_lock(hashtextextended(${`key pairs ${owner}`}, 0))`.execute(call.tx)
      const { count } = await call.tx
        .selectFrom('compute.keypair')
        .select((e) => e.fn.countAll<number>().as('count'))
        .where('user_id', '=', owner)
        .executeTakeFirstOrThrow()
      if (most >= 0 && count >= most) throw overQuota('Quota exceeded, too many key pairs.')
      const saved = await call.tx
        .insertInto('compute.keypair')
        .values({ user_id: owner, name, type, public_key: made.public_key, fingerprint: made.fingerprint })
        .onConflict((on) => on.doNothing())
        .returningAll()
        .executeTakeFirst()
      if (!saved) throw conflict(`Key pair '${name}' already exists.`)
      return { keypair: { ...brief(call, saved), user_id: owner, ...('private_key' in made && { private_key: made.private_key }) } }
    },
  }),
  row({
    route: 'GET /os-keypairs/:name',
    policy: 'os_compute_api:os-keypairs:show',
    target: 'loaded',
    query: Owner,
    reply: 200,
    run: async (call) => {
      const owner = ownerOf(call, call.query.user_id, 'os_compute_api:os-keypairs:show')
      const keypair = await call.tx
        .selectFrom('compute.keypair')
        .selectAll()
        .where('user_id', '=', owner)
        .where('name', '=', call.params.name)
        .executeTakeFirst()
      if (!keypair) throw noKeypair(call.params.name, owner)
      return {
        keypair: {
          ...brief(call, keypair),
          user_id: owner,
          id: keypair.id,
          created_at: keypair.created_at.toISOString().replace(/\.(\d+)Z$/, '.$1000'),
          deleted: false,
          deleted_at: null,
          updated_at: null,
        },
      }
    },
  }),
  row({
    route: 'DELETE /os-keypairs/:name',
    policy: 'os_compute_api:os-keypairs:delete',
    target: 'loaded',
    query: Owner,
    reply: changed('2.2', 202, 204),
    run: async (call) => {
      const owner = ownerOf(call, call.query.user_id, 'os_compute_api:os-keypairs:delete')
      const gone = await call.tx
        .deleteFrom('compute.keypair')
        .where('user_id', '=', owner)
        .where('name', '=', call.params.name)
        .returning('name')
        .executeTakeFirst()
      if (!gone) throw noKeypair(call.params.name, owner)
    },
  }),
]
