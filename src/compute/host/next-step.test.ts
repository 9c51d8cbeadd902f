import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { PausedReason, ShutoffReason } from '../../agent/libvirt.ts'
import type { Done } from './disks.ts'
import { nextStep, type Seen, type Step } from './next-step.ts'

type Want = Parameters<typeof nextStep>[0]

const want = (over: Partial<Want> = {}): Want => ({ power: 'active', starts: 1, reboots: 0, reboot_type: 'SOFT', ...over })
const { UNKNOWN, SHUTDOWN, DESTROYED, CRASHED, FAILED, SAVED } = ShutoffReason

describe('the next step of a server', () => {
  const running = { power: 'running', reason: 0 } as const
  const paused = { power: 'paused', reason: 0 } as const
  const saved = { power: 'saved', reason: SAVED } as const
  const off = (reason: number = SHUTDOWN) => ({ power: 'off', reason }) as const
  const seen = {
    running,
    paused,
    saved,
    'never started': off(UNKNOWN),
    'shut itself down': off(SHUTDOWN),
    destroyed: off(DESTROYED),
    crashed: off(CRASHED),
    'failed to start': off(FAILED),
  }
  const done = { starts: 1, reboots: 0 }

  // What is wanted, by what is seen, when no start and no reboot is open.
  const table: Record<Want['power'], Record<keyof typeof seen, Step>> = {
    active: {
      running: 'nothing',
      paused: 'resume',
      saved: 'start',
      'never started': 'start',
      'shut itself down': 'leave off',
      destroyed: 'leave off',
      crashed: 'crashed',
      'failed to start': 'start',
    },
    paused: {
      running: 'pause',
      paused: 'nothing',
      saved: 'start',
      'never started': 'start',
      'shut itself down': 'leave off',
      destroyed: 'leave off',
      crashed: 'crashed',
      'failed to start': 'start',
    },
    stopped: {
      running: 'shut down',
      paused: 'shut down',
      saved: 'power off',
      'never started': 'nothing',
      'shut itself down': 'nothing',
      destroyed: 'nothing',
      crashed: 'nothing',
      'failed to start': 'nothing',
    },
    suspended: {
      running: 'save',
      paused: 'save',
      saved: 'nothing',
      'never started': 'start',
      'shut itself down': 'start',
      destroyed: 'start',
      crashed: 'start',
      'failed to start': 'start',
    },
  }
  for (const power of Object.keys(table) as Want['power'][])
    for (const [name, step] of Object.entries(table[power]) as [keyof typeof seen, Step][])
      it(`wanted ${power}, ${name}: ${step}`, () => assert.equal(nextStep(want({ power }), seen[name], done), step))

  for (const power of ['active', 'paused'] as const) {
    for (const [name, reason] of Object.entries({ SHUTDOWN, DESTROYED, CRASHED }))
      it(`wanted ${power}: starts what is off (${name}) when a start or a reboot was ordered since`, () => {
        assert.equal(nextStep(want({ power, starts: 2 }), off(reason), done), 'start')
        assert.equal(nextStep(want({ power, reboots: 1 }), off(reason), done), 'start')
      })
    it(`wanted ${power}: reboots as it was asked for`, () => {
      assert.equal(nextStep(want({ power, reboots: 1 }), running, done), 'shut down')
      assert.equal(nextStep(want({ power, reboots: 1, reboot_type: 'HARD' }), running, done), 'restart')
      assert.equal(nextStep(want({ power, reboots: 1 }), paused, done), 'restart', 'a paused guest hears no power button')
    })
  }
  for (const power of ['stopped', 'suspended'] as const)
    it(`wanted ${power}: an open reboot changes nothing`, () => {
      for (const one of Object.values(seen))
        assert.equal(nextStep(want({ power, reboots: 3, reboot_type: 'HARD' }), one, done), nextStep(want({ power }), one, done))
    })

  it('resumes a guest that QEMU halted where it shall run, and leaves it halted where it shall be paused', () => {
    const halted = { power: 'paused', reason: PausedReason.IO_ERROR } as const
    assert.equal(nextStep(want(), halted, done), 'resume halted')
    assert.equal(nextStep(want({ power: 'paused' }), halted, done), 'nothing')
  })

  it('comes to rest where it shall, whatever happened before', () => {
    const wish = fc.record({
      power: fc.constantFrom('active' as const, 'stopped' as const, 'paused' as const, 'suspended' as const),
      start: fc.boolean(),
      reboot: fc.boolean(),
      reboot_type: fc.constantFrom('SOFT' as const, 'HARD' as const),
    })
    const event = fc.oneof(
      wish,
      fc.constantFrom('guest off' as const, 'guest crash' as const, 'machine reboots' as const, 'one step' as const),
    )
    fc.assert(
      fc.property(fc.array(event, { maxLength: 25 }), (events) => {
        const now: Want = want()
        let machine: Pick<Seen, 'power' | 'reason'> = off(UNKNOWN)
        let memory: Done & { starting?: Done } = { starts: 0, reboots: 0 }
        let boots = 0
        const on = () => machine.power === 'running' || machine.power === 'paused'
        /** What serverRealiser does around nextStep; a guest that is asked to shut down does so. */
        const turn = (): Step => {
          if (memory.starting && on()) memory = memory.starting
          const step = nextStep(now, machine, memory)
          if (step === 'start') {
            memory = { starts: memory.starts, reboots: memory.reboots, starting: { starts: now.starts, reboots: now.reboots } }
            machine = now.power === 'paused' ? paused : running
            boots++
          } else if (step === 'restart') machine = off(DESTROYED)
          else if (step === 'shut down') machine = off(SHUTDOWN)
          else if (step === 'power off') machine = off(UNKNOWN)
          else if (step === 'pause') machine = paused
          else if (step === 'resume') machine = running
          else if (step === 'save') machine = saved
          else if (step === 'nothing') memory = { starts: now.starts, reboots: now.reboots }
          return step
        }
        const rest = (): Step => {
          for (let i = 0; i < 8; i++) {
            const step = turn()
            if (['nothing', 'leave off', 'crashed'].includes(step)) return step
          }
          assert.fail(`does not come to rest: ${JSON.stringify({ now, machine, memory })}`)
        }
        let itself = false // whether the guest went by itself since a start was last ordered
        for (const one of events) {
          if (typeof one === 'object') {
            // As the API does it: a start is ordered when a stopped server is started, and nothing else can be done to one; it reboots where it runs.
            if (now.power === 'stopped' && one.power !== 'active') continue
            if (one.power === 'active' && (one.start || now.power === 'stopped')) {
              now.starts++
              itself = false
            }
            now.power = one.power
            if (one.reboot && one.power === 'active') {
              now.reboots++
              now.reboot_type = one.reboot_type
              itself = false
            }
          } else if (one === 'one step') turn()
          else if (on()) {
            machine = one === 'guest off' ? off(SHUTDOWN) : one === 'guest crash' ? off(CRASHED) : off(UNKNOWN)
            if (one !== 'machine reboots') itself = true
          }
        }
        const end = rest()
        const wished = { active: 'running', paused: 'paused', stopped: 'off', suspended: 'saved' }[now.power]
        if (machine.power !== wished)
          assert.ok(itself && (end === 'leave off' || end === 'crashed'), JSON.stringify({ now, machine, memory, end }))
        const before = boots
        assert.equal(rest(), end)
        assert.equal(boots, before, 'a server at rest is not started again')
        if (end === 'nothing') assert.deepEqual(memory, { starts: now.starts, reboots: now.reboots })
      }),
      { numRuns: 2000 },
    )
  })
})
