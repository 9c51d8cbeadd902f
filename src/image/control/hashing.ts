// The hashes of what is uploaded, reckoned in threads: md5 and sha256 of a gigabyte take two seconds, in which the main thread is to
// answer everybody else. Blocks lie in shared memory, so that none is copied for it.
import type { Hash } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'

/** What a thread is told. */
export interface Order {
  job: number
  /** The algorithm of a new hash. */
  begin?: string
  block?: Uint8Array
  end?: true
  drop?: true
}

/** What it answers: a block has been read, or the digest. */
export interface Answer {
  job: number
  digest?: string
}

interface Thread {
  worker: Worker
  jobs: Map<number, Job>
}

/** One hash of one upload, and who waits for its answers: they come in the order of the questions. */
interface Job {
  waiting: { resolve: (digest: string) => void; reject: (error: Error) => void }[]
}

export interface Hashing {
  /** Resolves when the block may be written anew. @param block in memory that threads share */
  update(block: Uint8Array): Promise<void>
  /** The digests in hexadecimal, in the order of the algorithms. */
  digest(): Promise<string[]>
  /** Forgets what was reckoned; to be called however it ends. */
  drop(): void
}

/** Two hashes of one upload run side by side; more threads than cores would only wait for each other. */
const most = Math.min(Math.max(availableParallelism(), 2), 8)
const threads: Thread[] = []
let jobs = 0

/** The thread with the fewest hashes; a new one while there may be more and none is idle. */
function thread(): Thread {
  const least = threads.reduce<Thread | undefined>((best, one) => (!best || one.jobs.size < best.jobs.size ? one : best), undefined)
  if (least && (least.jobs.size === 0 || threads.length === most)) return least
  const worker = new Worker(`(${hashAll.toString()})()`, {
    eval: true,
    // It holds nothing but what OpenSSL remembers.
    resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1, codeRangeSizeMb: 1, stackSizeMb: 1 },
    execArgv: [],
  })
  const fresh: Thread = { worker, jobs: new Map() }
  threads.push(fresh)
  worker.on('message', ({ job, digest = '' }: Answer) => fresh.jobs.get(job)?.waiting.shift()?.resolve(digest))
  const lost = (error: Error) => {
    const place = threads.indexOf(fresh)
    if (place >= 0) threads.splice(place, 1)
    for (const { waiting } of fresh.jobs.values()) for (const { reject } of waiting) reject(error)
    fresh.jobs.clear()
  }
  worker.on('error', lost)
  worker.on('exit', (code) => lost(new Error(`A thread that reckons hashes ended with ${code}`)))
  worker.unref()
  return fresh
}

/** What a thread runs. It is handed over as text, and so knows nothing of this file: a thread that strips types itself takes twice the memory. */
function hashAll(): void {
  const { createHash } = process.getBuiltinModule('node:crypto')
  const { parentPort } = process.getBuiltinModule('node:worker_threads')
  const hashes = new Map<number, Hash>()
  const answer = (message: Answer) => parentPort!.postMessage(message)
  parentPort!.on('message', ({ job, begin, block, end, drop }: Order) => {
    if (begin !== undefined) hashes.set(job, createHash(begin))
    if (block !== undefined) {
      hashes.get(job)?.update(block)
      answer({ job })
    }
    if (end) answer({ job, digest: hashes.get(job)!.digest('hex') })
    if (end || drop) hashes.delete(job)
  })
}

/** @param algorithms as OpenSSL names them */
export function startHashing(algorithms: readonly string[]): Hashing {
  const hashes = algorithms.map((begin) => {
    const job = ++jobs
    const { worker, jobs: all } = thread()
    const waiting: Job['waiting'] = []
    all.set(job, { waiting })
    worker.postMessage({ job, begin } satisfies Order)
    const ask = (order: Omit<Order, 'job'>) =>
      new Promise<string>((resolve, reject) => {
        if (!all.has(job)) return reject(new Error('The thread that reckoned this hash has ended'))
        waiting.push({ resolve, reject })
        worker.postMessage({ job, ...order } satisfies Order)
      })
    const drop = () => {
      if (all.delete(job)) worker.postMessage({ job, drop: true } satisfies Order)
    }
    return { ask, drop }
  })
  return {
    async update(block) {
      await Promise.all(hashes.map(({ ask }) => ask({ block })))
    },
    digest: () => Promise.all(hashes.map(({ ask }) => ask({ end: true }))),
    drop() {
      for (const { drop } of hashes) drop()
    },
  }
}
