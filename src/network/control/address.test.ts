import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  contains,
  defaultGateway,
  defaultPools,
  eui64,
  formatCidr,
  formatIp,
  normalIp,
  normalMac,
  parseCidr,
  parseIp,
  poolProblem,
  poolSize,
  randomAddresses,
  randomMac,
} from './address.ts'

test('addresses survive being read and written', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }), (value) => {
      assert.equal(parseIp(formatIp(4, value))?.value, value)
    }),
  )
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }), (value) => {
      assert.equal(parseIp(formatIp(6, value))?.value, value)
    }),
  )
  assert.equal(normalIp('2001:DB8:0:0::1'), '2001:db8::1')
})

test('forms that only some parsers read are no addresses', () => {
  for (const text of ['10.1', '010.0.0.1', '1.2.3.4.5', '256.1.1.1', '0x7f.0.0.1', 'fe80::1%eth0', '', 'a', '1.2.3.4/24', '10.0.0.1 ']) {
    assert.equal(parseIp(text), undefined, text)
  }
})

test('a range is cut to its prefix', () => {
  assert.equal(formatCidr(parseCidr('10.0.0.77/24')!), '10.0.0.0/24')
  assert.equal(formatCidr(parseCidr('10.0.0.77')!), '10.0.0.77/32')
  assert.equal(formatCidr(parseCidr('2001:db8::5/64')!), '2001:db8::/64')
  for (const text of ['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/24/1', '10.0.0.0/-1', 'x/8', '::/129'])
    assert.equal(parseCidr(text), undefined, text)
})

test('default pools hold all that is usable but the gateway', () => {
  const pools = (cidr: string, gateway?: string | null) =>
    defaultPools(parseCidr(cidr)!, gateway === undefined ? defaultGateway(parseCidr(cidr)!) : gateway).map(
      ({ start, end }) => `${start}-${end}`,
    )
  assert.deepEqual(pools('10.0.0.0/24'), ['10.0.0.2-10.0.0.254'])
  assert.deepEqual(pools('10.0.0.0/24', '10.0.0.254'), ['10.0.0.1-10.0.0.253'])
  assert.deepEqual(pools('10.0.0.0/24', '10.0.0.9'), ['10.0.0.1-10.0.0.8', '10.0.0.10-10.0.0.254'])
  assert.deepEqual(pools('10.0.0.0/24', null), ['10.0.0.1-10.0.0.254'])
  assert.deepEqual(pools('10.0.0.0/30'), ['10.0.0.2-10.0.0.2'])
  assert.deepEqual(pools('10.0.0.0/31'), ['10.0.0.1-10.0.0.1'])
  assert.deepEqual(pools('10.0.0.5/32'), [])
  assert.deepEqual(pools('2001:db8::/64'), ['2001:db8::2-2001:db8::ffff:ffff:ffff:ffff'])
})

test('pools that a user gives are checked', () => {
  const range = parseCidr('10.0.0.0/24')!
  const problem = (pools: [string, string][], gateway: string | null = '10.0.0.1') =>
    poolProblem(
      range,
      pools.map(([start, end]) => ({ start, end })),
      gateway,
    )?.what
  assert.equal(problem([['10.0.0.2', '10.0.0.9']]), undefined)
  assert.equal(problem([['10.0.0.9', '10.0.0.2']]), 'invalid')
  assert.equal(problem([['10.0.0.2', 'x']]), 'invalid')
  assert.equal(problem([['10.0.0.2', '10.0.1.9']]), 'out of bounds')
  assert.equal(problem([['10.0.0.2', '10.0.0.255']]), 'out of bounds')
  assert.equal(
    problem([
      ['10.0.0.20', '10.0.0.30'],
      ['10.0.0.2', '10.0.0.20'],
    ]),
    'overlap',
  )
  assert.equal(problem([['10.0.0.1', '10.0.0.9']]), 'gateway')
  assert.equal(problem([['10.0.0.1', '10.0.0.9']], null), undefined)
})

test('random addresses are different, lie in the pools, and reach every address', () => {
  const pool = fc.tuple(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 10 })).map(([at, size]) => ({
    start: `10.0.${at}.1`,
    end: `10.0.${at}.${1 + size}`,
  }))
  fc.assert(
    fc.property(fc.uniqueArray(pool, { selector: ({ start }) => start, maxLength: 4 }), fc.integer({ min: 0, max: 60 }), (pools, count) => {
      const total = Number(pools.reduce((sum, one) => sum + poolSize(one), 0n))
      const addresses = randomAddresses(pools, count)
      assert.equal(new Set(addresses).size, Math.min(count, total))
      for (const address of addresses) {
        const value = parseIp(address)!.value
        assert.ok(pools.some(({ start, end }) => value >= parseIp(start)!.value && value <= parseIp(end)!.value))
      }
    }),
  )
  const [one] = randomAddresses([{ start: '2001:db8::', end: '2001:db8::ffff:ffff:ffff:ffff' }], 1)
  assert.ok(contains(parseCidr('2001:db8::/64')!, one!))
})

test('MAC addresses', () => {
  assert.match(randomMac(), /^fa:16:3e(:[0-9a-f]{2}){3}$/)
  assert.equal(normalMac('FA-16-3E-00-00-01'), 'fa:16:3e:00:00:01')
  for (const text of ['01:00:5e:00:00:01', '00:00:00:00:00:00', 'fa:16:3e:00:00', 'x']) assert.equal(normalMac(text), undefined)
})

test('an automatic IPv6 address follows the MAC', () => {
  // The example of RFC 4291, appendix A, with a prefix.
  assert.equal(eui64(parseCidr('2001:db8::/64')!, '34:56:78:9a:bc:de'), '2001:db8::3656:78ff:fe9a:bcde')
})
