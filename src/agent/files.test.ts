import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { diskSpace, partPath, publishPart, removeFolder, removeInside, sha256OfFile, writeFileAtomic } from './files.ts'

describe('files', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'wisp-files-'))
  })
  after(() => rm(folder, { recursive: true }))

  it('replaces a file whole, with its mode, and leaves nothing beside it', async () => {
    const path = join(folder, 'a', 'secret')
    await mkdir(join(folder, 'a'))
    await writeFileAtomic(path, 'one')
    await writeFileAtomic(path, 'two', 0o600)
    assert.equal(await readFile(path, 'utf8'), 'two')
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    assert.deepEqual(await readdir(join(folder, 'a')), ['secret'])
    await mkdir(join(folder, 'a', 'taken'))
    await assert.rejects(writeFileAtomic(join(folder, 'a', 'taken'), 'x'), { code: 'EISDIR' })
    assert.deepEqual((await readdir(join(folder, 'a'))).sort(), ['secret', 'taken'])
  })

  it('publishes a complete download under its name', async () => {
    const path = join(folder, 'image')
    await writeFile(partPath(path), 'bits')
    await publishPart(path)
    assert.equal(await readFile(path, 'utf8'), 'bits')
    await assert.rejects(stat(partPath(path)), { code: 'ENOENT' })
    assert.deepEqual(await sha256OfFile(path), { sha256: 'e5e59d10f196504b6e08ac7785f84430a61e1558fd6246075a9566edaab2e814', bytes: 4 })
  })

  it('removes only what is inside its own folder', async () => {
    const owned = join(folder, 'owned')
    const outside = join(folder, 'outside')
    for (const path of [join(owned, 'tree', 'leaf'), outside]) await mkdir(path, { recursive: true })
    await writeFile(join(outside, 'precious'), '')
    await symlink(outside, join(owned, 'way-out'))

    for (const path of ['.', '..', '../outside', outside, '/', join(owned, '..', 'outside'), 'way-out/precious']) {
      await assert.rejects(removeInside(owned, path), /Refused to remove/, path)
    }
    await removeInside(owned, 'absent/deeper')
    await removeInside(owned, 'tree')
    await removeInside(owned, join(owned, 'way-out'))
    assert.deepEqual(await readdir(owned), [])
    assert.deepEqual(await readdir(outside), ['precious'])
  })

  it('empties a folder that is a disk of its own or a link, and removes any other', async () => {
    const [plain, disk, target, link] = ['plain', 'disk', 'target', 'link'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
      string,
    ]
    for (const path of [plain, disk, target]) await mkdir(path)
    await symlink(target, link)
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', disk])
    try {
      for (const path of [plain, disk, link]) {
        await mkdir(join(path, 'tree', 'leaf'), { recursive: true })
        await removeFolder(path)
      }
      await assert.rejects(stat(plain), { code: 'ENOENT' })
      assert.deepEqual([await readdir(disk), await readdir(target)], [[], []])
    } finally {
      execFileSync('umount', [disk])
    }
  })

  it('tells the space of a disk', async () => {
    const space = await diskSpace(folder)
    assert.ok(space.totalBytes >= space.freeBytes && space.freeBytes > 0)
  })
})
