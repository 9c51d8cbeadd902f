/** What a row's `run` gets to see of a request, and what it wants said in the answer beside the body. */
import type { FastifyRequest } from 'fastify'
import type { Database } from '../database/connect.ts'
import type { CertificateOf } from './certificate.ts'
import { forbidden } from './fault.ts'
import { originOf, remoteOf } from './origin.ts'
import type { Policy, Target } from './policy.ts'
import type { Call, RawQuery } from './table.ts'
import type { Who } from './who.ts'

/** What a run asked for; made empty again before each try of its transaction. */
export interface Wanted {
  status: number | undefined
  headers: [name: string, value: string][]
  /** Whether `may` or `must` was called. */
  asked: boolean
}

export interface Made {
  call: Call
  wanted: Wanted
}

/** Refuses with a 403 that names the rule and the part of it that failed. */
export function must(policy: Policy, rule: string, who: Who, target: Target): void {
  if (policy.allows(rule, who, target)) return
  throw forbidden(`Policy doesn't allow ${rule} to be performed: ${policy.explain(rule, who, target)}.`, { type: 'PolicyNotAuthorized' })
}

/** The target where the row names no other: the caller's own project and user, unless the path names one. */
export const ownTarget = (who: Who, params: Record<string, string>): Target => ({
  project_id: who.project?.id,
  user_id: who.user.id,
  ...params,
})

interface Deps {
  db: Database
  certificateOf: CertificateOf
}

export function makeCall(request: FastifyRequest, version: string, who: Who, body: unknown, deps: Deps, policy: Policy): Made {
  const { raw } = request
  const { db } = deps
  const params = request.params as Record<string, string>
  const wanted: Wanted = { status: undefined, headers: [], asked: false }
  const address = raw.url!
  const mark = address.indexOf('?')
  const call: Call = {
    tx: db.read,
    db,
    who,
    version,
    body,
    query: request.query as RawQuery,
    params,
    requestId: request.id,
    get remote() {
      return remoteOf(raw)
    },
    certificate: () => deps.certificateOf(raw),
    headers: raw.headers,
    url: {
      get origin() {
        return originOf(raw)
      },
      path: mark < 0 ? address : address.slice(0, mark),
      search: mark < 0 ? '' : address.slice(mark),
    },
    input: raw,
    audit(details) {
      request.audit = { ...request.audit, ...details }
    },
    header(name, value) {
      wanted.headers.push([name, value])
    },
    status(code) {
      wanted.status = code
    },
    may(rule, target) {
      wanted.asked = true
      return policy.allows(rule, who, target ?? ownTarget(who, params))
    },
    must(rule, target) {
      wanted.asked = true
      must(policy, rule, who, target ?? ownTarget(who, params))
    },
  }
  return { call, wanted }
}
