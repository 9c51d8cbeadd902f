// An OpenID Connect provider and a browser, for tests.
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import Provider, { type Configuration } from 'oidc-provider'

const people: Record<string, object> = {
  jane: { preferred_username: 'jane', email: 'jane@acme.example', groups: ['developers', 'testers'] },
  joe: { preferred_username: 'joe', email: 'joe@acme.example', groups: [] },
}
export const clientSecret = 'a-secret-that-is-long-enough-for-a-client'

/** Signs in whoever `person` is at that moment, without asking. */
export async function startOpenidProvider(redirect: string) {
  const state = { person: 'jane' }
  const server = http.createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const client = (client_id: string) => ({ client_id, client_secret: clientSecret, redirect_uris: [redirect, `${issuer}/catch`] })
  const settings: Configuration = {
    clients: [client('wisp'), client('other')],
    claims: { openid: ['sub'], profile: ['preferred_username', 'groups'], email: ['email'] },
    conformIdTokenClaims: false,
    features: { devInteractions: { enabled: false }, introspection: { enabled: true } },
    pkce: { required: () => true },
    findAccount: (_ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId, ...people[accountId] }) }),
    async loadExistingGrant(ctx) {
      const { client: asking, session, provider } = ctx.oidc
      const grant = new provider.Grant({ clientId: asking!.clientId, accountId: session!.accountId! })
      grant.addOIDCScope('openid profile email')
      await grant.save()
      return grant
    },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    cookies: { keys: ['test'] },
  }
  const provider = new Provider(issuer, settings)
  const callback = provider.callback()
  server.on('request', (request, response) => {
    if (!request.url?.startsWith('/interaction/')) return callback(request, response)
    return void provider.interactionFinished(request, response, { login: { accountId: state.person } })
  })
  return { issuer, state, end: () => new Promise((ended) => server.close(ended).closeAllConnections()) }
}

/** A browser that keeps cookies and follows redirects until it is shown a page, or is sent to `stop`. */
export function browser() {
  const jars = new Map<string, Map<string, string>>()
  return async (address: string, stop = 'nowhere:'): Promise<{ status: number; text: string; url: string; headers: Headers }> => {
    let url = address
    for (let i = 0; i < 20; i++) {
      const { host, pathname } = new URL(url)
      const jar = jars.get(host) ?? new Map<string, string>()
      jars.set(host, jar)
      const fitting = [...jar].filter(([name]) => pathname.startsWith(name.split(' ')[1]!))
      const cookie = fitting.map(([name, value]) => `${name.split(' ')[0]}=${value}`).join('; ')
      const response = await fetch(url, { redirect: 'manual', headers: { accept: 'text/html', cookie } })
      for (const line of response.headers.getSetCookie()) {
        const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!
        jar.set(`${name} ${/path=([^;]+)/i.exec(line)?.[1] ?? '/'}`, value!)
      }
      const location = response.headers.get('location')
      if (!location) return { status: response.status, text: await response.text(), url, headers: response.headers }
      url = new URL(location, url).href
      if (url.startsWith(stop)) return { status: response.status, text: '', url, headers: response.headers }
    }
    throw new Error('The browser went round in circles')
  }
}
