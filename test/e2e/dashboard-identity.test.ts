// The dashboard's pages of identity in real Chromium against a running cloud: an administrator makes a project, a user, a group and a role and
// sets quotas and limits; the user sees what is theirs alone, changes their password, and makes an application credential that works.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { after, before, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { parse } from 'yaml'
import * as steps from '../../dashboard/test/steps.ts'
import { type Cloud, startCloud } from './cloud.ts'
import { patience } from './run-program.ts'

const run = `people-${process.pid}`
const first = 'a password of four words'
const second = 'another password of five words'

let cloud: Cloud
let browser: Browser
let admin: Page
let user: Page
let errors: string[][]

const visit = (page: Page, where: string) => page.goto(`${cloud.url}/dashboard${where}`)
const dialog = (page: Page) => page.getByRole('dialog')
const press = (page: Page, name: string) => dialog(page).getByRole('button', { name, exact: true }).click()

/** What identity has of this run, by its name. */
async function made<T extends { id: string }>(many: string): Promise<T[]> {
  const rows = (await cloud.admin.ask<Record<string, (T & { name: string })[]>>('GET', `identity/v3/${many}`))[many]!
  return rows.filter(({ name }) => name.startsWith(run))
}

/** A page with the patience of all these tests: a busy machine takes its time. */
async function open(): Promise<{ page: Page; errors: string[] }> {
  const opened = await steps.openPage(browser)
  opened.page.setDefaultTimeout(patience * 1000)
  return opened
}

before(async () => {
  cloud = await startCloud()
  browser = await steps.openBrowser()
  const one = await open()
  const other = await open()
  admin = one.page
  user = other.page
  errors = [one.errors, other.errors]
  await steps.logIn(admin, { url: cloud.url, user: cloud.admin.env.OS_USERNAME!, password: cloud.admin.env.OS_PASSWORD! })
  await steps.chooseProject(admin, cloud.admin.env.OS_PROJECT_NAME!)
})

after(async () => {
  await browser?.close()
  if (cloud === undefined) return
  for (const many of ['users', 'groups', 'roles']) {
    for (const { id } of await made(many)) await cloud.admin.ask('DELETE', `identity/v3/${many}/${id}`)
  }
  // Those below first.
  const projects = await made<{ id: string; parent_id: string }>('projects')
  const isParent = (id: string) => projects.some(({ parent_id }) => parent_id === id)
  for (const { id } of projects.toSorted((a, b) => Number(isParent(a.id)) - Number(isParent(b.id))))
    await cloud.admin.ask('DELETE', `identity/v3/projects/${id}`)
  await cloud.stop()
})

test('an administrator makes a project, one below it, and a user with a role on it', async () => {
  await admin.getByRole('link', { name: 'Projects', exact: true }).click()
  await admin.getByRole('button', { name: 'Create project' }).click()
  await dialog(admin).getByLabel('Name').fill(run)
  await dialog(admin).getByLabel('Description').fill('made by a test')
  await press(admin, 'Create')
  await admin.getByRole('heading', { name: run, level: 1 }).waitFor()
  await visit(admin, '/projects')
  await admin.getByRole('button', { name: `More actions: ${run}` }).click()
  await admin.getByRole('menuitem', { name: 'Create a project below it' }).click()
  await dialog(admin).getByLabel('Name').fill(`${run}-below`)
  await press(admin, 'Create')
  await admin.getByRole('link', { name: run, exact: true }).waitFor()
  const [parent, below] = (await made<{ id: string; parent_id: string; name: string }>('projects')).toSorted(
    (a, b) => a.name.length - b.name.length,
  )
  assert.equal(below?.parent_id, parent?.id)

  await admin.getByRole('link', { name: 'Users', exact: true }).click()
  await admin.getByRole('button', { name: 'Create user' }).click()
  await dialog(admin).getByLabel('Name').fill(run)
  await dialog(admin).locator('#user-password').fill(first)
  await dialog(admin).getByLabel('Password again').fill('something else')
  await dialog(admin).getByText('The two are not the same').waitFor()
  await dialog(admin).getByLabel('Password again').fill(first)
  await dialog(admin).getByLabel('Default project').fill(`${run} (Default)`)
  await dialog(admin).getByLabel('Role').waitFor()
  await press(admin, 'Create')
  await admin.getByRole('heading', { name: run, level: 1 }).waitFor()
  await admin.getByRole('row', { name: new RegExp(`${run} .*member`) }).waitFor()
})

test('the user sees their own and nothing of the administrator, and changes their password without being logged out', async () => {
  await steps.logIn(user, { url: cloud.url, user: run, password: first })
  for (const name of ['Users', 'Groups', 'Roles', 'Domains', 'Hypervisors'])
    assert.equal(await user.getByRole('link', { name, exact: true }).count(), 0, name)
  await visit(user, '/users')
  await user.getByText('Only administrators may do this').waitFor()
  await user.getByRole('link', { name: 'Projects', exact: true }).click()
  await user.getByRole('link', { name: run, exact: true }).waitFor()
  assert.equal(await user.getByRole('link', { name: 'demo', exact: true }).count(), 0)
  assert.equal(await user.getByRole('button', { name: 'Create project' }).count(), 0)

  await user.getByRole('button', { name: `User: ${run}` }).click()
  await user.getByRole('menuitem', { name: 'Your profile' }).click()
  await user.getByRole('button', { name: 'Change password' }).click()
  await dialog(user).getByLabel('Present password').fill('not this one')
  await dialog(user).locator('#new-password').fill(second)
  await dialog(user).getByLabel('Password again').fill(second)
  await press(user, 'Change password')
  await dialog(user).getByText('Check the user name, the password and the domain.').waitFor()
  await dialog(user).getByLabel('Present password').fill(first)
  await press(user, 'Change password')
  await user.getByText('Your password is changed.').waitFor()
  await user.getByRole('link', { name: 'Limits', exact: true }).click()
  await user.getByText('0 of 10').first().waitFor()
})

test('an application credential is made with a part of the roles, and its clouds.yaml logs in', async () => {
  await user.getByRole('link', { name: 'Application credentials', exact: true }).click()
  await user.getByRole('button', { name: 'Create application credential' }).first().click()
  await dialog(user).getByLabel('Name').fill('reporter')
  await dialog(user).getByRole('checkbox', { name: 'member' }).uncheck()
  await dialog(user).getByLabel('Expires').fill('2000-01-01T00:00')
  await dialog(user).getByText('This moment has passed').waitFor()
  const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 16)
  await dialog(user).getByLabel('Expires').fill(tomorrow)
  await press(user, 'Create')
  const download = user.waitForEvent('download')
  await dialog(user).getByRole('button', { name: 'Download clouds.yaml' }).click()
  const content = fs.readFileSync(await (await download).path(), 'utf8')
  const { clouds } = parse(content) as { clouds: Record<string, { auth: Record<string, string> }> }
  const auth = clouds[`${run}-reporter`]!.auth
  await press(user, 'I have saved it')
  await user.getByRole('row').filter({ hasText: 'reporter' }).getByText('reader', { exact: true }).waitFor()

  const { application_credential_id: id, application_credential_secret: secret } = auth
  const reply = await fetch(`${auth.auth_url}/auth/tokens`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ auth: { identity: { methods: ['application_credential'], application_credential: { id, secret } } } }),
  })
  assert.equal(reply.status, 201)
  const { token } = (await reply.json()) as { token: { roles: { name: string }[] } }
  assert.deepEqual(
    token.roles.map(({ name }) => name),
    ['reader'],
  )
})

test('a group has members and a role, and a role brings another along', async () => {
  await admin.getByRole('link', { name: 'Roles', exact: true }).click()
  await admin.getByRole('button', { name: 'Create role' }).click()
  await dialog(admin).getByLabel('Name').fill(`${run}-role`)
  await press(admin, 'Create')
  await admin.getByRole('button', { name: `More actions: ${run}-role` }).click()
  await admin.getByRole('menuitem', { name: 'Bring another role along' }).click()
  await dialog(admin).getByLabel(`Whoever has ${run}-role also gets`).selectOption('reader')
  await press(admin, 'Add')
  await admin.getByRole('button', { name: `${run}-role no longer brings reader along` }).waitFor()

  await admin.getByRole('link', { name: 'Groups', exact: true }).click()
  await admin.getByRole('button', { name: 'Create group' }).first().click()
  await dialog(admin).getByLabel('Name').fill(run)
  await press(admin, 'Create')
  await admin.getByRole('heading', { name: run, level: 1 }).waitFor()
  await admin.getByLabel('Add a user').fill(run)
  await admin.getByRole('button', { name: 'Add', exact: true }).click()
  await admin.getByRole('grid', { name: 'Members' }).getByRole('link', { name: run }).waitFor()
  await admin.getByRole('button', { name: 'Give a role' }).click()
  await dialog(admin).getByRole('combobox', { name: 'Project' }).fill(run)
  await dialog(admin).getByLabel('Role').selectOption(`${run}-role`)
  await press(admin, 'Give a role')
  await admin.getByRole('row', { name: new RegExp(`${run} .*${run}-role`) }).waitFor()
  const [group] = await made('groups')
  const query = `group.id=${group!.id}&include_names=true`
  const { role_assignments: given } = await cloud.admin.ask<{ role_assignments: { role: { name: string } }[] }>(
    'GET',
    `identity/v3/role_assignments?${query}`,
  )
  assert.deepEqual(
    given.map(({ role }) => role.name),
    [`${run}-role`],
  )
})

test("a project's quota is changed and shows as a bar; a disabled user is logged out", async () => {
  await visit(admin, '/projects')
  await admin.getByRole('link', { name: run, exact: true }).click()
  await admin.getByRole('tab', { name: 'Quotas' }).click()
  await admin.getByRole('button', { name: 'Change: Compute' }).click()
  await dialog(admin).getByLabel('Servers').fill('7')
  await press(admin, 'Save')
  await admin.getByText('0 of 7').waitFor()

  await visit(admin, `/users?name=${run}`)
  await admin.getByRole('button', { name: `More actions: ${run}` }).click()
  await admin.getByRole('menuitem', { name: 'Disable' }).click()
  await press(admin, 'Disable')
  await admin.getByRole('row', { name: new RegExp(`${run} Disabled`) }).waitFor()
  await user.getByRole('link', { name: 'Images', exact: true }).first().click()
  await user.getByRole('heading', { name: 'Log in', exact: true }).waitFor()

  await admin.getByRole('button', { name: `More actions: ${run}` }).click()
  await admin.getByRole('menuitem', { name: 'Delete' }).click()
  await press(admin, 'Delete')
  await admin.getByText('Nothing matches these filters').waitFor()
  assert.deepEqual(errors, [[], []])
})
