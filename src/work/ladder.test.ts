import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { Tx } from '../database/connect.ts'
import { ladder, next, type Rung } from './ladder.ts'

interface Facts {
  gone: boolean
  host: string | null
}
const done: string[] = []
const rung = (name: string, when: Rung<Facts>['when'], again: number | null): Rung<Facts> => ({
  name,
  when,
  step: async (_tx, facts) => {
    done.push(`${name} ${facts.host}`)
    return again
  },
})
const rungs = [rung('take away', ({ gone }) => gone, null), rung('place', ({ host }) => host === null, 100)]
const tx = {} as Tx

it('chooses the first rung whose condition holds', () => {
  assert.equal(next(rungs, { gone: true, host: null })?.name, 'take away')
  assert.equal(next(rungs, { gone: false, host: null })?.name, 'place')
  assert.equal(next(rungs, { gone: false, host: 'a' }), undefined)
})

it('reads, takes one step, and hands on when to look again', async () => {
  const facts = new Map<string, Facts>([
    ['new', { gone: false, host: null }],
    ['old', { gone: true, host: 'a' }],
    ['at rest', { gone: false, host: 'a' }],
  ])
  const handler = ladder(async (_tx, key) => facts.get(key) ?? null, rungs)
  assert.equal(await handler(tx, 'new'), 100)
  assert.equal(await handler(tx, 'old'), null)
  assert.equal(await handler(tx, 'at rest'), null)
  assert.equal(await handler(tx, 'unknown'), null)
  assert.deepEqual(done, ['place null', 'take away a'])
})
