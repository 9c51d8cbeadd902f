// Distributions bring daemons that look after network interfaces: systemd-networkd (Ubuntu's netplan writes its files), udev, NetworkManager.
// A wildcard in an operator's configuration would have them give our bridges and taps addresses, other MACs or other masters. They are
// told to leave what bears this cloud's tag alone; in /run, so that it ends with the boot and the next start says it again.
import fs from 'node:fs'
import path from 'node:path'
import { CommandFailed, run } from './shell.ts'

/** The files and what is to be run when one has changed, for what is there on this machine. `run` = /run. */
function wishes(tag: string, runFolder: string): { file: string; text: string; reload: [string, ...string[]] }[] {
  const head = `# Interfaces of a Wisp cloud (see docs/operate/what-runs-where.md).\n`
  const all = []
  if (fs.existsSync(path.join(runFolder, 'systemd/system')))
    all.push(
      {
        file: path.join(runFolder, `systemd/network/05-wisp-${tag}.network`),
        text: `${head}[Match]\nName=w${tag}*\n\n[Link]\nUnmanaged=yes\n`,
        reload: ['networkctl', 'reload'] as [string, ...string[]],
      },
      {
        file: path.join(runFolder, `systemd/network/05-wisp-${tag}.link`),
        text: `${head}[Match]\nOriginalName=w${tag}*\n\n[Link]\nNamePolicy=\nMACAddressPolicy=none\n`,
        reload: ['udevadm', 'control', '--reload'] as [string, ...string[]],
      },
    )
  if (fs.existsSync(path.join(runFolder, 'NetworkManager')))
    all.push({
      file: path.join(runFolder, `NetworkManager/conf.d/wisp-${tag}.conf`),
      text: `${head}[keyfile]\nunmanaged-devices+=interface-name:w${tag}*\n`,
      reload: ['nmcli', 'general', 'reload', 'conf'] as [string, ...string[]],
    })
  return all
}

/** Says it to those that are there. A daemon that is not running hears it when it starts. */
export async function keepOff(tag: string, runFolder = '/run'): Promise<void> {
  for (const { file, text, reload } of wishes(tag, runFolder)) {
    if (fs.existsSync(file) && fs.readFileSync(file, 'utf8') === text) continue
    fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o755 })
    fs.writeFileSync(file, text, { mode: 0o644 })
    await reloaded(reload)
  }
}

/** Takes it back. */
export async function letBe(tag: string, runFolder = '/run'): Promise<void> {
  for (const { file, reload } of wishes(tag, runFolder)) {
    if (!fs.existsSync(file)) continue
    fs.rmSync(file)
    await reloaded(reload)
  }
}

async function reloaded(argv: [string, ...string[]]): Promise<void> {
  try {
    await run(argv, { doing: 'have the network daemons read their configuration again', timeoutMs: 10_000 })
  } catch (error) {
    // It is not installed, or does not run.
    if (!(error instanceof CommandFailed)) throw error
  }
}
