// Every operation of OpenStack's APIs has a row, if only one that says 501; a row that OpenStack doesn't know is named in extra-rows.tsv with
// its reason. checklist.tsv is OpenStack's list: tier A is in its API reference, B is newer or rarer, D deprecated proxies, X removed.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { checkRows } from '../../src/http/coverage.ts'
import { splitRoute } from '../../src/http/route.ts'
import type { AnyRow } from '../../src/http/table.ts'
import { allServices } from './services.ts'

const lines = (file: string) =>
  fs
    .readFileSync(path.join(import.meta.dirname, file), 'utf8')
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split('\t'))

const services = allServices()

/** 'compute GET /servers/{}' for each row; the versions' lists at the root of a service are no part of the checklist. */
function keysOf(): Map<string, AnyRow> {
  const keys = new Map<string, AnyRow>()
  for (const { type, rows, prefixes } of services) {
    if (prefixes.includes('/identity') || prefixes.includes('/compute') || prefixes.includes('/volume')) continue
    for (const row of rows) {
      const { method, path: route, action } = splitRoute(row.route)
      keys.set(keyOf(type, method, route || '/', action), row)
    }
  }
  return keys
}

const keyOf = (type: string, method: string, route: string, action = '') =>
  `${type} ${method} ${route.replaceAll(/:\w+|\{\w+\}/g, '{}')}${action && `#${action}`}`

const keys = keysOf()
/** Whatever answers GET answers HEAD, too; OpenStack's list has now the one, now the other. */
const asGet = (key: string) => key.replace(' HEAD ', ' GET ')
const rowOf = (key: string) => keys.get(key) ?? keys.get(asGet(key))
const checklist = lines('checklist.tsv').map(([type, method, route, tier]) => {
  const [plain, action] = route!.split('#')
  return { key: keyOf(type!, method!, plain!, action), type: type!, tier: tier! }
})

/** A row that isn't built says so itself, by throwing what http/fault.ts calls notBuilt. */
const isBuilt = (row: AnyRow) => !/\bnotBuilt\(/.test(String(row.run))

test('every operation of tiers A and B has a row', () => {
  const missing = checklist.filter(({ key, tier }) => 'AB'.includes(tier) && !rowOf(key)).map(({ key, tier }) => `${tier} ${key}`)
  assert.deepEqual(missing, [])
  for (const type of new Set(checklist.map((one) => one.type))) {
    const rows = checklist.filter((one) => one.type === type && one.tier !== 'X').flatMap(({ key }) => rowOf(key) ?? [])
    const built = rows.filter(isBuilt).length
    console.log(`${type.padEnd(14)} ${String(built).padStart(4)} built ${String(rows.length - built).padStart(4)} answer 501`)
  }
})

test('nothing of identity and image is left to build', () => {
  const rows = services.filter(({ type }) => type === 'identity' || type === 'image').flatMap((service) => service.rows)
  assert.deepEqual(
    rows.filter((row) => !isBuilt(row)).map(({ route }) => route),
    [],
  )
})

test('every row is on the checklist, or has a reason to be there', () => {
  const known = new Set(checklist.flatMap(({ key }) => [key, asGet(key)]))
  const allowed = new Map(lines('extra-rows.tsv').map(([key, reason]) => [key!, reason!]))
  const extra = [...keys.keys()].filter((key) => !known.has(key))
  assert.deepEqual(extra.filter((key) => !allowed.has(key)).sort(), [], 'rows without a reason')
  assert.deepEqual([...allowed.keys()].filter((key) => !extra.includes(key)).sort(), [], 'reasons without a row')
  assert.deepEqual(
    [...allowed].filter(([, reason]) => !reason?.trim()),
    [],
    'empty reasons',
  )
})

test('no row is reachable by accident, and none shadows another', () => {
  assert.deepEqual(checkRows(services), [])
})
