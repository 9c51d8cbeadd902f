// A server on its host. Looks at the domain that libvirt really has, compares it with the document, and takes the one step that brings
// them together; what takes its time (a guest that shuts down) is not waited for but looked at again when libvirt tells of it.
import fs from 'node:fs'
import path from 'node:path'
import { isFull } from '../../agent/files.ts'
import { type DomainRef, DomainState, ErrorCode, isLibvirtError, ShutoffReason, Start, Undefine } from '../../agent/libvirt.ts'
import type { Machine } from '../../agent/machine.ts'
import { Final, type Outcome, type Realiser } from '../../agent/realise.ts'
import { tapName } from '../../network/host/names.ts'
import type { ServerDocument, ServerObservation } from '../../wire/documents.ts'
import { crash } from '../../work/crash.ts'
import { consoleLog, ensureDisks, remember, remembered, removeFiles, serversFolder, tidyImages } from './disks.ts'
import { domainXml, serverIdOf } from './domain.ts'
import { nextStep, type Power, type Seen, type Step } from './next-step.ts'

/** How long a guest gets to shut itself down before its power is cut. As Nova's shutdown_timeout. */
const patience = 60_000

/** How long a guest that QEMU halted, because its disk could not be written to, is left alone before the next try. In ms. */
const haltedFor = 30_000

const isId = (id: string) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)

export function serverRealiser(machine: Machine): Realiser<'server'> {
  const { libvirt, tag, log } = machine
  /** When a shutdown was ordered, by server: after `patience` the power is cut. Forgotten with the process: then it is ordered again. */
  const orders = new Map<string, number>()
  const timers = new Map<string, NodeJS.Timeout>()
  /** When guests that QEMU had halted were resumed last, by server. */
  const resumed = new Map<string, number>()
  let changed: (id: string) => void = () => undefined

  const see = async (id: string): Promise<Seen> => {
    const domain = await libvirt.findDomain(id)
    if (!domain) return { domain: null, power: 'off', reason: ShutoffReason.UNKNOWN }
    if (serverIdOf(tag, domain.name) !== id) throw new Final(`The domain ${domain.name} on this host has the server's id, but is not ours.`)
    const { state, reason } = await libvirt.domainGetState({ dom: domain })
    if (state === DomainState.PAUSED) return { domain, power: 'paused', reason }
    if (state === DomainState.SHUTOFF || state === DomainState.CRASHED)
      return {
        domain,
        power: reason === ShutoffReason.SAVED ? 'saved' : 'off',
        reason: state === DomainState.CRASHED ? ShutoffReason.CRASHED : reason,
      }
    return { domain, power: 'running', reason: 0 }
  }

  const lookAgain = (id: string, after: number) => {
    clearTimeout(timers.get(id))
    timers.set(
      id,
      setTimeout(() => changed(id), after),
    )
  }

  const forget = (id: string) => {
    orders.delete(id)
    clearTimeout(timers.get(id))
    timers.delete(id)
  }

  /** Asks the guest to shut down; cuts its power when it has not done so in time. True once the domain is off. */
  const shutDown = async (id: string, domain: DomainRef, power: Power): Promise<boolean> => {
    const since = orders.get(id)
    const left = since === undefined ? patience : since + patience - Date.now()
    if (power === 'paused' || left <= 0) {
      await destroy(domain)
      return true
    }
    if (since === undefined) orders.set(id, Date.now())
    // Repeated every few seconds: a guest that is still booting does not hear the power button.
    await libvirt.domainShutdownFlags({ dom: domain, flags: 0 }).catch(ignoreOff)
    lookAgain(id, Math.min(left, 5_000))
    return false
  }

  const destroy = (domain: DomainRef) => libvirt.domainDestroyFlags({ dom: domain }).catch(ignoreOff)

  const start = async (server: ServerDocument, seen: Seen, step: Timeline['step']) => {
    // libvirt would refuse for good what is only late.
    for (const { port_id, mac } of server.nics)
      if (!fs.existsSync(`/sys/class/net/${tapName(tag, port_id)}/brport`))
        throw new Error(`Port ${port_id} (${mac}) is not plugged on this host yet; the server starts once it is.`)
    // A domain is defined once its disks are there.
    const disks = await ensureDisks(machine, server, seen.domain !== null, step)
    crash('host: disks made')
    if (seen.power !== 'saved' || !seen.domain) {
      await fs.promises.appendFile(consoleLog(machine, server.id), '')
      seen.domain = await orFinal(libvirt.domainDefineXmlFlags({ xml: domainXml(machine, server, disks, consoleLog(machine, server.id)) }))
      crash('host: domain defined')
    }
    const domain = seen.domain
    await step('start', () => orFinal(libvirt.domainCreateWithFlags({ dom: domain, flags: server.power === 'paused' ? Start.PAUSED : 0 })))
    crash('host: domain started')
  }

  const take = async (server: ServerDocument, next: Step, seen: Seen, step: Timeline['step']): Promise<'again' | 'working' | 'done'> => {
    const domain = seen.domain!
    const { starting: _, ...done } = remembered(machine, server.id)
    switch (next) {
      case 'start': {
        const isNew = seen.domain === null
        try {
          await remember(machine, server.id, { ...done, starting: { starts: server.starts, reboots: server.reboots } })
          await start(server, seen, step)
        } catch (error) {
          if (!isNew || !isFull(error)) throw error
          log.warn({ server: server.id, err: error }, 'server: no room for its disks')
          throw new Final('The disk of this host is full: there is no room for the disks of the server. Make room there.')
        }
        return 'again'
      }
      case 'restart':
        await destroy(domain)
        return 'again'
      case 'shut down':
        if (!(await shutDown(server.id, domain, seen.power))) return 'working'
        return 'again'
      case 'power off':
        await libvirt.domainUndefineFlags({ dom: domain, flags: Undefine.MANAGED_SAVE | Undefine.KEEP_NVRAM })
        return 'again'
      case 'pause':
        await libvirt.domainSuspend({ dom: domain })
        return 'again'
      case 'resume':
        await libvirt.domainResume({ dom: domain })
        return 'again'
      case 'resume halted': {
        // Without room it is halted again at once: then that is its state, and not a reason for the next try.
        const left = (resumed.get(server.id) ?? Number.NEGATIVE_INFINITY) + haltedFor - performance.now()
        if (left > 0) {
          lookAgain(server.id, left)
          return 'working'
        }
        log.warn({ server: server.id }, 'server: the guest was halted, for its disk could not be written to; trying again twice a minute')
        resumed.set(server.id, performance.now())
        await libvirt.domainResume({ dom: domain })
        return 'again'
      }
      case 'save':
        await step('save', () => libvirt.domainManagedSave({ dom: domain }, { timeoutMs: 0 }))
        return 'again'
      case 'nothing':
        // It is as it shall be: whatever start or reboot was ordered on the way is done, and must not come back when the guest goes off.
        if (done.starts !== server.starts || done.reboots !== server.reboots)
          await remember(machine, server.id, { starts: server.starts, reboots: server.reboots })
        return 'done'
      default:
        return 'done'
    }
  }

  const observe = (server: ServerDocument, seen: Seen, next: Step): ServerObservation => {
    const { starting: _, ...done } = remembered(machine, server.id)
    const power = next === 'crashed' ? 'crashed' : seen.power === 'off' ? 'stopped' : seen.power === 'saved' ? 'suspended' : seen.power
    return {
      power,
      ...(power === 'stopped' && { reason: next === 'leave off' ? 'guest' : 'ordered' }),
      ...done,
    }
  }

  return {
    kind: 'server',

    async ensure(server): Promise<Outcome> {
      if (!isId(server.id)) throw new Final(`'${server.id}' is not the id of a server.`)
      const timeline = startTimeline()
      await fs.promises.mkdir(path.join(serversFolder(machine), server.id), { recursive: true, mode: 0o755 })
      // Each turn looks anew; a handful is enough for the longest way (restart = off, define, start).
      for (let turn = 0; turn < 8; turn++) {
        const seen = await see(server.id)
        const { starting } = remembered(machine, server.id)
        if (starting && (seen.power === 'running' || seen.power === 'paused')) await remember(machine, server.id, starting)
        const next = nextStep(server, seen, remembered(machine, server.id))
        if (next !== 'nothing' && next !== 'leave off' && next !== 'resume halted')
          log.info({ server: server.id, step: next, power: seen.power }, 'server: a step')
        const result = await take(server, next, seen, timeline.step)
        if (result === 'working') return { state: 'working', server: { ...observe(server, seen, next), events: timeline.events } }
        if (result === 'done') {
          forget(server.id)
          return { state: 'ready', server: { ...observe(server, seen, next), events: timeline.events } }
        }
      }
      throw new Error('The server does not come to rest: something else on this host starts or stops it.')
    },

    async remove(id) {
      if (!isId(id)) return // nothing was ever made under such a name
      forget(id)
      resumed.delete(id)
      const { domain } = await see(id)
      if (domain) {
        await destroy(domain)
        await libvirt
          .domainUndefineFlags({
            dom: domain,
            flags: Undefine.MANAGED_SAVE | Undefine.SNAPSHOTS_METADATA | Undefine.NVRAM | Undefine.CHECKPOINTS_METADATA,
          })
          .catch((error) => {
            if (!isLibvirtError(error, ErrorCode.NO_DOMAIN)) throw error
          })
      }
      crash('host: domain removed')
      await removeFiles(machine, id)
    },

    async existing() {
      await tidyImages(machine)
      const domains = (await libvirt.listDomains()).flatMap((domain) => serverIdOf(tag, domain.name) ?? [])
      const folders = fs.existsSync(serversFolder(machine)) ? await fs.promises.readdir(serversFolder(machine)) : []
      return [...new Set([...domains, ...folders])].filter(isId)
    },

    async watch(heard) {
      changed = heard
      const offs = [
        libvirt.on('lifecycle', ({ dom }) => {
          const id = serverIdOf(tag, dom.name)
          if (id) changed(id)
        }),
        // Events were missed while libvirt was away.
        libvirt.on('connected', () => {
          for (const id of machine.wanted('server').keys()) changed(id)
        }),
      ]
      return () => {
        for (const off of offs) off()
        for (const id of [...timers.keys()]) forget(id)
      }
    },
  }
}

function ignoreOff(error: unknown): void {
  if (!isLibvirtError(error, ErrorCode.OPERATION_INVALID, ErrorCode.NO_DOMAIN)) throw error
}

/** With these libvirt speaks of the domain that it was given, not of the moment. */
const refusals = [
  ErrorCode.INTERNAL_ERROR,
  ErrorCode.NO_SUPPORT,
  ErrorCode.INVALID_ARG,
  ErrorCode.OPERATION_FAILED,
  ErrorCode.XML_ERROR,
  ErrorCode.XML_DETAIL,
  ErrorCode.XML_INVALID_SCHEMA,
  ErrorCode.CONFIG_UNSUPPORTED,
  ErrorCode.ARGUMENT_UNSUPPORTED,
  ErrorCode.OPERATION_UNSUPPORTED,
]

/** What libvirt refuses for reasons of the domain itself will be refused again: say so, so that control can try another host. */
export async function orFinal<T>(call: Promise<T>): Promise<T> {
  try {
    return await call
  } catch (error) {
    if (isLibvirtError(error, ...refusals)) throw new Final(`This host cannot run the server: ${error.message}`)
    throw error
  }
}

interface Timeline {
  events: NonNullable<ServerObservation['events']>
  step: <T>(name: string, work: () => Promise<T>) => Promise<T>
}

/** What took how long, for the server's list of events. */
function startTimeline(): Timeline {
  const events: Timeline['events'] = []
  return {
    events,
    async step(name, work) {
      const started_at = new Date().toISOString()
      const result = await work()
      events.push({ name, started_at, finished_at: new Date().toISOString() })
      return result
    },
  }
}
