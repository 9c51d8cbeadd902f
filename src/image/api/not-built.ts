// What Glance has and this version of Wisp does not: each says so, after the rule that Glance has for it.
import { notBuilt } from '../../http/fault.ts'
import { type AnyRow, type Method, type Route, row } from '../../http/table.ts'

type Missing = [route: `${Method} /${string}`, policy: string]

const absent = (what: string, missing: Missing[]): AnyRow[] =>
  missing.map(([route, policy]) =>
    row({
      route: route.replace(' ', ' /v2') as Route,
      policy,
      reply: 501,
      summary: `${what}: not available in this version`,
      run: () => {
        throw notBuilt(what)
      },
    }),
  )

export const missing: AnyRow[] = [
  ...absent('The cache of the image service', [
    ['GET /cache', 'cache_list'],
    ['DELETE /cache', 'cache_delete'],
    ['PUT /cache/:image_id', 'cache_image'],
    ['DELETE /cache/:image_id', 'cache_delete'],
    ['POST /cache/clean', 'cache_clean'],
    ['POST /cache/prune', 'cache_prune'],
  ]),
]
