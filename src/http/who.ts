/** Who is calling, as their token says: what every policy rule and every row may know about them. Identity makes it, http hands it on. */

export interface Domain {
  id: string
  name: string
}

/** One kind of request that a token may make. `*` and `{name}` in the path stand for one part of it, `**` for any number. */
export interface AccessRule {
  id: string
  /** A service's type, as in the catalog. */
  service: string
  method: string
  path: string
}

export interface Who {
  user: { id: string; name: string; domain: Domain }
  project: null | { id: string; name: string; domain: Domain }
  domain: null | Domain
  /** True for a token scoped to the whole system (`system_scope: all`). */
  system: boolean
  /** Names of all roles that hold in this scope, the implied ones included. */
  roles: string[]
  auditIds: string[]
  methods: string[]
  issuedAt: Date
  expiresAt: Date
  /** Where the caller acts by something that was lent to them; with 'unrestricted' false they may not make more of its kind. */
  delegation?: { kind: 'application_credential' | 'trust' | 'oauth1'; id: string; unrestricted: boolean }
  /** The only requests that the token may make; without it, all. */
  accessRules?: AccessRule[]
}

const nobody: Domain = { id: '', name: '' }

/** The caller of rows whose policy is `null`: nobody, with no role and no scope, so that every check but `@` denies. */
export const anonymous: Who = {
  user: { id: '', name: '', domain: nobody },
  project: null,
  domain: null,
  system: false,
  roles: [],
  auditIds: [],
  methods: [],
  issuedAt: new Date(0),
  expiresAt: new Date(0),
}
