// SAML: this cloud vouching for its users to another (here to itself), and a provider's assertions, right and wrong in each way that matters.
import assert from 'node:assert/strict'
import { generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { inflateRawSync } from 'node:zlib'
import { SignedXml } from 'xml-crypto'
import { selfSigned } from '../../control/federation/certificate.ts'
import { type Json, password, passwords, type TestCloud, testCloud } from '../../testing.ts'

const exclusive = 'http://www.w3.org/2001/10/xml-exc-c14n#'
const entity = 'https://idp.acme.example'
const newKey = () => {
  const privateKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  return { privateKey, certificate: selfSigned(privateKey, 'acme', new Date(), new Date(Date.now() + 86_400_000)) }
}
const acme = newKey()

interface Said {
  issuer?: string
  recipient: string
  audience: string | null
  answers?: string
  until?: number
  id?: string
  key?: typeof acme
  attributes?: Record<string, string[]>
}

/** What a provider would post; the caller says what is wrong with it. */
function respond({
  issuer = entity,
  recipient,
  audience,
  answers,
  until = Date.now() + 60_000,
  id = `_${randomBytes(8).toString('hex')}`,
  key = acme,
  attributes = {},
}: Said): string {
  const now = new Date().toISOString()
  const answer = answers === undefined ? '' : ` InResponseTo="${answers}"`
  const conditions =
    audience === null ? '' : `<Conditions><AudienceRestriction><Audience>${audience}</Audience></AudienceRestriction></Conditions>`
  const statements = Object.entries({ uid: ['jane'], ...attributes }).map(
    ([name, values]) =>
      `<Attribute Name="${name}">${values.map((value) => `<AttributeValue>${value}</AttributeValue>`).join('')}</Attribute>`,
  )
  const assertion = `<Assertion xmlns="urn:oasis:names:tc:SAML:2.0:assertion" ID="${id}" Version="2.0" IssueInstant="${now}"><Issuer>${issuer}</Issuer><Subject><NameID>j-1</NameID><SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><SubjectConfirmationData NotOnOrAfter="${new Date(until).toISOString()}" Recipient="${recipient}"${answer}/></SubjectConfirmation></Subject>${conditions}<AttributeStatement>${statements.join('')}</AttributeStatement></Assertion>`
  const signature = new SignedXml({
    privateKey: key.privateKey,
    signatureAlgorithm: 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
    canonicalizationAlgorithm: exclusive,
  })
  signature.addReference({
    xpath: '/*',
    transforms: ['http://www.w3.org/2000/09/xmldsig#enveloped-signature', exclusive],
    digestAlgorithm: 'http://www.w3.org/2001/04/xmlenc#sha256',
  })
  signature.computeSignature(assertion, { location: { reference: "/*/*[local-name(.)='Issuer']", action: 'after' } })
  return `<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="_r" Version="2.0" IssueInstant="${now}"${answer}>${signature.getSignedXml()}</samlp:Response>`
}

describe('SAML', () => {
  let cloud: TestCloud
  let admin: string
  const origin = 'http://cloud.test:5000'
  const at = '/OS-FEDERATION/identity_providers/acme/protocols/saml2'
  const web = `${origin}/identity/v3/auth${at}/websso`
  const ecp = `${origin}/Shibboleth.sso/SAML2/ECP`
  const sp = `${origin}/identity/v3/OS-FEDERATION/saml2/sp`

  const put = async (path: string, body: unknown): Promise<Json> => {
    const answer = await cloud.send('PUT', path, admin, body)
    assert.ok(answer.status < 300, JSON.stringify(answer.body))
    return answer.body
  }
  const raw = (method: 'GET' | 'POST', url: string, headers: Record<string, string> = {}, payload?: string) =>
    cloud.app.inject({ method, url, headers: { host: 'cloud.test:5000', ...headers }, ...(payload !== undefined && { payload }) })
  const cookieOf = (answer: Awaited<ReturnType<typeof raw>>) => String([answer.headers['set-cookie']].flat()[0]).split(';')[0]!

  before(async () => {
    cloud = await testCloud()
    admin = await cloud.signIn('admin', passwords.admin)
    await put('/OS-FEDERATION/identity_providers/acme', { identity_provider: { enabled: true, remote_ids: [entity] } })
    const rules = [
      { local: [{ user: { id: '{0}', name: '{1}' } }], remote: [{ type: 'MELLON_NAME_ID' }, { type: 'MELLON_uid' }] },
      {
        local: [{ projects: [{ name: 'for {0}', roles: [{ name: 'member' }] }] }],
        remote: [{ type: 'uid' }, { type: 'staff', any_one_of: ['yes'] }],
      },
    ]
    await put('/OS-FEDERATION/mappings/acme', { mapping: { rules } })
    await put(at, { protocol: { mapping_id: 'acme', remote_id_attribute: 'MELLON_IDP' } })
  })
  after(() => cloud.end())

  test('a connection is made from the metadata of the provider, and shows ours', async () => {
    const bare = acme.certificate.replaceAll(/-----[^-]+-----|\s/g, '')
    const metadata = `<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="${entity}"><IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><KeyDescriptor use="signing"><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>${bare}</X509Certificate></X509Data></KeyInfo></KeyDescriptor><SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="${entity}/sso"/></IDPSSODescriptor></EntityDescriptor>`
    const { connection } = await put(`${at}/connection`, { connection: { type: 'saml2', metadata, display_name: 'Staff' } })
    assert.equal(connection!.entity_id, entity)
    assert.equal(connection!.sso_url, `${entity}/sso`)
    assert.deepEqual([connection!.own!.entity_id, connection!.own!.assertion_consumer_url], [sp, web])
    assert.match(String(connection!.own!.metadata), /SPSSODescriptor/)
    for (const bad of [
      {},
      { metadata: 'x' },
      { entity_id: entity, sso_url: `${entity}/sso`, certificates: ['x'] },
      { entity_id: entity, sso_url: 'http://acme.example/sso', certificates: [bare] },
    ]) {
      assert.equal(
        (await cloud.send('PUT', `${at}/connection`, admin, { connection: { type: 'saml2', ...bad } })).status,
        400,
        JSON.stringify(bad),
      )
    }
  })

  /** Begins in a browser; what the provider is asked, and the cookie that the browser keeps. */
  const begin = async () => {
    const started = await raw('GET', `${web}?${new URLSearchParams({ origin: `${origin}/dashboard/` })}`)
    assert.equal(started.statusCode, 302, started.body)
    const request = inflateRawSync(
      Buffer.from(new URL(String(started.headers.location)).searchParams.get('SAMLRequest')!, 'base64'),
    ).toString()
    return { answers: /ID="([^"]+)"/.exec(request)![1]!, request, cookie: cookieOf(started) }
  }
  const post = (response: string, cookie: string | undefined, more: object = {}) =>
    raw(
      'POST',
      web,
      { 'content-type': 'application/x-www-form-urlencoded', ...(cookie && { cookie }) },
      new URLSearchParams({ SAMLResponse: Buffer.from(response).toString('base64'), ...more }).toString(),
    )

  test('a browser is sent to the provider and has a token when it comes back', async () => {
    const { answers, request, cookie } = await begin()
    assert.ok(request.includes(web) && request.includes(sp))
    const response = respond({ recipient: web, audience: sp, answers, attributes: { staff: ['yes'] } })
    const across = await post(response, undefined)
    assert.match(across.body, /name="again" value="1"/)
    const page = await post(response, cookie)
    assert.equal(page.statusCode, 200, page.body)
    const token = /data-token="([^"]+)"/.exec(page.body)![1]!
    const shown = await cloud.send('GET', '/auth/tokens', token, undefined, { 'x-subject-token': token })
    assert.equal(shown.body.token!.user!.name, 'jane')
    assert.deepEqual(shown.body.token!.methods, ['saml2'])
    const { projects } = (await cloud.send('GET', '/auth/projects', token)).body
    assert.deepEqual(
      (projects as unknown as Json[]).map(({ name }) => name),
      ['for jane'],
    )
    assert.equal((await post(response, cookie)).statusCode, 401, 'the same assertion a second time')
  })

  test('assertions that are wrong in any one way let nobody in', async () => {
    const { answers, cookie } = await begin()
    const right = { recipient: web, audience: sp, answers }
    const wrong: Record<string, string> = {
      'another key': respond({ ...right, key: newKey() }),
      'another recipient': respond({ ...right, recipient: `${web}x` }),
      'another audience': respond({ ...right, audience: 'https://other.example' }),
      'no audience': respond({ ...right, audience: null }),
      'another request': respond({ ...right, answers: '_other' }),
      'no request': respond({ recipient: web, audience: sp }),
      expired: respond({ ...right, until: Date.now() - 3_600_000 }),
      'another issuer': respond({ ...right, issuer: 'https://evil.example' }),
      altered: respond(right).replace('<AttributeValue>jane', '<AttributeValue>root'),
      unsigned: respond(right).replace(/<Signature[\s\S]*<\/Signature>/, ''),
      wrapped: respond(right).replace(
        '</samlp:Response>',
        '<Assertion xmlns="urn:oasis:names:tc:SAML:2.0:assertion"><Issuer>x</Issuer></Assertion></samlp:Response>',
      ),
      nonsense: 'nonsense',
    }
    for (const [what, response] of Object.entries(wrong)) {
      const refused = await post(response, cookie)
      assert.equal(refused.statusCode, 401, `${what}: ${refused.body}`)
    }
    assert.equal((await post(respond(right), undefined, { again: '1' })).statusCode, 401, 'another browser')
    assert.equal((await post(respond(right), cookie)).statusCode, 200)
  })

  test('a command-line client carries request and response (ECP), and gets one token for them', async () => {
    const auth = `${origin}/identity/v3${at}/auth`
    const asking = await raw('GET', auth, { accept: 'text/html, application/vnd.paos+xml' })
    assert.equal(asking.statusCode, 200)
    assert.match(asking.body, /AuthnRequest/)
    const envelope = `<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/"><S:Body>${respond({ recipient: ecp, audience: sp })}</S:Body></S:Envelope>`
    const delivered = await raw('POST', ecp, { 'content-type': 'application/vnd.paos+xml' }, envelope)
    assert.equal(delivered.statusCode, 303, delivered.body)
    assert.equal(delivered.headers.location, auth)
    const cookie = cookieOf(delivered)
    assert.equal((await raw('GET', auth.replace('acme', 'other'), { cookie })).statusCode, 401)
    const again = await raw('POST', ecp, { 'content-type': 'application/vnd.paos+xml' }, envelope)
    assert.equal(again.statusCode, 401)
    const fresh = envelope.replace(/<samlp:Response[\s\S]*<\/samlp:Response>/, respond({ recipient: ecp, audience: sp }))
    const second = cookieOf(await raw('POST', ecp, { 'content-type': 'application/vnd.paos+xml' }, fresh))
    const token = await raw('GET', auth, { cookie: second })
    assert.equal(token.statusCode, 201, token.body)
    assert.equal((await raw('GET', auth, { cookie: second })).statusCode, 401, 'the cookie counts once')
    for (const nonsense of ['', '<x>', '<x/>']) assert.equal((await raw('POST', ecp, {}, nonsense)).statusCode, 400)
  })

  test('Keystone to Keystone, with this cloud on both ends', async () => {
    const metadata = await raw('GET', '/identity/v3/OS-FEDERATION/saml2/metadata')
    const [, certificate] = /X509Certificate>([^<]+)</.exec(metadata.body)!
    assert.ok(
      new X509Certificate(Buffer.from(certificate!, 'base64')).verify(new X509Certificate(Buffer.from(certificate!, 'base64')).publicKey),
    )
    const own = `${origin}/identity/v3/OS-FEDERATION/saml2/idp`
    assert.ok(metadata.body.includes(`entityID="${own}"`))
    await put('/OS-FEDERATION/identity_providers/keystone', { identity_provider: { enabled: true, remote_ids: [own] } })
    const rules = [
      { local: [{ user: { name: '{0}' } }, { groups: '{1}' }], remote: [{ type: 'openstack_user' }, { type: 'openstack_groups' }] },
    ]
    await put('/OS-FEDERATION/mappings/k2k', { mapping: { rules } })
    await put('/OS-FEDERATION/identity_providers/keystone/protocols/mapped', { protocol: { mapping_id: 'k2k' } })
    await put('/OS-FEDERATION/service_providers/far', { service_provider: { auth_url: `${origin}/auth`, sp_url: ecp, enabled: true } })
    await put('/OS-FEDERATION/service_providers/off', { service_provider: { auth_url: `${origin}/auth`, sp_url: ecp } })
    const group = (await cloud.send('POST', '/groups', admin, { group: { name: 'staff' } })).body.group!
    await cloud.send('PUT', `/groups/${group.id}/users/${cloud.demoUserId}`, admin)
    await cloud.send(
      'PUT',
      `/system/groups/${group.id}/roles/${((await cloud.send('GET', '/roles?name=reader', admin)).body.roles as unknown as Json[])[0]!.id}`,
      admin,
    )
    const demo = await cloud.signIn('demo', passwords.demo)
    const ask = (token: string, id = 'far', path = '/saml2/ecp') =>
      raw(
        'POST',
        `/identity/v3/auth/OS-FEDERATION${path}`,
        { 'content-type': 'application/json' },
        JSON.stringify({ auth: { identity: { methods: ['token'], token: { id: token } }, scope: { service_provider: { id } } } }),
      )
    const envelope = await ask(demo)
    assert.equal(envelope.statusCode, 200, envelope.body)
    assert.equal(envelope.headers['x-sp-url'], ecp)
    assert.match(envelope.body, /RelayState[^>]*>ss:mem:/)
    assert.match((await ask(demo, 'far', '/saml2')).body, /^<samlp:Response/)
    assert.equal((await ask(demo, 'off')).statusCode, 403)
    assert.equal((await ask(demo, 'none')).statusCode, 404)
    assert.equal((await ask('nothing')).statusCode, 404)
    const unscoped = await cloud.send('POST', '/auth/tokens', undefined, password('demo', passwords.demo, 'unscoped'))
    assert.equal((await ask(String(unscoped.headers['x-subject-token']))).statusCode, 403)

    const delivered = await raw('POST', ecp, { 'content-type': 'application/vnd.paos+xml' }, envelope.body)
    assert.equal(delivered.statusCode, 303, delivered.body)
    const signed = await raw('GET', '/identity/v3/OS-FEDERATION/identity_providers/keystone/protocols/mapped/auth', {
      cookie: cookieOf(delivered),
    })
    assert.equal(signed.statusCode, 201, signed.body)
    const { token } = JSON.parse(signed.body) as { token: { user: Json } }
    assert.equal(token.user.name, 'demo')
    assert.notEqual(token.user.id, cloud.demoUserId)
    assert.deepEqual(token.user['OS-FEDERATION']!.groups, [{ id: group.id }])
    // Under another name of this cloud it was not made for us.
    const elsewhere = await cloud.app.inject({
      method: 'POST',
      url: '/Shibboleth.sso/SAML2/ECP',
      headers: { host: 'other.test' },
      payload: (await ask(demo)).body,
    })
    assert.equal(elsewhere.statusCode, 401)
  })
})
