// `wisp policy`: which rules hold in this cloud, and whether one lets a user do something, with the part of it that decides. It reads the
// same defaults, policy file and roles as the APIs do.
import path from 'node:path'
import { policies as blockStorage } from '../block-storage/api/lists.ts'
import { policies as compute } from '../compute/api/policies.ts'
import type { Config } from '../config.ts'
import { connect, type Tx } from '../database/connect.ts'
import { openPolicy, rulesInForce } from '../http/policy.ts'
import type { Who } from '../http/who.ts'
import { policies as identity, scopes as identityScopes } from '../identity/api/policies.ts'
import { type Facts, readFacts } from '../identity/control/facts.ts'
import { domainsOf, projectsOf, reachesSystem } from '../identity/control/reach.ts'
import type { Scope } from '../identity/control/tokens.ts'
import { policies as image, scopes as imageScopes } from '../image/api/policies.ts'
import { policies as network } from '../network/api/policies.ts'
import { policies as placement } from '../placement/api/policies.ts'
import { databaseOf } from '../start/cloud.ts'
import { findSubject } from './policy-object.ts'

const services = [
  { type: 'identity', policies: identity, scopes: identityScopes },
  { type: 'image', policies: image, scopes: imageScopes },
  { type: 'compute', policies: compute },
  { type: 'placement', policies: placement },
  { type: 'network', policies: network },
  { type: 'block-storage', policies: blockStorage },
]

const usage = 'wisp policy list [TEXT], or wisp policy explain USER RULE [PROJECT|DOMAIN|system] [OBJECT]'

export async function policy(config: Config, words: string[]): Promise<number> {
  const [verb, ...rest] = words
  const file = config.policyFile ?? path.join(config.home, 'policy.yaml')
  if (verb === 'list' && rest.length <= 1) return list(file, rest[0] ?? '')
  const [user, rule, place, object, ...more] = rest
  if (verb === 'explain' && user && rule && more.length === 0) return explain(config, file, { user, rule, place, object })
  throw new Error(`wisp policy wants to know what: ${usage}`)
}

/** One rule a line; those that the policy file changed are marked, with the default below. */
function list(file: string, text: string): number {
  for (const { service, rule, check, default: own } of rulesInForce(services, file)) {
    if (!rule.includes(text)) continue
    const changed = check !== own
    console.log(`${changed ? '*' : ' '} ${service.padEnd(14)}${rule}: ${check === '' ? '(everyone)' : check}`)
    if (changed)
      console.log(
        `  ${' '.repeat(14)}${own === undefined ? `not a rule of Wisp: ${file}` : `by ${file}; the default is: ${own || '(everyone)'}`}`,
      )
  }
  return 0
}

interface Question {
  user: string
  rule: string
  place: string | undefined
  /** The id of what the rule is asked about; a third word that is no place is one, too. */
  object: string | undefined
}

/** Exit status 0 when the rule allows in every place that was asked about, 1 otherwise. */
async function explain(config: Config, file: string, { user, rule, place: third, object: fourth }: Question): Promise<number> {
  const service = rulesInForce(services, file).find((known) => known.rule === rule)?.service
  if (!service) throw new Error(`There is no rule '${rule}'. "wisp policy list" lists them`)
  const db = connect(databaseOf(config), { name: 'wisp policy', connections: 2 })
  const enforcer = openPolicy(services, { path: file, log: { info() {}, warn() {}, error() {} } })
  try {
    const tx = db.read
    const found = await findUser(tx, user)
    const isPlace = third === undefined || third === 'system' || fourth !== undefined || (await placesCalled(tx, third)).length > 0
    const [place, object] = isPlace ? [third, fourth] : [undefined, third]
    const subject = object === undefined ? undefined : await findSubject(tx, object)
    let denied = 0
    for (const scope of await scopesOf(tx, found.id, place)) {
      const facts = await readFacts(tx, found.id, scope)
      if (!facts) throw new Error(`${found.name} has no role in ${place}, or one of the two is disabled: no token at all`)
      const who = whoIs(facts)
      const reason = enforcer.of(service).explain(rule, who, subject ? { ...targetOf(who), ...subject.target } : targetOf(who))
      if (reason !== '') denied++
      const where = who.project
        ? `in project ${who.project.name}`
        : who.domain
          ? `in domain ${who.domain.name}`
          : who.system
            ? 'on the system'
            : 'without a scope'
      console.log(
        `${reason === '' ? 'allowed' : 'denied '}  ${found.name} ${where} (${who.roles.join(', ') || 'no roles'})${reason && `: ${reason}`}`,
      )
    }
    console.log(
      subject
        ? `\nAsked of the ${subject.title}.`
        : `\nAsked of ${found.name}'s own things there; a rule may decide otherwise about those of others. Name one by its id.`,
    )
    return denied === 0 ? 0 : 1
  } finally {
    enforcer.close()
    await db.close()
  }
}

async function findUser(tx: Tx, wanted: string): Promise<{ id: string; name: string }> {
  const rows = await tx
    .selectFrom('identity.user')
    .select(['id', 'name', 'domain_id'])
    .where((e) => e.or([e('id', '=', wanted), e('name', '=', wanted)]))
    .execute()
  const one = rows.find(({ id }) => id === wanted) ?? (rows.length === 1 ? rows[0] : undefined)
  if (one) return one
  if (rows.length === 0) throw new Error(`There is no user '${wanted}'. "openstack user list" lists them`)
  const which = rows.map(({ id, domain_id }) => `${id} (domain ${domain_id})`).join(', ')
  throw new Error(`${rows.length} users are called '${wanted}'. Name one by its id: ${which}`)
}

/** The place that was named, or every place where the user has a role. */
async function scopesOf(tx: Tx, userId: string, place: string | undefined): Promise<Scope[]> {
  if (place === 'system') return [{ kind: 'system' }]
  if (place === undefined) {
    const projects = (await projectsOf(tx, userId)).map(({ id }): Scope => ({ kind: 'project', id }))
    const domains = (await domainsOf(tx, userId)).map(({ id }): Scope => ({ kind: 'domain', id }))
    const all: Scope[] = [...projects, ...domains, ...((await reachesSystem(tx, userId)) ? [{ kind: 'system' as const }] : [])]
    return all.length > 0 ? all : [{ kind: 'none' }]
  }
  const rows = await placesCalled(tx, place)
  const one = rows.find(({ id }) => id === place) ?? (rows.length === 1 ? rows[0] : undefined)
  if (one) return [{ kind: one.is_domain ? 'domain' : 'project', id: one.id }]
  if (rows.length === 0) throw new Error(`There is no project '${place}'. "openstack project list" lists them`)
  throw new Error(`${rows.length} projects are called '${place}'. Name one by its id: ${rows.map(({ id }) => id).join(', ')}`)
}

const placesCalled = (tx: Tx, place: string) =>
  tx
    .selectFrom('identity.project')
    .select(['id', 'name', 'is_domain'])
    .where((e) => e.or([e('id', '=', place), e('name', '=', place)]))
    .orderBy('is_domain')
    .execute()

const whoIs = ({ user, project, domain, system, roles }: Facts): Who => ({
  user,
  project,
  domain,
  system,
  roles: roles.map(({ name }) => name),
  auditIds: [],
  methods: ['password'],
  issuedAt: new Date(),
  expiresAt: new Date(Date.now() + 3_600_000),
})

/** What the APIs check a rule against where an object does not say otherwise: the caller's own. */
const targetOf = ({ user, project }: Who) => ({ project_id: project?.id, user_id: user.id })
