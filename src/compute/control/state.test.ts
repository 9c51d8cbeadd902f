import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ServerObservation } from '../../wire/documents.ts'
import { caughtUp, type Observed, type StateFacts, stateOf, statesBehind, statusOf, type Wanted, wentDownByItself } from './state.ts'

const seen = (power: ServerObservation['power'], more: Partial<ServerObservation> = {}, generation = 1): Observed => ({
  generation,
  state: 'ready',
  server: { power, starts: 1, reboots: 0, ...more },
})
const facts = (more: Partial<StateFacts> = {}): StateFacts => ({
  wanted: 'active',
  host: 'h1',
  moving: false,
  generation: 1,
  reboots: 0,
  reboot_type: 'SOFT',
  launched: true,
  fault: false,
  observed: seen('running'),
  vm_state: 'active',
  ...more,
})
const shown = (more: Partial<StateFacts>) => {
  const state = stateOf(facts(more))
  return [state.vm_state, state.task_state, state.power_state, statusOf(state)]
}

describe('stateOf', () => {
  it('passes through the states of a launch', () => {
    const building = { launched: false, vm_state: 'building' }
    assert.deepEqual(shown({ ...building, host: null, observed: null }), ['building', 'scheduling', 0, 'BUILD'])
    assert.deepEqual(shown({ ...building, observed: null }), ['building', 'networking', 0, 'BUILD'])
    assert.deepEqual(shown({ ...building, observed: { generation: 1, state: 'working' } }), ['building', 'spawning', 0, 'BUILD'])
    assert.deepEqual(shown({ ...building, moving: true, observed: { generation: 1, state: 'failed' } }), [
      'building',
      'scheduling',
      0,
      'BUILD',
    ])
    assert.deepEqual(shown({}), ['active', null, 1, 'ACTIVE'])
  })

  it('shows a wish as a task until the host has followed', () => {
    const table: [Wanted, ServerObservation['power'], string, string | null][] = [
      ['stopped', 'running', 'ACTIVE', 'powering-off'],
      ['active', 'stopped', 'SHUTOFF', 'powering-on'],
      ['paused', 'running', 'ACTIVE', 'pausing'],
      ['active', 'paused', 'PAUSED', 'unpausing'],
      ['suspended', 'running', 'ACTIVE', 'suspending'],
      ['active', 'suspended', 'SUSPENDED', 'resuming'],
      ['stopped', 'stopped', 'SHUTOFF', null],
      ['paused', 'paused', 'PAUSED', null],
      ['suspended', 'suspended', 'SUSPENDED', null],
      ['gone', 'running', 'ACTIVE', 'deleting'],
    ]
    for (const [wanted, power, status, task] of table) {
      const state = stateOf(facts({ wanted, observed: seen(power) }))
      assert.deepEqual([statusOf(state), state.task_state], [status, task], `${wanted} while ${power}`)
    }
  })

  it('shows reboots until the host has performed them all', () => {
    assert.deepEqual(shown({ reboots: 1, generation: 2 }), ['active', 'rebooting', 1, 'REBOOT'])
    assert.deepEqual(shown({ reboots: 1, generation: 2, reboot_type: 'HARD' }), ['active', 'rebooting_hard', 1, 'HARD_REBOOT'])
    assert.deepEqual(shown({ reboots: 1, generation: 2, reboot_type: 'HARD', observed: seen('stopped') }), [
      'stopped',
      'rebooting_hard',
      4,
      'SHUTOFF',
    ])
    assert.deepEqual(shown({ reboots: 1, generation: 2, observed: seen('running', { reboots: 1 }, 2) }), ['active', null, 1, 'ACTIVE'])
  })

  it('keeps the last known power while the host only says that it is working', () => {
    const working: Observed = { generation: 1, state: 'working' }
    assert.deepEqual(shown({ observed: working, wanted: 'stopped', generation: 2 }), ['active', 'powering-off', 1, 'ACTIVE'])
    assert.deepEqual(shown({ observed: working, vm_state: 'stopped', generation: 2 }), ['stopped', 'powering-on', 4, 'SHUTOFF'])
  })

  it('shows a fault as ERROR, and a deletion over it', () => {
    assert.deepEqual(shown({ fault: true }), ['error', null, 1, 'ERROR'])
    assert.deepEqual(shown({ fault: true, wanted: 'gone' }), ['error', 'deleting', 1, 'ERROR'])
    assert.deepEqual(shown({ fault: true, launched: false, host: null, observed: null }), ['error', null, 0, 'ERROR'])
  })
})

describe('what a report means', () => {
  it('has caught up only at the wanted generation, power and number of reboots', () => {
    assert.equal(caughtUp(facts()), true)
    assert.equal(caughtUp(facts({ generation: 2 })), false)
    assert.equal(caughtUp(facts({ reboots: 1 })), false)
    assert.equal(caughtUp(facts({ wanted: 'stopped' })), false)
    assert.equal(caughtUp(facts({ wanted: 'gone' })), false)
    assert.equal(caughtUp(facts({ observed: { ...seen('running'), state: 'failed' } })), false)
    assert.equal(caughtUp(facts({ observed: null })), false)
  })

  it('follows a guest that went down, not a host that did, nor a report from before the order', () => {
    assert.equal(wentDownByItself(facts({ observed: seen('stopped', { reason: 'guest' }) })), true)
    assert.equal(wentDownByItself(facts({ observed: seen('crashed') })), true)
    assert.equal(wentDownByItself(facts({ observed: seen('stopped', { reason: 'host' }) })), false)
    assert.equal(wentDownByItself(facts({ observed: seen('stopped', { reason: 'ordered' }) })), false)
    assert.equal(wentDownByItself(facts({ generation: 2, observed: seen('stopped', { reason: 'guest' }) })), false)
    assert.equal(wentDownByItself(facts({ wanted: 'gone', observed: seen('stopped', { reason: 'guest' }) })), false)
  })
})

describe('statesBehind', () => {
  it('is the inverse of statusOf', () => {
    for (const vm_state of ['active', 'building', 'stopped', 'paused', 'suspended', 'error']) {
      for (const task_state of [null, 'rebooting', 'rebooting_hard', 'powering-off', 'deleting']) {
        const behind = statesBehind(statusOf({ vm_state, task_state }))
        const found = behind.some(
          (one) => one.vm_state === vm_state && (one.task === null ? !one.except.includes(task_state ?? '') : one.task === task_state),
        )
        assert.ok(found, `${vm_state} ${task_state}`)
      }
    }
    assert.deepEqual(statesBehind('NO_SUCH'), [])
    assert.equal(statesBehind('active').length, 1, 'case does not matter')
  })
})
