// The standard metadata definitions (metadefs/*.yaml): loaded once each, so that what an operator changes or deletes stays so, and what a
// newer Wisp brings is added.
import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { parse } from 'yaml'
import { json, type Tx } from '../../database/connect.ts'
import type { JsonObject } from '../../database/types.ts'

const folder = path.join(import.meta.dirname, '../metadefs')

export interface Association {
  name: string
  prefix?: string
  properties_target?: string
}

export interface DefinedObject {
  name: string
  description?: string
  required?: string[]
  properties?: Record<string, JsonObject>
}

interface Standard {
  namespace: string
  display_name?: string
  description?: string
  visibility?: 'public' | 'private'
  protected?: boolean
  applies_to: Association[]
  properties?: Record<string, JsonObject>
  objects?: DefinedObject[]
  tags?: string[]
}

/** What belongs to a namespace. */
export interface Contents {
  associations?: Association[]
  properties?: Record<string, JsonObject>
  objects?: DefinedObject[]
  tags?: string[]
}

/** Loads the standard namespaces that this cloud has never had. @param owner id of the project that they belong to */
export async function loadStandardMetadefs(tx: Tx, owner: string): Promise<void> {
  const fact = await tx.selectFrom('wisp.fact').select('value').where('name', '=', 'metadefs').executeTakeFirst()
  const known = new Set((fact?.value ?? []) as string[])
  const fresh = readStandards().filter(({ namespace }) => !known.has(namespace))
  if (fresh.length === 0) return
  for (const { applies_to, properties, objects, tags, visibility = 'public', protected: kept = true, ...own } of fresh) {
    const id = randomUUID()
    const added = await tx
      .insertInto('image.metadef_namespace')
      .values({ ...own, id, owner, visibility, protected: kept })
      .onConflict((on) => on.doNothing())
      .executeTakeFirst()
    if (added.numInsertedOrUpdatedRows) await addContents(tx, id, { associations: applies_to, properties, objects, tags })
  }
  const value = json([...known, ...fresh.map(({ namespace }) => namespace)])
  await tx
    .insertInto('wisp.fact')
    .values({ name: 'metadefs', value })
    .onConflict((on) => on.column('name').doUpdateSet({ value }))
    .execute()
}

const readStandards = (): Standard[] =>
  fs
    .readdirSync(folder)
    .filter((file) => file.endsWith('.yaml'))
    .sort()
    .map((file) => parse(fs.readFileSync(path.join(folder, file), 'utf8')) as Standard)

/** Fills a new namespace. Resource types that nobody has named before are made. */
export async function addContents(tx: Tx, namespace_id: string, contents: Contents): Promise<void> {
  const { associations = [], properties = {}, objects = [], tags = [] } = contents
  if (associations.length > 0) {
    await nameResourceTypes(
      tx,
      associations.map(({ name }) => name),
    )
    await tx
      .insertInto('image.metadef_association')
      .values(associations.map(({ name, prefix, properties_target }) => ({ namespace_id, resource_type: name, prefix, properties_target })))
      .execute()
  }
  const named = Object.entries(properties)
  if (named.length > 0) {
    await tx
      .insertInto('image.metadef_property')
      .values(named.map(([name, schema]) => ({ namespace_id, name, schema: json(schema) })))
      .execute()
  }
  if (objects.length > 0)
    await tx
      .insertInto('image.metadef_object')
      .values(objects.map((one) => objectRow(namespace_id, one)))
      .execute()
  if (tags.length > 0)
    await tx
      .insertInto('image.metadef_tag')
      .values(tags.map((name) => ({ namespace_id, name })))
      .execute()
}

export const objectRow = (namespace_id: string, { name, description, required, properties }: DefinedObject) => ({
  namespace_id,
  name,
  description: description ?? null,
  required: required === undefined ? null : json(required),
  properties: json(properties ?? {}),
})

export async function nameResourceTypes(tx: Tx, names: string[]): Promise<void> {
  await tx
    .insertInto('image.metadef_resource_type')
    .values([...new Set(names)].sort().map((name) => ({ name })))
    .onConflict((on) => on.doNothing())
    .execute()
}
