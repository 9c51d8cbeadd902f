// Reads policies.tsv: the rules of Keystone and Glance, as their programs register them.
import fs from 'node:fs'
import path from 'node:path'
import type { Scope } from '../../src/http/policy.ts'

export interface ReferenceRule {
  service: string
  rule: string
  check: string
  /** None for rules that others refer to, and for those that any token may use. */
  scopes: Scope[]
}

export const readPolicies = (): ReferenceRule[] =>
  fs
    .readFileSync(path.join(import.meta.dirname, 'policies.tsv'), 'utf8')
    .trimEnd()
    .split('\n')
    .slice(1)
    .map((line) => {
      const [service = '', rule = '', check = '', scopes = ''] = line.split('\t')
      return { service, rule, check, scopes: scopes.split(',').filter(Boolean) as Scope[] }
    })
