// Names of what the network room makes on a machine. An interface's name has 15 characters at most: the cloud's tag, a letter for its
// purpose and the beginning of the object's id; the whole id is in its alias, by which it is found again.

const short = (id: string, length: number) => id.replaceAll('-', '').slice(0, length)

export const bridgeName = (tag: string, networkId: string) => `w${tag}b${short(networkId, 7)}`
export const vxlanName = (tag: string, networkId: string) => `w${tag}x${short(networkId, 7)}`
export const vlanName = (tag: string, networkId: string) => `w${tag}v${short(networkId, 7)}`
export const dhcpName = (tag: string, networkId: string) => `w${tag}d${short(networkId, 7)}`
/** What the names of all taps, and of all tunnels, of this cloud begin with. */
export const anyTap = (tag: string) => `w${tag}t`
export const anyVxlan = (tag: string) => `w${tag}x`
export const tapName = (tag: string, portId: string) => `w${tag}t${short(portId, 7)}`
export const namespaceName = (tag: string, networkId: string) => `wisp-${tag}-${networkId}`

/** Chains have 28 characters at most, sets 30. */
export const chainName = (tag: string, direction: 'i' | 'o', portId: string) => `wisp${tag}-${direction}-${short(portId, 14)}`
export const forwardChain = (tag: string) => `wisp${tag}-forward`
export const fromChain = (tag: string) => `wisp${tag}-from`
export const toChain = (tag: string) => `wisp${tag}-to`
export const rawChain = (tag: string) => `wisp${tag}-raw`
export const setName = (tag: string, groupId: string, family: 4 | 6) => `wisp${tag}-${family}-${short(groupId, 16)}`
export const bridgeTable = (tag: string) => `wisp_${tag}`

export const alias = (tag: string, kind: 'network' | 'port' | 'dhcp', id: string) => `wisp ${tag} ${kind} ${id}`

/** The id in an alias of this cloud and kind, or null. */
export function idOf(tag: string, kind: 'network' | 'port', given: string): string | null {
  const begin = `wisp ${tag} ${kind} `
  return given.startsWith(begin) ? given.slice(begin.length) : null
}
