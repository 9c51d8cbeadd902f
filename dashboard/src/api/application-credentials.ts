// Identity v3: application credentials, with which programs log in as their user, in one project, with no more roles than they need; and the files
// that the stock client reads them from.
import { command, request } from './http.ts'
import { quoted } from './shell.ts'

export type AccessRule = { id?: string; service: string; method: string; path: string }

export type ApplicationCredential = {
  id: string
  name: string
  description: string | null
  project_id: string
  roles: { id: string; name: string }[]
  expires_at: string | null
  unrestricted: boolean
  access_rules?: AccessRule[]
}

export async function listApplicationCredentials(userId: string, signal?: AbortSignal): Promise<ApplicationCredential[]> {
  const path = `/users/${userId}/application_credentials`
  const answer = await request<{ application_credentials: ApplicationCredential[] }>('identity', path, { signal })
  return answer.application_credentials.toSorted((a, b) => a.name.localeCompare(b.name))
}

export type ApplicationCredentialFields = {
  name: string
  description?: string
  secret?: string
  expires_at?: string
  roles?: { name: string }[]
  unrestricted?: boolean
  access_rules?: AccessRule[]
}

/** The secret is only ever in this answer. */
export type NewApplicationCredential = ApplicationCredential & { secret: string }

export async function createApplicationCredential(userId: string, fields: ApplicationCredentialFields): Promise<NewApplicationCredential> {
  const path = `/users/${userId}/application_credentials`
  const body = { application_credential: fields }
  return (await request<{ application_credential: NewApplicationCredential }>('identity', path, { method: 'POST', body }))
    .application_credential
}

export async function deleteApplicationCredential(userId: string, id: string): Promise<void> {
  await command('identity', `/users/${userId}/application_credentials/${id}`, { method: 'DELETE' })
}

/** Everything that a file for the stock client says beside the credential itself. */
export type Place = { authUrl: string; region: string; cloud: string }

/** YAML reads a JSON string as the same string, whatever is in it. */
const yaml = (text: string) => JSON.stringify(text)

/** A clouds.yaml for ~/.config/openstack: `openstack --os-cloud <cloud> …`. */
export function cloudsYaml({ id, secret }: { id: string; secret: string }, { authUrl, region, cloud }: Place): string {
  return [
    'clouds:',
    `  ${yaml(cloud)}:`,
    '    auth_type: v3applicationcredential',
    '    auth:',
    `      auth_url: ${yaml(authUrl)}`,
    `      application_credential_id: ${yaml(id)}`,
    `      application_credential_secret: ${yaml(secret)}`,
    ...(region === '' ? [] : [`    region_name: ${yaml(region)}`]),
    '    interface: public',
    '    identity_api_version: 3',
    '',
  ].join('\n')
}

/** A file to be sourced by a shell: `. app-openrc.sh`, then `openstack …`. */
export function openrc({ id, secret }: { id: string; secret: string }, { authUrl, region }: Place): string {
  const settings: [string, string][] = [
    ['OS_AUTH_TYPE', 'v3applicationcredential'],
    ['OS_AUTH_URL', authUrl],
    ['OS_IDENTITY_API_VERSION', '3'],
    ...(region === '' ? [] : ([['OS_REGION_NAME', region]] as [string, string][])),
    ['OS_INTERFACE', 'public'],
    ['OS_APPLICATION_CREDENTIAL_ID', id],
    ['OS_APPLICATION_CREDENTIAL_SECRET', secret],
  ]
  // What another openrc file left in this shell would contradict it.
  const others =
    'OS_USERNAME OS_USER_ID OS_PASSWORD OS_USER_DOMAIN_NAME OS_USER_DOMAIN_ID OS_PROJECT_NAME OS_PROJECT_ID OS_PROJECT_DOMAIN_NAME'
  return [`unset ${others} OS_PROJECT_DOMAIN_ID`, ...settings.map(([name, value]) => `export ${name}=${quoted(value)}`), ''].join('\n')
}
