// The version documents, by which clients find out what block storage speaks. Open to anyone, as in Cinder.
import { type AnyRow, type Call, row } from '../../http/table.ts'

const version = ({ url }: Call) => ({
  id: 'v3.0',
  status: 'CURRENT',
  version: microversions.max,
  min_version: microversions.min,
  updated: '2026-01-01T00:00:00Z',
  links: [{ rel: 'self', href: `${url.origin}/volume/v3/` }],
  'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.volume+json;version=3' }],
})

export const microversions = { header: 'volume', min: '3.0', max: '3.70' }

export const versionRows: AnyRow[] = [
  row({ route: 'GET /', policy: null, reply: 300, run: (call) => ({ versions: [version(call)] }) }),
  row({ route: 'GET /v3', policy: null, reply: 200, run: (call) => ({ versions: [version(call)] }) }),
]
