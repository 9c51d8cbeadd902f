import assert from 'node:assert/strict'
import { once } from 'node:events'
import fs from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { loadConfig } from '../config.ts'
import { portTrouble } from './port.ts'

const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-port-'))
process.once('exit', () => fs.rmSync(home, { recursive: true }))
const trouble = (listen: string, port: number) => portTrouble(loadConfig({ WISP_HOME: home, WISP_LISTEN: listen, WISP_PORT: String(port) }))

test('a port that is taken is told with the program that has it, and only for an address that it has', async () => {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const found = await trouble('127.0.0.1', port)
  assert.match(found?.what ?? '', new RegExp(`^port ${port} is taken by .+ \\(pid ${process.pid}\\)$`))
  assert.match(found?.remedy ?? '', /WISP_PORT/)
  assert.ok(await trouble('0.0.0.0', port))
  assert.equal(await trouble('127.0.0.2', port), undefined)
  server.close()
  await once(server, 'close')
  assert.equal(await trouble('127.0.0.1', port), undefined)
})

test('an address that this machine does not have is told', async () => {
  assert.match((await trouble('192.0.2.1', 0))?.what ?? '', /cannot listen on 192\.0\.2\.1, port 0 \(EADDRNOTAVAIL\)/)
})
