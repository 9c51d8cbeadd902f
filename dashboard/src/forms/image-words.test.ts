import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatOfName, nameOfFile, recognise } from './image-formats.ts'
import { parseProperties, splitTags } from './image-words.ts'

test('tags are trimmed and kept once', () => {
  assert.deepEqual(splitTags(' a, b,,a ,c'), ['a', 'b', 'c'])
  assert.deepEqual(splitTags(' '), [])
})

test('properties are lines of name=value, and the first wrong line is named', () => {
  assert.deepEqual(parseProperties('os_distro = debian\n\nmotd=a=b\n'), { properties: { os_distro: 'debian', motd: 'a=b' } })
  assert.deepEqual(parseProperties('a=1\nnonsense'), { properties: { a: '1' }, error: 'nonsense' })
  assert.deepEqual(parseProperties('status=active'), { properties: {}, error: 'status=active' })
})

test("a file's format comes from its first bytes, and from its name only where they don't contradict", async () => {
  const file = (bytes: number[], name: string) => new File([new Uint8Array(bytes)], name)
  assert.equal(await recognise(file([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3], 'x.img')), 'qcow2')
  assert.equal(await recognise(file([0x4b, 0x44, 0x4d, 0x56], 'x.raw')), 'vmdk')
  assert.equal(await recognise(file([...Buffer.from('vhdxfile')], 'x')), 'vhdx')
  assert.equal(await recognise(file([0, 0, 0, 0], 'x.qcow2')), 'raw')
  assert.equal(await recognise(file([0, 0, 0, 0], 'x.vdi')), 'vdi')
  const iso = Buffer.alloc(0x8010)
  iso.write('CD001', 0x8001)
  assert.equal(await recognise(file([...iso], 'x.img')), 'iso')
})

test('names and formats come out of file names and addresses', () => {
  assert.equal(formatOfName('https://example.org/debian-13.qcow2'), 'qcow2')
  assert.equal(formatOfName('https://example.org/debian-13.img'), 'raw')
  assert.equal(nameOfFile('debian-13-genericcloud.qcow2'), 'debian-13-genericcloud')
  assert.equal(nameOfFile('disk.raw.xz'), 'disk')
})
