// What control tells a host (documents) and what a host tells control (observations). Documents are whole, small and versioned:
// a host that holds the newest ones needs nothing else to go on, also when every controller is away.

/** In the order in which a host makes them true; it takes them away in the reverse order. */
export const kinds = ['image', 'network', 'security-group', 'group-members', 'port', 'server'] as const
export type Kind = (typeof kinds)[number]

export interface Address {
  ip: string
  subnet_id: string
}

export interface SubnetDocument {
  id: string
  ip_version: 4 | 6
  cidr: string
  gateway_ip: string | null
  enable_dhcp: boolean
  dns_nameservers: string[]
  host_routes: { destination: string; nexthop: string }[]
  ipv6_ra_mode: string | null
  ipv6_address_mode: string | null
}

/** A network as one host needs it. DHCP and metadata are answered on every host that carries a port of the network, for that host's ports. */
export interface NetworkDocument {
  v: 1
  id: string
  type: 'local' | 'flat' | 'vlan' | 'vxlan'
  physical_network: string | null
  segmentation_id: number | null
  mtu: number
  subnets: SubnetDocument[]
  /** The network's DHCP port: the same MAC and addresses on every host; null when no subnet wants DHCP. */
  dhcp: { port_id: string; mac: string; ips: Address[] } | null
  /** Tunnel addresses of the other hosts that carry this network. */
  peers: string[]
}

export interface SecurityRule {
  direction: 'ingress' | 'egress'
  ethertype: 'IPv4' | 'IPv6'
  /** A name (tcp, udp, icmp, …) or a number as text; null = any. */
  protocol: string | null
  port_min: number | null
  port_max: number | null
  remote_ip_prefix: string | null
  remote_group_id: string | null
}

export interface SecurityGroupDocument {
  v: 1
  id: string
  stateful: boolean
  rules: SecurityRule[]
}

/** The addresses behind a security group that some rule on the host names as its remote group. */
export interface GroupMembersDocument {
  v: 1
  id: string
  ips: string[]
}

export interface PortDocument {
  v: 1
  id: string
  network_id: string
  server_id: string | null
  mac: string
  ips: Address[]
  mtu: number
  admin_state_up: boolean
  port_security_enabled: boolean
  security_groups: string[]
  allowed_address_pairs: { ip_address: string; mac_address: string }[]
  /** The name that DHCP gives. */
  hostname: string
  extra_dhcp_opts: { opt_name: string; opt_value: string | null; ip_version: number }[]
}

/** An image that shall be in the host's cache before a server asks for it. */
export interface ImageDocument {
  v: 1
  id: string
  disk_format: string
  size: number
  /** Of the bits: the name in the host's cache, and the check after download. */
  hash: string
}

export interface ServerDocument {
  v: 1
  id: string
  name: string
  hostname: string
  project_id: string
  user_id: string
  /** What the domain shall be doing. `suspended` = saved to disk. */
  power: 'active' | 'stopped' | 'paused' | 'suspended'
  /** How many times a start was ordered (1 at launch, +1 at every os-start). A guest that powered itself off stays off until this rises;
   *  a domain that is off for any other reason (the host went down) is started again. Remembered with the domain, as `reboots` is. */
  starts: number
  /** How many reboots were ever asked for. The host performs one when its own count is lower, then remembers this number with the domain. */
  reboots: number
  reboot_type: 'SOFT' | 'HARD'
  vcpus: number
  memory_mb: number
  /** 0 = as large as the image. */
  root_gb: number
  ephemeral_gb: number
  swap_mb: number
  extra_specs: Record<string, string>
  image: {
    id: string
    name: string
    disk_format: string
    size: number
    /** os_hash_value of the bits (sha256 or sha512): the name in the host's cache, and the check after download. */
    hash: string
    properties: Record<string, string>
  }
  /** Plugged in this order. */
  nics: { port_id: string; network_id: string; mac: string; mtu: number; tag: string | null }[]
  config_drive: boolean
  /** What the metadata service and the config drive answer. */
  metadata: {
    project_id: string
    availability_zone: string
    launch_index: number
    reservation_id: string
    keys: { name: string; type: string; data: string }[]
    meta: Record<string, string>
    user_data: string | null
    security_groups: string[]
    flavor: string
  }
}

export interface DocumentOf {
  image: ImageDocument
  network: NetworkDocument
  'security-group': SecurityGroupDocument
  'group-members': GroupMembersDocument
  port: PortDocument
  server: ServerDocument
}

/** One line down the stream about one object; `want` null = it shall be gone. */
export interface DesiredLine {
  rev: number
  kind: Kind
  id: string
  generation: number
  want: DocumentOf[Kind] | null
  request_id: string | null
}

/** Other lines: `snapshot` opens a complete set, `complete` ends it (only then may absent things be removed), `lease` says that control
 *  still counts this host as alive, `ask` wants an answer by POST before its deadline. */
export type Line =
  | DesiredLine
  | { snapshot: true; cloud: string }
  | { complete: number }
  | { lease: string }
  | { ask: string; question: Question }

/** The few questions to a host: harmless to repeat, they change nothing. `tunnel`: dial back to `to` (null = where the stream comes from)
 *  with an HTTP Upgrade to /wire/v1/tunnels/{token} and carry the console's bytes. */
export type Question =
  | { what: 'console-log'; server_id: string; lines: number | null }
  | { what: 'diagnostics'; server_id: string }
  | { what: 'tunnel'; server_id: string; protocol: 'vnc' | 'serial'; token: string; to: string | null }

/** What a host saw of one object. `generation` = of the document that it has reached (or that failed); `gone` = nothing of it is left. */
export interface Observation {
  kind: Kind
  id: string
  generation: number
  state: 'ready' | 'failed' | 'gone' | 'working'
  /** For people, when failed: cause and remedy. `final` = trying again here is useless. */
  error?: { message: string; final: boolean; tries: number }
  server?: ServerObservation
  image?: ImageObservation
}

/** An image in a host's cache, also one that came with a server: then no document names it, and its generation is 0. */
export interface ImageObservation {
  /** Bytes of the file on the host, which may have been converted. */
  size: number
  /** How many disks were made of it. */
  hits: number
  /** ISO times. */
  cached_at: string
  used_at: string | null
}

export interface ServerObservation {
  power: 'running' | 'paused' | 'stopped' | 'suspended' | 'crashed'
  /** Why it is stopped: the guest itself, our order, or the host went down and it is to be started again. */
  reason?: 'guest' | 'ordered' | 'host'
  starts: number
  reboots: number
  /** ISO time of the last start of the domain. */
  started_at?: string
  vnc?: { port: number }
  /** What happened since the last report, for the server's timeline: image fetched, disk made, domain started … */
  events?: { name: string; started_at: string; finished_at: string; detail?: string }[]
}

/** What a host says when it (re)connects. */
export interface Hello {
  v: 1
  machine_id: string
  boot_id: string
  agent_version: string
  hostname: string
  /** Address of the tunnel end for vxlan; null = this host carries local and flat networks only. */
  tunnel_ip: string | null
  physical_networks: string[]
  hypervisor: { type: 'QEMU' | 'KVM' | 'simulated'; version: number; cpu_model: string; arch: string }
  inventory: {
    vcpus: number
    memory_mb: number
    disk_gb: number
    reserved_memory_mb: number
    reserved_disk_gb: number
    cpu_ratio: number
    ram_ratio: number
    disk_ratio: number
  }
  traits: string[]
  host_ip: string
  /** All that its cache of images holds, by the image's id. */
  images?: Record<string, ImageObservation>
}
