// How providers are asked for in a query: resources=VCPU:4,MEMORY_MB:512 · required=A,!B (or in:A,B) · member_of=in:x,y (or !z).
import type { Tx } from '../../database/connect.ts'
import { badRequest } from '../../http/fault.ts'
import type { Call } from '../../http/table.ts'
import type { Resources } from '../control/claim.ts'
import type { Wanted } from '../control/fits.ts'
import { atLeast } from './find.ts'

const bad = { type: 'placement.query.bad_value' }
const names = /^[A-Z0-9_]+$/

/** @throws Fault 400 */
export function readResources(text: string): Resources {
  const resources: Resources = {}
  for (const part of text.split(',')) {
    const [name = '', amount = '', ...more] = part.split(':')
    if (!names.test(name) || more.length > 0 || !/^[1-9]\d{0,15}$/.test(amount) || !Number.isSafeInteger(Number(amount))) {
      throw badRequest(
        `Badly formed resources parameter. Expected resources query string parameter in form: ?resources=VCPU:2,MEMORY_MB:1024. Got: ${text.slice(0, 100)}`,
        bad,
      )
    }
    if (Object.hasOwn(resources, name)) throw badRequest(`Resource class ${name} is given twice in the resources parameter.`, bad)
    resources[name] = Number(amount)
  }
  return resources
}

/** @throws Fault 400 */
export function readTraits(call: Pick<Call, 'version'>, all: string[]): Wanted {
  const wanted: Wanted = { any: [], none: [] }
  const refuse = (text: string) =>
    badRequest(
      `Invalid query string parameters: Expected 'required' parameter value of the form: HW_CPU_X86_VMX,!CUSTOM_MAGIC. Got: ${text.slice(0, 100)}`,
      bad,
    )
  for (const text of all) {
    if (text.startsWith('in:')) {
      const some = text.slice(3).split(',')
      if (!atLeast(call, '1.39') || some.some((name) => !names.test(name))) throw refuse(text)
      wanted.any.push(some)
      continue
    }
    for (const part of text.split(',')) {
      const forbidden = part.startsWith('!')
      const name = forbidden ? part.slice(1) : part
      if (!names.test(name) || (forbidden && !atLeast(call, '1.22'))) throw refuse(text)
      if (forbidden) wanted.none.push(name)
      else wanted.any.push([name])
    }
  }
  const both = wanted.none.find((name) => wanted.any.some((some) => some.length === 1 && some[0] === name))
  if (both) throw badRequest(`Conflicting required and forbidden traits found in query parameters: ${both}`, bad)
  return wanted
}

const uuid = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i

/** @throws Fault 400 */
export function readAggregates(call: Pick<Call, 'version'>, all: string[]): Wanted {
  const wanted: Wanted = { any: [], none: [] }
  if (all.length > 1 && !atLeast(call, '1.24')) throw badRequest('Multiple member_of parameters are not supported', bad)
  for (const text of all) {
    const forbidden = text.startsWith('!')
    const rest = forbidden ? text.slice(1) : text
    const some = rest.startsWith('in:') ? rest.slice(3).split(',') : [rest]
    if ((forbidden && !atLeast(call, '1.32')) || some.some((id) => !uuid.test(id))) {
      throw badRequest(
        `Invalid query string parameters: Expected 'member_of' parameter to contain valid UUID(s). Got: ${text.slice(0, 100)}`,
        bad,
      )
    }
    if (forbidden) wanted.none.push(...some)
    else wanted.any.push(some)
  }
  return wanted
}

/** @throws Fault 400 for names that don't exist */
export async function mustBeKnown(tx: Tx, resources: Resources, ...traits: Wanted[]): Promise<void> {
  const classes = Object.keys(resources)
  if (classes.length > 0) {
    const known = await tx.selectFrom('placement.resource_class').select('name').where('name', 'in', classes).execute()
    const missing = classes.find((name) => !known.some((one) => one.name === name))
    if (missing) throw badRequest(`Invalid resource class in resources parameter: No such resource class ${missing}.`)
  }
  const asked = [...new Set(traits.flatMap(({ any, none }) => [...any.flat(), ...none]))]
  if (asked.length > 0) {
    const known = await tx.selectFrom('placement.trait').select('name').where('name', 'in', asked).execute()
    const missing = asked.filter((name) => !known.some((one) => one.name === name))
    if (missing.length > 0) throw badRequest(`No such trait(s): ${missing.join(', ')}.`)
  }
}
