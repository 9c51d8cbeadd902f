// The client against a real libvirtd of the test's own, with a real (diskless) guest.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import {
  Affect,
  connectLibvirt,
  DomainState,
  DomainXml,
  ErrorCode,
  type Libvirt,
  LibvirtConnectionLost,
  LibvirtError,
  type LibvirtEvents,
  LifecycleEvent,
  Metadata,
  plainParams,
  Start,
  StoppedDetail,
  Undefine,
} from './libvirt.ts'
import { type PrivateLibvirtd, startPrivateLibvirtd } from './private-libvirtd.ts'

const guest = (name: string, uuid: string) => `<domain type='qemu'>
  <name>${name}</name><uuid>${uuid}</uuid>
  <memory unit='MiB'>32</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><tcg><tb-cache unit='MiB'>16</tb-cache></tcg></features>
  <devices><emulator>/usr/bin/qemu-system-x86_64</emulator><controller type='usb' model='none'/><memballoon model='none'/></devices>
</domain>`

/** Collects an event until `enough` says so. */
function collect<N extends keyof LibvirtEvents>(libvirt: Libvirt, name: N, enough: (seen: LibvirtEvents[N][]) => boolean) {
  return new Promise<LibvirtEvents[N][]>((resolve) => {
    const seen: LibvirtEvents[N][] = []
    const off = libvirt.on(name, (message) => {
      seen.push(message)
      if (!enough(seen)) return
      off()
      resolve(seen)
    })
  })
}

describe('libvirt', { timeout: 120_000 }, () => {
  let daemon: PrivateLibvirtd
  let libvirt: Libvirt

  before(async () => {
    daemon = await startPrivateLibvirtd()
    libvirt = await connectLibvirt({ socket: daemon.socket })
  })
  after(async () => {
    await libvirt?.close()
    await daemon?.stop()
  })

  it('tells about the machine', async () => {
    const [version, library, node, memory, capabilities, domainCapabilities, free] = await Promise.all([
      libvirt.connectGetVersion({}),
      libvirt.connectGetLibVersion({}),
      libvirt.nodeGetInfo({}),
      libvirt.nodeMemory(),
      libvirt.connectGetCapabilities({}),
      libvirt.connectGetDomainCapabilities({ arch: 'x86_64', machine: 'pc', virtType: 'qemu' }),
      libvirt.nodeGetFreeMemory({}),
    ])
    assert.ok(version >= 5_000_000, `QEMU ${version}`)
    assert.ok(library >= 8_000_000, `libvirt ${library}`)
    assert.equal(node.model, 'x86_64')
    assert.ok(node.cpus >= 1 && node.memoryKiB > 0)
    assert.ok(free > 0 && memory.total! > memory.free!)
    assert.match(capabilities, /<capabilities>/)
    assert.match(domainCapabilities, /<domainCapabilities>/)
  })

  it('answers an unknown UUID with a typed error', async () => {
    const uuid = randomUUID()
    await assert.rejects(libvirt.domainLookupByUuid({ uuid }), (error) => {
      assert.ok(error instanceof LibvirtError)
      assert.equal(error.code, ErrorCode.NO_DOMAIN)
      assert.equal(error.domain, 10)
      assert.match(error.message, new RegExp(uuid))
      return true
    })
    assert.equal(await libvirt.findDomain(uuid), undefined)
  })

  it('matches a hundred answers in flight to their questions', async () => {
    const uuids = Array.from({ length: 100 }, () => randomUUID())
    const answers = await Promise.allSettled(uuids.map((uuid) => libvirt.domainLookupByUuid({ uuid })))
    for (const [i, answer] of answers.entries()) {
      assert.equal(answer.status, 'rejected')
      assert.match(String(answer.status === 'rejected' && answer.reason.message), new RegExp(uuids[i]!))
    }
  })

  it('carries a guest through its life, with events', async () => {
    const uuid = randomUUID()
    const events = collect(libvirt, 'lifecycle', (seen) => seen.at(-1)?.event === LifecycleEvent.UNDEFINED)
    const dom = await libvirt.domainDefineXmlFlags({ xml: guest('wisp-life', uuid) })
    assert.deepEqual(dom, { name: 'wisp-life', uuid, id: -1 })
    assert.deepEqual(await libvirt.findDomain(uuid), dom)
    await libvirt.domainDefineXmlFlags({ xml: guest('wisp-life', uuid) })

    const running = await libvirt.domainCreateWithFlags({ dom, flags: Start.PAUSED })
    assert.ok(running.id > 0)
    assert.equal((await libvirt.domainGetState({ dom })).state, DomainState.PAUSED)
    await libvirt.domainResume({ dom })
    assert.equal((await libvirt.domainGetState({ dom })).state, DomainState.RUNNING)
    await assert.rejects(
      libvirt.domainCreateWithFlags({ dom }),
      (error) => error instanceof LibvirtError && error.code === ErrorCode.OPERATION_INVALID,
    )
    await libvirt.domainSuspend({ dom })
    await libvirt.domainResume({ dom })

    const info = await libvirt.domainGetInfo({ dom })
    assert.equal(info.maxMemoryKiB, 32 * 1024)
    assert.equal(info.vcpus, 1)
    assert.match(await libvirt.domainGetXmlDesc({ dom, flags: DomainXml.INACTIVE }), /<name>wisp-life<\/name>/)
    const [stats] = await libvirt.connectGetAllDomainStats({ domains: [dom], stats: 0 })
    assert.equal(plainParams(stats!.params)['state.state'], DomainState.RUNNING)
    assert.ok((await libvirt.domainMemoryStats({ dom, max: 13 })).length > 0)
    assert.equal((await libvirt.domainGetJobInfo({ dom })).type, 0)

    const metadata = { dom, type: Metadata.ELEMENT, uri: 'https://example.org/wisp' }
    await libvirt.domainSetMetadata({ ...metadata, metadata: "<generation n='7'/>", key: 'wisp', flags: Affect.LIVE | Affect.CONFIG })
    assert.match(await libvirt.domainGetMetadata(metadata), /n=.7./)

    await libvirt.domainDestroyFlags({ dom })
    assert.equal((await libvirt.domainGetState({ dom })).state, DomainState.SHUTOFF)
    await libvirt.domainUndefineFlags({ dom, flags: Undefine.MANAGED_SAVE | Undefine.NVRAM })
    assert.equal(await libvirt.findDomain(uuid), undefined)

    const seen = (await events).filter((event) => event.dom.uuid === uuid)
    // QEMU may or may not live long enough to tell of its own shutdown.
    const order = seen.map((event) => event.event).filter((event) => event !== LifecycleEvent.DEFINED && event !== LifecycleEvent.SHUTDOWN)
    const { STARTED, SUSPENDED, RESUMED, STOPPED, UNDEFINED } = LifecycleEvent
    assert.deepEqual(order, [STARTED, SUSPENDED, RESUMED, SUSPENDED, RESUMED, STOPPED, UNDEFINED])
    assert.equal(seen.find((event) => event.event === STOPPED)?.detail, StoppedDetail.DESTROYED)
  })

  it('keeps a secret', async () => {
    const uuid = randomUUID()
    const xml = `<secret ephemeral='yes' private='yes'><uuid>${uuid}</uuid><usage type='iscsi'><target>wisp-test</target></usage></secret>`
    const secret = await libvirt.secretDefineXml({ xml })
    assert.deepEqual(secret, { uuid, usageType: 3, usageId: 'wisp-test' })
    await libvirt.secretSetValue({ secret, value: Buffer.from('s3cret') })
    await libvirt.secretUndefine({ secret })
    await assert.rejects(
      libvirt.secretLookupByUuid({ uuid }),
      (error) => error instanceof LibvirtError && error.code === ErrorCode.NO_SECRET,
    )
  })

  it('stops waiting when told to', async () => {
    await assert.rejects(libvirt.connectGetHostname({}, { signal: AbortSignal.abort(new Error('enough')) }), /enough/)
    assert.ok(await libvirt.connectGetHostname({}), 'the connection goes on')
  })

  it('survives the death of libvirtd, and so does the guest', async () => {
    const uuid = randomUUID()
    const dom = await libvirt.domainDefineXmlFlags({ xml: guest('wisp-survivor', uuid) })
    const { id } = await libvirt.domainCreateWithFlags({ dom })
    const pid = await daemon.libvirtd()
    const disconnected = collect(libvirt, 'disconnected', () => true)
    const connected = collect(libvirt, 'connected', () => true)
    process.kill(pid, 'SIGSTOP')
    const pending = [libvirt.connectGetHostname({}), libvirt.domainGetState({ dom })]
    const rejected = Promise.all(pending.map((call) => assert.rejects(call, LibvirtConnectionLost)))
    process.kill(pid, 'SIGKILL')
    await Promise.all([rejected, disconnected])
    assert.equal(libvirt.isConnected(), false)
    await assert.rejects(libvirt.connectGetHostname({}), LibvirtConnectionLost)

    await connected
    assert.equal(libvirt.isConnected(), true)
    assert.deepEqual(await libvirt.findDomain(uuid), { ...dom, id })
    const stopped = collect(libvirt, 'lifecycle', (seen) => seen.at(-1)?.event === LifecycleEvent.STOPPED)
    // libvirtd takes its guests over in the background; a question to the guest waits until that is done. (A guest destroyed
    // before then is gone too, but libvirtd may answer that it isn't running, and tell no event.)
    await libvirt.domainMemoryStats({ dom, max: 13 })
    await libvirt.domainDestroyFlags({ dom })
    await stopped
    await libvirt.domainUndefineFlags({ dom })
    assert.deepEqual(await libvirt.listDomains(), [])
  })

  it('says what is wrong when nobody listens', async () => {
    await assert.rejects(connectLibvirt({ socket: `${daemon.folder}/nobody` }), (error) => {
      assert.ok(error instanceof LibvirtConnectionLost)
      assert.match(error.message, /nobody listens there; is libvirtd running\?/)
      return true
    })
  })
})
