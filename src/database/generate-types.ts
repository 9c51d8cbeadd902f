// Writes types.ts, the tables as TypeScript sees them, from a database that is built from schema.sql: node src/database/generate-types.ts
import { execFile } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { testDatabase } from './testing.ts'

const run = promisify(execFile)
export const TYPES = path.join(import.meta.dirname, 'types.ts')

// As connect.ts parses them.
const MAPPING = { int8: 'number', numeric: 'number', timestamptz: 'Date', date: 'string' }

/** The text that types.ts should have. */
export async function generateTypes(): Promise<string> {
  const { url, drop } = await testDatabase()
  try {
    const codegen = path.resolve(fileURLToPath(import.meta.resolve('kysely-codegen')), '../cli/bin.js')
    const words = ['--dialect', 'postgres', '--log-level', 'error', '--print', '--type-mapping', JSON.stringify(MAPPING), '--url', url]
    const { stdout } = await run(process.execPath, [codegen, ...words], { maxBuffer: 1 << 24 })
    return `${stdout.trim()}\n`
  } finally {
    await drop()
  }
}

if (import.meta.main) fs.writeFileSync(TYPES, await generateTypes())
