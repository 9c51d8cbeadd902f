// libvirt's remote protocol, as far as Wisp speaks it: each procedure's number, what it takes and what it answers.
// The facts are from libvirt's public remote_protocol.x; names are libvirt's own in camel case. A call's TypeScript
// type derives from its row, so a new call is a new row and nothing else.
import {
  array,
  bool,
  charArray,
  double,
  hyper,
  int,
  nothing,
  opaque,
  optional,
  string,
  struct,
  uhyper,
  uint,
  uuid,
  withDefault,
  type Xdr,
  XdrError,
  type XdrValue,
} from './xdr.ts'

export const REMOTE_PROGRAM = 0x20008086
export const KEEPALIVE_PROGRAM = 0x6b656570
export const PROTOCOL_VERSION = 1
export const KEEPALIVE_PING = 1
export const KEEPALIVE_PONG = 2

export const MessageType = { CALL: 0, REPLY: 1, MESSAGE: 2 } as const
export const MessageStatus = { OK: 0, ERROR: 1 } as const

/** Length word and header. A message is at most 32 MiB. */
export const HEADER_BYTES = 28
export const MESSAGE_MAX_BYTES = 32 * 1024 * 1024 + 4

export const header = struct({ length: uint, program: uint, version: uint, procedure: int, type: int, serial: uint, status: int })

/** What calls name a domain by. libvirt finds it by its UUID; `id` is -1 while it isn't running. */
export const domain = struct({ name: string, uuid, id: int })
export type DomainRef = XdrValue<typeof domain>

export const secret = struct({ uuid, usageType: int, usageId: string })
export type SecretRef = XdrValue<typeof secret>

export const remoteError = struct({
  code: int,
  domain: int,
  message: optional(string),
  level: int,
  dom: optional(domain),
  str1: optional(string),
  str2: optional(string),
  str3: optional(string),
  int1: int,
  int2: int,
})

export type TypedParam =
  | { field: string; type: 'int' | 'uint' | 'llong' | 'ullong' | 'double'; value: number }
  | { field: string; type: 'boolean'; value: boolean }
  | { field: string; type: 'string'; value: string }

const paramTypes: [TypedParam['type'], Xdr<unknown>][] = [
  ['int', int],
  ['uint', uint],
  ['llong', hyper],
  ['ullong', uhyper],
  ['double', double],
  ['boolean', bool],
  ['string', string],
]

/** A name with a value that says its own type; the type's number counts from 1 in the order above. */
export const typedParam: Xdr<TypedParam> = {
  pack: (w, param) => {
    const index = paramTypes.findIndex(([name]) => name === param.type)
    string.pack(w, param.field)
    int.pack(w, index + 1)
    paramTypes[index]![1].pack(w, param.value)
  },
  unpack: (r) => {
    const field = string.unpack(r)
    const index = int.unpack(r) - 1
    const known = paramTypes[index]
    if (!known) throw new XdrError(`Parameter ${field} has the unknown type ${index + 1}`)
    return { field, type: known[0], value: known[1].unpack(r) } as TypedParam
  },
}

/** Typed parameters as a plain object. A field that comes more than once keeps its last value. */
export function plainParams(params: TypedParam[]): Record<string, number | boolean | string> {
  return Object.fromEntries(params.map((param) => [param.field, param.value]))
}

/** `flags` may be left out everywhere and is then 0. */
const flags = withDefault(uint, 0)

function procedure<A extends object, R>(number: number, args: { [K in keyof A]: Xdr<A[K]> }, reply: Xdr<R>) {
  return { number, args: struct(args), reply }
}

const blockStats = struct({ readRequests: hyper, readBytes: hyper, writeRequests: hyper, writeBytes: hyper, errors: hyper })
const interfaceStats = struct({
  rxBytes: hyper,
  rxPackets: hyper,
  rxErrors: hyper,
  rxDropped: hyper,
  txBytes: hyper,
  txPackets: hyper,
  txErrors: hyper,
  txDropped: hyper,
})
const jobInfo = struct({
  type: int,
  timeElapsed: uhyper,
  timeRemaining: uhyper,
  dataTotal: uhyper,
  dataProcessed: uhyper,
  dataRemaining: uhyper,
  memTotal: uhyper,
  memProcessed: uhyper,
  memRemaining: uhyper,
  fileTotal: uhyper,
  fileProcessed: uhyper,
  fileRemaining: uhyper,
})
const nodeInfo = struct({
  model: charArray(32),
  memoryKiB: uhyper,
  cpus: int,
  mhz: int,
  nodes: int,
  sockets: int,
  cores: int,
  threads: int,
})

/**
 * A reply of a single field is that field itself (`domainGetXmlDesc` answers a string). Sizes are in the unit that
 * libvirt uses: memory in KiB, disks in bytes, times in ms unless said otherwise.
 */
export const procedures = {
  authList: procedure(66, {}, array(int)),
  connectOpen: procedure(1, { name: optional(string), flags }, nothing),
  connectClose: procedure(2, {}, nothing),
  connectGetVersion: procedure(4, {}, uhyper),
  connectGetLibVersion: procedure(157, {}, uhyper),
  connectGetHostname: procedure(59, {}, string),
  connectGetCapabilities: procedure(7, {}, string),
  connectGetDomainCapabilities: procedure(
    342,
    { emulator: optional(string), arch: optional(string), machine: optional(string), virtType: optional(string), flags },
    string,
  ),
  connectListAllDomains: procedure(273, { needResults: withDefault(int, 1), flags }, struct({ domains: array(domain), count: uint })),
  connectGetAllDomainStats: procedure(
    344,
    { domains: array(domain), stats: uint, flags },
    array(struct({ dom: domain, params: array(typedParam) })),
  ),
  connectDomainEventCallbackRegisterAny: procedure(316, { eventId: int, dom: optional(domain) }, int),
  nodeGetInfo: procedure(6, {}, nodeInfo),
  nodeGetFreeMemory: procedure(102, {}, uhyper),
  /** Ask with count 0 for the number of fields, then with that number. `cell` -1 is the whole machine. Values in KiB. */
  nodeGetMemoryStats: procedure(
    228,
    { count: int, cell: int, flags },
    struct({ params: array(struct({ field: string, value: uhyper })), count: int }),
  ),

  domainLookupByUuid: procedure(24, { uuid }, domain),
  domainLookupByName: procedure(23, { name: string }, domain),
  domainDefineXmlFlags: procedure(350, { xml: string, flags }, domain),
  domainUndefineFlags: procedure(231, { dom: domain, flags }, nothing),
  domainCreateWithFlags: procedure(196, { dom: domain, flags }, domain),
  domainCreateXml: procedure(10, { xml: string, flags }, domain),
  domainShutdownFlags: procedure(258, { dom: domain, flags }, nothing),
  domainReboot: procedure(27, { dom: domain, flags }, nothing),
  domainReset: procedure(245, { dom: domain, flags }, nothing),
  domainDestroyFlags: procedure(234, { dom: domain, flags }, nothing),
  domainSuspend: procedure(34, { dom: domain }, nothing),
  domainResume: procedure(28, { dom: domain }, nothing),
  domainGetState: procedure(212, { dom: domain, flags }, struct({ state: int, reason: int })),
  /** Memory in KiB, CPU time in ns. */
  domainGetInfo: procedure(
    16,
    { dom: domain },
    struct({ state: uint, maxMemoryKiB: uhyper, memoryKiB: uhyper, vcpus: uint, cpuTimeNs: uhyper }),
  ),
  domainGetXmlDesc: procedure(14, { dom: domain, flags }, string),
  domainSetMetadata: procedure(
    264,
    { dom: domain, type: int, metadata: optional(string), key: optional(string), uri: optional(string), flags },
    nothing,
  ),
  domainGetMetadata: procedure(265, { dom: domain, type: int, uri: optional(string), flags }, string),
  domainSetAutostart: procedure(29, { dom: domain, autostart: bool }, nothing),
  domainManagedSave: procedure(182, { dom: domain, flags }, nothing),
  domainManagedSaveRemove: procedure(184, { dom: domain, flags }, nothing),
  domainHasManagedSaveImage: procedure(183, { dom: domain, flags }, bool),
  domainAttachDeviceFlags: procedure(160, { dom: domain, xml: string, flags }, nothing),
  domainDetachDeviceFlags: procedure(161, { dom: domain, xml: string, flags }, nothing),
  domainDetachDeviceAlias: procedure(392, { dom: domain, alias: string, flags }, nothing),
  domainUpdateDeviceFlags: procedure(174, { dom: domain, xml: string, flags }, nothing),
  domainSetVcpusFlags: procedure(199, { dom: domain, vcpus: uint, flags }, nothing),
  domainSetMemoryFlags: procedure(204, { dom: domain, memoryKiB: uhyper, flags }, nothing),
  domainMemoryStats: procedure(159, { dom: domain, max: uint, flags }, array(struct({ tag: int, value: uhyper }))),
  domainInterfaceStats: procedure(65, { dom: domain, device: string }, interfaceStats),
  domainBlockStats: procedure(64, { dom: domain, path: string }, blockStats),
  domainGetBlockInfo: procedure(
    194,
    { dom: domain, path: string, flags },
    struct({ allocation: uhyper, capacity: uhyper, physical: uhyper }),
  ),
  domainBlockResize: procedure(251, { dom: domain, disk: string, size: uhyper, flags }, nothing),
  /** Always name `base`: without it an active commit writes into the image at the bottom of the chain, shared by others. */
  domainBlockCommit: procedure(
    290,
    { dom: domain, disk: string, base: optional(string), top: optional(string), bandwidth: withDefault(uhyper, 0), flags },
    nothing,
  ),
  domainBlockCopy: procedure(
    345,
    { dom: domain, path: string, destXml: string, params: withDefault(array(typedParam), []), flags },
    nothing,
  ),
  domainBlockJobAbort: procedure(237, { dom: domain, path: string, flags }, nothing),
  domainGetBlockJobInfo: procedure(
    238,
    { dom: domain, path: string, flags },
    struct({ found: bool, type: int, bandwidth: uhyper, current: uhyper, end: uhyper }),
  ),
  domainSnapshotCreateXml: procedure(185, { dom: domain, xml: string, flags }, struct({ name: string, dom: domain })),
  /** With Migrate.PEER2PEER the source's libvirtd drives the whole migration; `destination` is the target's URI. */
  domainMigratePerform3Params: procedure(
    305,
    { dom: domain, destination: optional(string), params: array(typedParam), cookie: withDefault(opaque, Buffer.alloc(0)), flags },
    opaque,
  ),
  domainMigrateSetMaxDowntime: procedure(166, { dom: domain, downtimeMs: uhyper, flags }, nothing),
  domainMigrateStartPostCopy: procedure(364, { dom: domain, flags }, nothing),
  domainGetJobInfo: procedure(163, { dom: domain }, jobInfo),
  domainGetJobStats: procedure(298, { dom: domain, flags }, struct({ type: int, params: array(typedParam) })),
  domainAbortJob: procedure(164, { dom: domain }, nothing),

  secretDefineXml: procedure(142, { xml: string, flags }, secret),
  secretSetValue: procedure(144, { secret, value: opaque, flags }, nothing),
  secretUndefine: procedure(146, { secret }, nothing),
  secretLookupByUuid: procedure(141, { uuid }, secret),
}

export type ProcedureName = keyof typeof procedures
export type Args<N extends ProcedureName> = XdrValue<(typeof procedures)[N]['args']>
export type Reply<N extends ProcedureName> = XdrValue<(typeof procedures)[N]['reply']>

const event = <T>(id: number, number: number, message: Xdr<T>) => ({ id, number, message })

/** Events: libvirt's event id (to register), the procedure that brings it, and its content. */
export const events = {
  lifecycle: event(0, 318, struct({ callback: int, dom: domain, event: int, detail: int })),
  reboot: event(1, 319, struct({ callback: int, dom: domain })),
  ioError: event(6, 324, struct({ callback: int, dom: domain, path: string, alias: string, action: int, reason: string })),
  deviceRemoved: event(15, 333, struct({ callback: int, dom: domain, alias: string })),
  blockJob: event(16, 339, struct({ callback: int, dom: domain, disk: string, type: int, status: int })),
  agentLifecycle: event(18, 348, struct({ callback: int, dom: domain, state: int, reason: int })),
  jobCompleted: event(21, 363, struct({ callback: int, dom: domain, params: array(typedParam) })),
  deviceRemovalFailed: event(22, 367, struct({ callback: int, dom: domain, alias: string })),
}

export type EventName = keyof typeof events
export type EventMessage<N extends EventName> = XdrValue<(typeof events)[N]['message']>
