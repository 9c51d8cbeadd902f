// What people type into an image's form, read: tags with commas between, properties one to a line.
import { isPropertyName } from '../api/image.ts'

/** "a, b,,a" → ['a', 'b'] */
export function splitTags(text: string): string[] {
  const tags = text
    .split(',')
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '')
  return [...new Set(tags)]
}

/** Lines of name=value; `error` is the first line that isn't one, or whose name is taken by the image service itself. */
export function parseProperties(text: string): { properties: Record<string, string>; error?: string } {
  const properties: Record<string, string> = {}
  for (const line of text.split('\n').map((each) => each.trim())) {
    if (line === '') continue
    const at = line.indexOf('=')
    const name = line.slice(0, Math.max(at, 0)).trim()
    if (!isPropertyName(name)) return { properties, error: line }
    properties[name] = line.slice(at + 1).trim()
  }
  return { properties }
}
