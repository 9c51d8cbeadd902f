// Two controllers on one database, as real processes: what one of them is told to refuse the other refuses within a second, and both refuse it
// still after they were started again.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { loadConfig } from '../../src/config.ts'
import { type TestDatabase, testDatabase } from '../../src/database/testing.ts'
import { bootstrap } from '../../src/start/bootstrap.ts'
import { secretKeyFile } from '../../src/start/files.ts'
import { freePort } from '../free-port.ts'
import { pause } from './cloud.ts'

const main = path.join(import.meta.dirname, '../../src/main.ts')

interface Controller {
  url: string
  process: ChildProcess
  launch(): Promise<ChildProcess>
}

describe('two controllers', { timeout: 900_000 }, () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-two-'))
  let database: TestDatabase
  const controllers: Controller[] = []
  let admin: string
  let password: string
  /** What is to be refused for good, by what happened to it. */
  const refused = new Map<string, string>()

  before(async () => {
    database = await testDatabase()
    for (const name of ['one', 'two']) controllers.push(await start(path.join(folder, name)))
    admin = await signIn(0, 'admin', password, 'admin')
  })
  after(async () => {
    for (const { process } of controllers) await end(process)
    await database?.drop()
    fs.rmSync(folder, { recursive: true, force: true })
  })

  const start = async (home: string): Promise<Controller> => {
    const port = await freePort()
    const env = {
      WISP_HOME: home,
      DATABASE_URL: database.url,
      WISP_PORT: String(port),
      WISP_GUEST_IMAGE: 'off',
      WISP_DASHBOARD: 'off',
      WISP_LOG_LEVEL: 'warn',
    }
    fs.mkdirSync(home)
    // The second machine of a cloud gets the first one's key.
    if (controllers.length > 0) fs.copyFileSync(secretKeyFile(path.join(folder, 'one')), secretKeyFile(home))
    else password = (await bootstrap(database.db, loadConfig({ ...process.env, ...env }))).admin.password
    const url = `http://127.0.0.1:${port}/identity/v3`
    const launch = async () => {
      const child = spawn(process.execPath, [main, 'controller'], {
        env: { ...process.env, ...env },
        stdio: ['ignore', 'inherit', 'inherit'],
      })
      while (!(await fetch(url).catch(() => undefined))?.ok) {
        assert.equal(child.exitCode, null, 'the controller does not start')
        await pause(30)
      }
      return child
    }
    return { url, process: await launch(), launch }
  }
  const end = async (child: ChildProcess) => {
    const gone = once(child, 'exit')
    if (child.exitCode === null && child.signalCode === null && child.kill('SIGKILL')) await gone
  }

  const ask = async (at: number, method: string, where: string, token?: string, body?: unknown, headers: Record<string, string> = {}) =>
    await fetch(`${controllers[at]!.url}${where}`, {
      method,
      headers: { 'content-type': 'application/json', ...(token && { 'x-auth-token': token }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
  const admins = async (at: number, method: string, where: string, body?: unknown) => {
    const answer = await ask(at, method, where, admin, body)
    assert.ok(answer.ok, `${method} ${where}: ${answer.status}`)
    return answer.status === 204 ? undefined : await answer.json()
  }
  const signIn = async (at: number, name: string, secret: string, project: string) => {
    const domain = { id: 'default' }
    const identity = { methods: ['password'], password: { user: { name, domain, password: secret } } }
    const answer = await ask(at, 'POST', '/auth/tokens', undefined, { auth: { identity, scope: { project: { name: project, domain } } } })
    assert.equal(answer.status, 201, `${name} signs in`)
    return answer.headers.get('x-subject-token')!
  }
  const works = async (at: number, token: string) => {
    const { status } = await ask(at, 'GET', '/auth/projects', token)
    assert.ok(status === 200 || status === 401, `GET /auth/projects: ${status}`)
    return status === 200
  }

  let count = 0
  const someone = async () => {
    const name = `user${++count}`
    const { user } = await admins(0, 'POST', '/users', { user: { name, password: 'secret' } })
    const { project } = await admins(0, 'POST', '/projects', { project: { name } })
    const { roles } = await admins(0, 'GET', '/roles?name=member')
    const grant = `/projects/${project.id}/users/${user.id}/roles/${roles[0].id}`
    await admins(0, 'PUT', grant)
    const token = await signIn(0, name, 'secret', name)
    return { name, user: user.id as string, project: project.id as string, grant, token }
  }
  type Someone = Awaited<ReturnType<typeof someone>>

  const events: Record<string, (at: number, one: Someone) => Promise<unknown>> = {
    'a revoked token': (at, { token }) => ask(at, 'DELETE', '/auth/tokens', token, undefined, { 'x-subject-token': token }),
    'a disabled user': (at, { user }) => admins(at, 'PATCH', `/users/${user}`, { user: { enabled: false } }),
    'a deleted user': (at, { user }) => admins(at, 'DELETE', `/users/${user}`),
    'a role taken away': (at, { grant }) => admins(at, 'DELETE', grant),
    'a password changed by an administrator': (at, { user }) => admins(at, 'PATCH', `/users/${user}`, { user: { password: 'other' } }),
    'a password changed by its user': (at, { user }) =>
      ask(at, 'POST', `/users/${user}/password`, undefined, { user: { original_password: 'secret', password: 'another' } }),
    'a disabled project': (at, { project }) => admins(at, 'PATCH', `/projects/${project}`, { project: { enabled: false } }),
  }
  const pauseOfPolls = 50
  /** Twice a second's worth: what is promised is a second, what is tested shall not depend on a busy machine. */
  const polls = 40

  for (const [event, happens] of Object.entries(events)) {
    for (const [here, there] of [
      [0, 1],
      [1, 0],
    ] as const) {
      it(`${event} at controller ${here + 1} is refused by controller ${there + 1}`, async (t) => {
        const one = await someone()
        assert.ok(await works(here, one.token))
        assert.ok(await works(there, one.token), 'both know the token')
        await happens(here, one)
        assert.equal(await works(here, one.token), false, 'at once where it happened')
        let asked = 1
        while (await works(there, one.token)) {
          assert.ok(++asked <= polls, `still let in after ${polls} requests, one in ${pauseOfPolls} ms`)
          await pause(pauseOfPolls)
        }
        t.diagnostic(`refused at request ${asked}`)
        refused.set(`${event} ${here}`, one.token)
      })
    }
  }

  it('all of it is refused after both were started again, and nothing else', async () => {
    const fine = await someone()
    for (const { process } of controllers) await end(process)
    for (const controller of controllers) controller.process = await controller.launch()
    for (const at of [0, 1]) {
      for (const [event, token] of refused) assert.equal(await works(at, token), false, event)
      assert.ok(await works(at, fine.token))
      assert.ok(await works(at, admin))
    }
    assert.equal(refused.size, 2 * Object.keys(events).length)
  })
})
