import assert from 'node:assert/strict'
import { afterEach, describe, it } from 'node:test'
import fc from 'fast-check'
import { pino } from 'pino'
import { type DesiredLine, type DocumentOf, type Kind, kinds, type Observation } from '../wire/documents.ts'
import { type Loop, startLoop } from './loop.ts'
import { Final, type Outcome, type Realiser } from './realise.ts'

const log = pino({ level: 'silent' })

/** Enough of a document for the loop; the rest is the realisers' business. */
const body = (kind: Kind, id: string, over: Record<string, unknown> = {}) =>
  ({
    v: 1,
    id,
    ...(kind === 'port' && { network_id: 'n', security_groups: ['g'] }),
    ...(kind === 'server' && { nics: [{ port_id: 'p' }] }),
    ...over,
  }) as never

let rev = 0
const line = (kind: Kind, id: string, generation = 1, want: DocumentOf[Kind] | null = body(kind, id)): DesiredLine => ({
  rev: ++rev,
  kind,
  id,
  generation,
  want,
  request_id: null,
})

interface Fake {
  real: Map<Kind, Map<string, unknown>>
  /** What was begun and ended, in order: `+port p`, `port p`, `-port p` … */
  story: string[]
  /** Called inside of every ensure and remove. */
  during: (what: 'ensure' | 'remove', kind: Kind, id: string) => Promise<Outcome | undefined>
  changed: Map<Kind, (id: string) => void>
  under: Set<string>
  realisers: { [K in Kind]: Realiser<K> }
}

function fake(): Fake {
  const made: Fake = {
    real: new Map(kinds.map((kind) => [kind, new Map()])),
    story: [],
    during: async () => undefined,
    changed: new Map(),
    under: new Set(),
    realisers: {} as Fake['realisers'],
  }
  const turn = async (what: 'ensure' | 'remove', kind: Kind, id: string, act: () => void): Promise<Outcome> => {
    const key = `${kind} ${id}`
    assert.ok(!made.under.has(key), `two tasks work on ${key} at once`)
    made.under.add(key)
    made.story.push(`${what === 'ensure' ? '+' : '-'}${key}`)
    try {
      const outcome = await made.during(what, kind, id)
      act()
      made.story.push(`done ${key}`)
      return outcome ?? { state: 'ready' }
    } finally {
      made.under.delete(key)
    }
  }
  const realiser = <K extends Kind>(kind: K): Realiser<K> => ({
    kind,
    ensure: (document) => turn('ensure', kind, document.id, () => made.real.get(kind)!.set(document.id, document)),
    remove: async (id) => void (await turn('remove', kind, id, () => made.real.get(kind)!.delete(id))),
    existing: async () => [...made.real.get(kind)!.keys()],
    watch: async (changed) => {
      made.changed.set(kind, changed)
      return () => made.changed.delete(kind)
    },
  })
  made.realisers = {
    image: realiser('image'),
    network: realiser('network'),
    'security-group': realiser('security-group'),
    'group-members': realiser('group-members'),
    port: realiser('port'),
    server: realiser('server'),
  }
  return made
}

const gate = () => {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  return { promise, open: () => resolve(undefined) }
}
const turnOver = () => new Promise((go) => setImmediate(go))

describe('the loop of a host', () => {
  const loops: Loop[] = []
  afterEach(async () => {
    for (const loop of loops.splice(0)) await loop.stop()
  })
  const start = (machine: Fake, report: (batch: Observation[]) => Promise<unknown> = async () => undefined) => {
    const loop = startLoop({ realisers: machine.realisers, report, log })
    loops.push(loop)
    return loop
  }
  const set = (loop: Loop, ...lines: DesiredLine[]) => {
    loop.snapshot()
    for (const one of lines) loop.desired(one)
    loop.complete()
  }
  const until = async (what: () => boolean, name: string) => {
    for (let i = 0; i < 1000; i++) {
      if (what()) return
      await new Promise((go) => setTimeout(go, 5))
    }
    assert.fail(`not within 5 s: ${name}`)
  }
  const order = (machine: Fake) => machine.story.filter((entry) => !entry.startsWith('done')).map((entry) => entry)

  it('makes a server after its ports, a port after its network and groups, in whatever order they are told', async () => {
    const machine = fake()
    machine.during = async () => {
      await turnOver()
      return undefined
    }
    const loop = start(machine)
    set(loop, line('server', 's'), line('port', 'p'), line('security-group', 'g'), line('network', 'n'))
    await loop.idle()
    const at = (entry: string) => machine.story.indexOf(entry)
    assert.ok(at('done network n') < at('+port p'), machine.story.join(', '))
    assert.ok(at('done security-group g') < at('+port p'))
    assert.ok(at('done port p') < at('+server s'))
  })

  it('takes away from the top: of what is withdrawn, and of what the next complete set no longer names', async () => {
    const machine = fake()
    machine.during = async () => {
      await turnOver()
      return undefined
    }
    const loop = start(machine)
    const all = () => [line('network', 'n'), line('security-group', 'g'), line('port', 'p'), line('server', 's')]
    set(loop, ...all())
    await loop.idle()
    machine.story.length = 0
    set(loop)
    await loop.idle()
    assert.deepEqual(order(machine), ['-server s', '-port p', '-security-group g', '-network n'])

    set(loop, ...all())
    await loop.idle()
    machine.story.length = 0
    for (const [kind, id] of [
      ['server', 's'],
      ['port', 'p'],
      ['network', 'n'],
    ] as const)
      loop.desired(line(kind, id, 2, null))
    await loop.idle()
    assert.deepEqual(machine.story, ['-server s', 'done server s', '-port p', 'done port p', '-network n', 'done network n'])
  })

  it('runs again for a document that came while it ran, and reports the newest generation last', async () => {
    const machine = fake()
    const blocked = gate()
    const reports: Observation[] = []
    const loop = start(machine, async (batch) => reports.push(...batch))
    machine.during = () => blocked.promise
    loop.desired(line('network', 'n', 1))
    await until(() => machine.story.length === 1, 'it runs')
    for (const generation of [2, 3, 4]) loop.desired(line('network', 'n', generation, body('network', 'n', { mtu: generation })))
    blocked.open()
    await loop.idle()
    assert.deepEqual(order(machine), ['+network n', '+network n'])
    assert.equal((machine.real.get('network')!.get('n') as { mtu: number }).mtu, 4)
    assert.equal(reports.at(-1)?.generation, 4)
  })

  it('tries again what failed, counts the tries, and holds nobody else up', async () => {
    const machine = fake()
    const reports: Observation[] = []
    let failures = 2
    machine.during = async (_what, kind, id) => {
      if (kind === 'network' && id === 'bad' && failures-- > 0) throw new Error('no \0bridge\ud800')
      return undefined
    }
    const loop = start(machine, async (batch) => reports.push(...batch))
    set(loop, line('network', 'bad', 7), line('network', 'good'))
    await until(() => reports.some(({ id, state }) => id === 'good' && state === 'ready'), 'the good one is ready')
    const failed = reports.find(({ id }) => id === 'bad')
    assert.deepEqual(failed, {
      kind: 'network',
      id: 'bad',
      generation: 7,
      state: 'failed',
      error: { message: 'no bridge\ufffd', final: false, tries: 1 },
    })
    await until(() => reports.some(({ id, state }) => id === 'bad' && state === 'ready'), 'the bad one, at last')
    assert.ok(machine.real.get('network')!.has('bad'))
    assert.deepEqual(
      reports.filter(({ id }) => id === 'bad').map(({ state, error }) => [state, error?.tries]),
      [
        ['failed', 1],
        ['failed', 2],
        ['ready', undefined],
      ],
    )
  })

  it('does not try again what is final, until there is a newer document or the machine changed', async () => {
    const machine = fake()
    machine.during = async () => {
      throw new Final('Choose another image.')
    }
    const reports: Observation[] = []
    const loop = start(machine, async (batch) => reports.push(...batch))
    loop.desired(line('server', 's', 1))
    await loop.idle()
    await new Promise((go) => setTimeout(go, 600))
    assert.deepEqual(order(machine), ['+server s'])
    assert.deepEqual(reports[0]?.error, { message: 'Choose another image.', final: true, tries: 1 })
    machine.changed.get('server')!('s')
    await loop.idle()
    machine.during = async () => undefined
    loop.desired(line('server', 's', 2))
    await loop.idle()
    assert.equal(reports.at(-1)?.state, 'ready')
  })

  it('refuses a document that speaks of another object', async () => {
    const machine = fake()
    const reports: Observation[] = []
    const loop = start(machine, async (batch) => reports.push(...batch))
    loop.desired(line('network', 'n', 1, body('network', 'other')))
    await loop.idle()
    assert.equal(reports[0]?.error?.final, true)
    assert.equal(machine.real.get('network')!.size, 0)
  })

  it('removes nothing for being absent before a set is complete, and does nothing with half a set', async () => {
    const machine = fake()
    for (const id of ['orphan', 'kept']) machine.real.get('network')!.set(id, {})
    machine.real.get('port')!.set('plugged', {})
    const reports: Observation[] = []
    const loop = start(machine, async (batch) => reports.push(...batch))
    loop.snapshot()
    loop.desired(line('network', 'half'))
    await loop.idle()
    assert.equal(machine.story.length, 0)
    set(loop, line('network', 'kept')) // the connection was lost; a new one begins with a new set
    await loop.idle()
    await loop.idle()
    assert.deepEqual([...machine.real.get('network')!.keys()], ['kept'])
    assert.ok(machine.story.indexOf('done port plugged') < machine.story.indexOf('-network orphan'), machine.story.join(', '))
    assert.ok(reports.some(({ kind, id, state }) => kind === 'port' && id === 'plugged' && state === 'gone'))
  })

  it('what is wanted while the sweep takes it away comes back, after it is gone', async () => {
    const machine = fake()
    machine.real.get('network')!.set('n', {})
    const blocked = gate()
    machine.during = (what) => (what === 'remove' ? blocked.promise : Promise.resolve(undefined))
    const reports: Observation[] = []
    const loop = start(machine, async (batch) => reports.push(...batch))
    set(loop)
    await until(() => machine.story.includes('-network n'), 'the sweep has begun')
    loop.desired(line('network', 'n', 5))
    blocked.open()
    await loop.idle()
    assert.deepEqual(machine.story, ['-network n', 'done network n', '+network n', 'done network n'])
    assert.deepEqual([reports.at(-1)?.state, reports.at(-1)?.generation], ['ready', 5])
  })

  it('one kind that cannot be looked at does not keep the others from being swept', async () => {
    const machine = fake()
    machine.real.get('network')!.set('orphan', {})
    machine.realisers.server.existing = async () => {
      throw new Error('libvirt is away')
    }
    const loop = start(machine)
    set(loop)
    await until(() => machine.real.get('network')!.size === 0, 'the network is swept')
  })

  it('a removal that stirs up an event of its own runs once', async () => {
    const machine = fake()
    const loop = start(machine)
    loop.desired(line('server', 's'))
    await loop.idle()
    machine.story.length = 0
    machine.during = async (_what, _kind, id) => {
      machine.changed.get('server')!(id)
      return undefined
    }
    loop.desired(line('server', 's', 2, null))
    await loop.idle()
    assert.deepEqual(order(machine), ['-server s'])
  })

  it('sends one report at a time; what gathers meanwhile goes together, only the newest of each object, with all its events', async () => {
    const machine = fake()
    const batches: Observation[][] = []
    let taken = gate()
    const loop = start(machine, async (batch) => {
      batches.push(batch)
      await taken.promise
    })
    let n = 0
    machine.during = async (_what, kind) =>
      kind === 'server'
        ? {
            state: 'ready',
            server: { power: 'running', starts: 1, reboots: 0, events: [{ name: `e${++n}`, started_at: '', finished_at: '' }] },
          }
        : undefined
    loop.desired(line('network', 'n'))
    await until(() => batches.length === 1, 'the first report is on its way')
    for (const generation of [1, 2]) {
      loop.desired(line('server', 's', generation))
      await until(() => n === generation, 'it ran')
      await turnOver()
    }
    loop.desired(line('network', 'm'))
    await until(() => machine.real.get('network')!.has('m'), 'the other network is there')
    await turnOver()
    assert.equal(batches.length, 1)
    taken.open()
    taken = gate()
    taken.open()
    await loop.idle()
    assert.equal(batches.length, 2)
    const server = batches[1]!.find(({ id }) => id === 's')
    assert.equal(server?.generation, 2)
    assert.deepEqual(
      server.server?.events?.map(({ name }) => name),
      ['e1', 'e2'],
    )
    assert.equal(batches[1]!.length, 2)
  })

  it('an observation that control cannot take does not cost the others', async () => {
    const machine = fake()
    const taken: string[] = []
    const first = gate()
    let calls = 0
    const loop = start(machine, async (batch) => {
      if (++calls === 1) await first.promise
      if (batch.some(({ id }) => id === 'poison')) throw new Error('400')
      taken.push(...batch.map(({ id }) => id))
    })
    loop.desired(line('network', 'first'))
    await until(() => calls === 1, 'the first report is on its way')
    for (const id of ['a', 'poison', 'b']) loop.desired(line('network', id))
    await until(() => machine.real.get('network')!.size === 4, 'all are there')
    await turnOver()
    first.open()
    await loop.idle()
    assert.deepEqual(taken.sort(), ['a', 'b', 'first'])
  })

  it('tells what is wanted, and changes that only with a complete set', async () => {
    const machine = fake()
    const loop = start(machine)
    set(loop, line('network', 'a'), line('network', 'b'), line('port', 'p', 2, null))
    assert.deepEqual([...loop.wanted('network').keys()], ['a', 'b'])
    assert.equal(loop.wanted('port').size, 0)
    loop.snapshot()
    loop.desired(line('network', 'c'))
    assert.deepEqual([...loop.wanted('network').keys()], ['a', 'b'])
    loop.complete()
    assert.deepEqual([...loop.wanted('network').keys()], ['c'])
  })

  it('ends with what is wanted, whatever happens on the way', async () => {
    const ids = ['0', '1', '2']
    const event = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ do: fc.constant('want' as const), kind: fc.constantFrom(...kinds), id: fc.constantFrom(...ids) }),
      },
      {
        weight: 4,
        arbitrary: fc.record({ do: fc.constant('withdraw' as const), kind: fc.constantFrom(...kinds), id: fc.constantFrom(...ids) }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ do: fc.constant('forget' as const), kind: fc.constantFrom(...kinds), id: fc.constantFrom(...ids) }),
      },
      {
        weight: 2,
        arbitrary: fc.record({ do: fc.constantFrom('set' as const, 'half a set' as const, 'restart' as const, 'wait' as const) }),
      },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('break' as const), times: fc.integer({ min: 1, max: 3 }) }) },
      {
        weight: 1,
        arbitrary: fc.record({ do: fc.constant('changed' as const), kind: fc.constantFrom(...kinds), id: fc.constantFrom(...ids) }),
      },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 30 }), async (events) => {
        const machine = fake()
        // What control has: a document, or a tombstone until the host has reported the object gone.
        const documents = new Map<string, DesiredLine>()
        const control = async (batch: Observation[]) => {
          for (const { kind, id, generation, state } of batch) {
            const known = documents.get(`${kind} ${id}`)
            if (state === 'gone' && known && known.want === null && known.generation <= generation) documents.delete(`${kind} ${id}`)
          }
        }
        let generation = 0
        let failures = 0
        machine.during = async () => {
          await turnOver()
          if (failures > 0) {
            failures--
            throw new Error('it broke')
          }
          return undefined
        }
        let loop = start(machine, control)
        const whole = () => set(loop, ...[...documents.values()].sort((a, b) => a.rev - b.rev))
        whole()
        for (const one of events) {
          if (one.do === 'want' || one.do === 'withdraw') {
            const key = `${one.kind} ${one.id}`
            if (one.do === 'withdraw' && !documents.has(key)) continue
            const said = line(one.kind, one.id, ++generation, one.do === 'want' ? body(one.kind, one.id, { generation }) : null)
            documents.set(key, said)
            loop.desired(said)
          } else if (one.do === 'forget') documents.delete(`${one.kind} ${one.id}`)
          else if (one.do === 'set') whole()
          else if (one.do === 'half a set') {
            loop.snapshot()
            for (const said of [...documents.values()].slice(0, 2)) loop.desired(said)
          } else if (one.do === 'restart') {
            await loop.stop()
            loop = start(machine, control)
            whole()
          } else if (one.do === 'break') failures = one.times
          else if (one.do === 'changed') machine.changed.get(one.kind)?.(one.id)
          else await turnOver()
        }
        failures = 0
        whole() // the connection comes back
        const wanted = () =>
          [...documents.values()].filter((said) => said.want !== null).map((said) => [`${said.kind} ${said.id}`, said.want])
        const real = () => kinds.flatMap((kind) => [...machine.real.get(kind)!].map(([id, document]) => [`${kind} ${id}`, document]))
        const same = () =>
          JSON.stringify(Object.entries(Object.fromEntries(wanted())).sort()) ===
          JSON.stringify(Object.entries(Object.fromEntries(real())).sort())
        await until(same, 'what is real is what is wanted').catch(() =>
          assert.deepEqual(Object.fromEntries(real()), Object.fromEntries(wanted())),
        )
        await loop.idle()
        assert.ok(same())
        assert.ok(
          [...documents.values()].every((said) => said.want !== null),
          'no tombstone is left',
        )
        await loop.stop()
      }),
      { numRuns: 150 },
    )
  })
})
