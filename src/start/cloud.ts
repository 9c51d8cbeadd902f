// What runs on this machine: a whole cloud, or one host of a cloud whose controllers are elsewhere.
import fs from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import path from 'node:path'
import type { Config } from '../config.ts'
import type { SocketOptions } from '../database/connect.ts'
import { embeddedPid, embeddedSocket, startEmbedded, stopEmbedded } from '../database/embedded.ts'
import { hostFile } from './files.ts'
import type { Supervised } from './supervisor.ts'

export const MAIN = path.join(import.meta.dirname, '../main.ts')

/** True when this machine is only a host: it joined a cloud whose controllers are on other machines. */
export function isOnlyHost(config: Config): boolean {
  if (config.controllers.length > 0) return true
  if (!fs.existsSync(hostFile(config.home))) return false
  const { controllers } = JSON.parse(fs.readFileSync(hostFile(config.home), 'utf8')) as { controllers: string[] }
  return controllers.some((controller) => !controller.startsWith('unix:'))
}

export const databaseOf = (config: Config): string | SocketOptions => config.databaseUrl ?? embeddedSocket(config.home)

/** The programs and services that the supervisor keeps alive here. */
export function supervised(config: Config): Supervised {
  const { home } = config
  const program = (name: string) => ({ name, argv: [process.execPath, MAIN, name] as [string, ...string[]] })
  if (isOnlyHost(config)) return { home, services: [], programs: [program('host')] }
  const postgres = {
    name: 'postgres',
    alive: () => embeddedPid(home) !== undefined,
    start: async () => {
      await startEmbedded(home)
    },
    stop: () => stopEmbedded(home),
  }
  return { home, services: config.databaseUrl ? [] : [postgres], programs: [program('controller'), program('host')] }
}

/** Where a person on this machine reaches the API; log-in files name it. */
export function localUrl(config: Config): string {
  const everywhere: Record<string, string> = { '0.0.0.0': '127.0.0.1', '::': '[::1]' }
  const host = everywhere[config.listen] ?? (config.listen.includes(':') ? `[${config.listen}]` : config.listen)
  return config.publicUrl ?? `${config.tlsCertificate ? 'https' : 'http'}://${host}:${config.port}`
}

/** True when the API answers. */
export function answers(config: Config): Promise<boolean> {
  // It is our own address on this machine, whatever name its certificate is for.
  const url = `${localUrl({ ...config, publicUrl: undefined })}/identity/v3`
  const options = { timeout: 3000, agent: false, rejectUnauthorized: false }
  return new Promise((done) => {
    const request = (config.tlsCertificate ? https : http).get(url, options, (response) => {
      response.resume()
      done(response.statusCode === 200)
    })
    request.once('timeout', () => request.destroy())
    request.once('error', () => done(false))
  })
}
