// Certificates and users for tests of OAuth2 by client certificate. The openssl command makes them: Node can read certificates, not sign them.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import type { Json, TestCloud } from '../testing.ts'

const run = promisify(execFile)

export interface Pair {
  cert: string
  key: string
}

/** An authority with its certificates, in a folder of its own. */
export async function authority(folder: string, name: string) {
  const file = (end: string) => path.join(folder, `${name}.${end}`)
  const issue = async (subject: string, out: string, ...more: string[]): Promise<Pair> => {
    const at = (end: string) => path.join(folder, `${out}.${end}`)
    const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', at('key')]
    await run('openssl', ['req', '-x509', ...newKey, '-out', at('pem'), '-subj', subject, '-days', '2', ...more])
    return { cert: fs.readFileSync(at('pem'), 'utf8'), key: fs.readFileSync(at('key'), 'utf8') }
  }
  const { cert } = await issue(`/O=Test/CN=${name}`, name)
  const leaf = (subject: string, use: 'clientAuth' | 'serverAuth', out = subject.replaceAll(/\W/g, '_')) => {
    const extensions = ['basicConstraints=critical,CA:FALSE', `extendedKeyUsage=${use}`, 'subjectAltName=DNS:localhost']
    return issue(subject, out, '-CA', file('pem'), '-CAkey', file('key'), ...extensions.flatMap((one) => ['-addext', one]))
  }
  return { cert, leaf }
}

export type Authority = Awaited<ReturnType<typeof authority>>

export const grant = (client_id: string, more = {}) => ({
  body: new URLSearchParams({ grant_type: 'client_credentials', client_id, ...more }),
})

/** A user with a role in the project demo, and that as default project. */
export async function makeUser(cloud: TestCloud, admin: string, user: object): Promise<string> {
  const made = await cloud.send('POST', '/users', admin, { user: { default_project_id: cloud.demoProjectId, ...user } })
  assert.equal(made.status, 201, JSON.stringify(made.body))
  const { roles } = (await cloud.send('GET', '/roles?name=member', admin)).body
  const id = String(made.body.user!.id)
  const role = (roles as unknown as Json[])[0]!
  assert.equal((await cloud.send('PUT', `/projects/${cloud.demoProjectId}/users/${id}/roles/${role.id}`, admin)).status, 204)
  return id
}

export const putMapping = async (cloud: TestCloud, admin: string, rules: object[]) => {
  const path = '/OS-FEDERATION/mappings/oauth2_mapping'
  await cloud.send('DELETE', path, admin)
  assert.equal((await cloud.send('PUT', path, admin, { mapping: { rules } })).status, 201)
}
