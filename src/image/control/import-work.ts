// Who carries an import: its phases (import-phases.ts) take minutes, so they run beside the engine, whose handler only appoints a worker.
// The worker is known by the heartbeat that it writes while it lives; where nothing is heard any more, the next one is appointed.
import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterCommit } from '../../database/connect.ts'
import { Fault } from '../../http/fault.ts'
import { unsealWith } from '../../identity/control/sealed.ts'
import { crash } from '../../work/crash.ts'
import { type Handler, poke } from '../../work/engine.ts'
import { Dismissed, fetchPhase, held, type Importing, preparePhase, type Secret, storePhase, type Work } from './import-phases.ts'
import { endImport, nameOfTaskSecret } from './import-task.ts'
import { living, patience, renewal } from './leftover.ts'
import { sweepStaged } from './staging.ts'

export interface ImportWork {
  handlers: Record<string, Handler>
  /** Resolves when no import runs in this process any more; others take them up. */
  stop(): Promise<void>
}

export function importWork(importing: Importing): ImportWork {
  const running = new Map<Promise<void>, AbortController>()
  let stopped = false
  const start = (id: string, worker: string) => {
    if (stopped) return
    const stop = new AbortController()
    const work: Promise<void> = carryImport({ ...importing, id, worker }, stop).finally(() => running.delete(work))
    running.set(work, stop)
  }
  return {
    handlers: {
      'image-staged': sweepStaged(importing.config),
      'image-import': async (tx, id) => {
        const task = await tx
          .selectFrom('image.task')
          .selectAll()
          .select((e) => [
            // Nobody could be heard while the database was away, so that time does not count.
            sql<boolean>`heard_at is not null and greatest(heard_at, pg_postmaster_start_time()) > now() - ${patience} * interval '1 millisecond'`.as(
              'alive',
            ),
            sql<number | null>`extract(epoch from expires_at - now()) * 1000`.as('left'),
            e.exists(e.selectFrom('image.image as i').select('i.id').whereRef('i.id', '=', 'image.task.image_id')).as('wanted'),
          ])
          .where('id', '=', id)
          .forUpdate()
          .executeTakeFirst()
        if (!task) return null
        if (task.phase === 'end') {
          if ((task.left ?? 0) > 0) return task.left
          await tx.deleteFrom('image.task').where('id', '=', id).execute()
          return null
        }
        if (!task.wanted) {
          await endImport(tx, task, `Image ${task.image_id} was deleted during its import.`)
          return 0
        }
        if (task.alive || living.has(`${id} ${task.worker}`)) return patience
        const worker = randomUUID()
        await tx
          .updateTable('image.task')
          .set({ worker, heard_at: sql<Date>`now()`, status: 'processing', updated_at: sql<Date>`now()` })
          .where('id', '=', id)
          .execute()
        afterCommit(tx, () => start(id, worker))
        return patience
      },
    },
    async stop() {
      stopped = true
      for (const controller of running.values()) controller.abort()
      await Promise.all(running.keys())
    },
  }
}

async function carryImport(importing: Importing & { id: string; worker: string }, stop: AbortController): Promise<void> {
  const { db, id, worker, log } = importing
  const work: Work = { ...importing, signal: stop.signal, message: '', writing: '' }
  const beat = async () => {
    const heard = await db.read
      .updateTable('image.task as t')
      .set({ heard_at: sql<Date>`now()`, ...(work.message && { message: work.message }) })
      .where('id', '=', id)
      .where('worker', '=', worker)
      .where((e) => e.exists(e.selectFrom('image.image as i').select('i.id').whereRef('i.id', '=', 't.image_id')))
      .returning('id')
      .executeTakeFirst()
    if (!heard) stop.abort()
    await sql`update image.staged set since = now() where file = ${work.writing} and since > 'epoch'`.execute(db.read)
  }
  const timer = setInterval(() => void beat().catch(() => {}), renewal)
  living.add(`${id} ${worker}`)
  let secret: Secret | undefined
  try {
    crash('image: import begun')
    for (;;) {
      const task = await db.read.selectFrom('image.task').selectAll().where('id', '=', id).executeTakeFirst()
      if (!task || task.worker !== worker || task.phase === 'end') return
      secret = task.secret ? (JSON.parse(unsealWith(importing.key, nameOfTaskSecret(id), task.secret).toString()) as Secret) : undefined
      if (task.phase === 'fetch') await fetchPhase(work, task, secret!)
      else if (task.phase === 'prepare') await preparePhase(work, task)
      else await storePhase(work, task)
    }
  } catch (error) {
    if (error instanceof Dismissed || stop.signal.aborted) return await resign(work)
    if (!(error instanceof Fault)) {
      // It is tried again by whoever finds that the heartbeat has ended.
      log.error({ err: error, task: id }, 'image: an import failed in a way that nobody foresaw; it will be tried again')
      const message = 'Something unforeseen went wrong; it is being tried again. The log of the controller has the cause.'
      await db.read
        .updateTable('image.task')
        .set({ message })
        .where('id', '=', id)
        .where('worker', '=', worker)
        .execute()
        .catch(() => {})
      return
    }
    await db
      .write(async (tx) => endImport(tx, await held(tx, work), error.message, secret?.before))
      .catch((late) => {
        if (!(late instanceof Dismissed)) log.error({ err: late, task: id }, 'image: the end of an import could not be written')
      })
  } finally {
    living.delete(`${id} ${worker}`)
    living.delete(work.writing)
    clearInterval(timer)
  }
}

/** Leaves the task to the next worker, without waiting for its heartbeat to be missed. */
async function resign({ db, id, worker }: Work): Promise<void> {
  await db
    .write(async (tx) => {
      const { numUpdatedRows } = await tx
        .updateTable('image.task')
        .set({ worker: null, heard_at: null })
        .where('id', '=', id)
        .where('worker', '=', worker)
        .executeTakeFirst()
      if (numUpdatedRows) await poke(tx, 'image-import', id)
    })
    .catch(() => {}) // the heartbeat will be missed
}
