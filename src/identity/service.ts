// The door of the room: identity (Keystone v3) as services to mount.
import type { Config } from '../config.ts'
import type { Database } from '../database/connect.ts'
import { envelopes } from '../http/envelope.ts'
import type { Service } from '../http/table.ts'
import { accessRules } from './api/access-rules.ts'
import { applicationCredentials } from './api/application-credentials.ts'
import { credentials } from './api/credentials.ts'
import { withDirectory } from './api/directory.ts'
import { domainConfig } from './api/domain-config.ts'
import { domains } from './api/domains.ts'
import { ec2 } from './api/ec2.ts'
import { endpointFilters } from './api/endpoint-filters.ts'
import { endpointGroups } from './api/endpoint-groups.ts'
import { endpointPolicies } from './api/endpoint-policies.ts'
import { endpoints } from './api/endpoints.ts'
import { connections } from './api/federation/connections.ts'
import { identityProviders } from './api/federation/identity-providers.ts'
import { mappings } from './api/federation/mappings.ts'
import { protocols } from './api/federation/protocols.ts'
import { ecpDoor, saml2 } from './api/federation/saml2.ts'
import { serviceProviders } from './api/federation/service-providers.ts'
import { federatedSignIn } from './api/federation/sign-in.ts'
import { grants } from './api/grants.ts'
import { groups } from './api/groups.ts'
import { impliedRoles } from './api/implied-roles.ts'
import { limits } from './api/limits.ts'
import { oauth1 } from './api/oauth1.ts'
import { oauth1AccessTokens } from './api/oauth1-access-tokens.ts'
import { oauth2 } from './api/oauth2.ts'
import { policies, scopes } from './api/policies.ts'
import { policyDocuments } from './api/policy-documents.ts'
import { projectTags } from './api/project-tags.ts'
import { createProject, projects } from './api/projects.ts'
import { regions } from './api/regions.ts'
import { registeredLimits } from './api/registered-limits.ts'
import { revocationEvents } from './api/revocation-events.ts'
import { roleAssignments } from './api/role-assignments.ts'
import { roles } from './api/roles.ts'
import { services } from './api/services.ts'
import { tokenViews } from './api/token-view.ts'
import { tokens } from './api/tokens.ts'
import { trusts } from './api/trusts.ts'
import { users } from './api/users.ts'
import { allVersions, thisVersion } from './api/versions.ts'
import { rememberPasswords } from './control/remembered-passwords.ts'
import type { SealingKeys } from './control/sealed.ts'
import { sessionsOf } from './control/sessions.ts'

export interface IdentityDeps {
  db: Database
  /** What the data directory's secret.key holds. */
  key: SealingKeys
  config: Pick<
    Config,
    | 'publicUrl'
    | 'tokenLifetime'
    | 'passwordMemory'
    | 'securityCompliance'
    | 'limitModel'
    | 'trustedDashboards'
    | 'oauth2Methods'
    | 'oauth2Mapping'
  >
}

/** Two services: the API at /identity/v3 and /v3, and the list of versions at /identity and /. */
export function identity({ db, key, config }: IdentityDeps): Service[] {
  const shared = { type: 'identity', envelope: envelopes.identity, policies, scopes }
  const { publicUrl, trustedDashboards, tokenLifetime: lifetime, securityCompliance: compliance } = config
  const remembered = rememberPasswords(config.passwordMemory)
  const sessions = sessionsOf(db, key)
  const { view } = tokenViews({ sessions, publicUrl })
  const rows = [
    ...thisVersion,
    ...tokens({ sessions, key, lifetime, compliance, remembered, publicUrl }),
    ...domains,
    ...domainConfig(key, compliance),
    ...projects,
    createProject(config.limitModel),
    ...projectTags,
    ...users(compliance),
    ...groups(compliance),
    ...roles,
    ...impliedRoles,
    ...grants,
    ...roleAssignments,
    ...regions,
    ...services,
    ...endpoints,
    ...endpointGroups,
    ...endpointFilters,
    ...registeredLimits,
    ...limits(config.limitModel),
    ...applicationCredentials,
    ...accessRules,
    ...trusts,
    ...credentials(key),
    ...ec2({ sessions, sealingKey: key, lifetime, compliance, view }),
    ...policyDocuments,
    ...endpointPolicies,
    ...revocationEvents,
    ...identityProviders,
    ...mappings,
    ...protocols,
    ...connections({ db, key, publicUrl }),
    ...serviceProviders,
    ...saml2({ db, sessions, key, publicUrl }),
    ...federatedSignIn({ sessions, key, lifetime, publicUrl, trustedDashboards }),
    ...oauth1({ key, publicUrl }),
    ...oauth1AccessTokens,
    ...oauth2({ sessions, key, lifetime, compliance, remembered, methods: config.oauth2Methods, mapping: config.oauth2Mapping }),
  ]
  return [
    { ...shared, prefixes: ['/identity/v3', '/v3'], rows: rows.map(withDirectory({ db, key })) },
    { ...shared, prefixes: ['/identity', ''], rows: [...allVersions, ...ecpDoor({ db, sessions, key, publicUrl })] },
  ]
}
