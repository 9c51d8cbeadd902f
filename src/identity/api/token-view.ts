// Tokens as the API shows them: whose they are, what they may do, by what that was lent, and where the services are.
import type { Call } from '../../http/table.ts'
import { catalogFor } from '../control/catalog.ts'
import type { About } from '../control/delegations.ts'
import type { Session, Sessions } from '../control/sessions.ts'

const federationView = ({ identity_provider, protocol, groups }: NonNullable<Session['facts']['federation']>) => ({
  identity_provider: { id: identity_provider },
  protocol: { id: protocol },
  groups: groups.map((id) => ({ id })),
})
/** keystone/common/render_token.py */
function delegationView(about: About) {
  if (about.kind === 'oauth1') return { 'OS-OAUTH1': { access_token_id: about.id, consumer_id: about.consumerId } }
  const { id } = about
  if (about.kind === 'trust') {
    const { trustor, trustee, impersonation } = about
    return { 'OS-TRUST:trust': { id, trustor_user: { id: trustor }, trustee_user: { id: trustee }, impersonation } }
  }
  const { name, unrestricted, accessRules } = about
  const access_rules = accessRules.length > 0 ? { access_rules: accessRules } : {}
  return { application_credential: { id, name, restricted: !unrestricted, ...access_rules } }
}

/** As Keystone writes times in tokens: UTC, with microseconds. */
export const timestamp = (ms: number) => new Date(ms).toISOString().replace('Z', '000Z')

export interface TokenViewDeps {
  sessions: Sessions
  /** The cloud's address where it is not the one that the client used. */
  publicUrl: string | undefined
}

/** Services ask for the tokens of their clients again and again. So many answers are kept as text, some 5 kB each. */
const mostTexts = 1000

export type TokenView = ReturnType<typeof tokenViews>['view']

export function tokenViews({ sessions, publicUrl }: TokenViewDeps) {
  const catalog = async (call: Pick<Call, 'url'>, user_id: string, project_id: string | undefined) =>
    catalogFor(await sessions.catalog(), publicUrl ?? call.url.origin, { user_id, ...(project_id !== undefined && { project_id }) })

  const view = async (call: Pick<Call, 'url'> & { query: object }, { claims, facts }: Omit<Session, 'who'>) => ({
    token: {
      methods: claims.methods,
      user: {
        ...facts.user,
        ...(facts.federation
          ? { 'OS-FEDERATION': federationView(facts.federation) }
          : { password_expires_at: facts.passwordExpiresAt && timestamp(facts.passwordExpiresAt.getTime()) }),
      },
      audit_ids: claims.auditIds,
      expires_at: timestamp(claims.expiresAt),
      issued_at: timestamp(claims.issuedAt),
      ...(facts.project && { project: facts.project, is_domain: false }),
      ...(facts.domain && { domain: facts.domain }),
      ...(facts.system && { system: { all: true } }),
      ...(facts.delegation && delegationView(facts.delegation)),
      // Padded, as keystonemiddleware compares it.
      ...(claims.thumbprint !== undefined && { oauth2_credential: { 'x5t#S256': `${claims.thumbprint}=` } }),
      ...(claims.scope.kind !== 'none' && { roles: facts.roles }),
      ...(claims.scope.kind !== 'none' &&
        !('nocatalog' in call.query) && { catalog: await catalog(call, facts.user.id, facts.project?.id) }),
      ...(await serviceProviders()),
    },
  })

  const serviceProviders = async () => {
    const service_providers = await sessions.serviceProviders()
    return service_providers.length > 0 && { service_providers }
  }

  const texts = new Map<Session, { about: unknown[]; text: string }>()

  /** The view as JSON; the text of before where nothing that it says has changed. */
  const text = async (call: Pick<Call, 'url'> & { query: object }, session: Session): Promise<string> => {
    // Both are remembered until something changes, and then are others.
    const about = [await sessions.catalog(), await sessions.serviceProviders(), publicUrl ?? call.url.origin, 'nocatalog' in call.query]
    const known = texts.get(session)
    if (known?.about.every((one, n) => one === about[n])) return known.text
    const text = JSON.stringify(await view(call, session))
    const oldest = texts.size >= mostTexts ? texts.keys().next().value : undefined
    if (oldest) texts.delete(oldest)
    texts.set(session, { about, text })
    return text
  }

  return { view, text, catalog }
}
