// `wisp rotate-keys --secret-key`: another key in secret.key, while the cloud runs. First the file gets the next key beside the one in use, then
// all is sealed with it, then the last one is taken out of the file. Killed at any moment, the same command goes on from where it was.
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import type { Config } from '../config.ts'
import type { Database } from '../database/connect.ts'
import { sealingKeyIn } from '../identity/control/sealed.ts'
import { sealedColumns as identitys, isInUse, takeIntoUse } from '../identity/control/secret-key.ts'
import { replaceTokenKeys } from '../identity/control/token-keys.ts'
import { sealedColumns as images } from '../image/control/import-task.ts'
import { lock } from '../lock.ts'
import { crash } from '../work/crash.ts'
import { readSecretKeys, sealingKeys, secretKeyFile, writeSecret } from './files.ts'

/** All that secret.key seals. */
export const sealedColumns = [...identitys, ...images]

/**
 * @param copied whether all controllers on other machines have the file with both keys
 * @param revoke whether all tokens shall be void
 * @returns what was done, for people
 */
export async function replaceSecretKey(
  config: Config,
  db: Database,
  { copied = false, revoke = false }: { copied?: boolean; revoke?: boolean } = {},
): Promise<string> {
  const file = secretKeyFile(config.home)
  const keys = sealingKeys(config.home)
  fs.mkdirSync(path.join(config.home, 'run'), { recursive: true, mode: 0o711 })
  const mine = await lock(path.join(config.home, 'run', 'secret-key.lock'), { wait: false })
  if (!mine) throw new Error('Another "wisp rotate-keys --secret-key" is at work')
  try {
    // Says so, if the file is of another cloud.
    await db.write((tx) => sealingKeyIn(tx, keys))
    if (keys().length === 1) writeKeys(file, [...keys(), randomBytes(32)])
    crash('secret key: next one written')
    const next = readSecretKeys(file).at(-1)!
    if (config.databaseUrl && !copied) {
      return `${file} now has a second key, which is not in use yet. Copy the file to every controller of this cloud on another machine (they need no restart), then: wisp rotate-keys --secret-key --copied${revoke ? ' --revoke-tokens (until then all tokens are as good as before)' : ''}`
    }
    const count = await db.write(async (tx) => {
      const done = await isInUse(tx, next)
      const sealed = done ? 0 : await takeIntoUse(tx, keys, next, sealedColumns)
      if (revoke) await replaceTokenKeys(tx, keys)
      crash('secret key: all sealed anew')
      return sealed
    })
    crash('secret key: next one in use')
    writeKeys(file, [next])
    crash('secret key: last one forgotten')
    const also = `${config.databaseUrl ? ' Copy it to the other controllers once more: the last key is not in it.' : ''}${revoke ? ' All tokens from before are void: everybody has to sign in again.' : ''}`
    return `${file} has a new key; values sealed anew: ${count}. Back the file up; backups from before need the one from before.${also}`
  } finally {
    await mine.release()
  }
}

/** On the disk before anything is sealed with what it says. */
function writeKeys(file: string, keys: readonly Buffer[]): void {
  writeSecret(file, keys.map((key) => `${key.toString('base64')}\n`).join(''))
  const folder = fs.openSync(path.dirname(file), 'r')
  try {
    fs.fsyncSync(folder)
  } finally {
    fs.closeSync(folder)
  }
}
