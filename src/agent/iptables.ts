// Packet filter rules, address sets and the connection table. Always a whole text on standard input, which the kernel takes
// "in one go" or not at all, so no packet ever meets half a rule set.
import { type Netns, run } from './shell.ts'

/** How long to wait for another program that is changing the rules, in seconds. */
const LOCK_SECONDS = '10'

export interface RulesOptions {
  /** 4 (default) or 6: iptables-restore or ip6tables-restore. */
  family?: 4 | 6
  /** What the rules are for; opens the error's message. */
  doing?: string
  signal?: AbortSignal
}

/**
 * Loads rules in iptables-save's format. Only the chains that the text declares (`:chain - [0:0]`) are emptied and filled;
 * all others stay (`--noflush`). With a rule that the kernel refuses nothing is changed, and the error names the line.
 */
export async function restoreRules(netns: Netns, text: string, options: RulesOptions = {}): Promise<void> {
  const { family = 4, doing = 'load packet filter rules', signal } = options
  await run([family === 6 ? 'ip6tables-restore' : 'iptables-restore', '--noflush', '--wait', LOCK_SECONDS], {
    netns,
    input: text,
    doing,
    signal,
  })
}

/** The rules of a table (default: all tables) in iptables-save's format. */
export async function savedRules(netns: Netns, options: RulesOptions & { table?: string } = {}): Promise<string> {
  const { family = 4, doing = 'read packet filter rules', signal, table } = options
  const argv = [family === 6 ? 'ip6tables-save' : 'iptables-save', ...(table === undefined ? [] : ['-t', table])]
  return (await run(argv, { netns, doing, signal })).stdout
}

/** Runs `ipset restore` commands. What exists already, or is absent already, is fine (`-exist`). Not atomic: swap sets for that. */
export async function restoreSets(netns: Netns, text: string, options: Omit<RulesOptions, 'family'> = {}): Promise<void> {
  await run(['ipset', '-exist', 'restore'], { netns, input: text, doing: options.doing ?? 'load address sets', signal: options.signal })
}

/** The names of all sets. */
export async function setNames(netns: Netns, signal?: AbortSignal): Promise<string[]> {
  const { stdout } = await run(['ipset', 'list', '-name'], { netns, doing: 'list address sets', signal })
  return stdout.split('\n').filter((name) => name !== '')
}

/** How many members each set has. */
export async function setSizes(netns: Netns, signal?: AbortSignal): Promise<Map<string, number>> {
  const { stdout } = await run(['ipset', 'list', '-terse'], { netns, doing: 'look at address sets', signal })
  return new Map([...stdout.matchAll(/^Name: (.*)$[\s\S]*?^Number of entries: (\d+)$/gm)].map(([, name, size]) => [name!, Number(size)]))
}

/**
 * Makes a set hold exactly these members, in one moment: filled under another name, then swapped in. `type` is ipset's,
 * with options: `hash:net`, `hash:net family inet6`. A set's name has at most 30 characters, one fewer than ipset allows.
 */
export async function replaceSet(
  netns: Netns,
  set: { name: string; type: string; members: string[] },
  signal?: AbortSignal,
): Promise<void> {
  for (const word of [set.name, set.type, ...set.members])
    if (/[\n"]/.test(word)) throw new Error(`'${word}' can't be part of an address set`)
  const next = `${set.name}~`
  const lines = [
    `create ${set.name} ${set.type}`,
    `create ${next} ${set.type}`,
    `flush ${next}`,
    ...set.members.map((member) => `add ${next} ${member}`),
    `swap ${next} ${set.name}`,
    `destroy ${next}`,
  ]
  await restoreSets(netns, `${lines.join('\n')}\n`, { doing: `fill address set ${set.name}`, signal })
}

/** Removes a set. Absent is fine; one that a rule still names is an error. */
export async function removeSet(netns: Netns, name: string, signal?: AbortSignal): Promise<void> {
  if ((await setNames(netns, signal)).includes(name))
    await run(['ipset', 'destroy', name], { netns, doing: `remove address set ${name}`, signal })
}

/** Loads nftables commands as one transaction. */
export async function loadNftables(netns: Netns, text: string, options: Omit<RulesOptions, 'family'> = {}): Promise<void> {
  await run(['nft', '-f', '-'], { netns, input: text, doing: options.doing ?? 'load nftables rules', signal: options.signal })
}

/** Which tracked connections are meant; what is left out matches all. */
export interface Connections {
  family?: 4 | 6
  zone?: number
  protocol?: string
  source?: string
  destination?: string
  sourcePort?: number
  destinationPort?: number
}

/** Forgets tracked connections, so that changed rules apply to them too. Resolves with how many there were. */
export async function deleteConnections(netns: Netns, which: Connections, signal?: AbortSignal): Promise<number> {
  const argv = ['conntrack', '-D', '-f', which.family === 6 ? 'ipv6' : 'ipv4']
  if (which.protocol !== undefined) argv.push('-p', which.protocol)
  if (which.source !== undefined) argv.push('-s', which.source)
  if (which.destination !== undefined) argv.push('-d', which.destination)
  if (which.sourcePort !== undefined) argv.push('--sport', String(which.sourcePort))
  if (which.destinationPort !== undefined) argv.push('--dport', String(which.destinationPort))
  if (which.zone !== undefined) argv.push('--zone', String(which.zone))
  try {
    const { stderr } = await run(argv, { netns, doing: 'forget tracked connections', signal })
    return deletedCount(stderr) ?? 0
  } catch (error) {
    // It exits with 1 when nothing matched.
    const count = error instanceof Error && 'stderr' in error ? deletedCount(String(error.stderr)) : undefined
    if (count === 0) return 0
    throw error
  }
}

function deletedCount(stderr: string): number | undefined {
  const count = /(\d+) flow entries have been deleted/.exec(stderr)?.[1]
  return count === undefined ? undefined : Number(count)
}
