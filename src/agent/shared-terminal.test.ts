import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Duplex } from 'node:stream'
import { it } from 'node:test'
import { shareTerminal } from './shared-terminal.ts'

/** A terminal that hears what is typed and prints when told to. */
function terminal() {
  const typed: string[] = []
  const device = new Duplex({
    read: () => undefined,
    write: (bytes: Buffer, _encoding, done) => {
      typed.push(bytes.toString())
      done()
    },
  })
  let closed = 0
  const shared = shareTerminal(device, () => closed++)
  return { device, shared, typed, closed: () => closed, print: (text: string | Buffer) => device.push(text) }
}

const next = async (one: Duplex) => String((await once(one, 'data'))[0])

it('shows everyone what is printed and takes keys from everyone', async () => {
  const { shared, typed, print } = terminal()
  const [one, two] = [shared.join(), shared.join()]
  const heard = Promise.all([next(one), next(two)])
  print('login: ')
  assert.deepEqual(await heard, ['login: ', 'login: '])
  one.write('a')
  two.write('b')
  await new Promise((go) => setImmediate(go))
  assert.deepEqual(typed, ['a', 'b'])
})

it('waits for nobody: who does not read is cut off, and the others go on', async () => {
  const { shared, print } = terminal()
  const [reads, sleeps] = [shared.join(), shared.join()]
  const cut = once(sleeps, 'close')
  let bytes = 0
  reads.on('data', (heard: Buffer) => {
    bytes += heard.length
  })
  const piece = Buffer.alloc(1 << 18, 'x')
  for (let i = 0; i < 8; i++) {
    print(piece)
    await new Promise((go) => setImmediate(go))
  }
  await cut
  assert.equal(bytes, 8 * piece.length)
  assert.equal(reads.destroyed, false)
})

it('closes the terminal when the last one has gone, and ends everyone when the terminal ends', async () => {
  const first = terminal()
  const [one, two] = [first.shared.join(), first.shared.join()]
  one.destroy()
  await once(one, 'close')
  assert.equal(first.device.destroyed, false)
  two.destroy()
  await once(first.device, 'close')
  assert.equal(first.closed(), 1)

  const second = terminal()
  const last = second.shared.join()
  last.resume()
  const ended = once(last, 'end')
  second.device.destroy(new Error('read EIO'))
  await ended
  assert.equal(second.closed(), 1)
})
