/** A row's route, taken apart. */
import type { Method } from './table.ts'

/**
 * 'POST /servers/:id/action#reboot' → its three parts; the action is '' where there is none, the path '' for '/'.
 * @throws Error for what is no route
 */
export function splitRoute(route: string): { method: Method; path: string; action: string } {
  const [, method, path, action = ''] = /^(GET|HEAD|POST|PUT|PATCH|DELETE) (\/[^#]*)(?:#(.+))?$/.exec(route) ?? []
  if (!method || !path) throw new Error(`A route reads 'GET /path', not '${route}'`)
  return { method: method as Method, path: path === '/' ? '' : path, action }
}
