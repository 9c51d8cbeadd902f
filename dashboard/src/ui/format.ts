// Numbers, sizes and times as people read them.

/** Bytes as binary units: 1,610,612,736 → "1.5 GiB". */
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let value = count
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${value >= 100 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

/** Mebibytes, the unit of flavors and limits. */
export function mebibytes(count: number): string {
  return bytes(count * 1024 * 1024)
}

export function gibibytes(count: number): string {
  return bytes(count * 1024 ** 3)
}

/** OpenStack's times are UTC; compute's action times say so only by convention ("2026-11-23T05:00:00.000000"). */
export function parseTime(text: string): number {
  return Date.parse(/Z$|[+-]\d\d:\d\d$/.test(text) ? text : `${text}Z`)
}

/** Milliseconds as "0.4 s", "12 s", "3 min 5 s". */
export function duration(milliseconds: number): string {
  const exact = Math.max(0, milliseconds) / 1000
  const seconds = Math.round(exact)
  if (exact < 9.95) return `${exact.toFixed(1)} s`
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

const steps: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['week', 604_800],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
]

/** "5 minutes ago" or "in 5 minutes", in the language asked for. */
export function fromNow(time: number, now: number, locale: string): string {
  const seconds = Math.round((time - now) / 1000)
  const [unit, size] = steps.find(([, length]) => Math.abs(seconds) >= length) ?? ['second', 1]
  return new Intl.RelativeTimeFormat(locale, { numeric: 'auto' }).format(Math.trunc(seconds / size), unit)
}

/** The part of a UUID that is enough to tell two apart. */
export function shortId(id: string): string {
  return id.slice(0, 8)
}

/** Saves text as a file through the browser. */
export function saveFile(name: string, content: string): void {
  saveBlob(name, new Blob([content], { type: 'text/plain' }))
}

export function saveBlob(name: string, content: Blob): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(content)
  link.download = name
  link.click()
  URL.revokeObjectURL(link.href)
}
