// A look that had to wait for the server knows what it waited for.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crossed } from '../../database/testing.ts'
import type { Observation } from '../../wire/documents.ts'
import { observe } from '../../wire/observe.ts'
import { imageId, testCloud } from '../testing.ts'

test('a look that waits for a report does not put the server back to what it was before it', async (context) => {
  const { addHost, ask, db, handlers, heard } = await testCloud(context, { engine: false })
  const host = await addHost('one')
  host.connected = false
  const wanted = { name: 'one', flavorRef: '1', imageRef: imageId, networks: 'none' }
  const made = await ask('demo', 'POST', '/servers', { server: wanted })
  const id = String(made.body.server?.id)
  const report = (generation: number, power: 'running' | 'stopped'): Observation => ({
    ...{ kind: 'server', id, generation, state: 'ready' },
    server: { power, reason: 'ordered', starts: 1, reboots: 0, events: [] },
  })
  const stateOf = async () => {
    const { vm_state, task_state } = await db.read
      .selectFrom('compute.server')
      .select(['vm_state', 'task_state'])
      .where('id', '=', id)
      .executeTakeFirstOrThrow()
    return { vm_state, task_state }
  }
  await db.write((tx) => observe(tx, host, [report(1, 'running')], heard))
  assert.deepEqual(await stateOf(), { vm_state: 'active', task_state: null })
  await ask('demo', 'POST', `/servers/${id}/action`, { 'os-stop': null })
  await db.write((tx) => handlers.server!(tx, id))
  assert.deepEqual(await stateOf(), { vm_state: 'active', task_state: 'powering-off' })

  await crossed(
    db,
    (tx) => observe(tx, host, [report(2, 'stopped')], heard),
    (tx) => handlers.server!(tx, id),
  )
  assert.deepEqual(await stateOf(), { vm_state: 'stopped', task_state: null })
})
