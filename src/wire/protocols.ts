// The names of IP protocols that Neutron accepts in rules, as IANA's numbers: the API checks rules by them, and hosts need no program on the
// machine that knows them.
export const protocols: Readonly<Record<string, number>> = {
  hopopt: 0,
  icmp: 1,
  igmp: 2,
  ipip: 4,
  tcp: 6,
  egp: 8,
  udp: 17,
  dccp: 33,
  'ipv6-encap': 41,
  'ipv6-route': 43,
  'ipv6-frag': 44,
  rsvp: 46,
  gre: 47,
  esp: 50,
  ah: 51,
  icmpv6: 58,
  'ipv6-icmp': 58,
  'ipv6-nonxt': 59,
  'ipv6-opts': 60,
  ospf: 89,
  vrrp: 112,
  pgm: 113,
  sctp: 132,
  udplite: 136,
}

/** The number of a protocol that is given by name or number; null = any; undefined = there is no such protocol. */
export function protocolNumber(given: string | null): number | null | undefined {
  if (given === null || given === 'any') return null
  if (typeof given === 'string' && /^\d{1,3}$/.test(given) && Number(given) <= 255) return Number(given)
  return Object.hasOwn(protocols, given) ? protocols[given] : undefined
}
