import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { it } from 'node:test'
import { pino } from 'pino'
import { connectLibvirt, DomainState, PausedReason } from '../../agent/libvirt.ts'
import type { Machine } from '../../agent/machine.ts'
import { startPrivateLibvirtd } from '../../agent/private-libvirtd.ts'
import { Final } from '../../agent/realise.ts'
import { serverDocument } from '../../wire/testing.ts'
import { domainName, domainXml } from './domain.ts'
import { orFinal, serverRealiser } from './server.ts'

it('does not resume a guest without end whose disk cannot be written to', async (context) => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-server-'))
  context.after(() => fs.rmSync(home, { recursive: true }))
  const server = serverDocument()
  let resumes = 0
  const libvirt = {
    findDomain: async () => ({ name: domainName('abcdef', server.id), uuid: server.id, id: 1 }),
    domainGetState: async () => ({ state: DomainState.PAUSED, reason: PausedReason.IO_ERROR }),
    domainResume: async () => {
      resumes++
    },
    on: () => () => undefined,
  }
  const machine = { config: { home }, tag: 'abcdef', log: pino({ level: 'silent' }), libvirt } as unknown as Machine
  const realiser = serverRealiser(machine)
  const stop = await realiser.watch!(() => undefined)
  // As often as libvirt tells of it.
  for (let event = 0; event < 5; event++) {
    const { state, server: seen } = await realiser.ensure(server, 1)
    assert.deepEqual([state, seen?.power], ['working', 'paused'])
  }
  assert.equal(resumes, 1)
  stop()
})

it('says that the disk of the host is full, once and for all, where a new server finds no room', async (context) => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-server-'))
  context.after(() => fs.rmSync(home, { recursive: true }))
  const machine = {
    config: { home },
    tag: 'abcdef',
    log: pino({ level: 'silent' }),
    libvirt: { findDomain: async () => undefined },
    fetch: async () => ({ status: 200, body: Readable.from(['x']), headers: {} }),
  } as unknown as Machine
  // What is written to this device finds no room.
  fs.mkdirSync(path.join(home, 'images-cache'))
  const server = serverDocument({ nics: [] })
  fs.symlinkSync('/dev/full', path.join(home, 'images-cache', `${server.image.hash}.qcow2.part`))
  await assert.rejects(serverRealiser(machine).ensure(server, 1), (error) => error instanceof Final && /is full/.test(error.message))
})

it('takes what libvirt refuses of an image for final, with whatever code it does so', { timeout: 60_000 }, async () => {
  const daemon = await startPrivateLibvirtd()
  const libvirt = await connectLibvirt({ socket: daemon.socket })
  try {
    const properties: Record<string, string>[] = [
      { hw_disk_bus: 'banana' },
      { hw_disk_bus: '\u0001' },
      { hw_vif_model: "a'><x/>" },
      { hw_video_model: 'banana' },
      { hw_machine_type: 'banana' },
      { hw_emulation_architecture: 'banana' },
    ]
    for (const one of properties) {
      const server = serverDocument()
      const document = { ...server, image: { ...server.image, properties: one } }
      const disk = { path: '/x/disk', target: 'vda', format: 'qcow2', serial: 'root' } as const
      const xml = domainXml({ tag: 'abcdef', virtType: 'qemu', arch: 'x86_64' }, document, [disk], '/x/console.log')
      await assert.rejects(orFinal(libvirt.domainDefineXmlFlags({ xml })), Final, JSON.stringify(one))
    }
  } finally {
    await libvirt.close()
    await daemon.stop()
  }
})
