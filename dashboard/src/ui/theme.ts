// Dark or light: follows the system unless this browser was told otherwise. PatternFly's tokens switch with one class on <html>.
import { useSyncExternalStore } from 'react'

export type Theme = 'system' | 'light' | 'dark'

const storageKey = 'wisp.theme'
const systemIsDark = matchMedia('(prefers-color-scheme: dark)')
const listeners = new Set<() => void>()

function chosen(): Theme {
  const value = localStorage.getItem(storageKey)
  return value === 'light' || value === 'dark' ? value : 'system'
}

function apply(): void {
  const dark = chosen() === 'dark' || (chosen() === 'system' && systemIsDark.matches)
  document.documentElement.classList.toggle('pf-v6-theme-dark', dark)
}

export function startTheme(): void {
  systemIsDark.addEventListener('change', apply)
  apply()
}

export function changeTheme(theme: Theme): void {
  if (theme === 'system') localStorage.removeItem(storageKey)
  else localStorage.setItem(storageKey, theme)
  apply()
  for (const listener of listeners) listener()
}

export function useTheme(): Theme {
  return useSyncExternalStore((listener) => {
    listeners.add(listener)
    return () => listeners.delete(listener)
  }, chosen)
}
