// Logging in for a domain or for the whole system, in real Chromium: what such a token is for is shown, what it is not for says where to go.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import * as steps from '../../dashboard/test/steps.ts'
import { type Cloud, startCloud } from './cloud.ts'
import { patience } from './run-program.ts'

const run = `scopes-${process.pid}`
const password = 'a password of four words'

let cloud: Cloud
let browser: Browser
let domain: { id: string }

before(async () => {
  cloud = await startCloud()
  const make = async <T>(path: string, kind: string, body: object) =>
    (await cloud.admin.ask<Record<string, T>>('POST', `identity/v3/${path}`, { [kind]: body }))[kind]!
  domain = await make('domains', 'domain', { name: run })
  const user = await make<{ id: string }>('users', 'user', { name: `${run}-keeper`, password, domain_id: domain.id })
  const role = async (name: string) =>
    (await cloud.admin.ask<{ roles: { id: string }[] }>('GET', `identity/v3/roles?name=${name}`)).roles[0]!.id
  await cloud.admin.ask('PUT', `identity/v3/domains/${domain.id}/users/${user.id}/roles/${await role('manager')}`)
  const looker = await make<{ id: string }>('users', 'user', { name: `${run}-looker`, password, domain_id: domain.id })
  const { projects } = await cloud.admin.ask<{ projects: { id: string }[] }>('GET', 'identity/v3/projects?name=demo')
  for (const where of ['system', `domains/${domain.id}`, `projects/${projects[0]!.id}`])
    await cloud.admin.ask('PUT', `identity/v3/${where}/users/${looker.id}/roles/${await role('reader')}`)
  browser = await steps.openBrowser()
})
after(async () => {
  await browser?.close()
  if (domain) {
    await cloud.admin.ask('PATCH', `identity/v3/domains/${domain.id}`, { domain: { enabled: false } })
    await cloud.admin.ask('DELETE', `identity/v3/domains/${domain.id}`)
  }
  await cloud?.stop()
})

async function open(): Promise<{ page: Page; errors: string[] }> {
  const opened = await steps.openPage(browser)
  opened.page.setDefaultTimeout(patience * 1000)
  await opened.page.goto(`${cloud.url}/dashboard/`)
  return opened
}

test('who manages a domain logs in for it, makes a user and a project there, and sees nothing of others', async () => {
  const { page, errors } = await open()
  await steps.fillLogIn(page, `${run}-keeper`, password, run)
  await page.getByRole('button', { name: `Domain: ${run}` }).waitFor()
  await page.getByRole('heading', { name: 'Projects', level: 1 }).waitFor()
  for (const name of ['Servers', 'Images', 'Hypervisors', 'Roles'])
    assert.equal(await page.getByRole('link', { name, exact: true }).count(), 0, name)

  await page.getByRole('link', { name: 'Users', exact: true }).click()
  await page.getByRole('link', { name: `${run}-keeper`, exact: true }).waitFor()
  assert.equal(await page.getByRole('link', { name: 'demo', exact: true }).count(), 0)
  await page.getByRole('button', { name: 'Create user' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.locator('#user-name').fill(`${run}-new`)
  await dialog.locator('#user-password').fill(password)
  await dialog.locator('#user-password-again').fill(password)
  await dialog.getByRole('button', { name: 'Create', exact: true }).click()
  await page.getByRole('heading', { name: `${run}-new`, level: 1 }).waitFor()

  await page.getByRole('link', { name: 'Projects', exact: true }).click()
  await page.getByRole('button', { name: 'Create project' }).first().click()
  await dialog.locator('#project-name').fill(`${run}-project`)
  await dialog.getByRole('button', { name: 'Create', exact: true }).click()
  await page.getByRole('heading', { name: `${run}-project`, level: 1 }).waitFor()
  assert.equal(await page.getByRole('tab', { name: 'Quotas' }).count(), 0)
  await page.getByRole('tab', { name: 'Members' }).click()
  await page.getByRole('button', { name: 'Give a role' }).waitFor()

  const { users } = await cloud.admin.ask<{ users: { domain_id: string }[] }>('GET', `identity/v3/users?name=${run}-new`)
  const { projects } = await cloud.admin.ask<{ projects: { domain_id: string }[] }>('GET', `identity/v3/projects?name=${run}-project`)
  assert.deepEqual(
    [users, projects].map((rows) => rows.map(({ domain_id }) => domain_id)),
    [[domain.id], [domain.id]],
  )
  await page.getByRole('link', { name: 'Domains', exact: true }).click()
  await page.getByRole('link', { name: run, exact: true }).waitFor()
  assert.equal(await page.getByRole('button', { name: 'Create domain' }).count(), 0)
  assert.deepEqual(errors, [])
  await page.context().close()
})

test('an administrator goes from a project to the whole system and back, and the choice is remembered', async () => {
  const { page, errors } = await open()
  const { OS_USERNAME: user, OS_PASSWORD: secret } = cloud.admin.env
  await steps.fillLogIn(page, user!, secret!)
  await page.getByRole('button', { name: 'Project: ' }).click()
  await page.getByRole('menuitem', { name: 'Whole system' }).click()
  await page.getByRole('button', { name: 'Scope: Whole system' }).waitFor()
  await page.getByRole('heading', { name: 'Projects', level: 1 }).waitFor()
  assert.equal(await page.getByRole('link', { name: 'Servers', exact: true }).count(), 0)
  await page.getByRole('link', { name: 'Roles', exact: true }).click()
  await page
    .getByRole('gridcell', { name: 'admin' })
    .or(page.getByRole('cell', { name: 'admin' }))
    .first()
    .waitFor()
  await steps.logOut(page)
  await steps.fillLogIn(page, user!, secret!)
  await page.getByRole('button', { name: 'Scope: Whole system' }).waitFor()
  await page.goto(`${cloud.url}/dashboard/servers`)
  await page.getByText('This belongs to a project').waitFor()
  await page.getByRole('main').getByRole('button', { name: 'admin', exact: true }).click()
  await page.getByRole('heading', { name: 'Servers', level: 1 }).waitFor()
  assert.deepEqual(errors, [])
  await page.context().close()
})

/** What a button that changes something says. */
const changing = /\b(Create|Add|Give|Take|Edit|Delete|Disable|Enable|Launch|Change|Set)\b/

/** Neither a button nor an entry of a menu of this page changes anything. */
async function nothingChanges(page: Page): Promise<void> {
  await page.waitForFunction(() => document.querySelector('.wisp-waiting') === null) // there may be several
  assert.deepEqual(await page.getByRole('main').getByRole('button', { name: changing }).allInnerTexts(), [], page.url())
  for (const menu of await page.getByRole('button', { name: /^More actions/ }).all()) {
    await menu.click()
    await page.getByRole('menuitem').first().waitFor()
    assert.deepEqual(await page.getByRole('menuitem', { name: changing }).allInnerTexts(), [], page.url())
    await page.keyboard.press('Escape')
  }
}

test('who reads the whole system sees its projects, users, groups, roles and domains, and no button that changes them', async () => {
  const { page, errors } = await open()
  await steps.fillLogIn(page, `${run}-looker`, password, run)
  await page.getByRole('button', { name: 'Project: ' }).click()
  await page.getByRole('menuitem', { name: 'Whole system' }).click()
  await page.getByText('Read only', { exact: true }).waitFor()
  await page.getByRole('link', { name: 'demo', exact: true }).waitFor()
  await nothingChanges(page)
  await page.getByRole('link', { name: 'demo', exact: true }).click()
  await page.getByRole('tab', { name: 'Members' }).click()
  await page.getByRole('row', { name: new RegExp(`${run}-looker .*reader`) }).waitFor()
  await nothingChanges(page)
  for (const [list, one] of [
    ['Users', `${run}-keeper`],
    ['Domains', run],
  ] as const) {
    await page.getByRole('link', { name: list, exact: true }).click()
    await page.getByRole('link', { name: one, exact: true }).waitFor()
    await nothingChanges(page)
    await page.getByRole('link', { name: one, exact: true }).click()
    await page.getByRole('heading', { name: one, level: 1 }).waitFor()
    await page.getByRole('row', { name: /manager/ }).waitFor()
    await nothingChanges(page)
  }
  await page.getByRole('link', { name: 'Groups', exact: true }).click()
  await page.getByRole('heading', { name: 'Groups', level: 1 }).waitFor()
  await nothingChanges(page)
  await page.getByRole('link', { name: 'Roles', exact: true }).click()
  await page.getByRole('row', { name: /^admin/ }).waitFor()
  await nothingChanges(page)
  assert.equal(await page.getByRole('alert').count(), 0)
  assert.deepEqual(errors, [])
  await page.context().close()
})

test('who reads one domain sees its people only', async () => {
  const { page, errors } = await open()
  await steps.fillLogIn(page, `${run}-looker`, password, run)
  await page.getByRole('button', { name: 'Project: ' }).click()
  await page.getByRole('menuitem', { name: run, exact: true }).click()
  await page.getByText('Read only', { exact: true }).waitFor()
  await page.getByRole('link', { name: 'Users', exact: true }).click()
  await page.getByRole('link', { name: `${run}-keeper`, exact: true }).waitFor()
  assert.equal(await page.getByRole('link', { name: 'demo', exact: true }).count(), 0)
  await nothingChanges(page)
  for (const name of ['Groups', 'Domains', 'Projects']) {
    await page.getByRole('link', { name, exact: true }).click()
    await page.getByRole('heading', { name, level: 1 }).waitFor()
    await nothingChanges(page)
  }
  assert.equal(await page.getByRole('link', { name: 'Roles', exact: true }).count(), 0)
  assert.equal(await page.getByRole('alert').count(), 0)
  assert.deepEqual(errors, [])
  await page.context().close()
})

test('who reads a project sees what is in it, and no button that changes it', async () => {
  const { page, errors } = await open()
  await steps.fillLogIn(page, `${run}-looker`, password, run)
  await page.getByRole('button', { name: 'Project: demo' }).waitFor()
  await page.getByText('Read only', { exact: true }).waitFor()
  for (const name of ['Servers', 'Images', 'Networks', 'Security groups', 'Projects', 'Limits']) {
    await page.getByRole('link', { name, exact: true }).click()
    await page.getByRole('heading', { name, level: 1 }).waitFor()
    await nothingChanges(page)
  }
  for (const [list, one] of [
    ['Networks', 'private'],
    ['Security groups', 'default'],
  ] as const) {
    await page.getByRole('link', { name: list, exact: true }).click()
    await page.getByRole('link', { name: one, exact: true }).click()
    await page.getByRole('heading', { name: one, level: 1 }).waitFor()
    await nothingChanges(page)
  }
  await page.goto(`${cloud.url}/dashboard/servers/launch`)
  await page.getByText('You may only look').waitFor()
  assert.equal(await page.getByRole('alert').count(), 0)
  assert.deepEqual(errors, [])
  await page.context().close()
})
