/**
 * Which microversion a request speaks: `OpenStack-API-Version: compute 2.90`, or a service's older header. The rules are the API
 * working group's (specs.openstack.org/openstack/api-sig/guidelines/microversion_specification.html), the words nova's.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { badRequest, Fault } from './fault.ts'
import { versionNumber } from './schema.ts'
import type { Microversions } from './table.ts'

/**
 * The version asked for, '2.90'; the minimum where none is asked for.
 * @throws Fault 400 if it is malformed, 406 if this service does not speak it
 */
export type Negotiate = (headers: IncomingHttpHeaders) => string

export function negotiator(versions: Microversions): Negotiate {
  const legacy = versions.legacyHeader?.toLowerCase()
  const min = versionNumber(versions.min)
  const max = versionNumber(versions.max)
  return (headers) => {
    const asked = ours(headers['openstack-api-version'], versions.header) ?? (legacy ? text(headers[legacy])?.trim() : undefined)
    if (asked === undefined || asked === '') return versions.min
    if (asked.toLowerCase() === 'latest') return versions.max
    if (!/^[1-9]\d{0,3}\.(0|[1-9]\d{0,4})$/.test(asked)) {
      throw badRequest(`API Version String ${asked.slice(0, 40)} is of invalid format. Must be of format MajorNum.MinorNum.`)
    }
    const number = versionNumber(asked)
    if (number < min || number > max) {
      throw new Fault(406, `Version ${asked} is not supported by the API. Minimum is ${versions.min} and maximum is ${versions.max}.`, {
        detail: { min_version: versions.min, max_version: versions.max },
      })
    }
    return asked
  }
}

/** The headers that tell which version was spoken; nova sends them with errors, too. */
export function versionHeaders(versions: Microversions, version: string): [name: string, value: string][] {
  const headers: [string, string][] = [['openstack-api-version', `${versions.header} ${version}`]]
  if (versions.legacyHeader) headers.push([versions.legacyHeader.toLowerCase(), version])
  headers.push(['vary', versions.legacyHeader ? `OpenStack-API-Version, ${versions.legacyHeader}` : 'OpenStack-API-Version'])
  return headers
}

// One header may name several services: 'compute 2.90, volume 3.70'.
function ours(header: string | string[] | undefined, service: string): string | undefined {
  const all = text(header)
  if (all === undefined) return undefined
  for (const part of all.split(',')) {
    const [name, version, ...rest] = part.trim().split(/\s+/)
    if (name?.toLowerCase() === service) return rest.length > 0 ? `${version} ${rest.join(' ')}` : (version ?? '')
  }
  return undefined
}

const text = (header: string | string[] | undefined) => (Array.isArray(header) ? header.join(',') : header)
