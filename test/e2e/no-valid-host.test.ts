// A server that no host can carry ends in ERROR with a fault that says which host was rejected by which filter and why; and it can be deleted.
import assert from 'node:assert/strict'
import os from 'node:os'
import { after, before, describe, it } from 'node:test'
import { type Cloud, startCloud } from './cloud.ts'
import { patience } from './run-program.ts'

interface Failed {
  id: string
  status: string
  fault: { code: number; message: string }
}

describe('no valid host', { timeout: 3 * patience * 1000 }, () => {
  const machine = Math.floor(os.totalmem() / (1 << 20))
  const flavors = { 'e2e.larger': machine + 1024, 'e2e.almost': machine - 128 }
  let cloud: Cloud

  before(async () => {
    cloud = await startCloud()
    for (const [name, ram] of Object.entries(flavors))
      await cloud.admin.openstack('flavor', 'create', '--ram', String(ram), '--disk', '1', '--vcpus', '1', name)
    await cloud.admin.say('quota', 'set', '--ram', '-1', 'demo')
  })
  after(async () => {
    await cloud?.demo.say('server', 'delete', '--wait', 'too-large').catch(() => undefined)
    await cloud?.admin.say('quota', 'set', '--ram', '51200', 'demo').catch(() => undefined)
    for (const name of Object.keys(flavors)) await cloud?.admin.say('flavor', 'delete', name).catch(() => undefined)
    await cloud?.stop()
  })

  const launch = async (flavor: string): Promise<Failed> => {
    const words = ['--image', 'wisp-guest', '--flavor', flavor, '--network', 'private']
    // The client of that age says so and ends with 0.
    assert.match(await cloud.demo.say('server', 'create', ...words, '--wait', 'too-large'), /Error creating server/)
    return await cloud.demo.openstack<Failed>('server', 'show', 'too-large')
  }
  const isGone = async ({ id }: Failed) => {
    await cloud.demo.say('server', 'delete', '--wait', 'too-large')
    assert.deepEqual(await cloud.demo.openstack<unknown[]>('server', 'list'), [])
    assert.deepEqual(await cloud.demo.openstack<unknown[]>('port', 'list', '--device-id', id), [])
  }

  it('says how much was wanted and how much is free', async () => {
    const server = await launch('e2e.almost')
    assert.equal(server.status, 'ERROR')
    assert.equal(server.fault.code, 500)
    const free = /^No valid host was found\. (\S+) rejected by RamFilter: wanted (\d+) MB, (\d+) MB free$/.exec(server.fault.message)
    assert.deepEqual([free?.[1], free?.[2]], [os.hostname(), String(machine - 128)], server.fault.message)
    assert.ok(Number(free?.[3]) > 0 && Number(free?.[3]) < machine - 128)
    await isGone(server)
  })

  it('says how much one server may have where the whole machine is too small', async () => {
    const server = await launch('e2e.larger')
    assert.equal(server.status, 'ERROR')
    assert.match(
      server.fault.message,
      new RegExp(`${os.hostname()} rejected by RamFilter: wanted ${machine + 1024} MB, one server may have \\d+$`),
    )
    await isGone(server)
  })
})
