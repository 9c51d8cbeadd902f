// What a command says when it ends in an error. What the kernel denies to someone who is not root has a remedy that its own words don't name.

/** @param words the command as it was given, without the program's name */
export function said(error: unknown, words: string[], root: boolean): string {
  const reason = error instanceof Error ? error.message : String(error)
  const { code } = (error ?? {}) as NodeJS.ErrnoException
  if (root || (code !== 'EACCES' && code !== 'EPERM')) return reason
  return `"wisp ${words[0]}" wants root here (${reason}). Try: sudo ./wisp ${words.join(' ')}`
}
