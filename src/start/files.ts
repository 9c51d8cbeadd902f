// The files in the data directory that more than one program reads, with their names and modes in one place.
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import type { SealingKeys } from '../identity/control/sealed.ts'

/** Where the controller on this machine listens for its own host. */
export const controllerSocket = (home: string) => path.join(home, 'run', 'controller.sock')

/** What this machine got when it joined: {host_id, secret, cloud, controllers}. */
export const hostFile = (home: string) => path.join(home, 'host.json')

/** The pid of the host's program, from the moment on at which it has heard all that a controller wants of this machine. */
export const hostReadyFile = (home: string) => path.join(home, 'run', 'host.pid')

/** A join token for the host on the controller's own machine. */
export const joinTokenFile = (home: string) => path.join(home, 'join-token')

export const secretKeyFile = (home: string) => path.join(home, 'secret.key')

/**
 * The keys that seal secrets in the database, one a line: one, but for the time in which it is replaced. The first is made on the first start;
 * every controller of a cloud needs the same file. Read again when the file is another one.
 */
export function sealingKeys(home: string): SealingKeys {
  makeSecretKey(home)
  const file = secretKeyFile(home)
  let known: { ino: bigint; mtimeNs: bigint; keys: Buffer[] } | undefined
  return () => {
    const { ino, mtimeNs } = fs.statSync(file, { bigint: true })
    if (known?.ino !== ino || known.mtimeNs !== mtimeNs) known = { ino, mtimeNs, keys: readSecretKeys(file) }
    return known.keys
  }
}

/** @throws Error unless each line is a key */
export function readSecretKeys(file: string): Buffer[] {
  const keys = fs
    .readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => Buffer.from(line, 'base64'))
  if (keys.some((key) => key.length !== 32)) {
    throw new Error(`${file} is not the key it should be (32 bytes in base64). Restore it from your backup.`)
  }
  return keys
}

function makeSecretKey(home: string): void {
  const file = secretKeyFile(home)
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
}

/** Writes so that a reader sees the old content or the new, never half of it. */
export function writeSecret(file: string, content: string): void {
  const part = `${file}.${randomBytes(6).toString('hex')}.part`
  fs.writeFileSync(part, content, { mode: 0o600, flag: 'wx', flush: true })
  fs.renameSync(part, file)
}
