// What the tests of this room share: the image service on a fresh database and folder, and callers of several projects.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { TestContext } from 'node:test'
import { loadConfig } from '../../config.ts'
import { testDatabase } from '../../database/testing.ts'
import type { Method } from '../../http/table.ts'
import { type AskOptions, fakeApi, member } from '../../http/testing.ts'
import type { Who } from '../../http/who.ts'
import { openStores } from '../control/stores.ts'
import { image } from '../service.ts'

/** A caller with roles in a project; implied roles are to be named. */
export const caller = (project: string, ...roles: string[]): Who => ({
  ...member,
  user: { ...member.user, id: `user-of-${project}` },
  project: { id: project, name: project, domain: member.user.domain },
  roles,
})
export const owner = caller('p1', 'member', 'reader')
export const reader = caller('p1', 'reader')
export const stranger = caller('p2', 'member', 'reader')
export const admin = caller('admins', 'admin', 'manager', 'member', 'reader')

export type Answer = Record<string, unknown>

/**
 * `ask` answers with the parsed body; both the database and the folder go when the test ends.
 * @param stored the settings of stores, other than the one of files
 */
export async function imageApi(context: TestContext, maxImageSize = 1, settings: NodeJS.ProcessEnv = {}, stored?: object) {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-image-'))
  if (stored) fs.writeFileSync(path.join(home, 'image-stores.json'), JSON.stringify(stored))
  const config = { ...loadConfig({ WISP_HOME: home, ...settings }), maxImageSize }
  const stores = openStores(config)
  const key = () => [Buffer.alloc(32, 7)]
  const { db, drop } = await testDatabase()
  const { app, ask } = fakeApi(context, [image({ db, config, key, stores })], { db })
  context.after(async () => {
    await app.close()
    await drop()
    fs.rmSync(home, { recursive: true })
  })
  const api = async (method: Method, url: string, options: AskOptions = {}) => {
    const answer = await ask(method, `/image/v2${url}`, { who: owner, ...options })
    return {
      ...answer,
      body: (answer.body ?? {}) as Answer,
      message: (answer.body as { error?: { message: string } })?.error?.message ?? '',
    }
  }
  const create = async (more: object = {}, who = owner): Promise<string> => {
    const payload = { name: 'one', disk_format: 'raw', container_format: 'bare', ...more }
    const { status, body, text } = await api('POST', '/images', { payload, who })
    if (status !== 201) throw new Error(`${status} ${text}`)
    return body.id as string
  }
  const put = (id: string, data: Buffer, who = owner) =>
    api('PUT', `/images/${id}/file`, { payload: data, headers: { 'content-type': 'application/octet-stream' }, who })
  const files = () => (fs.existsSync(path.join(home, 'images')) ? fs.readdirSync(path.join(home, 'images')) : [])
  return { api, app, config, home, stores, create, db, files, key, put }
}
