// A libvirtd of its own for tests: own mount, process and network namespaces, everything it writes in one temporary folder.
// It never meets the machine's libvirtd, and when its init process goes, every guest in it goes too.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export interface PrivateLibvirtd {
  /** The Unix socket of this libvirtd. */
  socket: string
  /** Holds its configuration, state and logs; guests may keep disks in it. */
  folder: string
  /** The process that is init inside: `nsenter -t <pid> --net …` looks into its network. */
  init: number
  /** The libvirtd process; another after a restart. */
  libvirtd(): Promise<number>
  /** Ends libvirtd, its guests and all it left. */
  stop(): Promise<void>
}

/**
 * Words are given as arguments ($1 = folder): the script itself never changes. libvirtd is started again when it dies. Init
 * ends, and all with it, when its input does: also when the test that holds the other end is killed.
 */
const INIT = `
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/libvirt /run/lock
mount --bind "$1/run" /run/libvirt
for part in etc/libvirt var/lib/libvirt var/log/libvirt var/cache/libvirt; do
  mkdir -p "/$part" "$1/$part"
  mount --bind "$1/$part" "/$part"
done
mkdir -p /etc/libvirt/qemu /var/log/libvirt/qemu
ip link set lo up
while :; do libvirtd --timeout 0 </dev/null || true; done &
cat
`

const LIBVIRTD_CONF = `auth_unix_rw = "none"
unix_sock_rw_perms = "0700"
host_uuid = "5f0e1c86-3a52-4d5c-9d6b-6a1f6b2d9c01"
log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
`

/** No control groups and no mount namespace per guest: a guest shall leave nothing on the machine that runs the test. */
const QEMU_CONF = `user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
remember_owner = 0
`

export async function startPrivateLibvirtd(): Promise<PrivateLibvirtd> {
  const folder = await mkdtemp(join(tmpdir(), 'wisp-libvirtd-'))
  await Promise.all(['run', 'etc/libvirt'].map((part) => mkdir(join(folder, part), { recursive: true })))
  await writeFile(join(folder, 'etc/libvirt/libvirtd.conf'), LIBVIRTD_CONF)
  await writeFile(join(folder, 'etc/libvirt/qemu.conf'), QEMU_CONF)
  const argv = ['--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc', 'sh', '-c', INIT, 'init', folder]
  const unshare = spawn('unshare', argv, { stdio: ['pipe', 'ignore', 'pipe'] })
  let said = ''
  unshare.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const socket = join(folder, 'run/libvirt-sock')

  async function stop() {
    if (unshare.exitCode === null && unshare.signalCode === null) {
      const closed = once(unshare, 'close')
      unshare.kill('SIGKILL')
      await closed
    }
    await rm(folder, { recursive: true, force: true })
  }

  for (let tries = 0; !(await listens(socket)); tries++) {
    if (unshare.exitCode !== null || tries > 1200) {
      await stop()
      throw new Error(`No libvirtd of its own: ${said}`)
    }
    await sleep(50)
  }
  const [init] = await children(unshare.pid!)
  return {
    socket,
    folder,
    init: init!,
    async libvirtd() {
      for (const pid of await descendants(init!)) if ((await readFile(`/proc/${pid}/comm`, 'utf8')).trim() === 'libvirtd') return pid
      throw new Error('libvirtd is not running')
    },
    stop,
  }
}

async function descendants(pid: number): Promise<number[]> {
  const direct = await children(pid)
  return [...direct, ...(await Promise.all(direct.map(descendants))).flat()]
}

async function children(pid: number): Promise<number[]> {
  const pids = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim()
  return pids === '' ? [] : pids.split(' ').map(Number)
}

function listens(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path })
    probe.once('connect', () => resolve(true)).once('error', () => resolve(false))
    probe.once('connect', () => probe.destroy())
  })
}
