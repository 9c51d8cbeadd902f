// What a careless or a hostile client sends: values for params, queries and bodies, and bodies grown from a row's own schema with one part
// of them spoiled, so that they come past validation as far as they can. Everything is enumerated, nothing random: a finding repeats.
import type { TSchema } from 'typebox'

type Json = unknown
type Schema = TSchema & Record<string, unknown>

const long = 'x'.repeat(300)
const nowhere = '3f3f3f3f-0000-4000-8000-3f3f3f3f3f3f'

/** As they stand in a path, encoded. */
export const params = [
  nowhere,
  'no-such',
  '%00',
  'a%00b',
  '%F0%9F%92%A9',
  "'%20or%201=1--",
  '..%2F..%2Fetc%2Fpasswd',
  '%ED%A0%80',
  long,
  '-1',
  '99999999999999999999',
  '%25',
  'null',
  '{}',
  '*',
  'constructor',
  '__proto__',
]

/** As they stand behind the question mark. */
export const queries = [
  'limit=-1',
  'limit=abc',
  'limit=99999999999999999999',
  'limit=0',
  'limit=1&limit=2',
  'marker=no-such',
  `marker=${nowhere}`,
  'marker=%00',
  'sort_key=%00&sort_dir=asc',
  'sort_key=id&sort_dir=sideways',
  'sort_key=__proto__',
  'sort_key=constructor&sort_dir=toString',
  'sort=name:sideways',
  'sort=id;drop',
  'fields=%00',
  'fields=__proto__&fields=constructor&fields=id',
  'page_reverse=maybe',
  'name=%00',
  `name=${long}`,
  'id=%00',
  'id=1&id=2',
  'project_id=%00',
  'tenant_id=x',
  'changes-since=yesterday',
  'changes-since=%00',
  'created_at=gt:never',
  'created_at=constructor:2026-01-01&updated_at=valueOf:2026-01-01',
  'tags=%00',
  'tags=a,b&not-tags=',
  'name__contains=%00',
  '__proto__=1',
  'constructor=1',
  'all_tenants=maybe',
  'detailed=7&start=x&end=y',
  'resources=VCPU:x',
  'resources=VCPU:99999999999999999999',
  'required=CUSTOM_%00',
  'member_of=in:',
  'in_tree=x',
  'fixed_ips=ip_address%3Dx',
  'fixed_ips=x%3Dy',
  'cidr=x',
  'ip_version=x',
  'mac_address=x',
  'admin_state_up=7',
  'shared=7',
  'effective&include_names&user.id=%00',
  'scope.project.id=x&scope.domain.id=y',
  'visibility=everyone&member_status=x',
  'size_min=x',
  'protected=7',
  'host=%00',
  '%00=1',
  '%=%',
  'a[b]=c',
]

/** Whole bodies: as values, or as text where they are no JSON. */
export const bodies: Json[] = [null, [], {}, 'text', 7, true, [[[]]], { __proto__x: 1 }, { '': {} }, { '\u0000': '\u0000' }]
export const texts = [
  '',
  '{',
  '{"a":1}}',
  '\u0000',
  'null',
  '"\\u0000"',
  '{"__proto__":{"a":1}}',
  `${'['.repeat(5000)}${']'.repeat(5000)}`,
  '{"a":1e999}',
  '{"a":"\\ud800"}',
]

/** What takes the place of one part of a body. */
export const parts: Json[] = [
  null,
  '',
  '\u0000',
  'a\u0000b',
  '\ud800',
  long,
  'x'.repeat(70_000),
  -1,
  0,
  1.5,
  2 ** 31,
  2 ** 53,
  1e300,
  true,
  [],
  {},
  [null],
  [{}],
  { '\u0000': '\u0000' },
  nowhere,
  '💩',
  "'; drop",
  '../../etc/passwd',
  '0.0.0.0/0',
  '::/0',
  '255.255.255.255/33',
  '2026-13-45T99:99:99Z',
  'constructor',
  '__proto__',
  { constructor: 'toString', valueOf: '__proto__' },
  ['constructor', '__proto__'],
]

/** A body as the schema wants it, with every optional part; as far as that can be told from a schema. */
export function sample(schema: Schema, depth = 0): Json {
  if (depth > 12) return null
  if ('const' in schema) return schema.const
  if (Array.isArray(schema.enum)) return schema.enum[0]
  if (schema.default !== undefined) return schema.default
  for (const choice of ['anyOf', 'oneOf'] as const) {
    const first = (schema[choice] as Schema[] | undefined)?.find((one) => one.type !== 'null')
    if (first) return sample(first, depth + 1)
  }
  if (Array.isArray(schema.allOf)) return Object.assign({}, ...(schema.allOf as Schema[]).map((one) => sample(one, depth + 1)))
  const type = Array.isArray(schema.type) ? schema.type.find((one) => one !== 'null') : schema.type
  switch (type) {
    case 'object':
      return Object.fromEntries(
        Object.entries((schema.properties ?? {}) as Record<string, Schema>).map(([name, part]) => [name, sample(part, depth + 1)]),
      )
    case 'array':
      return schema.items && !Array.isArray(schema.items) ? [sample(schema.items as Schema, depth + 1)] : []
    case 'integer':
    case 'number':
      return (schema.minimum as number | undefined) ?? 1
    case 'boolean':
      return true
    case 'null':
      return null
    default:
      return text(schema)
  }
}

function text({ format, minLength, pattern }: Schema): string {
  const known: Record<string, string> = {
    uuid: nowhere,
    ipv4: '10.1.2.3',
    ipv6: 'fd00::1',
    'date-time': '2026-01-01T00:00:00Z',
    uri: 'http://example.org/',
    email: 'a@example.org',
  }
  if (typeof format === 'string' && known[format]) return known[format]
  if (typeof pattern === 'string')
    for (const guess of ['abc', '1', nowhere, 'CUSTOM_A', 'true', 'aa:bb:cc:dd:ee:ff']) if (new RegExp(pattern).test(guess)) return guess
  return 'abc'.padEnd(Number(minLength ?? 0), 'a')
}

/** Copies of `whole`, in each of which one part is another. At most `most`, spread over all parts and values. */
export function* spoiled(whole: Json, most: number): Generator<Json> {
  const places = [...pathsOf(whole)]
  if (places.length === 0) return
  // A stride that shares no factor with the number of values: every place meets other values.
  const perPlace = Math.max(1, Math.floor(most / places.length))
  let made = 0
  for (const [n, place] of places.entries()) {
    for (let k = 0; k < Math.min(perPlace, parts.length) && made < most; k++, made++)
      yield put(whole, place, parts[(n * 5 + k * 4) % parts.length])
  }
}

function* pathsOf(value: Json, at: (string | number)[] = []): Generator<(string | number)[]> {
  if (at.length > 0) yield at
  if (Array.isArray(value)) for (const [n, part] of value.entries()) yield* pathsOf(part, [...at, n])
  else if (typeof value === 'object' && value !== null)
    for (const [name, part] of Object.entries(value)) yield* pathsOf(part, [...at, name])
}

function put(value: Json, [first, ...rest]: (string | number)[], part: Json): Json {
  if (first === undefined) return part
  if (Array.isArray(value)) return value.map((one, n) => (n === first ? put(one, rest, part) : one))
  const fields = value as Record<string, Json>
  return { ...fields, [first]: put(fields[first], rest, part) }
}
