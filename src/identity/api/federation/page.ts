// The few pages that people see on their way through an identity provider: each does one thing by itself and has a button where scripts are off.
import { randomBytes } from 'node:crypto'
import { Fault } from '../../../http/fault.ts'
import type { Call } from '../../../http/table.ts'

type Answers = Pick<Call, 'header' | 'status' | 'headers'>

export const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`)

function page(
  call: Answers,
  { title, body, script = '', formAction = "'none'" }: Record<'title' | 'body', string> & { script?: string; formAction?: string },
) {
  const nonce = randomBytes(16).toString('base64')
  const policy = `default-src 'none'; script-src 'nonce-${nonce}'; form-action ${formAction}; frame-ancestors 'none'; base-uri 'none'`
  call.header('content-type', 'text/html; charset=utf-8')
  call.header('content-security-policy', policy)
  call.header('cache-control', 'no-store')
  call.header('referrer-policy', 'no-referrer')
  call.header('x-content-type-options', 'nosniff')
  const scripted = script && `<script nonce="${nonce}">${script}</script>`
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escaped(title)}</title></head><body>${body}${scripted}</body></html>\n`
}

/** A form that posts itself, as keystone's sso_callback_template does. */
export function postingPage(call: Answers, address: string, fields: Record<string, string>): string {
  const inputs = Object.entries(fields).map(([name, value]) => `<input type="hidden" name="${escaped(name)}" value="${escaped(value)}">`)
  return page(call, {
    title: 'Signing in',
    body: `<form name="sso" method="post" action="${escaped(address)}">${inputs.join('')}<button type="submit">Go on</button></form>`,
    script: 'document.sso.submit()',
    formAction: new URL(address).origin,
  })
}

/** Hands the token to the dashboard of this cloud, which lives at the same origin, without an address or a request that bears it. */
export function ownDashboardPage(call: Answers, token: string): string {
  return page(call, {
    title: 'Signing in',
    body: `<p data-token="${escaped(token)}">Signed in. The dashboard needs JavaScript.</p>`,
    script: "sessionStorage.setItem('wisp.websso',document.querySelector('p').dataset.token);location.replace('/dashboard/login')",
  })
}

/** Where several identity providers speak the protocol, the person chooses. */
export function choicePage(call: Answers, choices: { name: string; address: string }[]): string {
  const links = choices.map(({ name, address }) => `<li><a href="${escaped(address)}">${escaped(name)}</a></li>`)
  return page(call, { title: 'Sign in', body: `<h1>Sign in with</h1><ul>${links.join('')}</ul>` })
}

/** Faults as a page for browsers, and as they are for others. */
export async function forPeople(call: Answers, run: () => Promise<unknown>): Promise<unknown> {
  try {
    return await run()
  } catch (error) {
    if (!(error instanceof Fault) || !call.headers.accept?.includes('text/html')) throw error
    call.status(error.status)
    const body = `<h1>You could not be signed in</h1><p>${escaped(error.message)}</p><p><a href="/dashboard/login">Back to the log-in page</a></p>`
    return page(call, { title: 'Not signed in', body })
  }
}
