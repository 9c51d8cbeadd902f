// How Wisp itself talks to an identity provider: as an OpenID Connect client or as a SAML service provider. Kept with the protocol that it
// serves; a client's secret is sealed, and never shown again.
import { json, type Tx } from '../../../database/connect.ts'
import type { JsonObject } from '../../../database/types.ts'
import { type SealingKeys, sealIn, unsealWith } from '../sealed.ts'

export interface OpenidSettings {
  issuer: string
  client_id: string
  scopes: string[]
  /** Clients other than ours whose access tokens count, too. */
  audiences: string[]
  /** The claim that stands for REMOTE_USER in mappings. */
  remote_user_claim: string
  display_name: string | null
}

export interface Saml2Settings {
  entity_id: string
  sso_url: string
  /** PEM; any of them may have signed. */
  certificates: string[]
  display_name: string | null
}

interface Shared {
  provider: string
  protocol: string
  /** scheme://host:port of this cloud, as the provider knows it. */
  origin: string
}
export type OpenidConnection = Shared & { type: 'openid'; settings: OpenidSettings; secret: string | null }
export type Saml2Connection = Shared & { type: 'saml2'; settings: Saml2Settings; secret: null }
export type Connection = OpenidConnection | Saml2Connection

export const nameOfConnection = ({ provider, protocol }: Pick<Connection, 'provider' | 'protocol'>) =>
  `federation connection ${provider} ${protocol}`

export async function readConnection(tx: Tx, key: SealingKeys, provider: string, protocol: string): Promise<Connection | undefined> {
  const row = await tx
    .selectFrom('identity.federation_connection')
    .selectAll()
    .where('identity_provider_id', '=', provider)
    .where('protocol_id', '=', protocol)
    .executeTakeFirst()
  if (!row) return undefined
  return {
    provider,
    protocol,
    type: row.type,
    origin: row.origin,
    settings: row.settings,
    secret: row.secret && unsealWith(key, nameOfConnection({ provider, protocol }), row.secret).toString(),
  } as unknown as Connection
}

/** Makes or replaces it. */
export async function writeConnection(tx: Tx, key: SealingKeys, connection: Connection): Promise<void> {
  const { provider, protocol, type, origin, settings, secret } = connection
  const values = {
    type,
    origin,
    settings: json(settings as unknown as JsonObject),
    secret: secret === null ? null : await sealIn(tx, key, nameOfConnection(connection), Buffer.from(secret)),
  }
  await tx
    .insertInto('identity.federation_connection')
    .values({ identity_provider_id: provider, protocol_id: protocol, ...values })
    .onConflict((c) => c.columns(['identity_provider_id', 'protocol_id']).doUpdateSet(values))
    .execute()
}

/** The ways in that a browser can take, for log-in pages. */
export interface WebWay {
  provider: string
  protocol: string
  name: string
  origin: string
}

export async function webWays(tx: Tx, protocol?: string): Promise<WebWay[]> {
  const rows = await tx
    .selectFrom('identity.federation_connection as c')
    .innerJoin('identity.identity_provider as i', 'i.id', 'c.identity_provider_id')
    .select(['c.identity_provider_id as provider', 'c.protocol_id as protocol', 'c.origin', 'c.settings', 'i.description'])
    .where('i.enabled', '=', true)
    .$if(protocol !== undefined, (q) => q.where('c.protocol_id', '=', protocol!))
    .orderBy('provider')
    .orderBy('protocol')
    .execute()
  return rows.map(({ settings, description, ...way }) => {
    const { display_name } = settings as { display_name?: string | null }
    return { ...way, name: display_name || description || way.provider }
  })
}

/** Where a way's browser pages are: both the start and where the provider sends people back to. */
export const webAddress = ({ origin, provider, protocol }: Pick<WebWay, 'origin' | 'provider' | 'protocol'>): string =>
  `${origin}/identity/v3/auth/OS-FEDERATION/identity_providers/${encodeURIComponent(provider)}/protocols/${encodeURIComponent(protocol)}/websso`

/** The name under which Wisp asks SAML providers for assertions. */
export const spEntityId = ({ origin }: Pick<WebWay, 'origin'>): string => `${origin}/identity/v3/OS-FEDERATION/saml2/sp`
