// Identity at its full size: 100,000 users, 10,000 projects, 1,000 groups, 100,000 assignments and as many memberships, made by SQL in a
// database of its own, and how long each way to list, show and sign in takes then: node bench/identity.ts [--users N] [--rounds N] [--only WORDS].
import { availableParallelism, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { sql } from 'kysely'
import type { Tx } from '../src/database/connect.ts'
import { hashPassword } from '../src/identity/control/passwords.ts'
import { password, passwords, testCloud } from '../src/identity/testing.ts'
import { ask, median, quantile, repeat } from './load.ts'

const { values } = parseArgs({
  options: {
    users: { type: 'string', default: '100000' },
    rounds: { type: 'string', default: '300' },
    only: { type: 'string', default: '' },
  },
})
const count = Number(values.users)
const rounds = Number(values.rounds)
const sizes = { users: count, projects: count / 10, groups: count / 100 }
const secret = 'secret of all'

// Ids follow from numbers, so that any of them can be asked for.
const id = (kind: string) => sql`md5(${kind} || n)`

/** Trees of projects (each ten below another), users in ten groups' worth of memberships, a role for each, one in ten through a group. */
async function fill(tx: Tx, memberRole: string): Promise<void> {
  const hash = await hashPassword(secret)
  const { users, projects, groups } = sizes
  await sql`insert into identity.project (id, name, domain_id, parent_id)
    select md5('project' || n), 'project' || n, 'default', case when n <= 10 then 'default' else md5('project' || n / 10) end
    from generate_series(1, ${projects}::int) n`.execute(tx)
  await sql`insert into identity."user" (id, name, domain_id, email, default_project_id)
    select ${id('user')}, 'user' || n, 'default', 'user' || n || '@example.org', md5('project' || (n % ${projects}::int + 1))
    from generate_series(1, ${users}::int) n`.execute(tx)
  await sql`insert into identity.password (user_id, hash) select ${id('user')}, ${hash} from generate_series(1, ${users}::int) n`.execute(
    tx,
  )
  await sql`insert into identity."group" (id, name, domain_id) select ${id('group')}, 'group' || n, 'default'
    from generate_series(1, ${groups}::int) n`.execute(tx)
  await sql`insert into identity.group_member (group_id, user_id) select md5('group' || (n % ${groups}::int + 1)), ${id('user')}
    from generate_series(1, ${users}::int) n`.execute(tx)
  await sql`insert into identity.assignment (actor_type, actor_id, target_type, target_id, role_id)
    select 'user', ${id('user')}, 'project', md5('project' || (n % ${projects}::int + 1)), ${memberRole}
    from generate_series(1, ${(users * 9) / 10}::int) n`.execute(tx)
  await sql`insert into identity.assignment (actor_type, actor_id, target_type, target_id, role_id)
    select 'group', md5('group' || (n % ${groups}::int + 1)), 'project', md5('project' || (n % ${projects}::int + 1)), ${memberRole}
    from generate_series(1, ${users / 10}::int) n`.execute(tx)
  // One user with a role on everything below a project with a tenth of all projects.
  await sql`insert into identity.assignment (actor_type, actor_id, target_type, target_id, role_id, inherited)
    values ('user', md5('user1'), 'project', md5('project1'), ${memberRole}, true)`.execute(tx)
  await sql`analyze identity.project, identity."user", identity.password, identity."group", identity.group_member, identity.assignment`.execute(
    tx,
  )
}

const cloud = await testCloud()
try {
  const { rows } = await sql<{ id: string }>`select id from identity.role where name = 'member'`.execute(cloud.db.read)
  const began = performance.now()
  await fill(cloud.db.read, rows[0]!.id)
  console.log(
    `${sizes.users} users, ${sizes.projects} projects, ${sizes.groups} groups: made in ${Math.round(performance.now() - began)} ms`,
  )
  const md5 = async (text: string) => (await sql<{ id: string }>`select md5(${text}) as id`.execute(cloud.db.read)).rows[0]!.id
  const of = async (kind: 'user' | 'project' | 'group', most: number) =>
    await Promise.all(Array.from({ length: rounds }, (_, i) => md5(`${kind}${1 + Math.floor((i * most) / rounds)}`)))
  const [users, projects, groups] = [await of('user', sizes.users), await of('project', sizes.projects), await of('group', sizes.groups)]
  const origin = await cloud.app.listen({ host: '127.0.0.1', port: 0 })
  const base = `${origin}/v3`
  const admin = await cloud.signIn('admin', passwords.admin)
  const get =
    (path: (n: number) => string, token = () => admin) =>
    async (n: number) => {
      await ask('GET', base + path(n), { headers: { 'x-auth-token': token() }, expect: [200] })
    }
  const issue = async (n: number, scope?: unknown) =>
    await ask('POST', `${base}/auth/tokens`, { body: password(`user${n + 1}`, secret, scope), expect: [201] })
  const own = String((await issue(0)).headers['x-subject-token'])
  const issued: string[] = []
  const tests: Record<string, (n: number) => Promise<unknown>> = {
    'users, a page of 100': get((n) => `/users?limit=100&marker=${users[n]}`),
    'users by name': get((n) => `/users?name=user${n + 1}`),
    'users by a part of the name': get((n) => `/users?limit=100&name__contains=ser${n + 1}9`),
    'users of a domain, enabled': get((n) => `/users?limit=100&domain_id=default&enabled=true&marker=${users[n]}`),
    'users whose password expires': get(() => '/users?limit=100&password_expires_at=lt:2030-01-01T00:00:00Z'),
    'a user': get((n) => `/users/${users[n]}`),
    'projects of a user': get((n) => `/users/${users[n]}/projects`),
    'groups of a user': get((n) => `/users/${users[n]}/groups`),
    'projects, a page of 100': get((n) => `/projects?limit=100&marker=${projects[n]}`),
    'projects by name': get((n) => `/projects?name=project${n + 1}`),
    'projects below one': get((n) => `/projects?limit=100&parent_id=${projects[n]}`),
    'projects with a tag': get(() => '/projects?tags=none'),
    'a project': get((n) => `/projects/${projects[n]}`),
    'a project with its tree': get((n) => `/projects/${projects[n]}?subtree_as_ids&parents_as_list`),
    'groups, a page of 100': get((n) => `/groups?limit=100&marker=${groups[n]}`),
    'groups by name': get((n) => `/groups?name=group${n + 1}`),
    'users of a group': get((n) => `/groups/${groups[n]}/users`),
    'roles of a user on a project': get((n) => `/projects/${projects[n]}/users/${users[n]}/roles`),
    'assignments of a user': get((n) => `/role_assignments?user.id=${users[n]}&include_names`),
    'assignments of a user, effective': get((n) => `/role_assignments?user.id=${users[n]}&effective&include_names`),
    'assignments of a group': get((n) => `/role_assignments?group.id=${groups[n]}`),
    'assignments on a project': get((n) => `/role_assignments?scope.project.id=${projects[n]}&include_names`),
    'assignments on a project, effective': get((n) => `/role_assignments?scope.project.id=${projects[n]}&effective&include_names`),
    'assignments of a user on a project, effective': get(
      (n) => `/role_assignments?user.id=${users[n]}&scope.project.id=${projects[n]}&effective`,
    ),
    [`assignments of one user over ${sizes.projects / 10} projects, effective`]: get(
      () => `/role_assignments?user.id=${users[0]}&effective`,
    ),
    'projects that one may choose': get(
      () => '/auth/projects',
      () => own,
    ),
    'sign in by password': async (n) => issued.push(String((await issue(n)).headers['x-subject-token'])),
    'sign in by password, project by name': (n) =>
      issue(n, { project: { name: `project${((n + 1) % sizes.projects) + 1}`, domain: { name: 'Default' } } }),
    'a token for a token': async (n) =>
      await ask('POST', `${base}/auth/tokens`, {
        body: { auth: { identity: { methods: ['token'], token: { id: issued[n % issued.length] } }, scope: 'unscoped' } },
        expect: [201],
      }),
    'a token is validated': async (n) =>
      await ask('GET', `${base}/auth/tokens`, {
        headers: { 'x-auth-token': admin, 'x-subject-token': issued[n % issued.length]! },
        expect: [200],
      }),
    'a request with a token': get(
      () => '/auth/system',
      () => issued[1]!,
    ),
    'a user is made': async (n) =>
      await ask('POST', `${base}/users`, {
        headers: { 'x-auth-token': admin },
        body: { user: { name: `new${n} ${performance.now()}` } },
        expect: [201],
      }),
    'a role is given': async (n) =>
      await ask('PUT', `${base}/projects/${projects[n]}/users/${users[rounds - 1 - n]}/roles/${rows[0]!.id}`, {
        headers: { 'x-auth-token': admin },
        expect: [204],
      }),
  }
  const time = (ms: number) => ms.toFixed(1).padStart(8)
  // Processor time of this process, client and server both, tells more than the clock where the machine has other work.
  console.log(`load ${loadavg()[0]!.toFixed(1)} on ${availableParallelism()} cores\n`)
  console.log(`${'one after the other, ms'.padEnd(64)}  median      p99 processor`)
  for (const [name, work] of Object.entries(tests)) {
    if (!name.includes(values.only) && !name.startsWith('sign in by password')) continue
    await work(0)
    const before = process.cpuUsage()
    const { latencies } = await repeat(1, 20, rounds, work)
    const { user, system } = process.cpuUsage(before)
    const busy = (user + system) / 1000 / latencies.length
    console.log(`${name.padEnd(64)}${time(median(latencies))} ${time(quantile(latencies, 0.99))}  ${time(busy)}`)
  }
} finally {
  await cloud.end()
}
