// The types make every language have the same keys, except in the maps of what services answer (statuses, actions), which are open: these must
// be as full in each language, or some people would read a service's own word.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { en } from './en.ts'
import { bare } from './index.ts'
import { zh } from './zh.ts'

function keysOf(words: object, path = ''): string[] {
  return Object.entries(words).flatMap(([name, value]) => {
    const here = path === '' ? name : `${path}.${name}`
    return typeof value === 'object' && value !== null ? keysOf(value, here) : [here]
  })
}

test('both languages have the same keys, and no empty words', () => {
  assert.deepEqual(keysOf(zh).sort(), keysOf(en).sort())
  const texts = (words: object): unknown[] =>
    Object.values(words).flatMap((value: unknown) => (typeof value === 'object' && value !== null ? texts(value) : [value]))
  for (const value of [...texts(en), ...texts(zh)]) assert.notEqual(value, '')
})

test('sentences that are made of parts are made of the same parts', () => {
  const functions = (words: object, path = ''): [string, number][] =>
    Object.entries(words).flatMap(([name, value]): [string, number][] => {
      if (typeof value === 'function') return [[`${path}.${name}`, value.length]]
      return typeof value === 'object' && value !== null ? functions(value, `${path}.${name}`) : []
    })
  const inChinese = new Map(functions(zh))
  for (const [name, parts] of functions(en)) assert.ok((inChinese.get(name) ?? Number.POSITIVE_INFINITY) <= parts, name)
})

test('what every object of JavaScript has is no word', () => {
  const words: Record<string, Record<string, string>> = bare({ owner: { router: 'a router' } })
  assert.deepEqual(
    [words.owner?.router, words.owner?.constructor, words.owner?.toString, Object.getPrototypeOf(words)],
    ['a router', undefined, undefined, null],
  )
})
