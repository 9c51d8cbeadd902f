// Whether the time of a refused sign-in tells whom it meant: node bench/sign-in-timing.ts [--rounds N]. Every kind of refusal in turn, against
// a cloud of its own; for each its time, and how often who compares one such sign-in with one for a user who is not there would guess right
// by the time alone (0.50: not better than by tossing a coin).
import { randomBytes } from 'node:crypto'
import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { hash as bcrypt } from '@node-rs/bcrypt'
import { sql } from 'kysely'
import { type Json, password, passwords, testCloud } from '../src/identity/testing.ts'
import { median, quantile } from './load.ts'

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '300' } } })
const rounds = Number(values.rounds)
const secret = 'the right password'

const cloud = await testCloud('flat', { lockout_failure_attempts: 5 })
try {
  const admin = await cloud.signIn('admin', passwords.admin)
  const make = async (name: string) => {
    const { body } = await cloud.send('POST', '/users', admin, { user: { name, password: secret } })
    return String((body.user as Json).id)
  }
  const store = async (id: string, hash: string) =>
    await cloud.db.read.updateTable('identity.password').set({ hash }).where('user_id', '=', id).execute()

  // Nobody is locked out meanwhile but who is meant to be: a user for each round.
  const each = async (kind: string) => await Promise.all(Array.from({ length: rounds }, (_, n) => make(`${kind}${n}`)))
  await each('plain')
  for (const id of await each('disabled')) await cloud.send('PATCH', `/users/${id}`, admin, { user: { enabled: false } })
  await each('locked')
  await sql`update identity."user" set failed_auth_count = 5, failed_auth_at = now() where name like 'locked%'`.execute(cloud.db.read)
  const wrong = (name: string) => password(name, 'a wrong password')
  const program = (id: string, secret: string) => ({
    auth: { identity: { methods: ['application_credential'], application_credential: { id, secret } } },
  })
  const token = await cloud.signIn('admin', passwords.admin, { project: { name: 'admin', domain: { id: 'default' } } })
  const made = await cloud.send('POST', `/users/${cloud.adminUserId}/application_credentials`, token, {
    application_credential: { name: 'program' },
  })
  const credential = String((made.body.application_credential as Json).id)
  const kinds: Record<string, (n: number) => object> = {
    'no such user': (n) => wrong(`nobody${n}`),
    'no such user, again': (n) => wrong(`somebody${n}`),
    'no such domain': (n) => ({
      auth: { identity: { methods: ['password'], password: { user: { name: `plain${n}`, domain: { name: 'none' }, password: 'x' } } } },
    }),
    'wrong password': (n) => wrong(`plain${n}`),
    'wrong password of a disabled user': (n) => wrong(`disabled${n}`),
    'wrong password of a locked user': (n) => wrong(`locked${n}`),
    'right password of a locked user': (n) => password(`locked${n}`, secret),
    'no such application credential': () => program(randomBytes(16).toString('hex'), 'x'),
    'wrong secret of an application credential': () => program(credential, 'x'),
  }
  const outdated = {
    'wrong password, hashed at another cost': '$argon2id$v=19$m=7168,t=5,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc',
    'wrong password, hashed by bcrypt 12': await bcrypt(secret, 12),
  }

  let address = 0
  const refuse = async (payload: object) => {
    address++
    const began = performance.now()
    const answer = await cloud.app.inject({
      method: 'POST',
      url: '/v3/auth/tokens',
      payload,
      // Each from elsewhere, so that none is refused for too many.
      remoteAddress: `10.${(address >> 16) & 255}.${(address >> 8) & 255}.${address & 255}`,
    })
    if (answer.statusCode !== 401) throw new Error(`${answer.statusCode} ${answer.body}`)
    return performance.now() - began
  }
  const run = async (title: string, among: Record<string, (n: number) => object>) => {
    const names = Object.keys(among)
    const times = new Map<string, number[]>(names.map((name) => [name, []]))
    for (const name of names) await refuse(among[name]!(0))
    for (let n = 0; n < rounds; n++) {
      // Another order each time: nothing always comes after the same.
      for (const name of names.toSorted(() => Math.random() - 0.5)) times.get(name)!.push(await refuse(among[name]!(n)))
    }
    const [strangers = []] = times.values()
    console.log(
      `\n${title}; load ${loadavg()[0]!.toFixed(1)}\n\n| ${rounds} times | p10, ms | median, ms | guesses that are right |\n|---|---|---|---|`,
    )
    for (const [name, own] of times) {
      const right = guesses(own, strangers)
      const sure = Math.sqrt((own.length + strangers.length + 1) / (12 * own.length * strangers.length))
      console.log(
        `| ${name} | ${quantile(own, 0.1).toFixed(1)} | ${median(own).toFixed(1)} | ${right.toFixed(2)} ± ${(2 * sure).toFixed(2)} |`,
      )
    }
  }
  await run('All hashes as of today', kinds)
  const oneOf = Object.entries(outdated)
  for (const [name, hash] of oneOf) await store(await make(name), hash)
  // What is believed of the hashes is a minute old at most.
  await new Promise((go) => setTimeout(go, 61_000))
  const { 'no such user': nobody, 'wrong password': plain } = kinds
  await run('Some hashes of a Keystone or an older Wisp', {
    'no such user': nobody!,
    'wrong password': plain!,
    ...Object.fromEntries(oneOf.map(([name]) => [name, () => wrong(name)])),
  })
} finally {
  await cloud.end()
}

/** The share of pairs in which the one took longer than the other (Mann-Whitney's U); half of what is equal. */
function guesses(ones: number[], others: number[]): number {
  let longer = 0
  for (const one of ones) for (const other of others) longer += one > other ? 1 : one === other ? 0.5 : 0
  return longer / (ones.length * others.length)
}
