// The direction of imports, as the architecture draws it: api -> control -> database; host -> agent, wire; host and control never meet;
// rooms call other rooms' control in one order only. Reads the import lines of every file.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { it } from 'node:test'

const src = path.join(import.meta.dirname, '../src')
const rooms = ['load-balancer', 'compute', 'block-storage', 'network', 'placement', 'image', 'identity'] as const
/** Which rooms' control a room may call. */
const below: Record<string, string[]> = {
  'load-balancer': ['compute', 'block-storage', 'network', 'placement', 'image', 'identity'],
  compute: ['block-storage', 'network', 'placement', 'image', 'identity'],
  'block-storage': ['identity', 'image'],
  network: ['identity'],
  placement: ['identity'],
  image: ['identity'],
  identity: [],
}

interface Place {
  room: string
  door: string
}

function placeOf(file: string): Place {
  const [room = '', door = ''] = path.relative(src, file).split(path.sep)
  return { room, door: door.endsWith('.ts') ? '' : door }
}

function* imports(): Generator<{ file: string; from: Place; to: Place; target: string; typeOnly: boolean }> {
  for (const entry of fs.readdirSync(src, { recursive: true, encoding: 'utf8' })) {
    // What only tests import may reach anywhere, as they do.
    if (!entry.endsWith('.ts') || entry.endsWith('.test.ts') || path.basename(entry) === 'testing.ts') continue
    const file = path.join(src, entry)
    for (const [, typed, target] of fs.readFileSync(file, 'utf8').matchAll(/(?:import|export)\s+(type\s+)?[^'"]*?from\s+'(\.[^']+)'/g)) {
      const resolved = path.resolve(path.dirname(file), target!)
      yield { file: entry, from: placeOf(file), to: placeOf(resolved), target: target!, typeOnly: typed !== undefined }
    }
  }
}

const isRoom = (name: string) => (rooms as readonly string[]).includes(name)

it('every import follows the directions of the house', () => {
  const wrong: string[] = []
  for (const { file, from, to, target, typeOnly } of imports()) {
    const complain = (why: string) => wrong.push(`${file} imports ${target}: ${why}`)
    const sameRoom = from.room === to.room
    if (isRoom(from.room)) {
      if (from.door === 'control' && to.door === 'api' && isRoom(to.room) && !typeOnly) complain('control does not know api')
      if (from.door === 'host' && ['api', 'control'].includes(to.door)) complain('a host never knows what control does')
      if (from.door !== 'host' && to.door === 'host' && isRoom(to.room)) complain('control never touches a machine')
      if (from.door === 'host' && ['database', 'work', 'http'].includes(to.room) && !target.endsWith('/crash.ts'))
        complain('a host never touches the database')
      if (from.door !== 'host' && to.room === 'agent') complain('only host doors and the agent touch the machine')
      if (!sameRoom && isRoom(to.room)) {
        if (from.door === 'host' ? to.door !== 'host' : to.door !== 'control')
          complain(`rooms know each other by ${from.door === 'host' ? 'host' : 'control'} only`)
        else if (!below[from.room]!.includes(to.room)) complain(`${from.room} stands below ${to.room}`)
      }
    }
    if (['database', 'wire', 'work', 'http'].includes(from.room) && isRoom(to.room))
      complain(`${from.room} serves all rooms and knows none`)
    if (from.room === 'http' && ['wire', 'work'].includes(to.room)) complain('http knows rows, not work')
    if (from.room === 'database' && ['http', 'wire', 'work'].includes(to.room)) complain('the database is at the bottom')
  }
  assert.deepEqual(wrong, [])
})

it('only the agent and host doors start other programs', () => {
  const may =
    /^(agent|start|cli)\/|\/host\/|^lock\.ts$|^database\/(embedded|testing|external-testing|generate-types)\.ts$|^image\/(control|store)\/|^identity\/control\/imported-passwords\.ts$/
  const wrong = fs
    .readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((file) => /(?<!(\.test|\btesting))\.ts$/.test(file) && !may.test(file))
    .filter((file) => /from 'node:child_process'/.test(fs.readFileSync(path.join(src, file), 'utf8')))
  assert.deepEqual(wrong, [])
})
