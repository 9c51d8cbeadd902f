// Whether this machine's KVM really runs guests. /dev/kvm may exist and a guest still hang (nested virtualisation that is
// half there), so the answer comes from booting something tiny, once per boot of the machine.
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeFileAtomic } from './files.ts'
import { CommandFailed, run } from './shell.ts'

export type Accelerator = 'kvm' | 'tcg'

export interface AcceleratorProbe {
  accelerator: Accelerator
  /** For a person: why it is not KVM, or that a guest booted. */
  reason: string
}

interface TinyGuest {
  /** QEMU's words for it, given the file with its code and the accelerator. */
  argv: (file: string, accelerator: Accelerator) => string[]
  code: Buffer
  /** How QEMU ends when the guest has run to its end, which nothing but the guest's own code can bring about. */
  exit: number
  package: string
}

/**
 * On a PC a boot sector: mov al, 0x2a; out 0xf4, al; hlt; jmp back to the hlt. Writing to the port of QEMU's isa-debug-exit ends QEMU with
 * (value * 2 + 1). On ARM a kernel of four instructions: x0 = PSCI's SYSTEM_OFF; hvc #0; then for ever nothing.
 */
const GUESTS: Record<string, TinyGuest> = {
  x64: {
    argv: (file, accelerator) => [
      ...[
        'qemu-system-x86_64',
        '-accel',
        accelerator,
        '-machine',
        'pc',
        '-m',
        '16',
        '-drive',
        `if=floppy,format=raw,readonly=on,file=${file}`,
      ],
      ...['-boot', 'a', '-device', 'isa-debug-exit,iobase=0xf4,iosize=1'],
    ],
    code: Buffer.concat([Buffer.from([0xb0, 0x2a, 0xe6, 0xf4, 0xf4, 0xeb, 0xfd]), Buffer.alloc(503), Buffer.from([0x55, 0xaa])]),
    exit: 0x2a * 2 + 1,
    package: 'qemu-system-x86',
  },
  arm64: {
    argv: (file, accelerator) => [
      ...['qemu-system-aarch64', '-accel', accelerator, '-machine', accelerator === 'kvm' ? 'virt,gic-version=host' : 'virt'],
      ...['-cpu', accelerator === 'kvm' ? 'host' : 'cortex-a57', '-m', '64', '-kernel', file],
    ],
    code: Buffer.from(new Uint32Array([0x52800100, 0x72b08000, 0xd4000002, 0x14000000]).buffer),
    exit: 0,
    package: 'qemu-system-arm',
  },
}

/** The Debian package that brings QEMU for this machine's own architecture. */
export const qemuPackage = (arch: string = process.arch): string => GUESTS[arch]?.package ?? 'qemu-system'

const LIMIT_MS = 3_000
/** How many times slower than emulation KVM may boot it: starting QEMU takes most of the time in both. */
const SLOWER = 4
/** What setpriv ends with when there is no such program. */
const NOT_FOUND = 127

export interface Probe {
  works: boolean
  /** What happened, for a person. */
  why: string
}

export interface Trial extends Probe {
  /** How long QEMU ran. */
  ms: number
}

/** Boots the tiny guest with an accelerator; works if it ran to its end. Throws if QEMU is not installed. */
export async function probe(accelerator: Accelerator, limitMs = LIMIT_MS, arch: string = process.arch): Promise<Trial> {
  const guest = GUESTS[arch]
  if (!guest) return { works: false, why: `Wisp does not know how to try it on ${arch}`, ms: 0 }
  let began = 0
  const trial = (works: boolean, why: string): Trial => ({ works, why, ms: Math.round(performance.now() - began) })
  const folder = await mkdtemp(join(tmpdir(), 'wisp-boot-'))
  try {
    const file = join(folder, 'guest')
    await writeFile(file, guest.code)
    const argv = [...guest.argv(file, accelerator), '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot']
    began = performance.now()
    // It dies with us: a guest that hangs, as those of a broken KVM do, would otherwise outlive whoever was killed while it waited.
    await run(['setpriv', '--pdeathsig', 'KILL', ...argv], { timeoutMs: limitMs, doing: `boot a test guest with ${accelerator}` })
    return guest.exit === 0 ? trial(true, 'a test guest booted') : trial(false, 'the test guest ended without doing its work')
  } catch (error) {
    if (!(error instanceof CommandFailed)) throw error
    if (error.exitCode === guest.exit) return trial(true, 'a test guest booted')
    if (error.exitCode === NOT_FOUND) throw new Error(`${guest.argv('', accelerator)[0]} is not installed`, { cause: error })
    if (error.exitCode === null) return trial(false, `a test guest did not boot within ${limitMs} ms`)
    return trial(false, error.stderr || error.message)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Decides between KVM and TCG by trying. */
export async function probeAccelerator(): Promise<AcceleratorProbe> {
  try {
    await access('/dev/kvm', 6)
  } catch (error) {
    const absent = (error as NodeJS.ErrnoException).code === 'ENOENT'
    return { accelerator: 'tcg', reason: absent ? 'this machine has no /dev/kvm' : '/dev/kvm may not be opened by this user' }
  }
  const { works, why } = await kvmWorks()
  return works ? { accelerator: 'kvm', reason: why } : { accelerator: 'tcg', reason: `/dev/kvm is there, but ${why}` }
}

/**
 * Whether KVM is worth having. Nested in a hypervisor that does not really carry it, it brings the tiny guest to its end when the machine is
 * idle, many times slower than emulation does, and larger guests never: so it has to stand the comparison.
 */
export async function kvmWorks(boot: (accelerator: Accelerator) => Promise<Trial> = probe): Promise<Probe> {
  const kvm = await boot('kvm')
  if (!kvm.works) return kvm
  const tcg = await boot('tcg')
  if (!tcg.works || kvm.ms <= SLOWER * tcg.ms) return kvm
  // A machine that stood still for a moment is no broken KVM, and the answer stays until it boots again.
  const again = await boot('kvm')
  if (!again.works || again.ms <= SLOWER * tcg.ms) return again
  return { works: false, why: `a test guest took ${kvm.ms} ms to boot, and emulated ${tcg.ms} ms` }
}

/** In /run, which the machine empties when it boots and which a host of a test bed has for itself. */
const CACHE_FILE = '/run/wisp-accelerator.json'

/**
 * The accelerator to give guests. `cacheFile` keeps the answer until the machine boots again (another boot may bring another
 * kernel or host); remove the file to have it tried anew.
 */
export async function workingAccelerator(cacheFile = CACHE_FILE): Promise<Accelerator> {
  return (await cachedProbe(cacheFile)).accelerator
}

/** As workingAccelerator, with the reason. */
export async function cachedProbe(cacheFile = CACHE_FILE): Promise<AcceleratorProbe> {
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
  const cached = await readCache(cacheFile)
  if (cached?.bootId === bootId) return { accelerator: cached.accelerator, reason: cached.reason }
  const answer = await probeAccelerator()
  await writeFileAtomic(cacheFile, `${JSON.stringify({ bootId, ...answer })}\n`).catch((error) => {
    // Without the right to keep it the answer is still right.
    if (!['EACCES', 'EROFS', 'ENOENT'].includes(error.code)) throw error
  })
  return answer
}

async function readCache(path: string): Promise<(AcceleratorProbe & { bootId: string }) | undefined> {
  try {
    const cached = JSON.parse(await readFile(path, 'utf8'))
    if ((cached.accelerator === 'kvm' || cached.accelerator === 'tcg') && typeof cached.reason === 'string') return cached
  } catch (error) {
    if (!(error instanceof SyntaxError) && (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  return undefined
}
