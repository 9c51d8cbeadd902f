// The web page in real Chromium against a running cloud: the same steps as dashboard/test runs against the imitated one. Where the cloud is and who
// logs in comes from the environment; without WISP_URL there is no cloud to test and the test is skipped.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Browser } from 'playwright-core'
import * as steps from '../../dashboard/test/steps.ts'

const url = process.env.WISP_URL
const user = process.env.OS_USERNAME ?? 'demo'
const password = process.env.OS_PASSWORD ?? ''
const domain = process.env.OS_USER_DOMAIN_NAME
const project = process.env.OS_PROJECT_NAME
// Without KVM a guest takes its time.
const patience = { timeout: Number(process.env.WISP_E2E_TIMEOUT ?? 120) * 1000 }
// What the guest prints once it is up; Wisp's own guest image ends with its log-in prompt.
const ready = new RegExp(process.env.WISP_E2E_LOG ?? 'login:')
const skip = url === undefined ? 'WISP_URL names no running cloud' : false

let browser: Browser | undefined

before(async () => {
  if (!skip) browser = await steps.openBrowser()
})

after(async () => {
  await browser?.close()
})

test('a person logs in, launches a server, reads its console, stops, starts and deletes it', { skip }, async () => {
  assert.ok(browser !== undefined && url !== undefined)
  const { page, errors } = await steps.openPage(browser)
  const place = domain === undefined || domain === 'Default' ? { url, user, password } : { url, user, password, domain }
  await steps.logIn(page, place)
  if (project !== undefined) await steps.chooseProject(page, project)
  await steps.liveThrough(page, `dashboard-${process.pid}`, ready, patience, 'm1.nano')
  await steps.logOut(page)
  assert.deepEqual(errors, [])
})
