import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { allocateZones, zonesByNetwork, zonesIn } from './zones.ts'

const none = new Set<number>()

test('no two networks ever share a zone, and each keeps its own, whatever comes and goes', () => {
  const step = fc.record({ come: fc.array(fc.uuid(), { maxLength: 20 }), stay: fc.array(fc.boolean(), { maxLength: 40 }) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 10 }), fc.array(fc.integer({ min: 1, max: 65_535 }), { maxLength: 20 }), (steps, others) => {
      let zones = new Map<string, number>()
      for (const { come, stay } of steps) {
        const ids = [...[...zones.keys()].filter((_id, i) => stay[i] ?? true), ...come]
        const next = allocateZones(ids, zones, new Set(others))
        assert.deepEqual([...next.keys()].sort(), [...new Set(ids)].sort())
        assert.equal(new Set(next.values()).size, next.size)
        for (const [id, zone] of next) {
          assert.ok(zone >= 1 && zone <= 65_535)
          if (zones.has(id)) assert.equal(zone, zones.get(id))
          else assert.ok(![...zones.values(), ...others].includes(zone), 'it was nobody’s')
        }
        zones = next
      }
    }),
  )
})

test('two that shared one are parted, and a full host says so', () => {
  const parted = allocateZones(
    ['a', 'b'],
    new Map([
      ['a', 5],
      ['b', 5],
    ]),
    none,
  )
  assert.equal(parted.get('a'), 5)
  assert.notEqual(parted.get('b'), 5)
  const all = new Set(Array.from({ length: 65_535 }, (_, i) => i + 1))
  assert.throws(() => allocateZones(['a'], new Map(), all), /All 65535 connection tracking zones/)
  all.delete(777)
  assert.equal(allocateZones(['a'], new Map(), all).get('a'), 777)
})

test('a new agent reads them from the rules, and sees those of others', () => {
  const id = '11111111-1111-4111-8111-111111111111'
  const saved = `-A PREROUTING -j wispabcdef-raw
-A wispabcdef-raw -m physdev --physdev-in wabcdeft4444444 -j CT --zone 17
-A wispabcdef-raw -m physdev --physdev-in wabcdefd1111111 -j CT --zone 17
-A wisp123456-raw -m physdev --physdev-in w123456d1111111 -j CT --zone 18
-A PREROUTING -i eth9 -j CT --zone-orig 19
`
  const { byDevice, foreign } = zonesIn(saved, 'wispabcdef-raw')
  assert.deepEqual([...zonesByNetwork('abcdef', [id, 'other'], byDevice)], [[id, 17]])
  assert.deepEqual([...foreign], [18, 19])
})
