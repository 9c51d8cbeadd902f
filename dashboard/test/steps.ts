// What a person does on the page, step by step, for the tests: the same steps run against the imitated cloud here and against a real one in test/e2e.
import { type Browser, chromium, type Page } from 'playwright-core'

export type Place = { url: string; user: string; password: string; domain?: string }

/** How long a step may take at most, ms; a real server under software emulation needs its time. */
export type Patience = { timeout: number }

export async function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}

/** A page in English that gathers what went wrong in it: exceptions and console errors, for the test to look at in the end. */
export async function openPage(
  browser: Browser,
  options: { dark?: boolean; locale?: string; width?: number; anyCertificate?: boolean } = {},
): Promise<{ page: Page; errors: string[] }> {
  const context = await browser.newContext({
    locale: options.locale ?? 'en-GB',
    colorScheme: options.dark === true ? 'dark' : 'light',
    viewport: { width: options.width ?? 1440, height: 900 },
    acceptDownloads: true,
    ignoreHTTPSErrors: options.anyCertificate === true,
  })
  context.setDefaultTimeout(15_000)
  const page = await context.newPage()
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(String(error)))
  // The browser itself logs each refused request; refusals are part of the tests.
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) errors.push(message.text())
  })
  return { page, errors }
}

export async function logIn(page: Page, { url, user, password, domain }: Place): Promise<void> {
  await page.goto(`${url}/dashboard/`)
  await fillLogIn(page, user, password, domain)
  await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor()
}

export async function fillLogIn(page: Page, user: string, password: string, domain?: string): Promise<void> {
  await page.getByLabel('User name').fill(user)
  await page.getByLabel('Password', { exact: true }).fill(password)
  if (domain !== undefined) {
    await page.getByRole('button', { name: /^Domain/ }).click()
    await page.getByLabel('Domain').fill(domain)
  }
  await page.getByRole('button', { name: 'Log in' }).click()
}

/** Switches to the project of that name, if it isn't the present one. */
export async function chooseProject(page: Page, name: string): Promise<void> {
  const menu = page.getByRole('button', { name: /^Project: / })
  if ((await menu.textContent())?.includes(name) === true) return
  await menu.click()
  await page.getByRole('menuitem', { name, exact: true }).click()
  await page.getByRole('button', { name: `Project: ${name}` }).waitFor()
}

/** Launches a server with what the form offers by itself; ends on the server's own page. */
export async function launchServer(
  page: Page,
  name: string,
  choose: { image?: string; flavor?: string; count?: number } = {},
): Promise<void> {
  await page.getByRole('link', { name: 'Servers', exact: true }).click()
  await page.getByRole('button', { name: 'Launch server' }).first().click()
  await page.locator('#server-name').fill(name)
  if (choose.image !== undefined) await page.getByRole('radio', { name: choose.image }).check({ force: true })
  if (choose.flavor !== undefined) await page.getByRole('radio', { name: choose.flavor }).check({ force: true })
  if (choose.count !== undefined) await page.getByRole('spinbutton', { name: 'Number of servers' }).fill(String(choose.count))
  await page.getByRole('button', { name: /^Launch/ }).click()
  if ((choose.count ?? 1) === 1) await page.getByRole('heading', { name, level: 1 }).waitFor()
}

/** On a server's page: waits for its status to become this, without reloading. */
export async function waitForStatus(page: Page, status: string, { timeout }: Patience): Promise<void> {
  await page.locator('.wisp-title-line .wisp-status', { hasText: new RegExp(`^${status}$`) }).waitFor({ timeout })
}

export async function openTab(page: Page, name: string): Promise<void> {
  await page.getByRole('tab', { name, exact: true }).click()
}

/** On a server's page: waits until its console log contains this. */
export async function waitForLog(page: Page, text: string | RegExp, { timeout }: Patience): Promise<void> {
  await openTab(page, 'Console log')
  await page.getByRole('log').filter({ hasText: text }).waitFor({ timeout })
}

/** On a server's page: opens its VNC console and waits for the connection. */
export async function openConsole(page: Page, { timeout }: Patience): Promise<void> {
  await openTab(page, 'Console')
  // Of this console: the one that was left may still be shown for a moment.
  const screen = page.locator('.wisp-screen').filter({ hasNot: page.locator('.wisp-terminal') })
  await screen.getByText('Connected', { exact: true }).waitFor({ timeout })
  await page.locator('.wisp-screen-place canvas').waitFor({ timeout })
}

/** Who may sign in at a guest's serial port. */
export type SignIn = { user: string; password: string }

/** On a server's page: opens its serial console. */
export async function openSerialConsole(page: Page, patience: Patience): Promise<void> {
  await openTab(page, 'Serial console')
  const screen = page.locator('.wisp-screen').filter({ has: page.locator('.wisp-terminal') })
  await screen.getByText('Connected', { exact: true }).waitFor(patience)
}

/** At an open serial console: waits until the terminal shows this. */
export async function waitForTerminal(page: Page, text: string | RegExp, { timeout }: Patience): Promise<void> {
  await page.locator('.wisp-terminal .xterm-rows').filter({ hasText: text }).waitFor({ timeout })
}

/** At an open serial console of a guest that shows its log-in prompt: signs in, has the shell work something out, reads the answer, signs out. */
export async function signInAtTerminal(page: Page, { user, password }: SignIn, patience: Patience): Promise<void> {
  await page.locator('.wisp-terminal .xterm').click()
  await page.keyboard.press('Enter')
  await waitForTerminal(page, 'login:', patience)
  await page.keyboard.type(`${user}\n`)
  await waitForTerminal(page, 'Password:', patience)
  await page.keyboard.type(`${password}\n`)
  await waitForTerminal(page, '$', patience)
  await page.keyboard.type('echo the answer is $((6 * 7))\n')
  await waitForTerminal(page, 'the answer is 42', patience)
  await page.keyboard.type('exit\n')
}

/** On the page of a server, an image or the like: chooses one of its actions, and confirms where it asks. */
export async function act(page: Page, action: string, confirm?: string): Promise<void> {
  await page
    .locator('.wisp-page-actions')
    .getByRole('button', { name: /^More actions/ })
    .click()
  await page.getByRole('menuitem', { name: action, exact: true }).click()
  if (confirm !== undefined) await page.getByRole('dialog').getByRole('button', { name: confirm, exact: true }).click()
}

/** On a server's page: deletes it and waits until the list no longer shows it. */
export async function deleteServer(page: Page, name: string, { timeout }: Patience): Promise<void> {
  await act(page, 'Delete', 'Delete')
  await page.getByRole('heading', { name: 'Servers', level: 1 }).waitFor()
  await page.getByRole('link', { name, exact: true }).waitFor({ state: 'detached', timeout })
}

export async function logOut(page: Page): Promise<void> {
  await page.getByRole('button', { name: /^User: / }).click()
  await page.getByRole('menuitem', { name: 'Log out' }).click()
  await page.getByRole('heading', { name: 'Log in' }).waitFor()
}

type Life = { log: string | RegExp; flavor?: string; signIn?: SignIn | undefined }

/** The whole life of a server as a person sees it: launch, watch it become active, read its log, see its screen, sign in, stop, start, delete. */
export async function liveThrough(page: Page, name: string, { log, flavor, signIn }: Life, patience: Patience): Promise<void> {
  await launchServer(page, name, flavor === undefined ? {} : { flavor })
  await waitForStatus(page, 'Active', patience)
  await waitForLog(page, log, patience)
  await openConsole(page, patience)
  await openSerialConsole(page, patience)
  if (signIn !== undefined) await signInAtTerminal(page, signIn, patience)
  await openTab(page, 'Timeline')
  await page.getByRole('heading', { name: 'Launched' }).waitFor(patience)
  await act(page, 'Stop', 'Stop')
  await waitForStatus(page, 'Stopped', patience)
  await act(page, 'Start')
  await waitForStatus(page, 'Active', patience)
  await deleteServer(page, name, patience)
}
