// Arithmetic of addresses: what belongs to a range, which pools a range has by default, where a random address comes from. Pure;
// which address is free only the database knows (allocate.ts).
import { randomBytes, randomInt } from 'node:crypto'
import ipaddr from 'ipaddr.js'

export interface Range {
  version: 4 | 6
  /** First and last address, network and broadcast included. */
  first: bigint
  last: bigint
  prefix: number
}

export interface Pool {
  start: string
  end: string
}

/** An address as a number, or undefined if `text` is none. Forms that only some parsers read (octal, short, zoned) are refused. */
export function parseIp(text: string): { version: 4 | 6; value: bigint } | undefined {
  if (/^\d+\.\d+\.\d+\.\d+$/.test(text)) {
    if (!ipaddr.IPv4.isValidFourPartDecimal(text) || /(^|\.)0\d/.test(text)) return undefined
    return { version: 4, value: number(ipaddr.IPv4.parse(text).toByteArray()) }
  }
  if (!text.includes(':') || text.includes('%') || !ipaddr.IPv6.isValid(text)) return undefined
  return { version: 6, value: number(ipaddr.IPv6.parse(text).toByteArray()) }
}

const number = (bytes: number[]) => bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)

/** In the form in which PostgreSQL writes it, too: RFC 5952 for IPv6. */
export function formatIp(version: 4 | 6, value: bigint): string {
  const size = version === 4 ? 4 : 16
  const bytes = Array.from({ length: size }, (_, i) => Number((value >> BigInt(8 * (size - 1 - i))) & 255n))
  return version === 4 ? bytes.join('.') : new ipaddr.IPv6(bytes).toRFC5952String()
}

/** The same address in its usual form; undefined if it is none. */
export function normalIp(text: string): string | undefined {
  const ip = parseIp(text)
  return ip && formatIp(ip.version, ip.value)
}

/** A range such as 10.0.0.0/24; host bits are cut off. A bare address is a range of one. Undefined if `text` is neither. */
export function parseCidr(text: string): Range | undefined {
  const [address = '', mask, ...rest] = text.split('/')
  const ip = parseIp(address)
  if (!ip || rest.length > 0 || (mask !== undefined && !/^\d{1,3}$/.test(mask))) return undefined
  const bits = ip.version === 4 ? 32 : 128
  const prefix = mask === undefined ? bits : Number(mask)
  if (prefix > bits) return undefined
  const span = 1n << BigInt(bits - prefix)
  const first = (ip.value / span) * span
  return { version: ip.version, first, last: first + span - 1n, prefix }
}

export const formatCidr = ({ version, first, prefix }: Range) => `${formatIp(version, first)}/${prefix}`

/** Why DHCP cannot serve a range; undefined where it can. The limits are Neutron's. */
export function dhcpProblem({ version, first, last, prefix }: Range): string | undefined {
  if (prefix > (version === 4 ? 30 : 126)) return 'Subnet has a prefix length that is incompatible with DHCP service enabled'
  const kinds = [first, last].map((value) => ipaddr.parse(formatIp(version, value)).range())
  if (kinds.every((kind) => kind === 'multicast')) return 'Multicast IP subnet is not supported if enable_dhcp is True'
  if (kinds.every((kind) => kind === 'loopback')) return 'Loopback IP subnet is not supported if enable_dhcp is True'
  if (first === 0n) return `First IP '${formatIp(version, first)}' of network is not supported if enable_dhcp is True`
  return undefined
}

export function contains(range: Range, text: string): boolean {
  const ip = parseIp(text)
  return ip !== undefined && ip.version === range.version && ip.value >= range.first && ip.value <= range.last
}

/** Addresses that a port may have: not the network's own, not the broadcast address; in /31, /32, /127 and /128 all of them. */
export function usable(range: Range): { first: bigint; last: bigint } {
  if (range.last - range.first < 2n) return { first: range.first, last: range.last }
  return { first: range.first + 1n, last: range.version === 4 ? range.last - 1n : range.last }
}

/** The gateway where the user names none: the first usable address. */
export const defaultGateway = (range: Range) => formatIp(range.version, usable(range).first)

/** The pools where the user names none: all that is usable but the gateway. */
export function defaultPools(range: Range, gateway: string | null): Pool[] {
  const { first, last } = usable(range)
  const at = gateway === null ? undefined : parseIp(gateway)
  const pools =
    at && at.version === range.version && at.value >= first && at.value <= last
      ? [
          [first, at.value - 1n],
          [at.value + 1n, last],
        ]
      : [[first, last]]
  return pools.flatMap(([start, end]) =>
    start! <= end! ? [{ start: formatIp(range.version, start!), end: formatIp(range.version, end!) }] : [],
  )
}

/** What is wrong with pools that a user gave; undefined if nothing is. */
export type PoolProblem =
  | { what: 'invalid' | 'out of bounds'; pool: string }
  | { what: 'overlap'; pool: string; other: string }
  | { what: 'gateway'; pool: string }

export function poolProblem(range: Range, pools: Pool[], gateway: string | null): PoolProblem | undefined {
  const limits = usable(range)
  const sorted: { start: bigint; end: bigint; text: string }[] = []
  for (const { start, end } of pools) {
    const text = `${start}-${end}`
    const [from, to] = [parseIp(start), parseIp(end)]
    if (!from || !to || from.version !== range.version || to.version !== range.version || from.value > to.value)
      return { what: 'invalid', pool: text }
    if (from.value < limits.first || to.value > limits.last) return { what: 'out of bounds', pool: text }
    sorted.push({ start: from.value, end: to.value, text })
  }
  sorted.sort((a, b) => (a.start < b.start ? -1 : 1))
  for (const [i, pool] of sorted.entries()) {
    const before = sorted[i - 1]
    if (before && before.end >= pool.start) return { what: 'overlap', pool: before.text, other: pool.text }
  }
  const at = gateway === null ? undefined : parseIp(gateway)
  const hit = at && sorted.find(({ start, end }) => at.value >= start && at.value <= end)
  return hit && { what: 'gateway', pool: hit.text }
}

export const poolSize = ({ start, end }: Pool) => parseIp(end)!.value - parseIp(start)!.value + 1n

/** `count` different addresses of the pools at random, each as likely as any other; fewer where the pools are smaller. */
export function randomAddresses(pools: Pool[], count: number): string[] {
  const sizes = pools.map(poolSize)
  const total = sizes.reduce((sum, size) => sum + size, 0n)
  const chosen = new Set<bigint>()
  const wanted = total < BigInt(count) ? Number(total) : count
  while (chosen.size < wanted) chosen.add(randomBelow(total))
  return [...chosen].map((offset) => {
    let rest = offset
    const at = sizes.findIndex((size) => {
      if (rest < size) return true
      rest -= size
      return false
    })
    const start = parseIp(pools[at]!.start)!
    return formatIp(start.version, start.value + rest)
  })
}

function randomBelow(limit: bigint): bigint {
  if (limit < 1n << 47n) return BigInt(randomInt(Number(limit)))
  return number([...randomBytes(24)]) % limit
}

/** fa:16:3e and three random bytes, as Neutron makes them. */
export const randomMac = () => ['fa', '16', '3e', ...[...randomBytes(3)].map((byte) => byte.toString(16).padStart(2, '0'))].join(':')

/** Lower case with colons; undefined if it is no address of a single station (all zero, multicast). */
export function normalMac(text: string): string | undefined {
  const mac = text.toLowerCase().replaceAll('-', ':')
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac) || mac === '00:00:00:00:00:00' || Number.parseInt(mac.slice(0, 2), 16) & 1)
    return undefined
  return mac
}

/** The address that a station with this MAC gives itself in a /64 (RFC 4291, appendix A). */
export function eui64(range: Range, mac: string): string {
  const bytes = mac.split(':').map((part) => Number.parseInt(part, 16))
  const id = number([bytes[0]! ^ 2, bytes[1]!, bytes[2]!, 0xff, 0xfe, bytes[3]!, bytes[4]!, bytes[5]!])
  return formatIp(6, range.first + id)
}
