import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, describe, it } from 'node:test'
import { type Declared, formatOf, HEAD } from './formats.ts'
import { inspectFile, startInspection } from './inspection.ts'

const bare = (disk_format: string) => ({ disk_format, container_format: 'bare' })

/** Streams it by in blocks of this length. */
function stream(data: Buffer, declared: Declared, block: number): number | null {
  const inspection = startInspection(declared)
  for (let at = 0; at < data.length; at += block) inspection.see(data.subarray(at, at + block))
  return inspection.end()
}
const inspect = (data: Buffer, declared: Declared) => stream(data, declared, 10_007)

/** The header of an empty qcow2 of version 3. */
function qcow2(change: (header: Buffer) => void = () => {}): Buffer {
  const header = Buffer.alloc(65_536)
  header.write('QFI\xfb', 'latin1')
  header.writeUInt32BE(3, 4)
  header.writeUInt32BE(16, 20)
  header.writeBigUInt64BE(BigInt(5 * 2 ** 30), 24)
  header.writeUInt32BE(104, 100)
  change(header)
  return header
}

function vmdk(descriptor: string): Buffer {
  const head = Buffer.alloc(65_536)
  head.write('KDMV')
  head.writeBigUInt64LE(2048n, 12)
  head.writeBigUInt64LE(1n, 28)
  head.writeBigUInt64LE(20n, 36)
  head.write(descriptor, 512)
  return head
}

describe('what an image is', () => {
  it('takes a qcow2 that is complete by itself, and knows its size', () => {
    assert.equal(inspect(qcow2(), bare('qcow2')), 5 * 2 ** 30)
  })

  for (const [what, change, message] of [
    ['a backing file', (h: Buffer) => h.writeBigUInt64BE(1024n, 8), /backing file/],
    ['an external data file', (h: Buffer) => h.writeBigUInt64BE(4n, 72), /external file/],
    ['an unknown feature', (h: Buffer) => h.writeBigUInt64BE(32n, 72), /not known/],
    ['the mark of corruption', (h: Buffer) => h.writeBigUInt64BE(2n, 72), /corrupt/],
    ['the name of a data file', (h: Buffer) => h.writeUInt32BE(0x44415441, 104), /data file/],
    ['encryption of its own', (h: Buffer) => h.writeUInt32BE(2, 32), /encrypted/],
    ['version 9', (h: Buffer) => h.writeUInt32BE(9, 4), /version 9/],
    ['an absurd size', (h: Buffer) => h.writeBigUInt64BE(2n ** 63n, 24), /claims/],
  ] as const) {
    it(`refuses a qcow2 with ${what}`, () => assert.throws(() => inspect(qcow2(change), bare('qcow2')), { status: 400, message }))
  }

  it('refuses what it is not, and names what was found', () => {
    assert.throws(() => inspect(Buffer.from('hello there'), bare('qcow2')), /declared as qcow2, but its content is text/)
    assert.throws(() => inspect(Buffer.from('<!DOCTYPE html><html>'), bare('qcow2')), /a web page/)
    assert.throws(() => inspect(Buffer.from([0x1f, 0x8b, 8, 0]), bare('iso')), /gzip/)
    assert.throws(() => inspect(Buffer.alloc(0), bare('qcow2')), /nothing at all/)
    assert.throws(() => inspect(Buffer.from('QFI\xfb\0\0\0\x03', 'latin1'), bare('qcow2')), /cut off/)
    assert.throws(() => inspect(Buffer.from('QFI\xfb\0\0\0\x01', 'latin1'), bare('qcow2')), /content is qcow\./)
  })

  it('refuses formats that hide as raw, and takes all else as raw', () => {
    assert.throws(() => inspect(qcow2(), bare('raw')), /--disk-format qcow2/)
    assert.throws(() => inspect(vmdk(''), bare('raw')), /vmdk/)
    assert.throws(() => inspect(Buffer.from('# Disk DescriptorFile\nversion=1'), bare('ami')), /vmdk descriptor/)
    assert.equal(inspect(Buffer.from('anything'), bare('raw')), 8)
    assert.equal(inspect(Buffer.alloc(HEAD), bare('raw')), HEAD)
  })

  it('leaves what lies in another container alone', () => {
    assert.equal(inspect(Buffer.from('PK\x03\x04'), { disk_format: 'vmdk', container_format: 'ova' }), null)
  })

  it('takes a vmdk of one file only', () => {
    const sparse = 'createType="monolithicSparse"\nRW 2048 SPARSE "disk.vmdk"\n'
    assert.equal(inspect(vmdk(sparse), bare('vmdk')), 2 ** 20)
    assert.throws(() => inspect(vmdk('createType="monolithicFlat"\nRW 2048 FLAT "/etc/shadow" 0\n'), bare('vmdk')), /monolithicFlat/)
    assert.throws(() => inspect(vmdk(`${sparse}RW 2048 SPARSE "more.vmdk"\n`), bare('vmdk')), /other files/)
    assert.throws(() => inspect(vmdk(sparse.replace('disk', '/etc/disk')), bare('vmdk')), /other files/)
    assert.throws(() => inspect(vmdk(`${sparse}parentFileNameHint="/etc/passwd"\n`), bare('vmdk')), /parent/)
    assert.throws(() => inspect(Buffer.from('# Disk DescriptorFile\n'), bare('vmdk')), /vmdk descriptor/)
  })

  it('knows an ISO by the signature after 32 KiB', () => {
    const iso = Buffer.alloc(40_000)
    iso.write('CD001', 32_769)
    assert.equal(formatOf(iso), 'iso')
    assert.equal(inspect(iso, bare('iso')), 40_000)
  })
})

describe('what tries to be several things at once', () => {
  const iso = (head: Buffer) => {
    head.write('CD001', 32_769)
    return head
  }

  it('is refused, an ISO with a table of partitions excepted', () => {
    assert.throws(() => inspect(iso(qcow2()), bare('qcow2')), /several things at once: qcow2, iso/)
    assert.throws(() => inspect(iso(qcow2()), bare('iso')), /several things at once/)
    assert.throws(() => inspect(iso(qcow2()), bare('raw')), /content is qcow2/)
    const hybrid = iso(Buffer.alloc(65_536))
    hybrid[446 + 4] = 0xee
    hybrid.writeUInt16LE(0xaa55, 510)
    assert.equal(inspect(hybrid, bare('iso')), 65_536)
    assert.equal(inspect(hybrid, bare('raw')), 65_536)
    assert.throws(() => inspect(hybrid, bare('qcow2')), /content is iso/)
  })

  it('is named where it is a raw disk that was declared otherwise', () => {
    const disk = Buffer.alloc(2 * HEAD)
    disk.writeUInt16LE(0xaa55, 510)
    assert.throws(() => inspect(disk, bare('qcow2')), /a raw disk with a boot sector/)
    disk[446 + 4] = 0x83
    assert.throws(() => inspect(disk, bare('vhd')), /a raw disk with partitions \(MBR\)/)
    disk.write('EFI PART', 512)
    assert.throws(() => inspect(disk, bare('vmdk')), /a raw disk with partitions \(GPT\)/)
    assert.equal(inspect(disk, bare('raw')), 2 * HEAD)
  })

  it('cannot hide a descriptor of vmdk as text that only QEMU recognises', () => {
    for (const text of ['version=1\n', '# made by hand\n   \r\nversion=3\r\nextents'])
      assert.throws(() => inspect(Buffer.from(text), bare('raw')), /content is vmdk descriptor/)
    assert.equal(inspect(Buffer.from('# a script\necho version=1\n'), bare('raw')), 26)
  })

  it('cannot show one vmdk to us and another one to QEMU', () => {
    const sparse = 'createType="monolithicSparse"\nRW 2048 SPARSE "disk.vmdk"\n'
    const change = (how: (head: Buffer) => void, text = sparse) => {
      const head = vmdk(text)
      how(head)
      return () => inspect(head, bare('vmdk'))
    }
    assert.throws(
      change((head) => head.writeBigUInt64LE(0n, 12)),
      /gives no size/,
    )
    assert.throws(
      change((head) => head.writeBigUInt64LE(50n, 28)),
      /not at the beginning/,
    )
    // Behind the descriptor's own end, but where QEMU looks.
    const hidden = change((head) => {
      head.writeBigUInt64LE(1n, 36)
      head.write('parentFileNameHint="/etc/passwd"', 512 * 5)
    })
    assert.throws(hidden, /needs a parent/)
    assert.throws(
      change((head) => head.writeBigUInt64LE(2n ** 64n - 1n, 56)),
      /footer/,
    )
  })
})

const none = spawnSync('qemu-img', ['--version']).error !== undefined
describe('images that qemu-img made', { skip: none && 'qemu-img is not installed' }, () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-formats-'))
  after(() => fs.rmSync(folder, { recursive: true }))
  const make = (name: string, ...args: string[]): string => {
    const file = path.join(folder, name)
    execFileSync('qemu-img', ['create', '-q', ...args, file, '10M'])
    return file
  }
  /** QEMU times how quickly it derives keys by a clock that stands still for milliseconds; where it saw no time pass it gives up, and makes nothing. */
  const makeEncrypted = (name: string, ...args: string[]): string => {
    for (;;) {
      try {
        return make(name, '--object', 'secret,id=s,data=secret', ...args)
      } catch (error) {
        if (!String((error as { stderr?: Buffer }).stderr).includes('Unable to get accurate CPU usage')) throw error
      }
    }
  }
  const source = path.join(folder, 'source.raw')
  fs.writeFileSync(source, Buffer.concat([Buffer.alloc(3 << 20, 'data'), Buffer.alloc(7 << 20)]))
  const convert = (name: string, ...args: string[]): string => {
    const file = path.join(folder, name)
    execFileSync('qemu-img', ['convert', ...args, source, file])
    return file
  }
  const size = (file: string, format: string): number =>
    JSON.parse(execFileSync('qemu-img', ['info', '-f', format, '--output=json', file], { encoding: 'utf8' }))['virtual-size']
  const seen = (file: string, declared: string) => inspect(fs.readFileSync(file), bare(declared))

  for (const [name, declared, qemu, ...options] of [
    ['a.qcow2', 'qcow2', 'qcow2'],
    ['old.qcow2', 'qcow2', 'qcow2', 'compat=0.10'],
    ['zstd.qcow2', 'qcow2', 'qcow2', 'compression_type=zstd,extended_l2=on'],
    ['sparse.vmdk', 'vmdk', 'vmdk'],
    ['stream.vmdk', 'vmdk', 'vmdk', 'subformat=streamOptimized'],
    ['dynamic.vdi', 'vdi', 'vdi'],
    ['static.vdi', 'vdi', 'vdi', 'static=on'],
    ['dynamic.vhd', 'vhd', 'vpc', 'force_size=on'],
    ['fixed.vhd', 'vhd', 'vpc', 'subformat=fixed,force_size=on'],
    ['dynamic.vhdx', 'vhdx', 'vhdx'],
    ['fixed.vhdx', 'vhdx', 'vhdx', 'subformat=fixed'],
  ] as const) {
    it(`${name} (${options[0] ?? 'as it comes'}) has the size that QEMU sees, however it arrives`, async () => {
      const file = convert(name, '-f', 'raw', '-O', qemu, ...options.flatMap((option) => ['-o', option]))
      const data = fs.readFileSync(file)
      const wanted = size(file, qemu)
      assert.ok(wanted >= 10 * 2 ** 20)
      for (const block of [1024, 65_536, 1 << 20, data.length])
        assert.equal(stream(data, bare(declared), block), wanted, `in blocks of ${block}`)
      assert.equal(await inspectFile(file, bare(declared)), wanted)
    })
  }

  it('are refused where they need other files', () => {
    make('base.qcow2', '-f', 'qcow2')
    assert.throws(() => seen(make('over.qcow2', '-f', 'qcow2', '-b', 'base.qcow2', '-F', 'qcow2'), 'qcow2'), /backing file/)
    assert.throws(() => seen(make('e.qcow2', '-f', 'qcow2', '-o', `data_file=${folder}/e.raw`), 'qcow2'), /external file/)
    for (const kind of ['monolithicFlat', 'twoGbMaxExtentSparse', 'twoGbMaxExtentFlat'])
      assert.throws(() => seen(make(`${kind}.vmdk`, '-f', 'vmdk', '-o', `subformat=${kind}`), 'vmdk'), /content is vmdk descriptor/)
    // An extent of a split vmdk by itself.
    assert.throws(() => seen(path.join(folder, 'twoGbMaxExtentSparse-s001.vmdk'), 'vmdk'), /type unknown/)
    const base = make('base.vmdk', '-f', 'vmdk')
    assert.throws(() => seen(make('over.vmdk', '-f', 'vmdk', '-b', base, '-F', 'vmdk'), 'vmdk'), /parent/)
  })

  it('are refused as raw and as each other, and where they are encrypted', () => {
    const luks = makeEncrypted('disk.luks', '-f', 'luks', '-o', 'key-secret=s,iter-time=10')
    assert.equal(seen(luks, 'raw'), fs.statSync(luks).size)
    assert.throws(() => seen(luks, 'qcow2'), /content is luks/)
    const inside = makeEncrypted('inside.qcow2', '-f', 'qcow2', '-o', 'encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10')
    assert.throws(() => seen(inside, 'qcow2'), /encrypted/)
    const all = { qcow2: 'qcow2', vmdk: 'vmdk', vdi: 'vdi', vhd: 'vpc', vhdx: 'vhdx' }
    for (const [format, qemu] of Object.entries(all)) {
      const file = make(`as-raw.${format}`, '-f', qemu)
      for (const other of ['raw', ...Object.keys(all), 'iso'].filter((one) => one !== format))
        assert.throws(() => seen(file, other), new RegExp(`content is ${format}`), `${format} as ${other}`)
    }
    assert.throws(() => seen(make('a.qed', '-f', 'qed'), 'raw'), /content is qed/)
  })

  it('are refused where they were cut off', () => {
    const cut = (file: string, bytes: number) => fs.readFileSync(file).subarray(0, bytes)
    assert.throws(() => inspect(cut(make('cut.vhdx', '-f', 'vhdx'), 2 << 20), bare('vhdx')), /cut off/)
    const stream = convert('cut.vmdk', '-f', 'raw', '-O', 'vmdk', '-o', 'subformat=streamOptimized')
    const whole = fs.readFileSync(stream)
    // Only files whose header sends the reader to their end have a footer.
    if (whole.readBigUInt64LE(56) === 2n ** 64n - 1n) assert.throws(() => inspect(whole.subarray(0, -512), bare('vmdk')), /footer/)
    assert.throws(
      () => inspect(fs.readFileSync(make('cut.vhd', '-f', 'vpc', '-o', 'subformat=fixed')).subarray(0, -1), bare('vhd')),
      /no known format/,
    )
  })
})
