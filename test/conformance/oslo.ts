// The reference's engine of policy rules, oslo.policy, in a process of Debian's Python that is asked over a pipe (policy.py).
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { credentials } from '../../src/http/check.ts'
import type { Target } from '../../src/http/policy.ts'
import type { Who } from '../../src/http/who.ts'
import { debian } from './tempest.ts'

/** 'error' where the engine breaks off with an exception. */
export type Verdict = 'yes' | 'no' | 'error'

export interface Question {
  rule: string
  who: Who
  target: Target
}

export interface Oslo {
  /** One verdict for each question. */
  judge(rules: Record<string, unknown>, questions: Question[]): Promise<Verdict[]>
  end(): Promise<void>
}

export function startOslo(): Oslo {
  const child = spawn('python3', [path.join(import.meta.dirname, 'policy.py')], { env: debian(), stdio: ['pipe', 'pipe', 'inherit'] })
  const gone = once(child, 'exit')
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    async judge(rules, questions) {
      const told = questions.map(({ rule, who, target }) => ({ rule, target: flat(target), creds: plain(who) }))
      child.stdin.write(`${JSON.stringify({ rules, questions: told })}\n`)
      const { value, done } = await answers.next()
      if (done) throw new Error('oslo.policy ended: apt-get install python3-oslo.policy')
      return JSON.parse(value) as Verdict[]
    },
    async end() {
      child.stdin.end()
      await gone
    },
  }
}

/** The caller as Keystone tells oslo.policy. */
export function plain(who: Who): object {
  const { lowerRoles: _, ...creds } = credentials(who)
  return JSON.parse(JSON.stringify(creds)) as object
}

/** Keystone flattens its targets before it asks: `target.user.id` is one key. */
function flat(target: Target, prefix = ''): Target {
  return Object.fromEntries(
    Object.entries(target).flatMap(([key, value]) => [
      [prefix + key, value],
      ...(isObject(value) ? Object.entries(flat(value, `${prefix}${key}.`)) : []),
    ]),
  )
}
const isObject = (value: unknown): value is Target => typeof value === 'object' && value !== null && !Array.isArray(value)
