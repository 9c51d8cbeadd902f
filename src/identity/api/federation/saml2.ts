// Keystone to Keystone: assertions about our users for other clouds, and the door for those that other clouds make about theirs (ECP).
import { type Static, Type as t } from 'typebox'
import type { Database } from '../../../database/connect.ts'
import { forbidden, notFound, tooLarge, unauthorized } from '../../../http/fault.ts'
import { type AnyRow, type Call, row } from '../../../http/table.ts'
import { isHeld, notHeld } from '../../control/bound-tokens.ts'
import type { Facts } from '../../control/facts.ts'
import { inEnvelope, ownMetadata, samlResponse } from '../../control/federation/assertion.ts'
import { spEntityId } from '../../control/federation/connections.ts'
import { keepProven, openEnvelope, speakerOf } from '../../control/federation/envelope.ts'
import { verifySaml } from '../../control/federation/saml.ts'
import { samlKey } from '../../control/federation/saml-key.ts'
import { base } from '../list.ts'
import { findServiceProvider } from './service-providers.ts'
import type { FederationDeps } from './sign-in.ts'

const byId = t.Object({ id: t.String() }, { additionalProperties: false })
// keystone/federation/schema.py, saml_create
const body = t.Object(
  {
    auth: t.Object(
      {
        identity: t.Object({ token: byId, methods: t.Optional(t.Array(t.Unknown())) }, { additionalProperties: false }),
        scope: t.Object({ service_provider: byId }, { additionalProperties: false }),
      },
      { additionalProperties: false },
    ),
  },
  { additionalProperties: false },
)

/** Where command-line clients deliver assertions; mod_shib's address, which Keystone's documentation gives and clients are configured with. */
export const ecpPath = '/Shibboleth.sso/SAML2/ECP'
const largest = 500_000

/** What a client posts, as text. @throws Fault 413 */
export async function readText(input: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of input) {
    size += part.length
    if (size > largest) throw tooLarge(`The request body must not be larger than ${largest} bytes.`)
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

type Deps = Pick<FederationDeps, 'sessions' | 'key' | 'publicUrl'> & { db: Database }

export function saml2({ sessions, key, publicUrl, db }: Deps): AnyRow[] {
  /** This API's address as others know it. */
  const ownBase = (call: Pick<Call, 'url'>) => base(call).replace(call.url.origin, publicUrl ?? call.url.origin)

  const vouch = async (call: Call<Static<typeof body>>) => {
    const { identity, scope } = call.body.auth
    const provider = await findServiceProvider(db.read, scope.service_provider.id)
    if (!provider.enabled) throw forbidden(`Service Provider ${provider.id} is disabled.`)
    const session = await sessions.open(identity.token.id)
    if (!session) throw notFound('Could not find token.')
    if (!isHeld(session.claims, call.certificate)) throw notHeld()
    const { facts, who } = session
    if (!facts.project) {
      throw forbidden(
        'You are not authorized to perform the requested action: Use a project scoped token when attempting to create a SAML assertion.',
      )
    }
    // The other cloud could not know of the rules, and would let it do everything.
    if (who.accessRules) throw forbidden('A token with access rules can not be exchanged for a SAML assertion.')
    const response = samlResponse(await samlKey(db, key), {
      issuer: `${ownBase(call)}/OS-FEDERATION/saml2/idp`,
      recipient: provider.sp_url,
      user: facts.user.name,
      userDomain: facts.user.domain.name,
      project: facts.project.name,
      projectDomain: facts.project.domain.name,
      roles: facts.roles.map(({ name }) => name),
      groups: await groupsOf(db, facts),
    })
    call.header('content-type', 'text/xml')
    call.header('x-sp-url', provider.sp_url)
    call.header('x-auth-url', provider.auth_url)
    return { response, provider }
  }

  return [
    row({
      route: 'GET /OS-FEDERATION/saml2/metadata',
      policy: null,
      reply: 200,
      summary: 'Show who signs the assertions of this cloud (SAML metadata)',
      async run(call) {
        const { certificate } = await samlKey(db, key)
        call.header('content-type', 'text/xml')
        const at = `${ownBase(call)}/OS-FEDERATION/saml2`
        return ownMetadata(certificate, `${at}/idp`, `${at}/sso`)
      },
    }),
    row({
      route: 'POST /auth/OS-FEDERATION/saml2',
      policy: null,
      body,
      reply: 200,
      transaction: 'own',
      summary: 'Exchange a token for a SAML assertion for another cloud',
      run: async (call) => (await vouch(call)).response,
    }),
    row({
      route: 'POST /auth/OS-FEDERATION/saml2/ecp',
      policy: null,
      body,
      reply: 200,
      transaction: 'own',
      summary: 'Exchange a token for a SAML assertion in the envelope that clients carry (ECP)',
      async run(call) {
        const { response, provider } = await vouch(call)
        return inEnvelope(response, provider.sp_url, provider.relay_state_prefix)
      },
    }),
  ]
}

async function groupsOf(db: Database, { user, federation }: Facts): Promise<{ name: string; domain: string }[]> {
  return await db.read
    .selectFrom('identity.group as g')
    .innerJoin('identity.project as d', 'd.id', 'g.domain_id')
    .select(['g.name', 'd.name as domain'])
    .where((eb) =>
      eb.or([
        eb('g.id', 'in', eb.selectFrom('identity.group_member as m').select('m.group_id').where('m.user_id', '=', user.id)),
        ...(federation && federation.groups.length > 0 ? [eb('g.id', 'in', federation.groups)] : []),
      ]),
    )
    .orderBy('g.id')
    .execute()
}

/** The door for assertions in envelopes, outside of the API's prefix as mod_shib has it. */
export function ecpDoor({ key, publicUrl, db }: Deps): AnyRow[] {
  return [
    row({
      route: `POST ${ecpPath}`,
      policy: null,
      input: 'stream',
      transaction: 'own',
      reply: 303,
      summary: 'Deliver a SAML assertion in an envelope (ECP); then get the token where one is sent to',
      async run(call) {
        const { response, issuer } = openEnvelope(await readText(call.input))
        const speaker = await speakerOf(db.read, key, issuer)
        if (!speaker) throw unauthorized(`No identity provider is known as ${issuer.slice(0, 200)}.`)
        const { provider, protocol, connection } = speaker
        const origin = connection?.origin ?? publicUrl ?? call.url.origin
        const ours = ['/identity/v3', '/v3'].map((prefix) => `${origin}${prefix}/OS-FEDERATION/saml2/idp`)
        if (connection ? connection.type !== 'saml2' : !ours.includes(issuer)) {
          throw unauthorized(`Identity Provider ${provider} has no connection for the protocol ${protocol}.`)
        }
        const own = await samlKey(db, key)
        const verified = await verifySaml(db, response, {
          issuer,
          certificates: connection?.type === 'saml2' ? connection.settings.certificates : [own.certificate],
          recipient: `${origin}${ecpPath}`,
          audience: { name: spEntityId({ origin }), needed: false },
          key: own,
        })
        call.header('set-cookie', await keepProven(db, key, { provider, protocol, ...verified }, origin.startsWith('https:')))
        call.header(
          'location',
          `${origin}/identity/v3/OS-FEDERATION/identity_providers/${encodeURIComponent(provider)}/protocols/${encodeURIComponent(protocol)}/auth`,
        )
      },
    }),
  ]
}
