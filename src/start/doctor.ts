// `wisp doctor`: what this machine can do, what is configured, what runs, what is wrong and how to mend it. It tries things instead of
// believing version numbers.
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { diskSpace } from '../agent/files.ts'
import { kvmWorks, probe, qemuPackage } from '../agent/kvm.ts'
import { listens } from '../agent/libvirtd.ts'
import { type Config, effective } from '../config.ts'
import { embeddedPid } from '../database/embedded.ts'
import { readPair, troubleOf } from '../http/tls.ts'
import { answers, isOnlyHost, localUrl } from './cloud.ts'
import { bad, type Finding, good, poor } from './finding.ts'
import { kernel } from './kernel.ts'
import { portTrouble } from './port.ts'
import { lastLines } from './rotate.ts'
import { logFolder, programPids, supervisorPid } from './supervisor.ts'

/** Exit status 0 when nothing is bad, 1 otherwise. */
export async function doctor(config: Config): Promise<number> {
  const chapters: [string, Finding[]][] = [
    ['This machine', [distribution(), ...(await accelerators(config)), await disk(config), memory()]],
    ['Its kernel and tools', await kernel()],
    ['libvirt', await libvirt(config)],
    ['Database', await database(config)],
    ['Certificate', certificate(config)],
    ['Port', await port(config)],
    ['Settings', configured()],
    ['What runs', await running(config)],
  ]
  for (const [title, findings] of chapters.filter(([, { length }]) => length > 0)) {
    console.log(`\n${title}`)
    for (const { level, what, remedy } of findings) {
      console.log(`  ${{ good: 'ok  ', poor: 'poor', bad: 'BAD ' }[level]}  ${what}`)
      if (remedy) console.log(`        → ${remedy}`)
    }
  }
  const wrong = chapters.flatMap(([, findings]) => findings).filter(({ level }) => level === 'bad').length
  console.log(
    wrong === 0
      ? '\nNothing is wrong with this machine.'
      : `\n${wrong} ${wrong === 1 ? 'thing is' : 'things are'} wrong; what to do stands beside.`,
  )
  return wrong === 0 ? 0 : 1
}

function distribution(): Finding {
  const text = fs.existsSync('/etc/os-release') ? fs.readFileSync('/etc/os-release', 'utf8') : ''
  const field = (name: string) => new RegExp(`^${name}="?([^"\n]*)`, 'm').exec(text)?.[1] ?? ''
  const supported = ['debian 12', 'debian 13', 'ubuntu 24.04'].includes(`${field('ID')} ${field('VERSION_ID')}`)
  const name = field('PRETTY_NAME') || 'an unknown system'
  return supported
    ? good(`${name}, ${process.arch}`)
    : poor(`${name} is not one that Wisp is tested on`, 'Debian 12, Debian 13 and Ubuntu 24.04 are')
}

async function accelerators(config: Config): Promise<Finding[]> {
  // It throws only when there is no QEMU at all.
  const failed = (error: Error) => ({ works: false, why: error.message })
  const kvm = await kvmWorks().catch(failed)
  const tcg = await probe('tcg', 20_000).catch(failed)
  if (kvm.works) return [good('KVM works: a guest ran')]
  const remedy = fs.existsSync('/dev/kvm')
    ? '/dev/kvm is there, but guests do not run: this is often a virtual machine without nested virtualisation. Switch that on outside'
    : 'switch on virtualisation (VT-x or AMD-V) in the firmware, or nested virtualisation outside, then: modprobe kvm_intel (or kvm_amd)'
  const finding = poor(`KVM does not work (${kvm.why}): servers are emulated, and slow`, remedy)
  if (config.virtType === 'kvm') finding.level = 'bad'
  return [
    finding,
    tcg.works
      ? good('emulation (TCG) works: a guest ran')
      : bad(`emulation does not work either: ${tcg.why}`, `apt-get install ${qemuPackage()}`),
  ]
}

async function disk({ home }: Config): Promise<Finding> {
  let folder = home
  while (!fs.existsSync(folder)) folder = path.dirname(folder)
  const { totalBytes, freeBytes } = await diskSpace(folder)
  const text = `${(freeBytes / 2 ** 30).toFixed(1)} of ${(totalBytes / 2 ** 30).toFixed(1)} GB are free in ${home}`
  return freeBytes < 2 * 2 ** 30 ? bad(text, 'make room, or choose another WISP_HOME: below 2 GB there is no room for servers') : good(text)
}

function memory(): Finding {
  const kilobytes = Number(/^MemAvailable:\s+(\d+)/m.exec(fs.readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? 0)
  const text = `${Math.round(kilobytes / 1024)} MB of memory are available`
  return kilobytes < 512 * 1024 ? poor(text, 'Wisp itself takes about 300 MB; the rest is for servers') : good(text)
}

async function libvirt({ libvirtSocket }: Config): Promise<Finding[]> {
  const { status, stdout } = spawnSync('libvirtd', ['--version'], { encoding: 'utf8' })
  if (status !== 0) return [bad('libvirtd is not installed', 'apt-get install libvirt-daemon-system')]
  const version = stdout.trim().split(' ').at(-1)
  if (await listens(libvirtSocket)) return [good(`libvirtd ${version} answers on ${libvirtSocket}`)]
  return [poor(`libvirtd ${version} does not answer on ${libvirtSocket}`, '"wisp up" starts it')]
}

async function database(config: Config): Promise<Finding[]> {
  if (isOnlyHost(config)) return []
  const { databaseUrl } = config
  if (!databaseUrl) return [good('the embedded PostgreSQL')]
  const { open, mustFit } = await import('../database/external.ts')
  try {
    const client = await open(databaseUrl, 'wisp doctor')
    try {
      await mustFit(client)
      const { rows } = await client.query<{ version: string }>(`select current_setting('server_version') as version`)
      return [good(`your own PostgreSQL ${rows[0]!.version} answers`)]
    } finally {
      await client.end()
    }
  } catch (error) {
    return [bad((error as Error).message, 'mend it there, or in DATABASE_URL')]
  }
}

function certificate(config: Config): Finding[] {
  const { tlsCertificate, tlsKey = '' } = config
  if (!tlsCertificate || isOnlyHost(config)) return []
  const host = new URL(localUrl(config)).hostname.replace(/^\[|\]$/g, '')
  try {
    const trouble = troubleOf(readPair({ certificate: tlsCertificate, key: tlsKey }), host)
    if (!trouble) return [good(`the certificate of the API is for ${host}`)]
    return [{ ...trouble, remedy: 'renew it (the new files are read by themselves), or set WISP_PUBLIC_URL to a name that it has' }]
  } catch (error) {
    return [bad((error as Error).message, 'mend the file; it is read again by itself')]
  }
}

async function port(config: Config): Promise<Finding[]> {
  if (isOnlyHost(config)) return []
  const trouble = await portTrouble(config)
  if (trouble) return [bad(trouble.what, trouble.remedy)]
  return [good(`port ${config.port} is ${programPids(config.home, 'controller').length > 0 ? 'ours' : 'free'}`)]
}

/** What runs, and what should but does not: a stopped Wisp is nothing to complain of, half a Wisp is. */
async function running(config: Config): Promise<Finding[]> {
  const { home } = config
  const onlyHost = isOnlyHost(config)
  const programs: [string, boolean][] = [
    ...(onlyHost || config.databaseUrl ? [] : [['postgres', embeddedPid(home) !== undefined] as [string, boolean]]),
    ...(onlyHost ? ['host'] : ['controller', 'host']).map((name): [string, boolean] => [name, programPids(home, name).length > 0]),
  ]
  const supervisor = supervisorPid(home)
  if (supervisor === undefined) {
    const left = programs.filter(([, runs]) => runs).map(([name]) => name)
    if (left.length === 0) return [good('Wisp is stopped; "wisp up" starts it')]
    return [bad(`the supervisor does not run, only ${left.join(', ')}: what dies stays dead`, '"wisp up" starts it')]
  }
  const findings = programs.map(([name, runs]) => {
    if (runs) return good(`${name} runs`)
    const log = path.join(logFolder(home), `${name}.log`)
    return bad(`${name} does not run, though supervisor ${supervisor} tries to start it`, `the end of ${log}: ${lastLines(log, 1)}`)
  })
  if (onlyHost) return findings
  const url = localUrl(config)
  if (await answers(config)) return [...findings, good(`the API answers at ${url}`)]
  return [...findings, bad(`the API does not answer at ${url}`, `${path.join(logFolder(home), 'controller.log')} says why`)]
}

function configured(): Finding[] {
  const set = effective().filter(({ from }) => from !== 'default')
  return set.length === 0 ? [good('all defaults')] : set.map(({ env, value, from }) => good(`${env}=${value} (${from})`))
}
