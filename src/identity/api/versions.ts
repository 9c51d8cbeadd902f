// Version documents: how clients find out which identity API there is, from any address they were given.
import { type AnyRow, type Call, row } from '../../http/table.ts'

/** Below the address at which `path` of this API is. */
const version = ({ url }: Pick<Call, 'url'>, path: string) => ({
  id: 'v3.14',
  status: 'stable',
  updated: '2020-04-07T00:00:00Z',
  links: [{ rel: 'self', href: `${url.origin}${path}/` }],
  'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.identity-v3+json' }],
})

const withoutSlash = (path: string) => path.replace(/\/+$/, '')

/** At /identity/v3 and /v3. */
export const thisVersion: AnyRow[] = [
  row({
    route: 'GET /',
    policy: null,
    reply: 200,
    summary: 'Show this version of the API',
    run: (call) => ({ version: version(call, withoutSlash(call.url.path)) }),
  }),
]

/** At /identity and /: 300, for there could be a choice. */
export const allVersions: AnyRow[] = [
  row({
    route: 'GET /',
    policy: null,
    reply: 300,
    summary: 'List the versions of the API',
    run(call) {
      const path = `${withoutSlash(call.url.path)}/v3`
      call.header('location', `${call.url.origin}${path}/`)
      return { versions: { values: [version(call, path)] } }
    },
  }),
]
