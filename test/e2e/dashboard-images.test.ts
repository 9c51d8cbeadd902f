// The dashboard's pages of images in real Chromium against a running cloud: an upload whose connection breaks, properties, sharing between
// two projects, deactivation, a download, and what someone sees who may only look.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import * as steps from '../../dashboard/test/steps.ts'
import { type Cloud, startCloud } from './cloud.ts'
import { patience } from './run-program.ts'

const run = `pages-${process.pid}`
const password = 'a password of four words'
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-e2e-images-'))
const bits = randomBytes(3 << 20)
const file = path.join(folder, `${run}.raw`)

interface Image {
  id: string
  status: string
  visibility: string
  tags: string[]
  os_hash_value: string
  [property: string]: unknown
}

let cloud: Cloud
let browser: Browser
let page: Page
let errors: string[]
let project: { id: string }
let users: { id: string }[] = []

/** A user of another project, with one role on it. */
async function neighbour(role: string): Promise<{ id: string }> {
  const { user } = await cloud.admin.ask<{ user: { id: string } }>('POST', 'identity/v3/users', {
    user: { name: `${run}-${role}`, password, default_project_id: project.id },
  })
  const { roles } = await cloud.admin.ask<{ roles: { id: string }[] }>('GET', `identity/v3/roles?name=${role}`)
  await cloud.admin.ask('PUT', `identity/v3/projects/${project.id}/users/${user.id}/roles/${roles[0]!.id}`)
  return user
}

const find = async (): Promise<Image> => {
  const { images } = await cloud.demo.ask<{ images: Image[] }>('GET', `image/v2/images?visibility=all&tag=${run}`)
  assert.equal(images.length, 1)
  return images[0]!
}
const visit = (where: string) => page.goto(`${cloud.url}/dashboard${where}`)
const act = (action: string) => steps.act(page, action)

/** A page with the patience of all these tests: a busy machine takes its time. */
async function open(): Promise<{ page: Page; errors: string[] }> {
  const opened = await steps.openPage(browser)
  opened.page.setDefaultTimeout(patience * 1000)
  return opened
}

before(async () => {
  fs.writeFileSync(file, bits)
  cloud = await startCloud()
  project = (await cloud.admin.ask<{ project: { id: string } }>('POST', 'identity/v3/projects', { project: { name: run } })).project
  users = [await neighbour('member'), await neighbour('reader')]
  browser = await steps.openBrowser()
  ;({ page, errors } = await open())
  // The browser's own dialog for files is out of a test's reach; without it the page saves as every other browser does.
  await page.addInitScript(() => Reflect.deleteProperty(globalThis, 'showSaveFilePicker'))
  await steps.logIn(page, { url: cloud.url, user: cloud.demo.env.OS_USERNAME!, password: cloud.demo.env.OS_PASSWORD! })
})

after(async () => {
  await browser?.close()
  const left = await cloud.admin.ask<{ images: Image[] }>('GET', `image/v2/images?visibility=all&tag=${run}`).catch(() => ({ images: [] }))
  for (const { id } of left.images) await cloud.admin.ask('DELETE', `image/v2/images/${id}`)
  for (const { id } of users) await cloud.admin.ask('DELETE', `identity/v3/users/${id}`)
  if (project) await cloud.admin.ask('DELETE', `identity/v3/projects/${project.id}`)
  await cloud?.stop()
  fs.rmSync(folder, { recursive: true, force: true })
})

test('an upload whose connection breaks is taken up again, and the image is what the file was', async () => {
  let broken = 0
  await page.getByRole('link', { name: 'Images', exact: true }).first().click()
  await page.getByRole('button', { name: 'Create image' }).click()
  const dialog = page.getByRole('dialog')
  await page.locator('input[type=file]').setInputFiles(file)
  await dialog.locator(`#image-name[value=${run}]`).waitFor()
  assert.equal(await dialog.getByLabel('Format').inputValue(), 'raw')
  await dialog.getByRole('button', { name: 'More settings' }).click()
  await dialog.getByLabel('Tags').fill(run)
  await dialog.getByLabel('Properties').fill('os_distro=debian')
  // Often enough that it then waits for eight seconds: time to press the button.
  await page.route('**/image/v2/images/*/stage', (route) =>
    route.request().method() === 'PUT' && broken++ < 4 ? route.abort('connectionreset') : route.fallback(),
  )
  await dialog.getByRole('button', { name: 'Upload image' }).click()
  await dialog.getByRole('alert').getByText('the connection is lost').waitFor()
  await dialog
    .getByRole('alert')
    .getByText(/Trying again in [5-8] s/)
    .waitFor()
  await dialog.getByRole('button', { name: 'Try now' }).click()
  await page.getByRole('heading', { name: run, level: 1 }).waitFor()
  await page.locator('.wisp-title-line').getByText('Ready').waitFor()
  const image = await find()
  assert.equal(image.os_hash_value, createHash('sha256').update(bits).digest('hex'))
  assert.equal(image.os_distro, 'debian')
})

test('properties are edited with what the metadata definitions suggest', async () => {
  await page.getByRole('tab', { name: 'Properties' }).click()
  await page.getByRole('textbox', { name: 'os_distro' }).fill('alpine')
  await page.getByPlaceholder('Name of a new property').fill('team')
  await page.getByRole('button', { name: 'Add', exact: true }).first().click()
  await page.getByRole('textbox', { name: 'team' }).fill('blue')
  await page.getByRole('combobox', { name: 'Subject' }).waitFor()
  const suggestion = page.getByRole('button', { name: /^Add: / }).first()
  const suggested = (await suggestion.getAttribute('aria-label'))!.replace('Add: ', '')
  await suggestion.click()
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('button', { name: 'Undo changes', disabled: true }).waitFor()
  const image = await find()
  assert.equal(image.os_distro, 'alpine')
  assert.equal(image.team, 'blue')
  assert.ok(suggested in image, `${suggested} is one of the image's properties`)
})

test('an image is shared with another project, which finds the offer and accepts it', async () => {
  await page.getByRole('tab', { name: 'Sharing' }).click()
  await page.getByRole('button', { name: 'Share it with chosen projects' }).click()
  await page.getByLabel('Share with project').fill(project.id)
  await page.getByRole('button', { name: 'Share', exact: true }).click()
  await page.getByText('Not answered yet').waitFor()

  const other = await open()
  await steps.logIn(other.page, { url: cloud.url, user: `${run}-member`, password })
  await other.page.goto(`${cloud.url}/dashboard/images?show=offered`)
  await other.page.getByRole('button', { name: 'Accept' }).click()
  await other.page.getByText('Nothing matches these filters').waitFor()
  await other.page.getByRole('button', { name: 'Clear filters' }).click()
  await other.page.getByRole('link', { name: run, exact: true }).waitFor()
  assert.deepEqual(other.errors, [])
  await other.page.context().close()

  await page.reload()
  await page.getByText('Accepted').waitFor()
})

test('who may only look is told so, and is offered neither uploads nor deletions', async () => {
  const other = await open()
  await steps.logIn(other.page, { url: cloud.url, user: `${run}-reader`, password })
  await other.page.goto(`${cloud.url}/dashboard/images?name=${run}`)
  await other.page.getByText('Read only', { exact: true }).waitFor()
  await other.page.getByRole('link', { name: run, exact: true }).waitFor()
  for (const name of [`More actions: ${run}`, 'Create image']) assert.equal(await other.page.getByRole('button', { name }).count(), 0, name)
  await other.page.getByRole('link', { name: run, exact: true }).click()
  await other.page.getByRole('tab', { name: 'Properties' }).click()
  await other.page.getByText('You may only look').waitFor()
  assert.equal(await other.page.getByRole('link', { name: 'Users', exact: true }).count(), 0)
  assert.deepEqual(other.errors, [])
  await other.page.context().close()
})

test('a deactivated image can neither be launched nor downloaded until it is reactivated; a download gives the same bits', async () => {
  await act('Deactivate')
  await page.getByRole('dialog').getByRole('button', { name: 'Deactivate' }).click()
  await page.locator('.wisp-title-line').getByText('Deactivated').waitFor()
  await page
    .getByRole('button', { name: /^More actions/ })
    .first()
    .click()
  await page
    .getByRole('menuitem', { name: /^Download/ })
    .getByText('The image is deactivated')
    .waitFor()
  await page.getByRole('menuitem', { name: 'Reactivate' }).click()
  await page.locator('.wisp-title-line').getByText('Ready').waitFor()

  await act('Download')
  const started = page.waitForEvent('download')
  await page
    .getByRole('dialog')
    .getByRole('button', { name: /^Download/ })
    .click()
  const download = await started
  assert.equal(download.suggestedFilename(), `${run}.raw`)
  assert.ok(bits.equals(fs.readFileSync(await download.path())))
})

test('filters are in the address; the image is renamed and deleted', async () => {
  await visit('/images')
  await page.getByRole('link', { name: run, exact: true }).waitFor()
  await page.getByPlaceholder('Filter by name').fill(run.toUpperCase())
  await page.getByRole('combobox', { name: 'Which images' }).selectOption('mine')
  await page.waitForURL(/show=mine/)
  await page.reload()
  await page.getByRole('button', { name: `More actions: ${run}` }).click()
  assert.equal(await page.getByRole('link', { name: 'wisp-guest' }).count(), 0)
  await page.getByRole('menuitem', { name: 'Edit image' }).click()
  await page.getByRole('dialog').getByLabel('Name').fill(`${run}-renamed`)
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click()
  await page.getByRole('button', { name: `More actions: ${run}-renamed` }).click()
  await page.getByRole('menuitem', { name: 'Delete' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByText('Nothing matches these filters').waitFor()
  assert.deepEqual(errors, [])
})
