// What every room's host door is given: the machine that it works on.
import type { Readable } from 'node:stream'
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import type { DocumentOf, Kind, Observation } from '../wire/documents.ts'
import type { Libvirt } from './libvirt.ts'

export interface Machine {
  config: Config
  /** Six hex digits that every name made on this machine bears, so that two clouds on it never meet. */
  tag: string
  log: Logger
  libvirt: Libvirt
  /** 'kvm' or 'qemu' (emulated), as found by trying. */
  virtType: 'kvm' | 'qemu'
  /** Of this machine's processors, as in `uname -m`. */
  arch: string
  /** This end of the tunnels; null = no vxlan on this host. */
  tunnelIp: string | null
  /** The documents of a kind that are wanted on this host now, by id. */
  wanted<K extends Kind>(kind: K): Map<string, DocumentOf[K]>
  /** Resolves once the first complete set has arrived: until then nobody may conclude from what is absent. */
  complete: Promise<void>
  /** Where this host's metadata service listens; what runs in a network's namespace forwards to it. */
  metadataSocket: string
  /** Tells control of what changed without a document. Resolves once it is taken. */
  report(observations: Observation[]): Promise<unknown>
  /** GET from a controller with this host's credentials. */
  fetch(
    path: string,
    signal?: AbortSignal,
  ): Promise<{ status: number; body: Readable; headers: Record<string, string | string[] | undefined> }>
}
