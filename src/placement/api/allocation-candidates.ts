// Allocation candidates: which providers could carry a request, found by one query. Hosts are single providers here, so each candidate is
// one provider that has all that is asked for.

import { sql } from 'kysely'
import { Type as t } from 'typebox'
import { badRequest, notBuilt } from '../../http/fault.ts'
import { type Call, row } from '../../http/table.ts'
import type { Resources } from '../control/claim.ts'
import { fits } from '../control/fits.ts'
import { atLeast, fresh } from './find.ts'
import { mustBeKnown, readAggregates, readResources, readTraits } from './query.ts'

const bad = { type: 'placement.query.bad_value' }
/** Since when each parameter is known. */
const parameters: Record<string, string> = {
  resources: '1.10',
  limit: '1.16',
  required: '1.17',
  member_of: '1.21',
  group_policy: '1.25',
  in_tree: '1.31',
  root_required: '1.35',
  same_subtree: '1.36',
}

function refuseUnknown(call: Pick<Call, 'version'>, names: string[]): void {
  for (const name of names) {
    const first = Object.hasOwn(parameters, name) ? parameters[name] : undefined
    if (first !== undefined && atLeast(call, first)) continue
    if (/^(resources|required|member_of|in_tree)[\w-]+$/.test(name) && atLeast(call, '1.25')) {
      throw notBuilt(`The request group '${name}'`)
    }
    throw badRequest(`Invalid query string parameters: Additional properties are not allowed ('${name.slice(0, 60)}' was unexpected)`, bad)
  }
}

interface Candidate {
  id: string
  parent_id: string | null
  root_id: string
  inventory: Record<string, { capacity: number; used: number }>
  traits: string[]
}

export const allocationCandidates = [
  row({
    route: 'GET /allocation_candidates',
    policy: 'placement:allocation_candidates:list',
    since: '1.10',
    query: t.Record(t.String(), t.Union([t.String(), t.Array(t.String())])),
    reply: 200,
    summary: 'List the providers that could carry a request, and what they have',
    async run(call) {
      const { query, tx } = call
      const all = (name: string): string[] => [query[name] ?? []].flat()
      refuseUnknown(call, Object.keys(query))
      const [asked, ...more] = all('resources')
      if (asked === undefined || more.length > 0) {
        throw badRequest("Invalid query string parameters: 'resources' is a required property, given once", {
          type: asked === undefined ? 'placement.query.missing_value' : 'placement.query.duplicate_key',
        })
      }
      const resources = readResources(asked)
      const traits = readTraits(call, [...all('required'), ...all('root_required')])
      const aggregates = readAggregates(call, all('member_of'))
      const [limit] = all('limit')
      if (limit !== undefined && !/^[1-9]\d{0,8}$/.test(limit)) {
        throw badRequest(`Invalid query string parameters: '${limit.slice(0, 40)}' does not match '^[1-9][0-9]*$'`, bad)
      }
      await mustBeKnown(tx, resources, traits)
      const inTree = all('in_tree')[0]
      const { rows } = await sql<Candidate>`
        select p.id, p.parent_id, p.root_id,
          (select jsonb_object_agg(i.resource_class, jsonb_build_object(
            'capacity', floor((i.total - i.reserved) * i.allocation_ratio), 'used', i.used))
          from placement.inventory i where i.provider_id = p.id) as inventory,
          array(select t.trait from placement.provider_trait t where t.provider_id = p.id order by 1) as traits
        from placement.provider p
        where ${fits({ resources, traits, aggregates, ...(inTree !== undefined && { inTree }) }, 'p')}
        order by p.name limit ${limit === undefined ? null : Number(limit)}`.execute(tx)
      fresh(call)
      return {
        allocation_requests: rows.map(({ id }) => requestOf(call, id, resources)),
        provider_summaries: Object.fromEntries(rows.map((one) => [one.id, summaryOf(call, one, resources)])),
      }
    },
  }),
]

function requestOf(call: Pick<Call, 'version'>, id: string, resources: Resources) {
  if (!atLeast(call, '1.12')) return { allocations: [{ resource_provider: { uuid: id }, resources }] }
  return { allocations: { [id]: { resources } }, ...(atLeast(call, '1.34') && { mappings: { '': [id] } }) }
}

function summaryOf(call: Pick<Call, 'version'>, { inventory, traits, parent_id, root_id }: Candidate, asked: Resources) {
  const shown = Object.entries(inventory).filter(([name]) => atLeast(call, '1.27') || Object.hasOwn(asked, name))
  return {
    resources: Object.fromEntries(shown),
    ...(atLeast(call, '1.17') && { traits }),
    ...(atLeast(call, '1.29') && { parent_provider_uuid: parent_id, root_provider_uuid: root_id }),
  }
}
