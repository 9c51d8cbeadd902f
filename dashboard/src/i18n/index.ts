// The page's languages. English defines the keys; the type makes every other dictionary have the same ones. Only the chosen one is loaded.
import { useSyncExternalStore } from 'react'
import type { en } from './en.ts'

export type Dictionary = typeof en
export type Language = 'en' | 'zh'

export const languages: { code: Language; name: string; locale: string }[] = [
  { code: 'en', name: 'English', locale: 'en-GB' },
  { code: 'zh', name: '中文', locale: 'zh-CN' },
]

const storageKey = 'wisp.language'

function preferred(): Language {
  const chosen = localStorage.getItem(storageKey)
  if (chosen === 'en' || chosen === 'zh') return chosen
  return navigator.languages.find((code) => /^(en|zh)/.test(code))?.startsWith('zh') === true ? 'zh' : 'en'
}

type Loaded = { language: Language; text: Dictionary }

let loaded: Loaded | undefined
const listeners = new Set<() => void>()

/** Words are asked for by names that users gave, too: without a prototype 'constructor' is a word like any that is not there. */
export function bare<T extends object>(words: T): T {
  for (const value of Object.values(words)) if (typeof value === 'object' && value !== null && !Array.isArray(value)) bare(value)
  return Object.setPrototypeOf(words, null) as T
}

async function load(language: Language): Promise<void> {
  const text = language === 'zh' ? (await import('./zh.ts')).zh : (await import('./en.ts')).en
  loaded = { language, text: bare(text) }
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en'
  for (const listener of listeners) listener()
}

/** Loads the language this browser prefers; to be awaited before the first render. */
export async function startLanguage(): Promise<void> {
  await load(preferred())
}

export async function changeLanguage(language: Language): Promise<void> {
  localStorage.setItem(storageKey, language)
  await load(language)
}

function useLoaded(): Loaded {
  const value = useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    () => loaded,
  )
  if (value === undefined) throw new Error('startLanguage() has not finished')
  return value
}

/** The dictionary of the chosen language: `const t = useText()`, then `t.servers.title`. */
export function useText(): Dictionary {
  return useLoaded().text
}

export function useLanguage(): { language: Language; locale: string } {
  const { language } = useLoaded()
  return { language, locale: languages.find(({ code }) => code === language)?.locale ?? 'en-GB' }
}
