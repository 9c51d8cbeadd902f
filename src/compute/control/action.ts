// What was done to servers and by whom, for os-instance-actions: begun with the wish, finished when the ladder settles, kept after the
// server is gone. Events are the steps; hosts report theirs.
import { sql } from 'kysely'
import { beforeCommit, json, type Tx } from '../../database/connect.ts'
import type { Observation } from '../../wire/documents.ts'
import type { Host } from '../../wire/observe.ts'

interface Acted {
  id: string
  project_id: string
  host: string | null
}

/** What Nova calls the step behind each action. */
const eventNames: Record<string, string> = {
  create: 'compute__do_build_and_run_instance',
  stop: 'compute_stop_instance',
  start: 'compute_start_instance',
  reboot: 'compute_reboot_instance',
  pause: 'compute_pause_instance',
  unpause: 'compute_unpause_instance',
  suspend: 'compute_suspend_instance',
  resume: 'compute_resume_instance',
  delete: 'compute_terminate_instance',
}

/** Records that a user asked for something; `done` = nothing is left to do (lock, unlock). */
export async function beginActions(
  tx: Tx,
  servers: { id: string; project_id: string }[],
  userId: string,
  requestId: string,
  action: string,
  done = false,
): Promise<void> {
  await tx
    .insertInto('compute.server_action')
    .values(
      servers.map(({ id, project_id }) => ({
        server_id: id,
        project_id,
        user_id: userId,
        request_id: requestId,
        action,
        ...(done && { finished_at: sql<Date>`now()` }),
      })),
    )
    .execute()
}

/** Ends all actions under way of a server, together with the commit; with a message they have failed. */
export function finishActions(tx: Tx, { id, host }: Acted, failure: string | null = null): void {
  const query = sql`
    with done as (
      update compute.server_action set finished_at = now(), updated_at = now(), message = ${failure === null ? null : 'Error'}
      where server_id = ${id} and finished_at is null returning id, action, started_at)
    insert into compute.server_event (action_id, event, host, started_at, finished_at, result, details)
    select id, coalesce(${json(eventNames)} ->> action, 'compute_' || action), ${host}, started_at, now(),
      ${failure === null ? 'Success' : 'Error'}, ${failure}
    from done`
  beforeCommit(tx, { query: () => query.compile(tx) })
}

/** The steps that a host reports become events of the newest action. A report that comes twice adds nothing. */
export async function recordEvents(tx: Tx, host: Host, observations: Observation[]): Promise<void> {
  const events = observations.flatMap(({ id, server }) => (server?.events ?? []).map((event) => ({ server_id: id, ...event })))
  if (events.length === 0) return
  await sql`
    insert into compute.server_event (action_id, event, host, started_at, finished_at, result, details)
    select a.id, e.name, ${host.name}, e.started_at, e.finished_at, 'Success', e.detail
    from jsonb_to_recordset(${json(events)}) as e (server_id text, name text, started_at timestamptz, finished_at timestamptz, detail text)
    cross join lateral (select id from compute.server_action where server_id = e.server_id order by id desc limit 1) a
    where not exists (
      select from compute.server_event known where known.action_id = a.id and known.event = e.name and known.started_at = e.started_at)`.execute(
    tx,
  )
}
