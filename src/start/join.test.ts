import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { loadConfig } from '../config.ts'
import { hostFile } from './files.ts'
import { joinCloud } from './join.ts'

test("a cloud's own machine does not become a lone host of it", async (context) => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-join-'))
  context.after(() => fs.rmSync(home, { recursive: true }))
  const config = loadConfig({ WISP_HOME: home })
  // Port 1 of this machine: nobody is there, so the error says whether the request was made at all.
  const join = () => joinCloud(config, ['http://127.0.0.1:1', 'token'])
  const identity = (controller: string) => JSON.stringify({ host_id: 'h', secret: 's', cloud: 'c', controllers: [controller] })
  await assert.rejects(join(), /ECONNREFUSED/, 'an empty home')
  fs.writeFileSync(hostFile(home), identity(`unix:${home}/run/controller.sock`))
  await assert.rejects(join(), /There is a cloud in .* already/, 'the host of its own controller')
  fs.writeFileSync(hostFile(home), identity('https://elsewhere:5000'))
  await assert.rejects(join(), /ECONNREFUSED/, 'a lone host joins again')
  fs.rmSync(hostFile(home))
  fs.writeFileSync(path.join(home, 'secret.key'), 'x')
  await assert.rejects(join(), /There is a cloud in .* already/, 'a controller whose host has not joined yet')
})
