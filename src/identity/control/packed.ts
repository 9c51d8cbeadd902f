// What is sealed into tokens and receipts, in as few bytes as it takes: ids of hexadecimal digits are half as long as bytes.

export interface Fields {
  /** Each of at most 126 characters. */
  ids: string[]
  /** Whole, below 2^48. */
  numbers: number[]
  texts: string[]
  bytes: Buffer[]
}

const lists = ['ids', 'numbers', 'texts', 'bytes'] as const

/** One byte for the kind, then each list as its length and its items, each item as its length and its bytes. */
export function writeFields(kind: number, fields: Fields): Buffer {
  const items = [fields.ids.map(idBytes), fields.numbers.map(numberBytes), fields.texts.map((text) => Buffer.from(text)), fields.bytes]
  const parts = items.map((list) =>
    Buffer.concat([Buffer.from([list.length]), ...list.flatMap((item) => [Buffer.from([item.length]), item])]),
  )
  return Buffer.concat([Buffer.from([kind]), ...parts])
}

/** @throws Error if the bytes are of another kind */
export function readFields(kind: number, packed: Buffer): Fields {
  if (packed[0] !== kind) throw new Error(`This is of kind ${packed[0]}, not ${kind}`)
  let at = 1
  const [ids, numbers, texts, bytes] = lists.map(() =>
    Array.from({ length: packed.readUInt8(at++) }, () => {
      const length = packed.readUInt8(at++)
      at += length
      return packed.subarray(at - length, at)
    }),
  ) as [Buffer[], Buffer[], Buffer[], Buffer[]]
  return { ids: ids.map(idText), numbers: numbers.map((number) => number.readUIntBE(0, 6)), texts: texts.map(String), bytes }
}

// The first byte says how to read the rest; clients may have chosen ids of any characters.
const idBytes = (id: string) =>
  /^([0-9a-f]{2})+$/.test(id)
    ? Buffer.concat([Buffer.from([1]), Buffer.from(id, 'hex')])
    : Buffer.concat([Buffer.from([0]), Buffer.from(id)])
const idText = (bytes: Buffer) => bytes.subarray(1).toString(bytes[0] === 1 ? 'hex' : 'utf8')

function numberBytes(number: number): Buffer {
  const bytes = Buffer.alloc(6)
  bytes.writeUIntBE(number, 0, 6)
  return bytes
}
