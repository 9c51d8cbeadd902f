// The page in real Chromium against the imitated cloud: what a person does, and what they see when something is refused.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { promisify } from 'node:util'
import type { Browser, Page, Route } from 'playwright-core'
import { type Mock, startMock } from './mock/server.ts'
import * as steps from './steps.ts'

const dashboard = join(import.meta.dirname, '..')
const patience = { timeout: 15_000 }

let browser: Browser
let folder: string
let mock: Mock
let page: Page
let errors: string[]

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wisp-dashboard-'))
  const vite = join(dashboard, '../node_modules/vite/bin/vite.js')
  await promisify(execFile)(process.execPath, [vite, 'build', '--outDir', join(folder, 'dist'), '--logLevel', 'error'], { cwd: dashboard })
  browser = await steps.openBrowser()
})

after(async () => {
  await browser?.close()
  await rm(folder, { recursive: true, force: true })
})

beforeEach(async () => {
  mock = await startMock({ page: join(folder, 'dist'), delay: 200 })
  const opened = await steps.openPage(browser)
  page = opened.page
  errors = opened.errors
})

afterEach(async () => {
  await page.context().close()
  await mock.close()
})

const demo = () => ({ url: mock.url, user: 'demo', password: 'demo-password' })

test('a server lives through its whole life, and every change shows without a reload', async () => {
  await steps.logIn(page, demo())
  await page.getByText('Live', { exact: true }).waitFor()
  await steps.liveThrough(page, 'one', { log: 'wisp-guest: ready' }, patience)
  assert.equal(mock.cloud.servers.size, 0)
  assert.deepEqual(errors, [])
})

test('without the event stream the page polls, and says so', async () => {
  await mock.close()
  mock = await startMock({ page: join(folder, 'dist'), delay: 200, stream: false })
  await steps.logIn(page, demo())
  await page.getByText('Checking', { exact: true }).waitFor()
  await steps.launchServer(page, 'polled')
  await steps.waitForStatus(page, 'Active', patience)
  assert.deepEqual(errors, [])
})

test('a wrong password is refused with cause and remedy, and the right one goes on to the page asked for', async () => {
  await page.goto(`${mock.url}/dashboard/servers?status=ACTIVE`)
  await steps.fillLogIn(page, 'demo', 'wrong')
  const problem = page.getByRole('alert')
  await problem.getByText('The request you have made requires authentication.').waitFor()
  await problem.getByText('Check the user name, the password and the domain.').waitFor()
  await steps.fillLogIn(page, 'demo', 'demo-password')
  await page.getByRole('heading', { name: 'Servers', level: 1 }).waitFor()
  assert.equal(new URL(page.url()).search, '?status=ACTIVE')
  await page.goBack()
  assert.equal(page.url(), 'about:blank')
})

test('an expired session asks to log in again and comes back to where it was', async () => {
  await steps.logIn(page, demo())
  await page.getByRole('link', { name: 'Networks', exact: true }).click()
  await page.getByRole('link', { name: 'private', exact: true }).waitFor()
  mock.cloud.tokens.clear()
  await page.getByRole('link', { name: 'private', exact: true }).click()
  await page.getByText('Your session has expired.').waitFor()
  await steps.fillLogIn(page, 'demo', 'demo-password')
  await page.getByRole('heading', { name: 'private', level: 1 }).waitFor()
  assert.deepEqual(errors, [])
})

test('a form that was being filled in when the session ran out is still there after logging in again', async () => {
  await steps.logIn(page, demo())
  await page.goto(`${mock.url}/dashboard/servers/launch`)
  await page.locator('#server-name').fill('half-done')
  await page.getByRole('button', { name: 'User data and config drive' }).click()
  await page.locator('#user-data').fill('#!/bin/sh')
  mock.cloud.tokens.clear()
  await page.getByRole('button', { name: /^Launch/ }).click()
  await page.getByText('Your session has expired.').waitFor()
  await steps.fillLogIn(page, 'demo', 'demo-password')
  await page.getByRole('button', { name: 'User data and config drive' }).click()
  assert.equal(await page.locator('#user-data').inputValue(), '#!/bin/sh')
  await page.getByRole('button', { name: /^Launch/ }).click()
  await page.getByRole('heading', { name: 'half-done', level: 1 }).waitFor()
  await page.goto(`${mock.url}/dashboard/servers/launch`)
  assert.equal(await page.locator('#server-name').inputValue(), '')
})

test('a launch that no host can take shows the fault as cause and remedy', async () => {
  await steps.logIn(page, demo())
  await steps.launchServer(page, 'huge', { flavor: 'm1.large' })
  await steps.waitForStatus(page, 'Error', patience)
  const fault = page.getByRole('alert')
  await fault.getByText('wanted 8192 MB, 5120 MB free').waitFor()
  await fault.getByText('Choose a smaller flavor').waitFor()
})

test('a launch beyond the quota is refused with the request id', async () => {
  await steps.logIn(page, demo())
  await steps.launchServer(page, 'many', { count: 11 })
  const problem = page.getByRole('alert')
  await problem.getByText(/^Quota exceeded for instances/).waitFor()
  await problem.getByText(/^req-/).waitFor()
})

test('filters, sorting and pages are in the address and survive a reload', async () => {
  await steps.logIn(page, demo())
  await steps.launchServer(page, 'row', { count: 4 })
  await page.getByRole('link', { name: 'row-4', exact: true }).waitFor()
  await page.goto(`${mock.url}/dashboard/servers?limit=3&sort=name&dir=asc`)
  await page.getByRole('link', { name: 'row-3', exact: true }).waitFor()
  assert.equal(await page.getByRole('link', { name: 'row-4', exact: true }).count(), 0)
  await page.getByRole('button', { name: 'Next' }).click()
  await page.getByRole('link', { name: 'row-4', exact: true }).waitFor()
  await page.getByRole('button', { name: 'Previous' }).click()
  await page.getByRole('link', { name: 'row-1', exact: true }).waitFor()
  await page.getByPlaceholder('Filter by name').fill('row-2')
  await page.getByRole('link', { name: 'row-1', exact: true }).waitFor({ state: 'detached' })
  await page.waitForURL(/name=row-2/)
  await page.reload()
  await page.getByRole('link', { name: 'row-2', exact: true }).waitFor()
  assert.equal(await page.getByRole('link', { name: /^row-/ }).count(), 1)
  await page.getByPlaceholder('Filter by name').fill('row.2(')
  await page.getByText('No server matches these filters').waitFor()
  await page.getByPlaceholder('Filter by name').fill('ow-3')
  await page.getByRole('link', { name: 'row-3', exact: true }).waitFor()
})

test('several servers are deleted together after a question that names them', async () => {
  await steps.logIn(page, demo())
  await steps.launchServer(page, 'bulk', { count: 3 })
  await page.getByRole('link', { name: 'bulk-3', exact: true }).waitFor()
  await page.getByRole('checkbox', { name: 'Select bulk-1' }).check()
  await page.getByRole('checkbox', { name: 'Select bulk-2' }).check()
  await page.getByRole('button', { name: /2 selected/ }).click()
  await page.getByRole('menuitem', { name: 'Delete' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByText('bulk-2').waitFor()
  await dialog.getByRole('button', { name: 'Delete', exact: true }).click()
  await page.getByRole('link', { name: 'bulk-1', exact: true }).waitFor({ state: 'detached' })
  await page.getByRole('link', { name: 'bulk-3', exact: true }).waitFor()
})

test('a disabled action says why', async () => {
  await steps.logIn(page, demo())
  await steps.launchServer(page, 'why')
  await steps.waitForStatus(page, 'Active', patience)
  await page.getByRole('button', { name: /^More actions/ }).click()
  const start = page.getByRole('menuitem', { name: /^Start/ })
  await start.getByText('Only a stopped server can be started').waitFor()
  assert.equal(await start.getAttribute('aria-disabled'), 'true')
})

test('the console in its own window needs no log-in, and its address works once', async () => {
  await steps.logIn(page, demo())
  await steps.launchServer(page, 'screen')
  await steps.waitForStatus(page, 'Active', patience)
  mock.cloud.consoles.add('one-time')
  const stranger = await steps.openPage(browser)
  await stranger.page.goto(`${mock.url}/dashboard/console?token=one-time&server=screen`)
  await stranger.page.getByText('Connected', { exact: true }).waitFor(patience)
  await stranger.page.reload()
  await stranger.page.getByText('the address has been used or has expired').waitFor(patience)
  await stranger.page.context().close()
})

test('the serial console shows what the guest says and sends it what is typed, and says why when it ends', async () => {
  await steps.logIn(page, demo())
  await steps.launchServer(page, 'serial')
  await steps.waitForStatus(page, 'Active', patience)
  await steps.openSerialConsole(page, patience)
  await page.locator('.wisp-terminal .xterm').click()
  await page.keyboard.type('grüß dich\n')
  await steps.waitForTerminal(page, 'guest heard: grüß dich', patience)
  await page.keyboard.type('poweroff\n')
  const lost = page.getByRole('alert')
  await lost.getByText('The server is not running.').waitFor(patience)
  await lost.getByRole('button', { name: 'Connect again' }).click()
  await page.getByText('Connected', { exact: true }).waitFor(patience)
  const own = page.context().waitForEvent('page')
  await page.getByRole('button', { name: 'Open in its own window' }).click()
  const ownWindow = await own
  await ownWindow.getByText('Connected', { exact: true }).waitFor(patience)
  await ownWindow.locator('.wisp-terminal .xterm').click()
  await ownWindow.keyboard.type('here\n')
  await steps.waitForTerminal(ownWindow, 'guest heard: here', patience)
  assert.deepEqual(errors, [])
})

test('what is typed before the serial console is connected arrives when it is', async () => {
  let connect = () => {}
  const typed = new Promise<void>((done) => {
    connect = done
  })
  // Open to the page only when this is done.
  await page.routeWebSocket(/console\/v1\/serial/, async (socket) => {
    await typed
    socket.connectToServer()
  })
  await steps.logIn(page, demo())
  await steps.launchServer(page, 'early')
  await steps.waitForStatus(page, 'Active', patience)
  await steps.openTab(page, 'Serial console')
  await page.locator('.wisp-terminal .xterm').click(patience)
  await page.keyboard.type('early bird\n')
  assert.equal(await page.getByText('Connected', { exact: true }).count(), 0)
  connect()
  await steps.waitForTerminal(page, 'guest heard: early bird', patience)
  assert.deepEqual(errors, [])
})

test('a generated private key is handed over once, as a file', async () => {
  await steps.logIn(page, demo())
  await page.getByRole('link', { name: 'Key pairs', exact: true }).first().click()
  await page.getByRole('button', { name: 'Create key pair' }).first().click()
  const dialog = page.getByRole('dialog')
  await dialog.locator('#key-name').fill('mine')
  await dialog.getByRole('button', { name: 'Create', exact: true }).click()
  const download = page.waitForEvent('download')
  await dialog.getByRole('button', { name: 'Download mine.pem' }).click()
  const file = await download
  assert.equal(file.suggestedFilename(), 'mine.pem')
  assert.match(await readFile(await file.path(), 'utf8'), /^-----BEGIN PRIVATE KEY-----/)
  await dialog.getByRole('button', { name: 'I have saved it' }).click()
  await page
    .getByRole('gridcell', { name: 'mine' })
    .or(page.getByRole('cell', { name: 'mine' }))
    .first()
    .waitFor()
})

test('an image is uploaded, seen and deleted', async () => {
  const path = join(folder, 'other.qcow2')
  await writeFile(path, Buffer.concat([Buffer.from([0x51, 0x46, 0x49, 0xfb]), Buffer.alloc(300_000)]))
  await steps.logIn(page, demo())
  await page.getByRole('link', { name: 'Images', exact: true }).first().click()
  await page.getByRole('button', { name: 'Create image' }).click()
  await page.locator('input[type=file]').setInputFiles(path)
  const dialog = page.getByRole('dialog')
  await dialog.locator('#image-name[value=other]').waitFor()
  await dialog.getByRole('button', { name: 'Upload image' }).click()
  await page.getByRole('heading', { name: 'other', level: 1 }).waitFor()
  const image = [...mock.cloud.images.values()].find(({ name }) => name === 'other')
  assert.equal(image?.size, 300_004)
  assert.equal(image?.disk_format, 'qcow2')
})

test('an image is fetched from the web by the cloud; one that it cannot reach says why', async () => {
  await steps.logIn(page, demo())
  const importFrom = async (name: string, address: string) => {
    await page.goto(`${mock.url}/dashboard/images`)
    await page.getByRole('button', { name: 'Create image' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByRole('radio', { name: 'An address on the web' }).check()
    await dialog.getByRole('textbox', { name: 'Address' }).fill(address)
    await dialog.locator('#image-name').fill(name)
    await dialog.getByRole('button', { name: 'Import image' }).click()
    await page.getByRole('heading', { name, level: 1 }).waitFor()
  }
  await importFrom('fetched', 'https://images.example/debian.qcow2')
  await page.locator('.wisp-title-line').getByText('Ready').waitFor()
  assert.equal([...mock.cloud.images.values()].find(({ name }) => name === 'fetched')?.disk_format, 'qcow2')
  await importFrom('lost', 'https://nowhere.example/debian.raw')
  const problem = page.getByRole('alert')
  await problem.getByText('could not be reached').waitFor()
  await problem.getByText('Check that the address is right').waitFor()
  assert.deepEqual(errors, [])
})

test('what a cloud does not offer is said, and not shown as a fault', async () => {
  await steps.logIn(page, demo())
  await page.getByRole('link', { name: 'Application credentials', exact: true }).click()
  await page.getByText('This cloud does not offer this yet').waitFor()
  assert.equal(await page.getByRole('alert').count(), 0)
})

test('a network with a subnet and a security group with a rule', async () => {
  await steps.logIn(page, demo())
  await page.getByRole('link', { name: 'Networks', exact: true }).click()
  await page.getByRole('button', { name: 'Create network' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.locator('#network-name').fill('second')
  await dialog.locator('#cidr').fill('10.9.0.0/24')
  await dialog.getByRole('button', { name: 'Create', exact: true }).click()
  await page.getByText('10.9.0.0/24').waitFor()
  await page.getByRole('link', { name: 'Security groups', exact: true }).click()
  await page.getByRole('link', { name: 'default', exact: true }).click()
  await page.getByRole('button', { name: 'Add rule' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Add rule' }).click()
  await page.getByRole('row', { name: /TCP 22/ }).waitFor()
  assert.ok([...mock.cloud.rules.values()].some(({ protocol, port_range_min }) => protocol === 'tcp' && port_range_min === 22))
})

test('administrators see the hypervisors and the servers of all projects, others do not', async () => {
  await steps.logIn(page, demo())
  assert.equal(await page.getByRole('link', { name: 'Hypervisors' }).count(), 0)
  await steps.launchServer(page, 'of-demo')
  await steps.logOut(page)
  await steps.fillLogIn(page, 'admin', 'admin-password')
  await steps.chooseProject(page, 'admin')
  await page.getByRole('link', { name: 'Hypervisors' }).click()
  await page.getByText('192.0.2.11').waitFor()
  await page.getByRole('link', { name: 'Servers', exact: true }).click()
  await page.getByText('All projects').click()
  await page.getByRole('link', { name: 'of-demo', exact: true }).waitFor()
  assert.deepEqual(errors, [])
})

test('language and appearance can be changed and are remembered', async () => {
  await steps.logIn(page, demo())
  await page.getByRole('button', { name: 'Language' }).click()
  await page.getByRole('menuitem', { name: '中文' }).click()
  await page.getByRole('heading', { name: '概览' }).waitFor()
  await page.getByRole('button', { name: /^用户/ }).click()
  await page.getByRole('menuitem', { name: '深色' }).click()
  await page.locator('html.pf-v6-theme-dark').waitFor()
  await page.reload()
  await page.getByRole('heading', { name: '概览' }).waitFor()
  assert.equal(await page.locator('html.pf-v6-theme-dark').count(), 1)
})

/** Holds back what the page posts to this address until it is let go, and counts it. */
async function holdPosts(address: string): Promise<{ count: () => number; letGo: () => void }> {
  let posts = 0
  let letGo = () => {}
  const held = new Promise<void>((resolve) => {
    letGo = resolve
  })
  await page.route(address, async (route: Route) => {
    if (route.request().method() === 'POST') {
      posts += 1
      await held
    }
    await route.fallback()
  })
  return { count: () => posts, letGo }
}

test('what is sent by a double click, or by Enter twice, is made once', async () => {
  await steps.logIn(page, demo())
  await page.getByRole('link', { name: 'Security groups', exact: true }).click()
  await page.getByRole('button', { name: 'Create security group' }).click()
  await page.locator('#group-name').fill('once')
  const groups = await holdPosts('**/network/v2.0/security-groups')
  await page.getByRole('dialog').getByRole('button', { name: 'Create', exact: true }).dblclick()
  groups.letGo()
  await page.getByRole('heading', { name: 'once', level: 1 }).waitFor()
  assert.equal(groups.count(), 1)
  await page.goto(`${mock.url}/dashboard/servers/launch`)
  await page.locator('#server-name').fill('single')
  const servers = await holdPosts('**/compute/v2.1/servers')
  await page.locator('#server-name').press('Enter')
  await page.locator('#server-name').press('Enter')
  servers.letGo()
  await page.getByRole('heading', { name: 'single', level: 1 }).waitFor()
  assert.equal(servers.count(), 1)
  assert.deepEqual(errors, [])
})

test('a private key that is on its way is handed over, whatever is pressed meanwhile', async () => {
  await steps.logIn(page, demo())
  await page.getByRole('link', { name: 'Key pairs', exact: true }).first().click()
  await page.getByRole('button', { name: 'Create key pair' }).first().click()
  await page.locator('#key-name').fill('my key')
  const pairs = await holdPosts('**/compute/v2.1/os-keypairs')
  const dialog = page.getByRole('dialog')
  await dialog.getByRole('button', { name: 'Create', exact: true }).click()
  await page.keyboard.press('Escape')
  assert.equal(await dialog.getByRole('button', { name: 'Cancel' }).isDisabled(), true)
  pairs.letGo()
  await dialog.getByText("chmod 600 'my key.pem'").waitFor()
})

test('a form that was closed while its answer was late leaves the next one alone, and the person where they are', async () => {
  await steps.logIn(page, demo())
  await page.getByRole('link', { name: 'Security groups', exact: true }).click()
  const create = page.getByRole('button', { name: 'Create security group' })
  await create.click()
  await page.locator('#group-name').fill('late')
  const groups = await holdPosts('**/network/v2.0/security-groups')
  await page.getByRole('dialog').getByRole('button', { name: 'Create', exact: true }).click()
  await page.keyboard.press('Escape')
  await create.click()
  await page.locator('#group-name').fill('next')
  groups.letGo()
  await page.getByRole('row', { name: /late/, includeHidden: true }).waitFor()
  assert.equal(await page.locator('#group-name').inputValue(), 'next')
  await page.keyboard.press('Escape')
  // What had the focus before a dialog has it again: the menu's button, because the menu is gone.
  const menu = page.getByRole('button', { name: 'More actions: late' })
  await menu.click()
  await page.getByRole('menuitem', { name: 'Delete' }).click()
  await page.getByRole('dialog').waitFor()
  await page.keyboard.press('Escape')
  await page.waitForFunction(() => document.activeElement?.getAttribute('aria-label') === 'More actions: late')
})

test('names without a blank, or none at all, break no page, on a screen and on a telephone', async () => {
  const long = 'W'.repeat(255)
  const nameless = { id: 'nameless', name: '', description: '', project_id: mock.cloud.projects[1]?.id }
  mock.cloud.groups.set('nameless', nameless)
  mock.cloud.groups.set('long', { ...nameless, id: 'long', name: long, description: long })
  mock.cloud.keyPairs.set(long, {
    name: long,
    fingerprint: '17:8b:1e:54:2f:f2:48:54:de:16:8f:7b:95:b7:00:97',
    public_key: 'ssh-rsa A',
    type: 'ssh',
  })
  for (const network of mock.cloud.networks.values()) network.name = long
  for (const subnet of mock.cloud.subnets.values()) subnet.name = long
  for (const image of mock.cloud.images.values())
    Object.assign(image, { name: long, tags: Array.from({ length: 30 }, (_, n) => `tag-${n}`) })
  await steps.logIn(page, demo())
  await page.evaluate(() => localStorage.setItem('wisp.language', 'zh'))
  const network = [...mock.cloud.networks.keys()][0]
  const image = [...mock.cloud.images.keys()][0]
  const pages: [number, string[]][] = [
    [1440, ['security-groups', 'key-pairs', `networks/${network}`, 'images']],
    [390, ['security-groups/long', 'servers/launch']],
  ]
  for (const [width, paths] of pages) {
    await page.setViewportSize({ width, height: 844 })
    for (const path of paths) {
      await page.goto(`${mock.url}/dashboard/${path}`)
      await page.getByText(long).first().waitFor()
      const [wide, room] = await page.locator('#main').evaluate((main) => [main.scrollWidth, main.clientWidth])
      assert.ok(wide !== undefined && room !== undefined && wide <= room, `${path} is ${wide} wide and has ${room}, on a page of ${width}`)
    }
  }
  await page.getByRole('checkbox', { name: 'nameless' }).waitFor()
  await page.goto(`${mock.url}/dashboard/images/${image}`)
  await page.getByRole('button', { name: '另外 10 个' }).click()
  await page.getByText('tag-29', { exact: true }).waitFor()
  await page
    .locator('.wisp-page-actions')
    .getByRole('button', { name: /^更多操作/ })
    .click()
  await page.getByRole('menuitem', { name: '下载' }).click()
  const close = page.getByRole('dialog').getByRole('button', { name: '关闭', exact: true })
  await close.nth(1).waitFor()
  await close.first().click()
  assert.deepEqual(errors, [])
})
