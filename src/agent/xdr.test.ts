import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { frames } from './libvirt-connection.ts'
import { domain, HEADER_BYTES, MESSAGE_MAX_BYTES, procedures, remoteError, type TypedParam, typedParam } from './libvirt-protocol.ts'
import * as xdr from './xdr.ts'

function roundTrip<T>(type: xdr.Xdr<T>, value: T): T {
  const writer = xdr.newWriter(1)
  type.pack(writer, value)
  assert.equal(writer.length % 4, 0, 'XDR is a whole number of four-byte units')
  const reader = xdr.newReader(Buffer.from(xdr.written(writer)))
  const back = type.unpack(reader)
  assert.equal(reader.offset, writer.length, 'everything that was written is read')
  return back
}

const safe = fc.integer({ min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER })
const text = fc.string({ unit: 'grapheme' })
const plain = { noNullPrototype: true }
const someDomain = fc.record({ name: text, uuid: fc.uuid(), id: fc.integer() }, plain)
const someParam: fc.Arbitrary<TypedParam> = fc.oneof(
  fc.record({ field: text, type: fc.constantFrom('int' as const), value: fc.integer() }, plain),
  fc.record({ field: text, type: fc.constantFrom('uint' as const), value: fc.nat() }, plain),
  fc.record({ field: text, type: fc.constantFrom('llong' as const), value: safe }, plain),
  fc.record({ field: text, type: fc.constantFrom('ullong' as const), value: fc.maxSafeNat() }, plain),
  fc.record({ field: text, type: fc.constantFrom('double' as const), value: fc.double({ noNaN: true }) }, plain),
  fc.record({ field: text, type: fc.constantFrom('boolean' as const), value: fc.boolean() }, plain),
  fc.record({ field: text, type: fc.constantFrom('string' as const), value: text }, plain),
)

describe('XDR', () => {
  const types: [string, xdr.Xdr<unknown>, fc.Arbitrary<unknown>][] = [
    ['int', xdr.int, fc.integer()],
    ['uint', xdr.uint, fc.integer({ min: 0, max: 2 ** 32 - 1 })],
    ['hyper', xdr.hyper, safe],
    ['unsigned hyper', xdr.uhyper, fc.maxSafeNat()],
    ['double', xdr.double, fc.double()],
    ['bool', xdr.bool, fc.boolean()],
    ['string', xdr.string, text],
    ['opaque', xdr.opaque, fc.uint8Array().map((bytes) => Buffer.from(bytes))],
    ['uuid', xdr.uuid, fc.uuid()],
    ['optional', xdr.optional(xdr.string), fc.option(text)],
    ['array', xdr.array(xdr.string), fc.array(text)],
    ['domain', domain, someDomain],
    ['typed parameters', xdr.array(typedParam), fc.array(someParam)],
  ]
  for (const [name, type, values] of types) {
    it(`packs and unpacks ${name}`, () => {
      fc.assert(fc.property(values, (value) => assert.deepEqual(roundTrip(type, value), value)))
    })
  }

  it('packs a call as libvirt writes it', () => {
    const writer = xdr.newWriter()
    procedures.domainGetXmlDesc.args.pack(writer, { dom: { name: 'abc', uuid: '00112233-4455-6677-8899-aabbccddeeff', id: -1 } })
    assert.equal(xdr.written(writer).toString('hex'), '000000036162630000112233445566778899aabbccddeeffffffffff00000000')
  })

  it('never reads past the end, whatever arrives', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        for (const type of [remoteError, xdr.array(typedParam), procedures.connectListAllDomains.reply, procedures.nodeGetInfo.reply]) {
          const reader = xdr.newReader(Buffer.from(bytes))
          try {
            ;(type as xdr.Xdr<unknown>).unpack(reader)
          } catch (error) {
            assert.ok(error instanceof xdr.XdrError, String(error))
          }
          assert.ok(reader.offset <= bytes.length)
        }
      }),
    )
  })

  it('names the field that does not fit', () => {
    const args = procedures.domainSetVcpusFlags.args
    assert.throws(
      () => args.pack(xdr.newWriter(), { dom: { name: 'a', uuid: 'nonsense', id: 1 }, vcpus: 1 }),
      /dom: uuid: 'nonsense' is not a UUID/,
    )
    assert.throws(() => args.pack(xdr.newWriter(), { dom: { name: 'a', uuid: crypto.randomUUID(), id: 1 }, vcpus: -1 }), /vcpus: -1 is not/)
  })
})

describe('frames', () => {
  const message = (body: Uint8Array) => {
    const whole = Buffer.concat([Buffer.alloc(HEADER_BYTES), body])
    whole.writeUInt32BE(whole.length, 0)
    return whole
  }

  it('finds the messages however the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array(), { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
        (bodies, cuts) => {
          const sent = bodies.map(message)
          const stream = Buffer.concat(sent)
          const received: string[] = []
          const feed = frames(
            (frame) => received.push(frame.toString('hex')),
            (length) => assert.fail(`${length}`),
          )
          for (let at = 0, i = 0; at < stream.length; i++) {
            const size = cuts[i % cuts.length]!
            feed(stream.subarray(at, at + size))
            at += size
          }
          assert.deepEqual(
            received,
            sent.map((frame) => frame.toString('hex')),
          )
        },
      ),
    )
  })

  it('refuses a length that cannot be, and reads nothing after it', () => {
    for (const length of [0, HEADER_BYTES - 1, MESSAGE_MAX_BYTES + 1, 0xffffffff]) {
      const bad: number[] = []
      const feed = frames(
        () => assert.fail('no message'),
        (found) => bad.push(found),
      )
      const word = Buffer.alloc(4)
      word.writeUInt32BE(length)
      feed(word)
      feed(message(Buffer.from('more')))
      assert.deepEqual(bad, [length])
    }
  })
})
