// The life of a server, as a ladder. Each rung is one short transaction; which one is next follows from the facts alone, so a server that
// was left in the middle of anything (a crash, a host that went away, a changed mind) goes on from where it is.
//
//   leaving     its host is told to let go → waited for → ports, claim and row go                           (wanted: gone)
//   moving on   a host could not start it: that host lets go, the claim is returned, another is chosen      (at most three)
//   placed      a host is chosen and claimed, its ports are bound, the host gets the documents
//   told        something was wished since: the host gets the newer document
//   settled     the host has made it so: the action is finished

import type { Tx } from '../../database/connect.ts'
import { Fault } from '../../http/fault.ts'
import { bindPorts, deletePorts, type Nic, nicsOf, releasePorts } from '../../network/control/server-ports.ts'
import { claim, release } from '../../placement/control/claim.ts'
import { type Intent, intendLast, withdrawLast } from '../../wire/intend.ts'
import { crash } from '../../work/crash.ts'
import { hintChanged } from '../../work/hint.ts'
import { ladder, type Rung } from '../../work/ladder.ts'
import { finishActions } from './action.ts'
import { serverDocument } from './document.ts'
import { diskOf, type Facts, readFacts, type Server, saveLast, stateFacts, triedHere } from './facts.ts'
import { chooseHosts, explainNoHost } from './schedule/choose.ts'
import type { Candidate } from './schedule/filters.ts'
import { caughtUp, wentDownByItself } from './state.ts'

/** As Nova's `max_attempts`. */
const maxTries = 3
/** Hosts say by themselves when something happened; this is only how soon we notice that one has gone silent. */
export const lookAgain = 30_000

const leaving = ({ server }: Facts) => server.wanted === 'gone'
const movingOn = ({ server }: Facts) => triedHere(server)
const failed = ({ server, document, observed }: Facts) =>
  observed?.state === 'failed' &&
  observed.error?.final === true &&
  observed.generation >= server.generation &&
  document !== null &&
  !document.withdrawn

export const rungs: Rung<Facts>[] = [
  { name: 'tell the host to let go', when: (f) => (leaving(f) || movingOn(f)) && f.document?.withdrawn === false, step: letGo },
  { name: 'wait until it has', when: (f) => (leaving(f) || movingOn(f)) && f.document?.withdrawn === true && f.hostUp, step: wait },
  { name: 'leave', when: leaving, step: leave },
  { name: 'move on', when: movingOn, step: moveOn },
  { name: 'rest in error', when: ({ server }) => server.fault !== null, step: rest },
  { name: 'place', when: ({ server }) => server.host === null, step: place },
  { name: 'tell the host', when: ({ server, document }) => (document?.generation ?? 0) < server.generation, step: tell },
  { name: 'take the failure', when: failed, step: takeFailure },
  { name: 'follow the guest', when: (f) => wentDownByItself(stateFacts(f)), step: followGuest },
  { name: 'settle', when: (f) => caughtUp(stateFacts(f)), step: settle },
  { name: 'give up on a silent host', when: ({ server, hostUp }) => server.launched_at === null && !hostUp, step: giveUpHost },
  { name: 'wait for the host', when: () => true, step: wait },
]

export const server = ladder(readFacts, rungs)

async function letGo(tx: Tx, facts: Facts): Promise<number | null> {
  saveLast(tx, facts)
  withdrawLast(tx, facts.hostId!, [{ kind: 'server', id: facts.server.id }], facts.requestId)
  return facts.hostUp ? lookAgain : 0
}

/** Nothing to do until the host reports, or falls silent. A launched server is the host's to keep: nobody needs to look at it. */
async function wait(tx: Tx, facts: Facts): Promise<number | null> {
  const { server } = saveLast(tx, facts)
  return server.launched_at !== null && server.wanted !== 'gone' ? null : lookAgain
}

/** The last step. A host that is away finds the withdrawn document when it comes back, before anything else. */
export async function leave(tx: Tx, { server }: Facts): Promise<null> {
  finishActions(tx, server)
  await release(tx, server.id)
  crash('server: released')
  await releasePorts(tx, server.id)
  // Last, for the project's launches meet where these are counted.
  await Promise.all([deletePorts(tx, server.id), tx.deleteFrom('compute.server').where('id', '=', server.id).execute()])
  hintChanged(tx, 'server', server.id, server.project_id)
  return null
}

async function moveOn(tx: Tx, facts: Facts): Promise<number | null> {
  await release(tx, facts.server.id)
  const next = { ...facts, hostId: null, document: null, observed: null }
  if (facts.server.tried.length >= maxTries) {
    return fail(
      tx,
      next,
      `Exceeded maximum number of retries. Exhausted all hosts available for retrying build failures for instance ${facts.server.id}.`,
      {
        details: facts.server.tried.map(({ host, message }) => `${host}: ${message}`).join('\n'),
        host: null,
      },
    )
  }
  saveLast(tx, next, { host: null })
  return 0
}

async function rest(tx: Tx, facts: Facts): Promise<null> {
  saveLast(tx, facts)
  return null
}

async function place(tx: Tx, facts: Facts): Promise<number | null> {
  const { server } = facts
  const [host, nics] = await Promise.all([takeHost(tx, server), nicsOf(tx, server.id)])
  if (!host) {
    const { message, details } = await explainNoHost(tx, server)
    return fail(tx, facts, message, { details })
  }
  const network = await bound(tx, server.id, host, nics)
  if (network instanceof Fault) return tryAnother(tx, facts, host.name, network.message)
  saveLast(tx, facts, { host: host.name })
  tellPlaced(tx, host, server, nics, network, facts.requestId)
  return lookAgain
}

/** The best host that has room, with the server's claim on it; null if there is none. */
export async function takeHost(tx: Tx, server: Parameters<typeof chooseHosts>[1] & ClaimedFor): Promise<Candidate | null> {
  const host = await claimHost(tx, server, await chooseHosts(tx, server))
  if (host) crash('server: claimed')
  return host
}

/** Binds the server's ports to the host. Returns what the host must be told of them and around them, or why it cannot carry them. */
export async function bound(tx: Tx, serverId: string, host: Candidate, nics: Nic[]): Promise<Intent[] | Fault> {
  if (nics.length === 0) return []
  return bindPorts(tx, serverId, { id: host.id, name: host.name }).catch((error: unknown) => {
    if (error instanceof Fault) return error
    throw error
  })
}

/** Tells the host, together with the commit, to make the server that was placed on it. */
export function tellPlaced(tx: Tx, host: Candidate, server: Server, nics: Nic[], network: Intent[], requestId: string | null): void {
  const body = serverDocument(server, nics)
  intendLast(tx, host.id, [...network, { kind: 'server', id: server.id, generation: server.generation, body }], requestId)
  crash('server: placed')
}

/** This host cannot carry one of its networks. */
async function tryAnother(tx: Tx, facts: Facts, host: string, message: string): Promise<number> {
  await release(tx, facts.server.id)
  saveLast(tx, facts, { tried: [...facts.server.tried, { host, message }] })
  return 0
}

type ClaimedFor = Pick<Server, 'id' | 'project_id' | 'user_id' | 'flavor'>

/** The first candidate, best first, on which it still fits: another transaction may have been quicker. */
async function claimHost(tx: Tx, { id, project_id, user_id, flavor }: ClaimedFor, candidates: Candidate[]): Promise<Candidate | null> {
  const resources = { VCPU: flavor.vcpus, MEMORY_MB: flavor.memory_mb, DISK_GB: diskOf(flavor) }
  for (const candidate of candidates) if (await claim(tx, { consumer: id, project_id, user_id }, candidate.id, resources)) return candidate
  return null
}

async function tell(tx: Tx, facts: Facts): Promise<number | null> {
  if (!facts.hostId)
    return fail(tx, facts, `Host ${facts.server.host}, which carried this server, is not known any more.`, {
      details: 'It left the cloud.',
    })
  const { server } = saveLast(tx, facts)
  const body = serverDocument(server, await nicsOf(tx, server.id))
  intendLast(tx, facts.hostId, [{ kind: 'server', id: server.id, generation: server.generation, body }], facts.requestId)
  return null
}

/** What ran once stays where its disk is, in ERROR, until somebody has seen to it. What never ran is tried elsewhere. */
async function takeFailure(tx: Tx, facts: Facts): Promise<number | null> {
  const { server, observed } = facts
  const message = observed?.error?.message ?? 'The host gave no reason.'
  if (server.launched_at !== null) return fail(tx, facts, message, { details: `Reported by host ${server.host}.` })
  saveLast(tx, facts, { tried: [...server.tried, { host: server.host!, message }], generation: server.generation + 1 })
  return 0
}

async function giveUpHost(tx: Tx, facts: Facts): Promise<number | null> {
  const { server } = facts
  saveLast(tx, facts, {
    tried: [...server.tried, { host: server.host!, message: 'The host stopped answering.' }],
    generation: server.generation + 1,
  })
  return 0
}

async function followGuest(tx: Tx, facts: Facts): Promise<number | null> {
  saveLast(tx, facts, { wanted: 'stopped', generation: facts.server.generation + 1 })
  return 0
}

async function settle(tx: Tx, facts: Facts): Promise<null> {
  const { server } = facts
  saveLast(tx, facts, server.launched_at === null ? { launched_at: new Date(), tried: [] } : {})
  finishActions(tx, server)
  crash('server: settled')
  return null
}

/** ERROR, with what a person needs to know. Only the user's next wish, or a deletion, leads out of it. */
async function fail(tx: Tx, facts: Facts, message: string, more: { details: string; host?: null }): Promise<null> {
  const fault = { code: 500, message, details: more.details, created: new Date().toISOString() }
  const { server } = saveLast(tx, facts, { fault, ...('host' in more && { host: null }) })
  finishActions(tx, server, message)
  return null
}
