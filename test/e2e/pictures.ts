// Takes the pictures of the dashboard that README.md and docs/ show, from a real cloud with real guests:
//   node test/e2e/pictures.ts [FOLDER]        (docs/pictures unless named; root, because it starts a cloud)
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Browser, Page } from 'playwright-core'
import * as steps from '../../dashboard/test/steps.ts'
import { type Cloud, keyPair, startCloud } from './cloud.ts'
import { becomes, consoleSays, importKey, launch, networkId, remove, type Server } from './person.ts'
import { patience, until } from './run-program.ts'

const folder = path.resolve(process.argv[2] ?? path.join(import.meta.dirname, '../../docs/pictures'))
/** What a page of a repository may weigh. */
const largest = 200_000

async function main(): Promise<void> {
  const cloud = await startCloud()
  const servers: Server[] = []
  try {
    const hosts = async () => (await cloud.admin.ask<{ hypervisors: unknown[] }>('GET', 'compute/v2.1/os-hypervisors')).hypervisors
    await until(async () => (await hosts()).length > 0, 'the host has joined')
    const { key } = await keyPair()
    await importKey(cloud.demo, 'laptop', `${key}.pub`)
    const network = { uuid: await networkId(cloud.demo, 'private') }
    for (const name of ['batch', 'database', 'web-1', 'web-2']) {
      const server = await launch(cloud.demo, { name, key: 'laptop', network })
      servers.push(server)
      await consoleSays(cloud.demo, server.id, /wisp guest ready/)
    }
    const [batch, , web] = servers as [Server, Server, Server]
    await cloud.demo.ask('POST', `compute/v2.1/servers/${batch.id}/action`, { 'os-stop': null })
    await becomes(cloud.demo, batch.id, 'SHUTOFF')
    await cloud.demo.ask('POST', `compute/v2.1/servers/${web.id}/action`, { reboot: { type: 'HARD' } })
    await becomes(cloud.demo, web.id, 'ACTIVE')
    await consoleSays(cloud.demo, web.id, /(wisp guest ready.*){2}/s)
    await takeAll(cloud, web)
  } finally {
    for (const { id } of servers) await remove(cloud.demo, id).catch((error) => console.error(error))
    await cloud.demo.ask('DELETE', 'compute/v2.1/os-keypairs/laptop').catch((error) => console.error(error))
    await cloud.stop()
  }
}

async function takeAll(cloud: Cloud, web: Server): Promise<void> {
  const browser = await steps.openBrowser()
  try {
    const { page } = await steps.openPage(browser)
    await steps.logIn(page, { url: cloud.url, user: cloud.demo.env.OS_USERNAME!, password: cloud.demo.env.OS_PASSWORD! })
    await page.getByText('Live', { exact: true }).waitFor()
    await page.getByRole('link', { name: 'web-2', exact: true }).waitFor()
    await page.getByText('Security group rules').waitFor()
    await take(page, 'overview')
    await visit(page, '/servers')
    await page.getByRole('link', { name: 'web-2', exact: true }).waitFor()
    await take(page, 'servers')
    await visit(page, '/servers/launch')
    await page.locator('#server-name').fill('web-3')
    await take(page, 'launch')
    await visit(page, `/servers/${web.id}?tab=timeline`)
    await page.getByRole('heading', { name: 'Launched' }).waitFor()
    await take(page, 'timeline')
    await visit(page, `/servers/${web.id}?tab=log`)
    await page.getByRole('log').filter({ hasText: 'wisp guest ready' }).waitFor()
    await take(page, 'console-log')
    await visit(page, `/servers/${web.id}`)
    await steps.openConsole(page, { timeout: patience * 1000 })
    await take(page, 'console')
    await steps.openSerialConsole(page, { timeout: patience * 1000 })
    await steps.signInAtTerminal(page, { user: 'cirros', password: 'gocubsgo' }, { timeout: patience * 1000 })
    await steps.waitForTerminal(page, /exit.*login:/, { timeout: patience * 1000 })
    await take(page, 'serial-console')
    await takeUpload(page)
    await visit(page, '/servers')
    await page.getByRole('link', { name: 'web-2', exact: true }).waitFor()
    await page.emulateMedia({ colorScheme: 'dark' })
    await take(page, 'dark')
    await page.emulateMedia({ colorScheme: 'light' })
    await takeAdministrators(browser, cloud)
    await page.getByRole('button', { name: 'Language' }).click()
    await page.getByRole('menuitem', { name: '中文' }).click()
    await visit(page, '/servers/launch')
    await page.getByRole('heading', { level: 1 }).waitFor()
    await page.locator('#server-name').fill('web-3')
    await take(page, 'chinese')
  } finally {
    await browser.close()
  }
}

/** An upload over a line of 8 MiB/s, halfway; it is discarded again. */
async function takeUpload(page: Page): Promise<void> {
  const file = path.join(os.tmpdir(), 'debian-13-generic.raw')
  fs.writeFileSync(file, Buffer.alloc(96 << 20))
  const network = await page.context().newCDPSession(page)
  const line = { offline: false, latency: 0, downloadThroughput: -1 }
  try {
    await visit(page, '/images')
    await page.getByRole('button', { name: 'Create image' }).first().click()
    await page.locator('input[type=file]').setInputFiles(file)
    await network.send('Network.emulateNetworkConditions', { ...line, uploadThroughput: 8 << 20 })
    await page.getByRole('dialog').getByRole('button', { name: 'Upload image' }).click()
    await page.getByText(/4\d(\.\d)? MiB of 96 MiB .* left/).waitFor()
    await take(page, 'upload')
    await page.getByRole('button', { name: 'Stop and discard' }).click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
  } finally {
    await network.send('Network.emulateNetworkConditions', { ...line, uploadThroughput: -1 })
    fs.rmSync(file)
  }
}

/** The pages of images and identity, as an administrator sees them; the projects that they show are taken away again. */
async function takeAdministrators(browser: Browser, cloud: Cloud): Promise<void> {
  const made: string[] = []
  const project = async (name: string, description: string, parent_id?: string): Promise<string> => {
    const body = { project: { name, description, ...(parent_id && { parent_id }) } }
    const { project } = await cloud.admin.ask<{ project: { id: string } }>('POST', 'identity/v3/projects', body)
    made.unshift(project.id)
    return project.id
  }
  const { page } = await steps.openPage(browser)
  try {
    const research = await project('research', 'Everything the researchers run')
    await project('genomics-ci', 'Builds and tests', await project('genomics', 'Sequencing pipelines', research))
    await project('climate', 'Models of the atmosphere', research)
    await project('web-shop', 'The shop and its staging area')
    await steps.logIn(page, { url: cloud.url, user: cloud.admin.env.OS_USERNAME!, password: cloud.admin.env.OS_PASSWORD! })
    await visit(page, '/projects')
    await page.getByRole('link', { name: 'web-shop' }).waitFor()
    await take(page, 'projects')
    await visit(page, '/images')
    await page.getByRole('link', { name: 'wisp-guest' }).click()
    await page.getByRole('tab', { name: 'Properties' }).click()
    await page.getByRole('button', { name: 'Add: os_version' }).click()
    await take(page, 'image-properties')
    await page.emulateMedia({ colorScheme: 'dark' })
    await visit(page, '/application-credentials')
    await page.getByRole('button', { name: 'Create application credential' }).first().click()
    await page.locator('#credential-name').fill('nightly-backup')
    await page.getByRole('dialog').getByRole('button', { name: 'Create', exact: true }).click()
    await page.getByText('Save the secret now').waitFor()
    await page.getByRole('checkbox', { name: 'I have kept the secret' }).focus()
    await take(page, 'application-credential')
  } finally {
    await page.context().close()
    for (const id of made) await cloud.admin.ask('DELETE', `identity/v3/projects/${id}`).catch((error) => console.error(error))
    await forgetCredential(cloud)
  }
}

/** The application credential of the picture. */
async function forgetCredential({ admin }: Cloud): Promise<void> {
  const { users } = await admin.ask<{ users: { id: string }[] }>('GET', `identity/v3/users?name=${admin.env.OS_USERNAME}`)
  const path = `identity/v3/users/${users[0]!.id}/application_credentials`
  const { application_credentials: all } = await admin.ask<{ application_credentials: { id: string }[] }>(
    'GET',
    `${path}?name=nightly-backup`,
  )
  for (const { id } of all) await admin.ask('DELETE', `${path}/${id}`)
}

/** Goes to a page of the dashboard by its address; the session stays. */
async function visit(page: Page, where: string): Promise<void> {
  await page.goto(new URL(`/dashboard${where}`, page.url()).href)
}

async function take(page: Page, name: string): Promise<void> {
  await page.mouse.move(0, 0)
  await page.waitForLoadState('load')
  const file = path.join(folder, `${name}.png`)
  const picture = await page.screenshot({ animations: 'disabled' })
  if (picture.length > largest) throw new Error(`${file} would have ${picture.length} bytes, more than ${largest}`)
  fs.mkdirSync(folder, { recursive: true })
  fs.writeFileSync(file, picture)
  console.log(`${file}: ${picture.length} bytes`)
}

await main()
