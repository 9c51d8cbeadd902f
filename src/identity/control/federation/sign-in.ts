// From what an identity provider has proven of somebody to a token here: the mapping says who that is, the user is found or made, and the
// token points to the groups that the mapping gave.
import type { Database, Tx } from '../../../database/connect.ts'
import { forbidden, notFound, unauthorized } from '../../../http/fault.ts'
import { poke } from '../../../work/engine.ts'
import { identityChanged } from '../changed.ts'
import { readFacts } from '../facts.ts'
import { noteActive } from '../prove-password.ts'
import type { Sessions } from '../sessions.ts'
import type { SignedIn } from '../sign-in.ts'
import { type Claims, newAuditId } from '../tokens.ts'
import { contextFor } from './context.ts'
import { type Assertion, applyMapping, type Mapped } from './mapping.ts'
import type { Mapping } from './mapping-schema.ts'
import { domainOf, giveProjects } from './projects.ts'
import { rememberGroups, shadowUser } from './shadow-users.ts'

/** What a connection has verified. */
export interface Proven {
  provider: string
  protocol: string
  /** The name under which the provider spoke. */
  issuer: string
  assertion: Assertion
  /** In ms since 1970, where the provider says when its session ends. */
  until?: number
}

/** A way in that is open: the provider is enabled. */
export interface Way {
  provider: { id: string; domain_id: string; authorization_ttl: number | null }
  protocol: { id: string; remote_id_attribute: string | null }
  remoteIds: string[]
  mapping: Mapping | null
  mappingId: string
}

/** @throws Fault 404 where there is no such way, 403 while the provider is disabled */
export async function findWay(tx: Tx, providerId: string, protocolId: string): Promise<Way> {
  const row = await tx
    .selectFrom('identity.identity_provider as i')
    .leftJoin('identity.federation_protocol as p', (join) => join.onRef('p.identity_provider_id', '=', 'i.id').on('p.id', '=', protocolId))
    .leftJoin('identity.mapping as m', 'm.id', 'p.mapping_id')
    .select(['i.id', 'i.domain_id', 'i.enabled', 'i.authorization_ttl', 'p.id as protocol', 'p.remote_id_attribute', 'p.mapping_id'])
    .select(['m.rules', 'm.schema_version'])
    .select((eb) =>
      eb
        .selectFrom('identity.identity_provider_remote_id as r')
        .select((inner) => inner.fn.agg<string[] | null>('array_agg', ['r.remote_id']).as('ids'))
        .whereRef('r.identity_provider_id', '=', 'i.id')
        .as('remote_ids'),
    )
    .where('i.id', '=', providerId)
    .executeTakeFirst()
  if (!row) throw notFound(`Could not find Identity Provider: ${providerId}.`)
  if (row.protocol === null || row.mapping_id === null) {
    throw notFound(`Could not find federated protocol ${protocolId} for Identity Provider: ${providerId}.`)
  }
  if (!row.enabled) throw forbidden(`Identity Provider ${providerId} is disabled.`)
  return {
    provider: { id: row.id, domain_id: row.domain_id, authorization_ttl: row.authorization_ttl },
    protocol: { id: row.protocol, remote_id_attribute: row.remote_id_attribute },
    remoteIds: row.remote_ids ?? [],
    mapping: row.rules === null ? null : { rules: row.rules as unknown as Mapping['rules'], schema_version: row.schema_version ?? '1.0' },
    mappingId: row.mapping_id,
  }
}

/** The provider may speak under its remote ids only, where it has any. Keystone looks at the attribute that the protocol names; so may we. */
function checkSpeaker({ protocol, remoteIds }: Way, { issuer, assertion }: Proven): void {
  if (remoteIds.length === 0) return
  const names = protocol.remote_id_attribute ? (assertion[protocol.remote_id_attribute] ?? []) : [issuer]
  if (!names.some((name) => remoteIds.includes(name))) {
    throw forbidden('Incoming identity provider identifier not included among the accepted identifiers.')
  }
}

/**
 * An unscoped token for whoever the mapping says it is.
 * @param lifetime seconds for which a token is valid
 * @throws Fault 401 if the mapping makes nobody of it, 403 and 404 as `findWay`
 */
export async function signInFederated(db: Database, sessions: Sessions, proven: Proven, lifetime: number): Promise<SignedIn> {
  const way = await findWay(db.read, proven.provider, proven.protocol)
  checkSpeaker(way, proven)
  if (!way.mapping) throw notFound(`Could not find Mapping: ${way.mappingId}.`)
  const mapped = applyMapping(way.mapping, proven.assertion)
  const who =
    mapped.user.type === 'local' ? await localUser(db.read, mapped, way) : await db.write((tx) => ephemeralUser(tx, mapped, way, proven))
  const facts = await readFacts(db.read, who.id, { kind: 'none' }, who.federation)
  if (!facts || facts.since !== who.since) throw unauthorized()
  const { factors } = facts
  if (factors.length > 0 && !factors.some((rule) => rule.every((method) => method === proven.protocol))) throw unauthorized()
  const now = Date.now()
  const claims: Claims = {
    user: who.id,
    scope: { kind: 'none' },
    methods: [proven.protocol],
    issuedAt: now,
    expiresAt: Math.min(now + lifetime * 1000, proven.until ?? Number.POSITIVE_INFINITY),
    auditIds: [newAuditId()],
    since: who.since,
    lives: facts.lives,
    ...(who.federation !== undefined && { federation: who.federation }),
  }
  return { token: await sessions.seal(claims), claims, facts }
}

interface Found {
  id: string
  since: number
  federation?: number
}

/** A user that is here anyway, with the groups and roles that it has here. */
async function localUser(tx: Tx, { user }: Mapped, { provider }: Way): Promise<Found> {
  const domainId = await domainOf(tx, user.domain, provider.domain_id)
  const found = await tx
    .selectFrom('identity.user')
    .select(['id', 'tokens_valid_from'])
    .where('shadow', '=', false)
    .where((eb) => (user.id ? eb('id', '=', user.id) : eb.and([eb('domain_id', '=', domainId), eb('name', '=', user.name ?? '')])))
    .executeTakeFirst()
  if (!found) throw unauthorized()
  return { id: found.id, since: found.tokens_valid_from.getTime() }
}

async function ephemeralUser(tx: Tx, mapped: Mapped, way: Way, { assertion }: Proven): Promise<Found> {
  const { provider, protocol } = way
  const name = mapped.user.name || assertion.REMOTE_USER?.[0] || mapped.user.id
  if (!name || name.length > 255) {
    throw unauthorized(
      'Could not map user while setting ephemeral user identity. Either mapping rules must specify user id/name or REMOTE_USER environment variable must be set.',
    )
  }
  const domainId = await domainOf(tx, mapped.user.domain, provider.domain_id)
  const user = await shadowUser(tx, {
    provider: provider.id,
    protocol: protocol.id,
    uniqueId: encodeURIComponent(mapped.user.id || name),
    name,
    email: mapped.user.email,
    domainId,
  })
  if (!user.enabled) throw unauthorized()
  await noteActive(tx, user.id)
  const exactly = way.mapping?.schema_version === '3.0'
  const gave = await giveProjects(tx, mapped.projects, { userId: user.id, userDomainId: domainId, provider, exactly })
  const groups = await groupsOf(tx, mapped, provider.domain_id)
  const minutes = provider.authorization_ttl ?? 0
  const joined = minutes > 0 && (await rememberGroups(tx, user.id, groups, minutes))
  const federation = await contextFor(tx, provider.id, protocol.id, groups)
  if (user.changed || gave || joined) await identityChanged(tx)
  if (minutes > 0 && groups.length > 0) await poke(tx, 'identity', 'memberships')
  return { id: user.id, since: user.since.getTime(), federation }
}

/** Those of the mapping's groups that exist; as in Keystone, the others are passed over. */
async function groupsOf(tx: Tx, { group_ids, group_names }: Mapped, otherwise: string): Promise<string[]> {
  if (group_ids.length + group_names.length === 0) return []
  const byDomain = new Map<string, string[]>()
  for (const { name, domain } of group_names) {
    const key = JSON.stringify(domain)
    byDomain.set(key, [...(byDomain.get(key) ?? []), name])
  }
  const named: { domainId: string; names: string[] }[] = []
  for (const [domain, names] of byDomain) named.push({ domainId: await domainOf(tx, JSON.parse(domain), otherwise), names })
  const rows = await tx
    .selectFrom('identity.group')
    .select('id')
    .where((eb) =>
      eb.or([
        ...(group_ids.length > 0 ? [eb('id', 'in', group_ids)] : []),
        ...named.map(({ domainId, names }) => eb.and([eb('domain_id', '=', domainId), eb('name', 'in', names)])),
      ]),
    )
    .execute()
  return rows.map(({ id }) => id)
}
