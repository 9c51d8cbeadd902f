// The ladder without a database: a model applies what each rung does to the facts, a model host follows its document. Whatever users wish
// and whatever happens meanwhile, it comes to rest with everything as wanted, or with everything gone.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { ServerObservation } from '../../wire/documents.ts'
import { next } from '../../work/ladder.ts'
import { type Facts, type Server, stateFacts } from './facts.ts'
import { rungs } from './server.ts'
import { stateOf } from './state.ts'
import { type WishName, wishes } from './wish.ts'

interface Guest {
  power: 'running' | 'paused' | 'stopped' | 'suspended'
  reason?: 'guest' | 'ordered' | 'host'
  starts: number
  reboots: number
}

/** The world: control's facts, what the host's document says, what really runs there. */
interface World {
  server: Server | null
  document: { generation: number; server: Server | null } | null
  observed: Facts['observed']
  guest: Guest | null
  /** Hosts that cannot start it. */
  broken: Set<string>
  hostUp: boolean
}

const newServer = (): Server => ({
  id: 's1',
  project_id: 'p',
  user_id: 'u',
  name: 'one',
  hostname: 'one',
  description: null,
  flavor: {
    id: '1',
    name: 'm1.tiny',
    description: null,
    memory_mb: 512,
    vcpus: 1,
    root_gb: 1,
    ephemeral_gb: 0,
    swap_mb: 0,
    extra_specs: {},
  },
  image_id: 'i',
  image: {},
  key_name: null,
  key_data: null,
  user_data: null,
  config_drive: false,
  metadata: {},
  tags: [],
  access_ip_v4: '',
  access_ip_v6: '',
  availability_zone: null,
  scheduler_hints: {},
  security_groups: [],
  reservation_id: 'r-1',
  launch_index: 0,
  locked_by: null,
  locked_reason: null,
  wanted: 'active',
  starts: 1,
  reboots: 0,
  reboot_type: 'SOFT',
  host: null,
  requested_host: null,
  tried: [],
  generation: 1,
  vm_state: 'building',
  task_state: 'scheduling',
  power_state: 0,
  fault: null,
  created_at: new Date(0),
  updated_at: new Date(0),
  launched_at: null,
  terminated_at: null,
})

const factsOf = (world: World): Facts => ({
  server: world.server!,
  hostId: world.server!.host,
  hostUp: world.hostUp,
  document: world.document && { generation: world.document.generation, withdrawn: world.document.server === null },
  observed: world.observed,
  requestId: null,
})

function save(world: World, change: Partial<Server> = {}): void {
  const server = { ...world.server!, ...change }
  world.server = { ...server, ...stateOf(stateFacts({ server, observed: world.observed })) }
}

const fault = { code: 500, message: 'no', details: '', created: '' }

/** What each rung does, in the model. */
const effects: Record<string, (world: World) => void> = {
  'tell the host to let go': (world) => {
    save(world)
    world.document = { generation: world.document!.generation + 1, server: null }
  },
  'wait until it has': (world) => save(world),
  leave: (world) => {
    world.server = null
  },
  'move on': (world) => {
    world.observed = null
    world.document = null
    save(world, world.server!.tried.length >= 3 ? { host: null, fault } : { host: null })
  },
  'rest in error': (world) => save(world),
  place: (world) => {
    const free = ['h1', 'h2', 'h3', 'h4'].find((host) => !world.server!.tried.some((one) => one.host === host))!
    save(world, { host: free })
    world.document = { generation: world.server!.generation, server: world.server }
    world.guest = null
  },
  'tell the host': (world) => {
    save(world)
    world.document = { generation: world.server!.generation, server: world.server }
  },
  'take the failure': (world) => {
    const { server } = world
    if (server!.launched_at) save(world, { fault })
    else save(world, { tried: [...server!.tried, { host: server!.host!, message: 'broken' }], generation: server!.generation + 1 })
  },
  'follow the guest': (world) => save(world, { wanted: 'stopped', generation: world.server!.generation + 1 }),
  settle: (world) => save(world, world.server!.launched_at ? {} : { launched_at: new Date(0), tried: [] }),
  'give up on a silent host': (world) =>
    save(world, {
      tried: [...world.server!.tried, { host: world.server!.host!, message: 'silent' }],
      generation: world.server!.generation + 1,
    }),
  'wait for the host': (world) => save(world),
}

function look(world: World): void {
  if (!world.server) return
  const rung = next(rungs, factsOf(world))
  assert.ok(rung)
  assert.ok(effects[rung.name], `the model knows the rung '${rung.name}'`)
  effects[rung.name]!(world)
}

/** The host follows its document and reports, as the contract of src/wire/documents.ts says. */
function hostWorks(world: World): void {
  const { document } = world
  if (!document || !world.hostUp) return
  if (document.server === null) {
    world.guest = null
    world.document = null
    world.observed = null
    return
  }
  const { wanted, starts, reboots, host } = document.server
  const { generation } = document
  if (world.broken.has(host!)) {
    world.observed = {
      generation,
      state: 'failed',
      error: { message: 'broken', final: true, tries: 1 },
      ...(world.guest && { server: observation(world.guest) }),
    }
    return
  }
  const power = ({ active: 'running', stopped: 'stopped', paused: 'paused', suspended: 'suspended', gone: 'stopped' } as const)[wanted]
  const stays = world.guest?.reason === 'guest' && power === 'running' && world.guest.starts >= starts
  if (!stays) world.guest = { power, starts, reboots, ...(power === 'stopped' && { reason: 'ordered' as const }) }
  world.observed = { generation, state: 'ready', server: observation(world.guest!) }
}
const observation = (guest: Guest): ServerObservation => ({ ...guest })

function wished(world: World, name: WishName): void {
  const { server } = world
  if (!server || server.host === null) return
  const wish: { from: string[]; change: (server: Server) => Partial<Server>; whileBusy?: (task: string) => boolean } = wishes[name]
  if (!wish.from.includes(server.vm_state) || (server.task_state !== null && !wish.whileBusy?.(server.task_state))) return
  save(world, { ...wish.change(server), generation: server.generation + 1 })
}

type Event =
  | { kind: 'wish'; name: WishName }
  | { kind: 'delete' | 'look' | 'host' | 'guest powers off' | 'host restarts' | 'host away' | 'host back' | 'working' }
  | { kind: 'breaks'; host: string }

function happens(world: World, event: Event): void {
  if (event.kind === 'wish') wished(world, event.name)
  else if (event.kind === 'delete') world.server && save(world, { wanted: 'gone' })
  else if (event.kind === 'look') look(world)
  else if (event.kind === 'host') hostWorks(world)
  else if (event.kind === 'breaks') world.broken.add(event.host)
  else if (event.kind === 'host away') world.hostUp = false
  else if (event.kind === 'host back') world.hostUp = true
  else if (event.kind === 'working') {
    if (world.document?.server && world.hostUp) world.observed = { generation: world.observed?.generation ?? 0, state: 'working' }
  } else if (world.guest?.power === 'running' && world.hostUp) {
    world.guest = { ...world.guest, power: 'stopped', reason: event.kind === 'guest powers off' ? 'guest' : 'host' }
    if (world.observed) world.observed = { ...world.observed, state: 'ready', server: observation(world.guest) }
  }
}

const newWorld = (): World => ({ server: newServer(), document: null, observed: null, guest: null, broken: new Set(), hostUp: true })

const anyEvent: fc.Arbitrary<Event> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom<Event>({ kind: 'look' }) },
  { weight: 4, arbitrary: fc.constantFrom<Event>({ kind: 'host' }) },
  { weight: 4, arbitrary: fc.constantFrom(...(Object.keys(wishes) as WishName[])).map((name): Event => ({ kind: 'wish', name })) },
  {
    weight: 2,
    arbitrary: fc.constantFrom<Event>(
      { kind: 'guest powers off' },
      { kind: 'host restarts' },
      { kind: 'working' },
      { kind: 'host away' },
      { kind: 'host back' },
    ),
  },
  { weight: 1, arbitrary: fc.constantFrom('h1', 'h2', 'h3', 'h4').map((host): Event => ({ kind: 'breaks', host })) },
  { weight: 1, arbitrary: fc.constantFrom<Event>({ kind: 'delete' }) },
)

describe('the ladder of a server', () => {
  it('leads from nothing to ACTIVE by place, wait and settle', () => {
    const world = newWorld()
    const names: string[] = []
    for (let i = 0; i < 4; i++) {
      names.push(next(rungs, factsOf(world))!.name)
      look(world)
      if (i === 1) hostWorks(world)
    }
    assert.deepEqual(names, ['place', 'wait for the host', 'settle', 'settle'])
    assert.equal(world.server!.vm_state, 'active')
  })

  it('tries three hosts, then rests in ERROR on none', () => {
    const world = newWorld()
    world.broken = new Set(['h1', 'h2', 'h3', 'h4'])
    for (let i = 0; i < 30; i++) {
      look(world)
      hostWorks(world)
    }
    assert.equal(world.server!.vm_state, 'error')
    assert.equal(world.server!.host, null)
    assert.deepEqual(
      world.server!.tried.map(({ host }) => host),
      ['h1', 'h2', 'h3'],
    )
    assert.equal(world.document, null)
  })

  it('deletes although the host is away, and leaves the host a document that withdraws it', () => {
    const world = newWorld()
    look(world)
    hostWorks(world)
    look(world)
    world.hostUp = false
    happens(world, { kind: 'delete' })
    look(world)
    look(world)
    assert.equal(world.server, null)
    assert.equal(world.document!.server, null)
  })

  it('always comes to rest as wanted, whatever happens', () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 60 }), (events) => {
        const world = newWorld()
        for (const event of events) happens(world, event)
        world.hostUp = true
        for (let i = 0; i < 60; i++) {
          look(world)
          hostWorks(world)
        }
        const { server } = world
        if (!server) return assert.equal(world.document, null, 'nothing of it is left on a host')
        look(world)
        assert.deepEqual(world.server, server, 'it rests')
        assert.equal(server.task_state, null)
        if (server.vm_state === 'error') return assert.ok(server.fault)
        assert.equal(server.vm_state, server.wanted)
        assert.equal(world.document!.generation, server.generation)
        assert.equal(world.observed!.server!.reboots, server.reboots)
      }),
      { numRuns: 2000 },
    )
  })
})
