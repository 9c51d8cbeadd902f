// What was found out about this machine, and what to do about it.

export interface Finding {
  /** `bad` = Wisp will not work; `poor` = it will, without something. */
  level: 'good' | 'poor' | 'bad'
  what: string
  /** What to do about it. */
  remedy?: string
}

export const good = (what: string): Finding => ({ level: 'good', what })
export const poor = (what: string, remedy: string): Finding => ({ level: 'poor', what, remedy })
export const bad = (what: string, remedy: string): Finding => ({ level: 'bad', what, remedy })
