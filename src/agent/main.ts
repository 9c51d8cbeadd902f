// The program on every host: hears from a controller what this machine should look like, makes it so, and reports. It holds no truth of
// its own; it may be killed and started again at any moment without disturbing a running server or a packet.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { pino } from 'pino'
import { backingFiles } from '../compute/host/disks.ts'
import { serveMetadata } from '../compute/host/metadata-server.ts'
import { answer } from '../compute/host/questions.ts'
import { serverRealiser } from '../compute/host/server.ts'
import { type Config, cloudTag } from '../config.ts'
import { imageRealiser } from '../image/host/prefetch.ts'
import { cachedImages } from '../image/host/remembered.ts'
import { lines } from '../log.ts'
import { networkRealisers } from '../network/host/realisers.ts'
import { controllerSocket, hostReadyFile } from '../start/files.ts'
import { writePidFile } from '../start/process.ts'
import { programPids } from '../start/supervisor.ts'
import type { Hello } from '../wire/documents.ts'
import { dial } from '../wire/host.ts'
import { capabilities, tunnelAddress } from './capabilities.ts'
import { controllerCa, hostIdentity, machineId } from './join.ts'
import { workingAccelerator } from './kvm.ts'
import { connectLibvirt } from './libvirt.ts'
import { startLoop } from './loop.ts'
import type { Machine } from './machine.ts'

export interface Host {
  stop(): Promise<void>
}

/** Starts the host's program; resolves once it dials. */
export async function startHost(config: Config): Promise<Host> {
  const log = pino({ level: config.logLevel, base: { program: 'host', host: config.hostName, pid: process.pid } }, lines())
  const local = `unix:${controllerSocket(config.home)}`
  const identity = await hostIdentity(config, local)
  const controllers = config.controllers.length > 0 ? config.controllers : identity.controllers
  const tunnelIp = config.tunnelIp ?? tunnelAddress(controllers[0]!)
  const virtType = config.virtType === 'auto' ? ((await workingAccelerator()) === 'kvm' ? 'kvm' : 'qemu') : config.virtType
  const libvirt = await connectLibvirt({ socket: config.libvirtSocket })
  const complete = Promise.withResolvers<void>()
  const machine: Machine = {
    config,
    tag: cloudTag(config.home),
    log,
    libvirt,
    virtType,
    arch: os.machine(),
    tunnelIp,
    wanted: (kind) => loop.wanted(kind),
    complete: complete.promise,
    metadataSocket: path.join(config.home, 'run', 'metadata.sock'),
    report: (observations) => wire.report(observations),
    fetch: (what, signal) => wire.fetch(what, signal),
  }
  const network = await networkRealisers(machine)
  const loop = startLoop({
    realisers: { ...network.realisers, image: imageRealiser(machine, () => backingFiles(machine)), server: serverRealiser(machine) },
    report: (observations) => wire.report(observations),
    log,
    parallel: { image: 2, server: Math.max(2, Math.min(os.availableParallelism(), 8)) },
  })
  const wire = dial({
    controllers,
    ca: controllerCa(config),
    credentials: identity,
    log,
    hello: async (): Promise<Hello> => ({
      v: 1,
      machine_id: machineId(),
      boot_id: fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
      agent_version: JSON.parse(fs.readFileSync(path.join(import.meta.dirname, '../../package.json'), 'utf8')).version,
      hostname: config.hostName,
      tunnel_ip: tunnelIp,
      physical_networks: Object.keys(config.physicalNetworks),
      ...(await capabilities(machine)),
      images: await cachedImages(machine),
    }),
    snapshot: (cloud) => {
      // A controller of another cloud must never make us remove what belongs to ours.
      if (cloud !== identity.cloud)
        throw new Error(`This controller serves cloud ${cloud}, but this host joined ${identity.cloud}. Nothing is changed here.`)
      loop.snapshot()
    },
    desired: loop.desired,
    complete: () => {
      loop.complete()
      complete.resolve()
      writePidFile(hostReadyFile(config.home), process.pid)
    },
    lease: () => undefined,
    answer: (question, controller) => answer(machine, question, { controller, credentials: identity, ca: controllerCa(config) }),
  })
  const stopMetadata = await serveMetadata(machine)
  log.info({ controllers, virtType, tunnelIp }, 'host: started')
  return {
    async stop() {
      await wire.stop()
      await loop.stop()
      await network.stop()
      await stopMetadata()
      await libvirt.close()
    },
  }
}

/** `wisp host`: until a signal ends it. Servers run on. */
export async function runHost(config: Config): Promise<void> {
  refuseSecond(config.home)
  const host = await startHost(config)
  await new Promise<void>((go) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, go)
  })
  await host.stop()
}

/** By hand, beside the one that the supervisor keeps alive: the two would take the controllers' stream from each other for ever. */
function refuseSecond(home: string): void {
  const [pid] = programPids(home, 'host').filter((pid) => pid !== process.pid)
  const supervised = process.argv.some((word) => word.startsWith('--supervised='))
  if (pid !== undefined && !supervised) throw new Error(`This machine's host runs already, pid ${pid}. "wisp down" stops it`)
}
