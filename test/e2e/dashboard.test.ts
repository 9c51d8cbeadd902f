// The web page in real Chromium against a running cloud: the same steps as dashboard/test runs against the imitated one. With WISP_URL in the
// environment it is that cloud, and who logs in comes from there, too; else a cloud is started (or shared, see cloud.ts).
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Browser } from 'playwright-core'
import * as steps from '../../dashboard/test/steps.ts'
import { type Cloud, startCloud } from './cloud.ts'
import { patience as seconds } from './run-program.ts'

// Without KVM a guest takes its time.
const patience = { timeout: seconds * 1000 }
// What the guest prints once it is up; Wisp's own guest image ends with its log-in prompt.
const ready = new RegExp(process.env.WISP_E2E_LOG ?? 'login:')

let browser: Browser | undefined
let cloud: Cloud | undefined

before(async () => {
  if (process.env.WISP_URL === undefined) cloud = await startCloud()
  browser = await steps.openBrowser()
})

after(async () => {
  await browser?.close()
  await cloud?.stop()
})

test('a person logs in, launches a server, reads its console, signs in at its serial port, stops, starts and deletes it', async () => {
  assert.ok(browser !== undefined)
  const { page, errors } = await steps.openPage(browser)
  page.setDefaultTimeout(patience.timeout)
  const login: NodeJS.ProcessEnv = cloud?.demo.env ?? process.env
  const domain = login.OS_USER_DOMAIN_NAME
  const place = { url: cloud?.url ?? process.env.WISP_URL!, user: login.OS_USERNAME ?? 'demo', password: login.OS_PASSWORD ?? '' }
  await steps.logIn(page, domain === undefined || domain === 'Default' ? place : { ...place, domain })
  if (login.OS_PROJECT_NAME !== undefined) await steps.chooseProject(page, login.OS_PROJECT_NAME)
  // Of Wisp's own guest image; another cloud's guests may have other users.
  const signIn = cloud === undefined ? undefined : { user: 'cirros', password: 'gocubsgo' }
  await steps.liveThrough(page, `dashboard-${process.pid}`, { log: ready, flavor: 'm1.nano', signIn }, patience)
  await steps.logOut(page)
  assert.deepEqual(errors, [])
})
