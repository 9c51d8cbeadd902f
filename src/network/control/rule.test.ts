import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Fault } from '../../http/fault.ts'
import { checkRule, defaultRules, type RuleInput, ruleKey } from './rule.ts'

const rule = (input: Partial<RuleInput>) => checkRule({ direction: 'ingress', ...input })

test('a rule is brought into one form', () => {
  assert.deepEqual(rule({ protocol: 'TCP', port_range_min: '22', port_range_max: 22, remote_ip_prefix: '10.0.0.5/24' }), {
    direction: 'ingress',
    ethertype: 'IPv4',
    protocol: 'tcp',
    port_range_min: 22,
    port_range_max: 22,
    remote_ip_prefix: '10.0.0.0/24',
    remote_group_id: null,
    description: '',
  })
  assert.equal(rule({ protocol: 'any' }).protocol, null)
  assert.equal(rule({ protocol: 6 }).protocol, '6')
  assert.equal(rule({ ethertype: 'ipv6' }).ethertype, 'IPv6')
})

test('what makes no sense is refused in Neutron words', () => {
  const cases: [Partial<RuleInput>, RegExp][] = [
    [{ protocol: 'tcp', port_range_min: -16, port_range_max: 80 }, /Invalid value for port -16/],
    [{ protocol: 'tcp', port_range_min: 80, port_range_max: 79 }, /port_range_min must be <= port_range_max/],
    [{ protocol: 'udp', port_range_min: 80, port_range_max: 65536 }, /Invalid value for port 65536/],
    [{ protocol: 'udp', port_range_max: 6 }, /port_range_min must be <= port_range_max/],
    [{ protocol: 'tcp', port_range_min: 0, port_range_max: 6 }, /Invalid value for port 0/],
    [{ protocol: 'icmp', port_range_min: 1, port_range_max: 256 }, /Invalid value for ICMP code/],
    [{ protocol: 'icmp', port_range_min: 300, port_range_max: 1 }, /Invalid value for ICMP type/],
    [{ protocol: 'icmp', port_range_max: 6 }, /ICMP type \(port-range-min\) is missing/],
    [{ port_range_min: 1, port_range_max: 2 }, /specify protocol if port range is given/],
    [{ protocol: 'gre', port_range_min: 1, port_range_max: 2 }, /Ports cannot be specified for protocol gre/],
    [{ protocol: 'nonsense' }, /protocol nonsense not supported/],
    [{ protocol: 256 }, /protocol 256 not supported/],
    [{ ethertype: 'IPv5' }, /ethertype 'IPv5' not supported/],
    [{ protocol: 'icmpv6' }, /Invalid ethertype IPv4 for protocol icmpv6/],
    [{ remote_ip_prefix: '10.0.0.0/33' }, /Invalid CIDR 10.0.0.0\/33/],
    [{ remote_ip_prefix: '2001:db8::/32' }, /Conflicting value ethertype IPv4/],
    [{ remote_ip_prefix: '10.0.0.0/8', remote_group_id: 'g' }, /Only one of remote_ip_prefix or remote_group_id/],
  ]
  for (const [input, message] of cases) {
    assert.throws(
      () => rule(input),
      (error) => error instanceof Fault && error.status === 400 && message.test(error.message),
      JSON.stringify(input),
    )
  }
})

test('rules that do the same have one key', () => {
  const ssh = { protocol: 'tcp', port_range_min: 22, port_range_max: 22 }
  assert.equal(ruleKey(rule(ssh)), ruleKey(rule({ ...ssh, protocol: 6, description: 'other words' })))
  assert.notEqual(ruleKey(rule(ssh)), ruleKey(rule({ ...ssh, port_range_max: 23 })))
  assert.notEqual(ruleKey(rule(ssh)), ruleKey(rule({ ...ssh, direction: 'egress' })))
  assert.equal(new Set(defaultRules('g').map(ruleKey)).size, 4)
})

test('any input gives a rule or a fault of 400', () => {
  const port = fc.option(fc.oneof(fc.integer({ min: -5, max: 70_000 }), fc.string({ maxLength: 4 })))
  fc.assert(
    fc.property(
      fc.record({
        direction: fc.constantFrom('ingress' as const, 'egress' as const),
        ethertype: fc.option(fc.constantFrom('IPv4', 'IPv6', 'x')),
        protocol: fc.option(
          fc.oneof(fc.constantFrom('tcp', 'udp', 'icmp', 'icmpv6', 'gre', 'any'), fc.integer({ min: -1, max: 300 }), fc.string()),
        ),
        port_range_min: port,
        port_range_max: port,
        remote_ip_prefix: fc.option(fc.constantFrom('10.0.0.0/8', '::/0', '0.0.0.0/0', 'x', '')),
      }),
      (input) => {
        try {
          const checked = checkRule(input)
          assert.deepEqual(checkRule(checked), checked)
        } catch (error) {
          assert.ok(error instanceof Fault && error.status === 400, String(error))
        }
      },
    ),
  )
})
