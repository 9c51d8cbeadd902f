import assert from 'node:assert/strict'
import { test } from 'node:test'
import { duration, fromNow } from './format.ts'

test('a duration never has sixty seconds', () => {
  const shown = [0, 1_400, 9_949, 9_960, 59_400, 59_700, 60_000, 119_700, 239_700, 3_599_700, 3_660_000].map(duration)
  const right = ['0.0 s', '1.4 s', '9.9 s', '10 s', '59 s', '1 min 0 s', '1 min 0 s', '2 min 0 s', '4 min 0 s', '1 h 0 min', '1 h 1 min']
  assert.deepEqual(shown, right)
})

test('what is still to come is not now, and what was is not rounded up', () => {
  const now = Date.parse('2026-06-15T12:00:00Z')
  const day = 86_400_000
  const shown = [now + 30 * day + 60_000, now + 2 * 3_600_000, now, now - 119_000, now - 23.9 * 3_600_000, now - 364 * day]
  assert.deepEqual(
    shown.map((time) => fromNow(time, now, 'en-GB')),
    ['next month', 'in 2 hours', 'now', '1 minute ago', '23 hours ago', '12 months ago'],
  )
  assert.equal(fromNow(now + 5 * day, now, 'zh-CN'), '5天后')
})
