// The placement service: what hosts have, and who holds what of it.
import type { Config } from '../config.ts'
import type { Database } from '../database/connect.ts'
import { envelopes } from '../http/envelope.ts'
import type { Service } from '../http/table.ts'
import { policies } from './api/policies.ts'

export const placement = (_deps: { db: Database; config: Config }): Service => ({
  type: 'placement',
  prefixes: ['/placement'],
  microversion: { header: 'placement', min: '1.0', max: '1.39' },
  envelope: envelopes.errors,
  policies,
  rows: [],
})
