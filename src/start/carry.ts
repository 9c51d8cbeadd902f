// `wisp export FILE` and `wisp import FILE`: the database in one file, for backup and for moving house.
import fs from 'node:fs'
import path from 'node:path'
import type { Config } from '../config.ts'
import { embeddedPid, startEmbedded, stopEmbedded } from '../database/embedded.ts'
import { exportDatabase, importDatabase } from '../database/export.ts'
import { databaseOf, isOnlyHost } from './cloud.ts'
import { supervisorPid } from './supervisor.ts'

// The embedded server is started when it does not run, and then stopped again: the machine is left as it was.
async function withDatabase<T>(config: Config, work: () => Promise<T>): Promise<T> {
  if (isOnlyHost(config)) throw new Error('This machine is only a host: the database is where the controllers are')
  if (config.databaseUrl || embeddedPid(config.home)) return await work()
  await startEmbedded(config.home, { progress: (step) => console.log(`  ${step}`) })
  try {
    return await work()
  } finally {
    await stopEmbedded(config.home)
  }
}

function fileOf(words: string[], command: string): string {
  const [file, more] = words
  if (!file || more) throw new Error(`wisp ${command} wants one file name`)
  return path.resolve(file)
}

export async function exportTo(config: Config, words: string[]): Promise<void> {
  const file = fileOf(words, 'export')
  if (!config.databaseUrl && !isOnlyHost(config) && !fs.existsSync(path.join(config.home, 'postgres')))
    throw new Error(`There is no cloud in ${config.home}: WISP_HOME says where one is`)
  const rows = await withDatabase(config, () => exportDatabase(databaseOf(config), file))
  console.log(
    `${rows} rows are in ${file}. Beside it, keep ${config.home}/secret.key (secrets in the file are sealed with it) and the images in ${config.home}.`,
  )
}

export async function importFrom(config: Config, words: string[]): Promise<void> {
  const file = fileOf(words, 'import')
  if (!fs.existsSync(file)) throw new Error(`There is no file ${file}`)
  if (supervisorPid(config.home)) throw new Error('The cloud is up: "wisp down" first, so that nobody writes while rows are loaded')
  const rows = await withDatabase(config, () => importDatabase(databaseOf(config), file))
  console.log(
    `${rows} rows were imported from ${file}. "wisp up" starts the cloud with them; it needs the secret.key that it had when it was exported.`,
  )
}
