/** What an application credential with access rules may ask for: in every service, before anything else is looked at. */
import type { AccessRule, Who } from './who.ts'

/** Paths that are longer match nothing but a rule for all: whoever writes rules must not be able to make matching slow. */
const longestPath = 2_000

/**
 * Whether one of the caller's rules (if there are any) lets this request in; what paths mean follows keystonemiddleware's _path_matches.
 * @param types the service's names in the catalog
 * @param path of the request, without its query; rules may also leave out where the service is mounted ('/compute')
 */
export function accessAllowed({ accessRules }: Who, types: string[], method: string, path: string): boolean {
  if (accessRules === undefined) return true
  const within = path.replace(/^\/(?!v\d)[^/]+(?=\/)/, '')
  // A token can be checked whatever its rules are: services would not know them otherwise.
  if (types.includes('identity') && method === 'GET' && within === '/v3/auth/tokens') return true
  return accessRules.some((rule) => {
    if (rule.method !== method || !types.includes(rule.service)) return false
    const parts = partsOf(rule)
    return pathMatches(parts, path) || pathMatches(parts, within)
  })
}

/** One character, or: one that is no slash, any number of such, any number of any. */
type Part = string | { one: true } | { slashes: boolean }

const known = new WeakMap<AccessRule, Part[]>()

function partsOf(rule: AccessRule): Part[] {
  let parts = known.get(rule)
  if (!parts) {
    parts = (rule.path.match(/\{[^}]*\}|\*\*|\*|[^{}*]/g) ?? []).flatMap((word): Part[] => {
      if (word === '**') return [{ slashes: true }]
      return word === '*' || word.startsWith('{') ? [{ one: true }, { slashes: false }] : [word]
    })
    known.set(rule, parts)
  }
  return parts
}

/** Walks over the path once, with all places in the pattern where one could be; no pattern makes it go back. */
function pathMatches(parts: Part[], path: string): boolean {
  if (path.length > longestPath) return parts.length === 2 && parts[0] === '/' && isLoop(parts[1])
  let places = skipping(parts, new Set([0]))
  for (const character of path) {
    const next = new Set<number>()
    for (const place of places) {
      const part = parts[place]
      if (part === undefined) continue
      if (typeof part === 'string') {
        if (part === character) next.add(place + 1)
      } else if ('one' in part) {
        if (character !== '/') next.add(place + 1)
      } else if (part.slashes || character !== '/') next.add(place)
    }
    places = skipping(parts, next)
  }
  return places.has(parts.length)
}

const isLoop = (part: Part | undefined) => typeof part === 'object' && 'slashes' in part

/** Any number may be none. A set takes in what is added while it is walked over. */
function skipping(parts: Part[], places: Set<number>): Set<number> {
  for (const place of places) if (isLoop(parts[place])) places.add(place + 1)
  return places
}
