// What a new cloud begins with: people, roles, catalog, flavors, a network, an image; and the files by which its operator gets in.
// Every step looks first: a second start, or one after a crash in the middle, adds only what is missing.
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { stringify } from 'yaml'
import { bootstrapCompute } from '../compute/control/bootstrap.ts'
import type { Config } from '../config.ts'
import { type Database, json } from '../database/connect.ts'
import { bootstrapIdentity } from '../identity/control/bootstrap.ts'
import { loadStandardMetadefs } from '../image/control/metadefs.ts'
import { bootstrapNetwork } from '../network/control/bootstrap.ts'
import { knowsJoinToken, makeJoinToken } from '../wire/join.ts'
import { localUrl } from './cloud.ts'
import { hostFile, joinTokenFile, sealingKeys, writeSecret } from './files.ts'
import { ensureGuestImage } from './guest-image.ts'

export interface Login {
  user: string
  password: string
  project: string
}

export interface Bootstrapped {
  url: string
  admin: Login
  demo: Login | null
  /** False when the cloud had been set up before. */
  first: boolean
}

/** Sets up what is missing. `progress` hears the name of each slow step. */
export async function bootstrap(db: Database, config: Config, progress: (step: string) => void = () => {}): Promise<Bootstrapped> {
  const passwords = readPasswords(config.home)
  const made = await db.write(async (tx) => {
    const known = await tx.selectFrom('wisp.fact').select('value').where('name', '=', 'bootstrapped').executeTakeFirst()
    const ids = await bootstrapIdentity(tx, {
      adminPassword: passwords.admin,
      ...(config.demo && { demoPassword: passwords.demo }),
      region: config.region,
      sealingKey: sealingKeys(config.home),
    })
    await bootstrapCompute(tx)
    await loadStandardMetadefs(tx, ids.adminProjectId)
    if (!known && ids.demoProjectId) await bootstrapNetwork(tx, { demoProjectId: ids.demoProjectId })
    if (!known)
      await tx
        .insertInto('wisp.fact')
        .values({ name: 'bootstrapped', value: json(new Date().toISOString()) })
        .execute()
    return { ...ids, first: !known }
  })
  if (!fs.existsSync(hostFile(config.home)) && !(await joinTokenGood(db, config.home)))
    writeSecret(joinTokenFile(config.home), await db.write((tx) => makeJoinToken(tx, 60 * 24 * 365)))
  if (config.guestImage) await ensureGuestImage(db, config, made.adminProjectId, progress)

  const url = localUrl(config)
  const admin: Login = { user: 'admin', password: passwords.admin, project: 'admin' }
  const demo: Login | null = config.demo ? { user: 'demo', password: passwords.demo, project: 'demo' } : null
  writeLogins(config, url, [admin, ...(demo ? [demo] : [])])
  return { url, admin, demo, first: made.first }
}

/** Whether the token that waits for this machine's host may still be traded: a host that died between the trade and its file has used it up. */
async function joinTokenGood(db: Database, home: string): Promise<boolean> {
  if (!fs.existsSync(joinTokenFile(home))) return false
  return await knowsJoinToken(db.read, fs.readFileSync(joinTokenFile(home), 'utf8').trim())
}

/** Random on the first start, then as they were: the openrc files would lie otherwise. Who changes a password later changes his own file. */
function readPasswords(home: string): { admin: string; demo: string } {
  const file = path.join(home, 'passwords.json')
  if (fs.existsSync(file)) return JSON.parse(fs.readFileSync(file, 'utf8'))
  const password = () => randomBytes(12).toString('base64url')
  const passwords = { admin: password(), demo: password() }
  writeSecret(file, JSON.stringify(passwords))
  return passwords
}

/** What another log-in may have left in a shell, and the client would mix with ours. */
const others =
  'OS_CLOUD OS_AUTH_TYPE OS_TOKEN OS_USER_ID OS_USER_DOMAIN_ID OS_PROJECT_ID OS_PROJECT_DOMAIN_ID OS_TENANT_ID OS_TENANT_NAME OS_DOMAIN_ID ' +
  'OS_DOMAIN_NAME OS_SYSTEM_SCOPE OS_TRUST_ID OS_APPLICATION_CREDENTIAL_ID OS_APPLICATION_CREDENTIAL_SECRET OS_ENDPOINT OS_CACERT'

/** A file for a shell's `.` that sets these variables and unsets what another log-in may have left. */
export function openrcText(variables: Record<string, string>): string {
  const lines = Object.entries(variables).map(([name, value]) => `export ${name}='${value.replaceAll("'", "'\\''")}'`)
  return [`unset ${others}`, ...lines, ''].join('\n')
}

function writeLogins(config: Config, url: string, logins: Login[]): void {
  const authority = url.startsWith('https:') && config.controllerCa && path.resolve(config.controllerCa)
  for (const login of logins) {
    const text = openrcText({
      OS_AUTH_URL: `${url}/identity/v3`,
      OS_USERNAME: login.user,
      OS_PASSWORD: login.password,
      OS_PROJECT_NAME: login.project,
      OS_USER_DOMAIN_NAME: 'Default',
      OS_PROJECT_DOMAIN_NAME: 'Default',
      OS_REGION_NAME: config.region,
      OS_IDENTITY_API_VERSION: '3',
      OS_INTERFACE: 'public',
      ...(authority && { OS_CACERT: authority }),
    })
    writeLogin(path.join(config.home, login.user === 'admin' ? 'openrc' : `${login.user}-openrc`), text, [login.password])
  }
  const clouds = Object.fromEntries(
    logins.map(({ user, password, project }) => [
      user === 'admin' ? 'wisp' : `wisp-${user}`,
      {
        auth: {
          auth_url: `${url}/identity/v3`,
          username: user,
          password,
          project_name: project,
          user_domain_name: 'Default',
          project_domain_name: 'Default',
        },
        region_name: config.region,
        identity_api_version: 3,
        interface: 'public',
        ...(authority && { cacert: authority }),
      },
    ]),
  )
  const passwords = logins.map(({ password }) => password)
  writeLogin(path.join(config.home, 'clouds.yaml'), stringify({ clouds }), passwords)
}

/** A file in which a password is no longer the one we made was changed by its owner, who changed the password: it stays. */
function writeLogin(file: string, content: string, passwords: string[]): void {
  const before = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : null
  if (before === content || (before !== null && passwords.some((password) => !before.includes(password)))) return
  writeSecret(file, content)
}
