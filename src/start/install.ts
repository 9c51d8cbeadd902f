// `wisp install`: the same cloud as a service of systemd, which starts it at boot.
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { type Config, cloudTag, effective, settings } from '../config.ts'

const UNITS = '/etc/systemd/system'

// The default home gets the plain name, so that `systemctl status wisp` is what people expect.
const unitName = (home: string): string => (home === settings.home.default ? 'wisp.service' : `wisp-${cloudTag(home)}.service`)

/** The unit file. Only the main process is ended by systemd: servers and their networks are not Wisp's to take down. */
export function unitText(home: string, launcher: string): string {
  const quote = (word: string) => `"${word.replace(/[\\"]/g, '\\$&').replaceAll('%', '%%').replaceAll('$', '$$$$')}"`
  return `[Unit]
Description=Wisp cloud in ${home.replaceAll('%', '%%')}
# Machines are stopped in the opposite order: Wisp must not see libvirt-guests shut its servers down and take it for their own wish.
After=network-online.target libvirtd.service libvirt-guests.service
Wants=network-online.target

[Service]
Environment=${quote(`WISP_HOME=${home}`)}
ExecStart=${quote(launcher)} up --foreground
Restart=on-failure
RestartSec=2
KillMode=process
# What memory runs out for is started again by the supervisor; the others need not stop.
OOMPolicy=continue
TimeoutStopSec=90
LimitNOFILE=1048576

[Install]
WantedBy=multi-user.target
`
}

export async function install(config: Config, words: string[]): Promise<void> {
  parseArgs({ args: words, options: {} })
  if (!fs.existsSync('/run/systemd/system')) throw new Error('This machine does not run systemd: "wisp up" is all there is to start')
  refuseFleeting(config.home)
  const unit = unitName(config.home)
  fs.writeFileSync(path.join(UNITS, unit), unitText(config.home, path.join(import.meta.dirname, '../../wisp')), { mode: 0o644 })
  execFileSync('systemctl', ['daemon-reload'])
  const [{ down }, { up }] = await Promise.all([import('./down.ts'), import('./up.ts')])
  await down(config, [])
  execFileSync('systemctl', ['enable', unit], { stdio: 'inherit' })
  await up(config, []) // which starts the service
  console.log(
    `${unit} is installed, and the cloud is up. "systemctl status ${unit}" and "journalctl -u ${unit}" show what it does; settings belong in ${config.home}/wisp.conf.`,
  )
}

/** systemd starts the cloud without this shell's environment. */
function refuseFleeting(home: string): void {
  const fleeting = effective().filter(({ from, name }) => from === 'environment' && name !== 'home')
  if (fleeting.length === 0) return
  const names = fleeting.map(({ env }) => env).join(', ')
  throw new Error(
    `The service would not have what is set in this shell's environment: ${names}. Write it into ${home}/wisp.conf, as NAME=value lines, unset it here, and say "wisp install" again`,
  )
}

/** Whether the cloud of this home is a service of systemd here. */
export const hasUnit = (home: string): boolean => fs.existsSync('/run/systemd/system') && fs.existsSync(path.join(UNITS, unitName(home)))

export function startUnit(home: string): void {
  execFileSync('systemctl', ['start', unitName(home)], { stdio: ['ignore', 'ignore', 'inherit'] })
}

/** Takes the unit of this home away, if there is one. */
export function removeUnit(home: string): void {
  const unit = unitName(home)
  if (!fs.existsSync(path.join(UNITS, unit))) return
  if (fs.existsSync('/run/systemd/system')) execFileSync('systemctl', ['disable', '--now', unit])
  fs.rmSync(path.join(UNITS, unit))
  if (fs.existsSync('/run/systemd/system')) execFileSync('systemctl', ['daemon-reload'])
}
