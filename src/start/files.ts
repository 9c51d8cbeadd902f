// The files in the data directory that more than one program reads, with their names and modes in one place.
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'

/** Where the controller on this machine listens for its own host. */
export const controllerSocket = (home: string) => path.join(home, 'run', 'controller.sock')

/** What this machine got when it joined: {host_id, secret, cloud, controllers}. */
export const hostFile = (home: string) => path.join(home, 'host.json')

/** A join token for the host on the controller's own machine. */
export const joinTokenFile = (home: string) => path.join(home, 'join-token')

/** The 32 bytes that seal secrets in the database. Made on the first start; every controller of a cloud needs the same file. */
export function sealingKey(home: string): Buffer {
  const file = path.join(home, 'secret.key')
  if (!fs.existsSync(file)) {
    // Written apart and linked: whoever comes at the same moment, or after a crash in the middle, sees a whole key or none.
    const part = `${file}.${randomBytes(6).toString('hex')}.part`
    fs.writeFileSync(part, randomBytes(32).toString('base64'), { mode: 0o600, flag: 'wx', flush: true })
    try {
      fs.linkSync(part, file)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    } finally {
      fs.rmSync(part)
    }
  }
  const key = Buffer.from(fs.readFileSync(file, 'utf8'), 'base64')
  if (key.length !== 32) throw new Error(`${file} is not the key it should be (32 bytes in base64). Restore it from your backup.`)
  return key
}

/** Writes so that a reader sees the old content or the new, never half of it. */
export function writeSecret(file: string, content: string): void {
  const part = `${file}.${randomBytes(6).toString('hex')}.part`
  fs.writeFileSync(part, content, { mode: 0o600, flag: 'wx', flush: true })
  fs.renameSync(part, file)
}
