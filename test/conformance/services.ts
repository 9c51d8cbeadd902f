// All services' tables as the controller mounts them, for tests that look at the rows or walk over them.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { blockStorage } from '../../src/block-storage/service.ts'
import { compute, computeVersions } from '../../src/compute/service.ts'
import { loadConfig } from '../../src/config.ts'
import { splitRoute } from '../../src/http/route.ts'
import type { AnyRow, Method, Service } from '../../src/http/table.ts'
import { fakeDatabase } from '../../src/http/testing.ts'
import { identity } from '../../src/identity/service.ts'
import { openStores } from '../../src/image/control/stores.ts'
import { image } from '../../src/image/service.ts'
import { network } from '../../src/network/service.ts'
import { placement } from '../../src/placement/service.ts'

/** The tables; their `run` is of no use, for there is no database behind it. */
export function allServices(): Service[] {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-tables-'))
  const db = fakeDatabase()
  const config = loadConfig({ WISP_HOME: home })
  const key = () => [Buffer.alloc(32)]
  try {
    return [
      identity({ db, key, config }),
      image({ db, config, key, stores: openStores(config) }),
      compute(),
      computeVersions(),
      placement({ db, config }),
      network(),
      blockStorage(),
    ].flat()
  } finally {
    fs.rmSync(home, { recursive: true })
  }
}

export interface Place {
  service: Service
  row: AnyRow
  method: Method
  /** With the service's first prefix. */
  path: string
  action: string
}

export const allPlaces = (services = allServices()): Place[] =>
  services.flatMap((service) =>
    service.rows.map((row) => {
      const { method, path: rest, action } = splitRoute(row.route)
      return { service, row, method, path: `${service.prefixes[0]}${rest}` || '/', action }
    }),
  )

/** Headers that ask for the newest microversion at which a row lives. */
export function versionHeaders({ service, row }: Place): Record<string, string> {
  if (!service.microversion) return {}
  return { 'openstack-api-version': `${service.microversion.header} ${row.until ?? service.microversion.max}` }
}
