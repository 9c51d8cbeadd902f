// The public image that every cloud begins with: built from the machine's own packages, then stored like any upload.
import { execFile } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import type { Config } from '../config.ts'
import type { Database } from '../database/connect.ts'
import { openStores } from '../image/control/stores.ts'
import { storeImage } from '../image/control/upload.ts'

const run = promisify(execFile)
const build = path.join(import.meta.dirname, '../../images/guest/build.sh')
export const guestImageName = 'wisp-guest'

/** Builds and stores it unless there is one already. Interrupted anywhere, the next start does it again. */
export async function ensureGuestImage(db: Database, config: Config, owner: string, progress: (step: string) => void): Promise<void> {
  const known = await db.read
    .selectFrom('image.image')
    .select('id')
    .where('name', '=', guestImageName)
    .where('owner', '=', owner)
    .where('visibility', '=', 'public')
    .where('status', '=', 'active')
    .executeTakeFirst()
  if (known) return
  const folder = path.join(config.home, 'cache')
  const file = path.join(folder, 'wisp-guest.qcow2')
  fs.mkdirSync(folder, { recursive: true, mode: 0o755 })
  progress(`building the guest image ${guestImageName}`)
  await run(build, [file], { maxBuffer: 16 << 20 })
  progress(`storing the guest image ${guestImageName}`)
  await storeImage(db, openStores(config), {
    name: guestImageName,
    owner,
    visibility: 'public',
    disk_format: 'qcow2',
    container_format: 'bare',
    min_disk: 1,
    min_ram: 96,
    properties: { hw_architecture: os.machine(), os_type: 'linux', hw_rng_model: 'virtio', os_distro: 'debian', os_admin_user: 'cirros' },
    data: fs.createReadStream(file),
  })
  fs.rmSync(file)
}
