/**
 * Who did what, when, from where, and whether it was allowed: one CADF event (DMTF DSP0262, as Keystone and keystonemiddleware write
 * them) for every request that changes something and every sign-in, as a line of JSON in the audit log, before the answer leaves.
 */
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Logger, pino } from 'pino'
import { remoteOf } from './origin.ts'

/** What a row knows better than its route does. Ids and words only: whatever is said here is kept and read by others. */
export interface AuditDetails {
  /** CADF's word, such as `authenticate`; else it follows from the method. */
  action?: string
  /** Who it was, where no token says so: a user's id, and what the new token is for. */
  initiator?: { id: string; name?: string; project_id?: string; domain_id?: string }
  target?: { id?: string; typeURI: string }
  /** Why it was refused, where the answer does not say so. */
  reason?: string
}

export type AuditEvent = Record<string, unknown>

export interface AuditLog {
  write(event: AuditEvent): void
  close(): void
}

declare module 'fastify' {
  interface FastifyRequest {
    audit: AuditDetails | null
  }
}

/** pycadf's names of services; what belongs to none of them is `unknown`. */
const observers: Record<string, string> = {
  identity: 'service/security',
  image: 'service/storage/image',
  compute: 'service/compute',
  placement: 'service/placement',
  'block-storage': 'service/storage/block',
  network: 'service/network',
  'load-balancer': 'service/network/loadbalancing',
}

const actions: Record<string, string> = { POST: 'create', PUT: 'update', PATCH: 'update', DELETE: 'delete' }

/** Appends to the file, which only its owner may read. Each line is with the kernel when `write` returns, so `kill -9` loses none. */
export function openAudit(path: string, log: Pick<Logger, 'error'>): AuditLog {
  const file = pino.destination({ dest: path, sync: true, append: true, mkdir: true, mode: 0o600 })
  file.on('error', (error: unknown) => log.error({ err: error, path }, 'the audit log cannot be written: events are being lost'))
  return { write: (event) => void file.write(`${JSON.stringify(event)}\n`), close: () => file.end() }
}

/** Writes an event for every answer to a request that was to change something, or whose row called `audit`. */
export function auditWrites(app: FastifyInstance, audit: AuditLog): void {
  app.addHook('onSend', (request, reply, payload, done) => {
    const { path, service } = request.routeOptions.config ?? {}
    const writes = !['GET', 'HEAD', 'OPTIONS'].includes(request.method)
    if (path !== undefined && service !== undefined && (writes || request.audit)) audit.write(eventOf(request, reply, service, path))
    done(null, payload)
  })
}

/** For a row's answer that shows what it made: `{server: {id: …}}`. */
export function noteMade(request: FastifyRequest, out: unknown): void {
  const [made] = typeof out === 'object' && out !== null ? Object.values(out) : []
  const id = typeof made === 'object' && made !== null && 'id' in made ? made.id : undefined
  if (typeof id === 'string' && !request.audit?.target) request.audit = { ...request.audit, target: { id, typeURI: '' } }
}

/** @param path the row's, without the service's prefix */
function eventOf(request: FastifyRequest, reply: FastifyReply, service: string, path: string): AuditEvent {
  const { audit, who } = request
  const observer = observers[service] ?? 'unknown'
  const params = (request.params ?? {}) as Record<string, string>
  const named = path
    .split('/')
    .findLast((part) => part.startsWith(':'))
    ?.slice(1)
  const { headers } = request.raw
  const global = headers['x-openstack-request-id']
  const status = reply.statusCode
  return {
    typeURI: 'http://schemas.dmtf.org/cloud/audit/1.0/event',
    eventType: 'activity',
    id: randomUUID(),
    eventTime: new Date().toISOString().replace('Z', '+00:00'),
    action: audit?.action ?? actionOf(request, path),
    outcome: status < 400 ? 'success' : 'failure',
    reason: { reasonType: audit?.reason ?? 'HTTP', reasonCode: String(status) },
    initiator: {
      typeURI: 'service/security/account/user',
      id: who?.user.id ?? 'unknown',
      ...(who && { name: who.user.name, credential: { type: 'token', audit_id: who.auditIds[0] } }),
      ...(who?.project && { project_id: who.project.id }),
      ...(who?.domain && { domain_id: who.domain.id }),
      ...(who?.system && { system_scope: 'all' }),
      ...audit?.initiator,
      host: { address: remoteOf(request.raw), ...(headers['user-agent'] && { agent: headers['user-agent'].slice(0, 200) }) },
      request_id: request.id,
      ...(typeof global === 'string' && /^req-[0-9a-fA-F-]{36}$/.test(global) && { global_request_id: global }),
    },
    target: {
      id: audit?.target?.id ?? params[named ?? ''] ?? 'unknown',
      typeURI: audit?.target?.typeURI || [observer, ...path.split('/').filter((part) => part !== '' && !part.startsWith(':'))].join('/'),
    },
    observer: { typeURI: observer, id: hostname() },
    requestPath: request.raw.url!.split('?', 1)[0],
  }
}

/** `create`, `update`, `delete`; `update/reboot` for a server's action. */
function actionOf(request: FastifyRequest, path: string): string {
  if (path.endsWith('/action') && typeof request.body === 'object' && request.body !== null) {
    const [name = ''] = Object.keys(request.body)
    return /^[\w.-]{1,60}$/.test(name) ? `update/${name}` : 'update'
  }
  return actions[request.method] ?? 'read'
}
