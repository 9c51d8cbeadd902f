// A controller: serves the APIs, decides, and tells hosts what their machines should look like. Stateless and one of any number.
// This file is the list of rooms: which services it mounts, whose work its engine does, who hears what hosts report.
import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import type tls from 'node:tls'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { blockStorage } from './block-storage/service.ts'
import { isConsole, registerConsole } from './compute/control/console.ts'
import * as computeWork from './compute/control/work.ts'
import { compute, computeVersions } from './compute/service.ts'
import type { Config } from './config.ts'
import { registerDashboard } from './dashboard.ts'
import { connect, type Database, json } from './database/connect.ts'
import { embeddedSocket } from './database/embedded.ts'
import { openAudit } from './http/audit.ts'
import { certificateReader } from './http/certificate.ts'
import { openPolicy } from './http/policy.ts'
import { api } from './http/table.ts'
import { readAuthority, readPair, renewCertificate } from './http/tls.ts'
import { authenticator } from './identity/control/authenticate.ts'
import { sealingKeyIn } from './identity/control/sealed.ts'
import * as identityWork from './identity/control/work.ts'
import { identity } from './identity/service.ts'
import { registerImageDownload } from './image/control/download.ts'
import { importWork } from './image/control/import-work.ts'
import { openStores } from './image/control/stores.ts'
import * as imageWork from './image/control/work.ts'
import { image } from './image/service.ts'
import { lines } from './log.ts'
import * as networkWork from './network/control/work.ts'
import { network } from './network/service.ts'
import * as placementWork from './placement/control/work.ts'
import { placement } from './placement/service.ts'
import { controllerSocket, sealingKeys } from './start/files.ts'
import { registerWire } from './wire/control.ts'
import { isTunnel } from './wire/tunnel.ts'
import { startEngine } from './work/engine.ts'
import { startHints } from './work/hint.ts'

export interface Controller {
  stop(): Promise<void>
}

/** The database that this cloud's settings name. */
export const openDatabase = (config: Config, name = 'wisp controller'): Database =>
  connect(config.databaseUrl ?? embeddedSocket(config.home), { connections: config.databaseConnections, name })

/** This cloud's id, made once. */
export async function cloudId(db: Database): Promise<string> {
  await db.read
    .insertInto('wisp.fact')
    .values({ name: 'cloud', value: json(randomUUID()) })
    .onConflict((on) => on.doNothing())
    .execute()
  const { value } = await db.read.selectFrom('wisp.fact').select('value').where('name', '=', 'cloud').executeTakeFirstOrThrow()
  return value as string
}

/** Starts a controller and resolves once it answers. */
export async function startController(config: Config): Promise<Controller> {
  // A line for each request: written by themselves they would cost a seventh of what a small request costs.
  const log = pino({ level: config.logLevel, base: { program: 'controller', pid: process.pid } }, lines())
  const db = openDatabase(config)
  const leaveHints = await startHints(db)
  const key = sealingKeys(config.home)
  // Better not to start than to find out at the first sign-in.
  await db.write((tx) => sealingKeyIn(tx, key))
  const stores = openStores(config)
  const services = [
    identity({ db, key, config }),
    image({ db, config, key, stores }),
    compute(),
    computeVersions(),
    placement({ db, config }),
    network(),
    blockStorage(),
  ].flat()
  const policy = openPolicy(services, { path: config.policyFile ?? path.join(config.home, 'policy.yaml'), log })
  const authenticate = authenticator(db, key)
  const files = config.tlsCertificate && config.tlsKey ? { certificate: config.tlsCertificate, key: config.tlsKey } : undefined
  const clientCa = config.clientCa === undefined ? {} : { ca: readAuthority(config.clientCa) }
  const tls = files && { ...readPair(files), ...clientCa }
  const audit = config.auditLog === 'off' ? undefined : openAudit(config.auditLog ?? path.join(config.home, 'audit.log'), log)
  const certificateOf = certificateReader(config.certificateProxies)
  const app = api(services, {
    db,
    authenticate,
    certificateOf,
    mayUpgrade,
    policy,
    log,
    ...(tls && { tls }),
    ...(audit && { audit }),
    ...(config.trustedProxies && { proxies: config.trustedProxies }),
  })
  const wire = registerWire(app, {
    db,
    log,
    cloud: await cloudId(db),
    heard: { ...networkWork.heard, ...computeWork.heard },
    hello: [imageWork.hello, placementWork.hello, networkWork.hello, computeWork.hello],
  })
  registerImageDownload(app, { db, stores })
  const consoles = registerConsole(app, db, log)
  if (config.dashboard) registerDashboard(app, { authenticate, certificateOf, log })

  const leaveCertificate = files && renewCertificate(app.server as unknown as tls.Server, files, log, clientCa)
  await app.listen({ host: config.listen, port: config.port })
  const local = await listenLocally(app, controllerSocket(config.home))
  const imports = importWork({
    db,
    config,
    key,
    stores,
    reach: { allow: config.importAllow, deny: config.importDeny },
    plugins: config.importPlugins,
    log,
  })
  const engine = startEngine(
    db,
    {
      ...identityWork.handlers(db, key),
      ...networkWork.handlers,
      ...imageWork.handlers(stores),
      ...imports.handlers,
      ...computeWork.handlers,
    },
    log,
  )
  await db.write((tx) => identityWork.bootstrap(tx, config.limitModel))
  log.info({ address: app.listeningOrigin }, 'controller: ready')

  return {
    async stop() {
      leaveCertificate?.()
      wire.stop()
      consoles.stop()
      local.close()
      local.closeAllConnections()
      await app.close()
      await engine.stop()
      await imports.stop()
      await leaveHints()
      policy.close()
      audit?.close()
      await db.close()
    },
  }
}

const mayUpgrade = (request: http.IncomingMessage): boolean => isConsole(request) || isTunnel(request)

/** The host on this machine comes in by a Unix socket that only root may open, to the very same server. */
async function listenLocally(app: FastifyInstance, socket: string): Promise<http.Server> {
  fs.mkdirSync(path.dirname(socket), { recursive: true, mode: 0o755 })
  fs.rmSync(socket, { force: true })
  const server = http.createServer({ shouldUpgradeCallback: mayUpgrade }, (request, response) => app.routing(request, response))
  server.on('upgrade', (...upgrade) => app.server.emit('upgrade', ...upgrade))
  server.keepAliveTimeout = 75_000
  const mask = process.umask(0o177)
  try {
    await new Promise<void>((listening, failed) => server.once('error', failed).listen(socket, listening))
  } finally {
    process.umask(mask)
  }
  return server
}

/** `wisp controller`: until a signal ends it. */
export async function runController(config: Config): Promise<void> {
  const controller = await startController(config)
  await new Promise<void>((go) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, go)
  })
  await controller.stop()
}
