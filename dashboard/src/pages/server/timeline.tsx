// What was done to a server, newest first: each action with its steps drawn to scale, so that it is plain where the time went or what failed.
import { useQuery } from '@tanstack/react-query'
import type { ActionEvent, InstanceAction, Server } from '../../api/compute.ts'
import { userQuery } from '../../api/identity-queries.ts'
import { serverActionsQuery } from '../../api/queries.ts'
import { isAdmin, useSession } from '../../api/session.ts'
import { useText } from '../../i18n/index.ts'
import { duration, parseTime } from '../../ui/format.ts'
import { Nothing } from '../../ui/nothing.tsx'
import { Copyable, StatusWord, Waiting, When } from '../../ui/pieces.tsx'
import { Problem } from '../../ui/problem.tsx'

type Span = { start: number; end: number | undefined }

const spanOf = ({ start_time, finish_time }: ActionEvent): Span => ({
  start: parseTime(start_time),
  end: finish_time === null ? undefined : parseTime(finish_time),
})

const failed = (event: ActionEvent) => event.result?.toLowerCase() === 'error'

function Step({ event, from, length }: { event: ActionEvent; from: number; length: number }) {
  const t = useText()
  const { start, end } = spanOf(event)
  const left = ((start - from) / length) * 100
  const width = (((end ?? from + length) - start) / length) * 100
  const tone = failed(event) ? 'bad' : end === undefined ? 'busy' : 'good'
  return (
    <li className={`wisp-event wisp-event-${tone}`}>
      <span className="wisp-event-name">
        <span title={event.event}>{t.step[event.event] ?? event.event}</span>
        {event.host !== undefined && (
          <span className="wisp-subtle">
            {' '}
            {t.server.host} {event.host}
          </span>
        )}
      </span>
      <span className="wisp-event-bar" aria-hidden="true">
        <span style={{ marginInlineStart: `${left}%`, width: `${Math.max(width, 0.6)}%` }} />
      </span>
      <span className="wisp-event-time">{end === undefined ? t.server.running : duration(end - start)}</span>
      {typeof event.details === 'string' && event.details !== '' && <p className="wisp-event-details">{event.details}</p>}
    </li>
  )
}

/** Who asked for it; a name where one may look it up. */
function By({ userId }: { userId: string }) {
  const t = useText()
  const session = useSession()
  const mine = userId === session.user.id
  const user = useQuery({ ...userQuery(userId), enabled: !mine && isAdmin(session) })
  return mine ? t.server.you : (user.data?.name ?? userId)
}

function Action({ action }: { action: InstanceAction }) {
  const t = useText()
  const events = (action.events ?? []).toSorted((a, b) => parseTime(a.start_time) - parseTime(b.start_time))
  const from = parseTime(action.start_time)
  const running = events.some(({ finish_time }) => finish_time === null)
  const until = Math.max(from, ...events.map((event) => spanOf(event).end ?? Date.now()))
  const bad = action.message !== null || events.some(failed)
  return (
    <li className={`wisp-action wisp-action-${bad ? 'bad' : running ? 'busy' : 'good'}`}>
      <div className="wisp-action-head">
        <h2>{t.action[action.action] ?? action.action}</h2>
        <StatusWord tone={bad ? 'bad' : running ? 'busy' : 'good'}>{running ? t.server.running : duration(until - from)}</StatusWord>
        <span className="wisp-subtle">
          <When time={action.start_time} /> · {t.server.by} <By userId={action.user_id} />
        </span>
      </div>
      {action.message !== null && <p className="wisp-event-details">{action.message}</p>}
      <ol className="wisp-events">
        {events.map((event) => (
          <Step key={`${event.event}${event.start_time}`} event={event} from={from} length={Math.max(until - from, 1)} />
        ))}
      </ol>
      <p className="wisp-subtle wisp-action-request">
        {t.problem.requestId} <Copyable value={action.request_id} />
      </p>
    </li>
  )
}

export function ServerTimeline({ server }: { server: Server }) {
  const t = useText()
  const actions = useQuery(serverActionsQuery(server.id))
  if (actions.isPending) return <Waiting />
  if (actions.isError) return <Problem error={actions.error} retry={() => void actions.refetch()} />
  if (actions.data.length === 0) return <Nothing title={t.server.noActions} />
  return (
    <ol className="wisp-timeline">
      {actions.data.map((action) => (
        <Action key={action.request_id} action={action} />
      ))}
    </ol>
  )
}
