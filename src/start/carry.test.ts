import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { loadConfig } from '../config.ts'
import { exportTo, importFrom } from './carry.ts'
import { up } from './up.ts'

test('where there is nothing to export or import, nothing is made', async (context) => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-carry-'))
  context.after(() => fs.rmSync(home, { recursive: true }))
  const config = loadConfig({ WISP_HOME: home })
  await assert.rejects(exportTo(config, [path.join(home, 'x')]), /There is no cloud in/)
  await assert.rejects(importFrom(config, [path.join(home, 'x')]), /There is no file .*x/)
  assert.deepEqual(fs.readdirSync(home), [])
})

test('a home that is a file is no home', async () => {
  await assert.rejects(up(loadConfig({ WISP_HOME: import.meta.filename }), []), /is a file: a cloud wants a folder/)
})
