// Tokens checked without a query: what users are and may do (facts.ts) and which tokens were revoked is remembered in this process, and
// thrown away when the epoch has risen. The epoch is read again after every hint and at least once a second, always before an answer is
// given from memory that is older; so nothing that was committed a second ago is ever overlooked, even when every hint is lost.
import type { Database } from '../../database/connect.ts'
import type { Who } from '../../http/who.ts'
import { hints } from '../../work/hint.ts'
import { type Catalog, readCatalog } from './catalog.ts'
import { type Facts, readFacts } from './facts.ts'
import type { Fields } from './packed.ts'
import { revocations } from './revocations.ts'
import type { SealingKeys } from './sealed.ts'
import { readServiceProviders, type ServiceProvider } from './service-providers.ts'
import { tokenKeys } from './token-keys.ts'
import { type Claims, openNote, openToken, sealNote, sealToken } from './tokens.ts'

/** A valid token, opened. */
export interface Session {
  claims: Claims
  facts: Facts
  who: Who
}

/** Whose facts, and where. */
type About = Pick<Claims, 'user' | 'scope' | 'federation' | 'delegation'>

export interface Sessions {
  /** Null if the token is not ours, expired, revoked, or voided by any change of its user, project, domain or roles. */
  open(token: string): Promise<Session | null>
  seal(claims: Claims): Promise<string>
  /** Sealed notes of other kinds than tokens; see tokens.ts. */
  sealNote(kind: number, fields: Fields): Promise<string>
  openNote(kind: number, note: string): Promise<Fields | null>
  /** What the user is and may do there: as remembered if that is not null and `fits`, else as the database says. */
  facts(about: About, fits: (facts: Facts) => boolean): Promise<Facts | null>
  catalog(): Promise<Catalog>
  /** The enabled ones, as tokens name them. */
  serviceProviders(): Promise<ServiceProvider[]>
}

/** How often (so far) somebody, here or elsewhere, has said that identity changed. */
let told = 0
hints.on('identity', () => {
  told++
})

const believed = 1_000
const mostTokens = 10_000
const mostFacts = 50_000

const byDatabase = new WeakMap<Database, Sessions>()

/** This process's memory of the cloud in `db`; `sealingKey` is what the data directory's secret.key holds. */
export function sessionsOf(db: Database, sealingKey: SealingKeys): Sessions {
  const sessions = byDatabase.get(db) ?? openSessions(db, sealingKey)
  byDatabase.set(db, sessions)
  return sessions
}

/** A memory of its own, as another controller would have it. */
export function openSessions(db: Database, sealingKey: SealingKeys): Sessions {
  const keys = tokenKeys(db, sealingKey)
  const revoked = revocations()
  // What is read into a map that was replaced meanwhile is never seen again: a slow read can't bring old facts into the new one, nor a token
  // whose key is gone.
  let opened = new Map<string, { claims: Claims; session?: Session }>()
  let facts = new Map<string, Promise<Facts | null>>()
  let epoch = -1
  let checkedAt = Number.NEGATIVE_INFINITY
  let looked = -1
  let checking: Promise<void> | undefined

  const check = async () => {
    const at = performance.now()
    const heard = told
    const now = await db.read.selectFrom('identity.epoch').select(['value', 'revocations']).executeTakeFirstOrThrow()
    await revoked.readTo(now.revocations, db.read)
    if (now.value !== epoch) {
      keys.forget()
      opened = new Map()
      facts = new Map()
      epoch = now.value
    }
    checkedAt = at
    looked = heard
  }
  const makeSure = async () => {
    const heard = told
    do {
      checking ??= check().finally(() => {
        checking = undefined
      })
      await checking
    } while (looked < heard)
  }
  const isSure = () => looked === told && performance.now() - checkedAt < believed

  /** What is the same for everybody, read once per epoch. */
  const untilChanged = <T>(read: () => Promise<T>) => {
    let kept: { epoch: number; value: Promise<T> } | undefined
    return async () => {
      if (!isSure()) await makeSure()
      if (kept?.epoch === epoch) return await kept.value
      const reading = { epoch, value: read() }
      kept = reading
      reading.value.catch(() => {
        if (kept === reading) kept = undefined
      })
      return await reading.value
    }
  }

  const keep = (token: string, entry: { claims: Claims; session?: Session }, into: typeof opened) => {
    const oldest = into.size >= mostTokens ? into.keys().next().value : undefined
    if (oldest !== undefined) into.delete(oldest)
    into.set(token, entry)
  }

  const factsKey = ({ user, scope, federation, delegation }: About): string => {
    const by = delegation ? `${delegation.kind} ${delegation.id}` : (federation ?? '')
    return `${user} ${scope.kind} ${'id' in scope ? scope.id : ''} ${by}`
  }
  const readAnew = (about: About, key: string): Promise<Facts | null> => {
    const into = facts
    if (into.size > mostFacts) into.clear()
    const reading = readFacts(db.read, about.user, about.scope, about.federation, about.delegation)
    into.set(key, reading)
    reading.catch(() => into.delete(key))
    return reading
  }
  const remembered = (about: About): Promise<Facts | null> => {
    const key = factsKey(about)
    return facts.get(key) ?? readAnew(about, key)
  }

  return {
    async seal(claims) {
      const into = opened
      const token = await sealToken(keys, claims)
      keep(token, { claims }, into)
      return token
    },

    async facts(about, fits) {
      if (!isSure()) await makeSure()
      const known = await remembered(about)
      // Another controller may have changed it within the last second, and whoever did knows.
      return known && fits(known) ? known : await readAnew(about, factsKey(about))
    },

    sealNote: (kind, fields) => sealNote(keys, kind, fields),
    openNote: (kind, note) => openNote(keys, kind, note),

    catalog: untilChanged(() => readCatalog(db.read)),
    serviceProviders: untilChanged(() => readServiceProviders(db.read)),

    async open(token) {
      if (!isSure()) await makeSure()
      const known = opened
      let entry = known.get(token)
      if (!entry) {
        const claims = await openToken(keys, token)
        if (!claims) return null
        entry = { claims }
        keep(token, entry, known)
      }
      const { claims } = entry
      if (claims.expiresAt <= Date.now()) {
        known.delete(token)
        return null
      }
      if (!isSure()) await makeSure()
      if (revoked.has(claims)) return null
      const now = await remembered(claims)
      if (!now || now.since !== claims.since || now.lives !== claims.lives) return null
      if (entry.session?.facts !== now) entry.session = { claims, facts: now, who: whoIs(claims, now) }
      return entry.session
    },
  }
}

const whoIs = ({ auditIds, methods, issuedAt, expiresAt }: Claims, { user, project, domain, system, roles, delegation }: Facts): Who => ({
  user,
  project,
  domain,
  system,
  roles: roles.map(({ name }) => name),
  auditIds,
  methods,
  issuedAt: new Date(issuedAt),
  expiresAt: new Date(expiresAt),
  ...(delegation && {
    delegation: {
      kind: delegation.kind,
      id: delegation.id,
      unrestricted: delegation.kind === 'application_credential' && delegation.unrestricted,
    },
  }),
  ...(delegation?.kind === 'application_credential' && delegation.accessRules.length > 0 && { accessRules: delegation.accessRules }),
})
