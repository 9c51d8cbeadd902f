// Questions to a host (console log, diagnostics, dial back for a console). They ride down the host's stream, wherever it is connected,
// and come back by POST to any controller: the row in between is what makes that work with several of them.
import { sql } from 'kysely'
import { type Database, json } from '../database/connect.ts'
import { hintAsked, hints } from '../work/hint.ts'
import type { Question } from './documents.ts'

export interface Answer {
  /** As in HTTP: 200, 404 (the host has no such server), 504 (no answer in time), … */
  status: number
  body: unknown
}

/** How long the commit of a question may take without making it too late for the host, in ms. One that nobody waits for any more is deleted before. */
const commits = 30_000

/** Asks the host and waits for its answer, at most `deadline` ms; then the status is 504. */
export async function ask(db: Database, hostId: string, question: Question, deadline = 10_000): Promise<Answer> {
  const id = crypto.randomUUID()
  await db.write(async (tx) => {
    await tx
      .insertInto('wire.question')
      .values({
        id,
        host_id: hostId,
        question: json(question),
        deadline: sql<Date>`now() + ${deadline + commits} * interval '1 millisecond'`,
      })
      .execute()
    hintAsked(tx, hostId)
  })
  const until = Date.now() + deadline // not before: the host hears the question once it is committed
  try {
    for (;;) {
      await answeredOrPause(id, Math.min(500, until - Date.now()))
      const row = await db.read.selectFrom('wire.question').select(['status', 'answer']).where('id', '=', id).executeTakeFirst()
      if (row?.status) return { status: row.status, body: row.answer }
      if (Date.now() >= until) return { status: 504, body: { message: 'The host did not answer in time.' } }
    }
  } finally {
    await db.read
      .deleteFrom('wire.question')
      .where((e) => e.or([e('id', '=', id), e('deadline', '<', sql<Date>`now() - interval '1 minute'`)]))
      .execute()
  }
}

/** In this process: an answer to this question has arrived. Others find it by looking. */
export const announceAnswer = (id: string) => hints.emit('answer', id)

function answeredOrPause(id: string, ms: number): Promise<void> {
  return new Promise((go) => {
    const done = () => {
      clearTimeout(timer)
      hints.off('answer', heard)
      go()
    }
    const heard = (answered: string) => answered === id && done()
    const timer = setTimeout(done, Math.max(ms, 1))
    hints.on('answer', heard)
  })
}
