// The namespace that a path names, and what all metadata definitions share. A namespace that the caller may not see is a 404 whatever is
// asked of it (glance/api/v2/policy.py); what lies in a protected one cannot be deleted.
import type { Selectable } from 'kysely'
import type { ImageMetadefNamespace } from '../../database/types.ts'
import { forbidden, notFound } from '../../http/fault.ts'
import type { Target } from '../../http/table.ts'
import { type Asking, viewerOf } from './find.ts'

export type NamespaceRow = Selectable<ImageMetadefNamespace>

export const namespacesPath = '/v2/metadefs/namespaces'

/** What policy asks of a namespace and of all that lies in it. */
export const namespaceTarget = ({ owner, visibility }: NamespaceRow): Target => ({ project_id: owner, visibility })

/** The namespace, if the caller may do what each of the rules is for; locked where `lock` is set. @throws Fault 404, 403 */
export async function findNamespace(call: Asking, name: string, rules: string[], lock: 'lock' | 'look' = 'look'): Promise<NamespaceRow> {
  const viewer = viewerOf(call)
  const namespace = await call.tx
    .selectFrom('image.metadef_namespace')
    .selectAll()
    .where('namespace', '=', name)
    .$if(!viewer.admin, (query) => query.where((e) => e.or([e('visibility', '=', 'public'), e('owner', '=', viewer.project)])))
    .$if(lock === 'lock', (query) => query.forUpdate())
    .executeTakeFirst()
  if (!namespace) throw noNamespace(name)
  const target = namespaceTarget(namespace)
  for (const rule of rules) {
    if (call.may(rule, target)) continue
    if (!call.may('get_metadef_namespace', target)) throw noNamespace(name)
    call.must(rule, target)
  }
  return namespace
}

const noNamespace = (name: string) => notFound(`Namespace ${name.slice(0, 100)} not found`)

/** @throws Fault 403 for what clients may not set */
export function refuseReadOnly(body: object, ...names: string[]): void {
  const found = names.find((name) => Object.hasOwn(body, name))
  if (found !== undefined) throw forbidden(`Attribute '${found}' is read-only.`)
}

/** @param what 'object Health', say @throws Fault 403 */
export function refuseProtected(namespace: NamespaceRow, what: string): void {
  if (namespace.protected) throw forbidden(`Metadata definition ${what} is protected and cannot be deleted.`)
}

/** @param one 'metadata definition object', say @throws Fault 404 */
export const noDefinition = (one: string, name: string, namespace: string) =>
  notFound(`The ${one} with name=${name.slice(0, 100)} was not found in namespace=${namespace}.`)

/** The object without what is null, as Glance leaves out what is not set. */
export const withoutNulls = <T extends object>(value: T): Partial<T> =>
  Object.fromEntries(Object.entries(value).filter(([, part]) => part !== null && part !== undefined)) as Partial<T>
