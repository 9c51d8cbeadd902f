// An upload that is cut off goes on where it was, in real Chromium against a cloud of its own: the controller is killed halfway, the page is
// closed halfway, someone pauses. In the end the image is what the file was, and no byte that had arrived was sent twice.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import * as steps from '../../dashboard/test/steps.ts'
import { programPids } from '../../src/start/supervisor.ts'
import { type Cloud, startCloud } from './cloud.ts'
import { patience, until } from './run-program.ts'

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-e2e-upload-'))
const size = 32 << 20
const sha256 = (data: Buffer) => createHash('sha256').update(data).digest('hex')

interface Image {
  id: string
  status: string
  os_hash_value: string
}

let cloud: Cloud
let browser: Browser

before(async () => {
  cloud = await startCloud({ own: true, settings: { WISP_GUEST_IMAGE: 'off' } })
  browser = await steps.openBrowser()
})
after(async () => {
  await browser?.close()
  await cloud?.stop()
  fs.rmSync(folder, { recursive: true, force: true })
})

function fileOf(name: string, bits: Buffer): string {
  const file = path.join(folder, `${name}.raw`)
  fs.writeFileSync(file, bits)
  return file
}

/** Someone who is logged in, over a line that can be made so slow that there is a halfway; and the first bytes of the pieces that the page sends. */
async function open(): Promise<{ page: Page; line: (slow: boolean) => Promise<void>; begun: number[]; errors: string[] }> {
  const { page, errors } = await steps.openPage(browser)
  page.setDefaultTimeout(patience * 1000)
  await steps.logIn(page, { url: cloud.url, user: cloud.demo.env.OS_USERNAME!, password: cloud.demo.env.OS_PASSWORD! })
  const network = await page.context().newCDPSession(page)
  const line = async (slow: boolean) => {
    const uploadThroughput = slow ? 1 << 20 : -1
    await network.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput })
  }
  await line(true)
  const begun: number[] = []
  page.on('request', (request) => {
    const range = request.method() === 'PUT' ? request.headers()['content-range'] : undefined
    if (range) begun.push(Number(/^bytes (\d+)-/.exec(range)![1]))
  })
  return { page, line, begun, errors }
}

async function upload(page: Page, file: string): Promise<void> {
  await page.goto(`${cloud.url}/dashboard/images`)
  await page.getByRole('button', { name: 'Create image' }).first().click()
  await page.locator('input[type=file]').setInputFiles(file)
  await page.getByRole('dialog').getByRole('button', { name: 'Upload image' }).click()
}

const find = async (name: string) => (await cloud.demo.ask<{ images: Image[] }>('GET', `image/v2/images?name=${name}`)).images[0]

/** How much of an image the cloud has. */
async function arrived(name: string): Promise<number> {
  const image = await find(name)
  if (image?.status !== 'uploading') return 0
  return (await cloud.demo.ask<{ size: number }>('GET', `image/v2/images/${image.id}/stage`)).size
}
const halfway = (name: string) => until(async () => (await arrived(name)) > size / 4, `a part of ${name} has arrived`, patience)

async function isWhole(page: Page, name: string, bits: Buffer): Promise<void> {
  await page.getByRole('heading', { name, level: 1 }).waitFor()
  await page.locator('.wisp-title-line').getByText('Ready').waitFor()
  assert.equal((await find(name))!.os_hash_value, sha256(bits))
}

test('the controller dies halfway: the upload goes on by itself, from where it was', async () => {
  const bits = randomBytes(size)
  const { page, line, begun } = await open()
  await upload(page, fileOf('killed', bits))
  await halfway('killed')
  process.kill(programPids(cloud.home, 'controller')[0]!, 'SIGKILL')
  await page.getByRole('dialog').getByRole('alert').getByText('What has arrived is kept').waitFor()
  await line(false)
  await isWhole(page, 'killed', bits)
  assert.equal(begun[0], 0)
  assert.ok(begun.length > 1 && begun.at(-1)! > size / 5, `went on at ${begun.slice(1)}`)
  await page.context().close()
})

test('the page is closed halfway: the same file goes on from there, another one is recognised', async () => {
  const bits = randomBytes(size)
  const first = await open()
  await upload(first.page, fileOf('closed', bits))
  await halfway('closed')
  await first.page.context().close()

  const { page, line, begun, errors } = await open()
  await line(false)
  await page.goto(`${cloud.url}/dashboard/images`)
  await page.getByRole('link', { name: 'closed', exact: true }).click()
  await page.getByText('They are kept until').waitFor()
  await page.getByRole('button', { name: 'Go on with the upload' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.locator('input[type=file]').setInputFiles(fileOf('other', Buffer.concat([bits.subarray(0, 1000), randomBytes(size - 1000)])))
  await dialog.getByRole('button', { name: 'Go on with the upload' }).click()
  await dialog.getByText('This is not the file that was begun').waitFor()
  assert.deepEqual(begun, [])
  await dialog.locator('input[type=file]').setInputFiles(path.join(folder, 'closed.raw'))
  await dialog.getByRole('button', { name: 'Go on with the upload' }).click()
  await isWhole(page, 'closed', bits)
  assert.ok(begun.length === 1 && begun[0]! > size / 5, `went on at ${begun}`)
  assert.deepEqual(errors, [])
  await page.context().close()
})

test('an upload can be paused, closed and discarded', async () => {
  const bits = randomBytes(size)
  const { page, line, begun, errors } = await open()
  await upload(page, fileOf('paused', bits))
  await halfway('paused')
  const dialog = page.getByRole('dialog')
  await dialog.getByText(/iB\/s · .* left/).waitFor()
  await dialog.getByRole('button', { name: 'Pause' }).click()
  await dialog.getByText(/^Paused/).waitFor()
  const there = await arrived('paused')
  await line(false)
  await dialog.getByRole('button', { name: 'Go on' }).click()
  await isWhole(page, 'paused', bits)
  assert.ok(begun.length === 2 && begun[1]! >= there, `went on at ${begun[1]} of ${there}`)

  await line(true)
  await upload(page, fileOf('kept', bits))
  await halfway('kept')
  await page.keyboard.press('Escape')
  await page.getByRole('button', { name: 'Go on with the upload' }).waitFor()

  await upload(page, fileOf('discarded', bits))
  await halfway('discarded')
  await dialog.getByRole('button', { name: 'Stop and discard' }).click()
  await until(async () => (await find('discarded')) === undefined, 'the image is gone', patience)
  assert.deepEqual(errors, [])
  await page.context().close()
})
