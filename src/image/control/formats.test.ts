import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, describe, it } from 'node:test'
import { formatOf, HEAD, inspect } from './formats.ts'

const bare = (disk_format: string) => ({ disk_format, container_format: 'bare' })

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
    assert.equal(inspect(Buffer.from('anything'), bare('raw')), null)
    assert.equal(inspect(Buffer.alloc(HEAD), bare('raw')), null)
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
    assert.equal(inspect(iso, bare('iso')), null)
  })
})

const none = spawnSync('qemu-img', ['--version']).error !== undefined
describe('images that qemu-img made', { skip: none && 'qemu-img is not installed' }, () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-formats-'))
  after(() => fs.rmSync(folder, { recursive: true }))
  const make = (name: string, ...args: string[]) => {
    execFileSync('qemu-img', ['create', '-q', ...args, path.join(folder, name), '10M'])
    return fs.readFileSync(path.join(folder, name)).subarray(0, HEAD)
  }

  it('are known for what they are', () => {
    assert.equal(inspect(make('a.qcow2', '-f', 'qcow2'), bare('qcow2')), 10 * 2 ** 20)
    assert.equal(inspect(make('old.qcow2', '-f', 'qcow2', '-o', 'compat=0.10'), bare('qcow2')), 10 * 2 ** 20)
    assert.equal(inspect(make('zstd.qcow2', '-f', 'qcow2', '-o', 'compression_type=zstd,extended_l2=on'), bare('qcow2')), 10 * 2 ** 20)
    assert.equal(inspect(make('a.vmdk', '-f', 'vmdk'), bare('vmdk')), 10 * 2 ** 20)
    assert.equal(inspect(make('s.vmdk', '-f', 'vmdk', '-o', 'subformat=streamOptimized'), bare('vmdk')), 10 * 2 ** 20)
    assert.equal(inspect(make('a.vdi', '-f', 'vdi'), bare('vdi')), 10 * 2 ** 20)
    assert.ok(inspect(make('a.vhd', '-f', 'vpc', '-o', 'force_size=on'), bare('vhd'))! >= 10 * 2 ** 20)
    assert.equal(inspect(make('a.vhdx', '-f', 'vhdx'), bare('vhdx')), null)
  })

  it('are refused where they need other files', () => {
    make('base.qcow2', '-f', 'qcow2')
    assert.throws(() => inspect(make('over.qcow2', '-f', 'qcow2', '-b', 'base.qcow2', '-F', 'qcow2'), bare('qcow2')), /backing file/)
    assert.throws(() => inspect(make('e.qcow2', '-f', 'qcow2', '-o', `data_file=${folder}/e.raw`), bare('qcow2')), /external file/)
    assert.throws(() => inspect(make('f.vmdk', '-f', 'vmdk', '-o', 'subformat=monolithicFlat'), bare('vmdk')), /vmdk descriptor/)
    assert.throws(() => inspect(make('g.qcow2', '-f', 'qcow2'), bare('raw')), /content is qcow2/)
  })
})
