import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { run } from '../../agent/shell.ts'
import type { NetworkDocument, PortDocument, SubnetDocument } from '../../wire/documents.ts'
import { networkDocument, portDocument, subnetDocument } from '../../wire/testing.ts'
import { dnsmasqFiles } from './dhcp.ts'

const network = (over: Partial<SubnetDocument> = {}) => networkDocument({ subnets: [subnetDocument(over)] })
const port = (over: Partial<PortDocument> = {}) => portDocument({ server_id: null, security_groups: [], ...over })
const files = (one: NetworkDocument, ports: PortDocument[]) => dnsmasqFiles(one, ports, '/folder')
const tag = /tag:(s[0-9a-f]{10})/.exec(files(network(), []).options)![1]!
const optionsOf = (over: Parameters<typeof network>[0]) =>
  files(network(over), [])
    .options.trim()
    .split('\n')
    .map((line) => line.replace(`tag:${tag},`, ''))

describe('what dnsmasq reads', () => {
  it('is exactly this for a plain network with two ports', () => {
    const { conf, options, hosts, names } = files(network(), [
      port({
        id: '55555555-5555-4555-8555-555555555555',
        mac: 'fa:16:3e:00:00:02',
        hostname: '',
        ips: [
          { ip: '10.9.0.12', subnet_id: 's4' },
          { ip: 'fd00::12', subnet_id: 's6' },
        ],
      }),
      port(),
    ])
    assert.match(conf, new RegExp(`^dhcp-range=set:${tag},10\\.9\\.0\\.0,static,255\\.255\\.255\\.0,86400s$`, 'm'))
    assert.match(conf, /^dhcp-option-force=option:mtu,1450$/m)
    assert.match(conf, /^interface=dhcp$/m)
    assert.equal(
      options,
      [
        `tag:${tag},option:router,10.9.0.1`,
        `tag:${tag},option:classless-static-route,169.254.169.254/32,10.9.0.2,0.0.0.0/0,10.9.0.1`,
        `tag:${tag},option:dns-server,10.9.0.2`,
        '',
      ].join('\n'),
    )
    assert.equal(hosts, 'fa:16:3e:00:00:01,one.novalocal,10.9.0.11\nfa:16:3e:00:00:02,host-10-9-0-12.novalocal,10.9.0.12\n')
    assert.equal(names, '10.9.0.11 one.novalocal one\n10.9.0.12 host-10-9-0-12.novalocal host-10-9-0-12\n')
  })

  it('tells routes, name servers and the lack of them', () => {
    assert.deepEqual(
      optionsOf({
        gateway_ip: null,
        dns_nameservers: ['192.0.2.1', '2001:db8::1', '192.0.2.2'],
        host_routes: [{ destination: '198.51.100.0/24', nexthop: '10.9.0.9' }],
      }),
      [
        'option:router',
        'option:classless-static-route,198.51.100.0/24,10.9.0.9,169.254.169.254/32,10.9.0.2',
        'option:dns-server,192.0.2.1,192.0.2.2',
      ],
    )
    assert.ok(optionsOf({ dns_nameservers: ['0.0.0.0'] }).includes('option:dns-server'))
  })

  it('gives a port its own options, by name or number', () => {
    const { options, hosts } = files(network(), [
      port({
        extra_dhcp_opts: [
          { opt_name: 'bootfile-name', opt_value: 'pxelinux.0', ip_version: 4 },
          { opt_name: '150', opt_value: '192.0.2.9', ip_version: 4 },
          { opt_name: 'ntp-server', opt_value: 'fd00::1', ip_version: 6 },
          { opt_name: 'server-ip-address', opt_value: null, ip_version: 4 },
        ],
      }),
    ])
    const mine = 'tag:port-44444444-4444-4444-8444-444444444444'
    assert.deepEqual(
      options.split('\n').filter((line) => line.startsWith(mine)),
      [`${mine},option:bootfile-name,pxelinux.0`, `${mine},150,192.0.2.9`],
    )
    assert.equal(hosts, 'fa:16:3e:00:00:01,set:port-44444444-4444-4444-8444-444444444444,one.novalocal,10.9.0.11\n')
  })

  it('lets nobody write a line, a field or an option of another by a name or a value', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.constantFrom('a,b', 'x\ndhcp-script=/bin/sh', 'x\r\n', 'ignore', '', '6,1.2.3.4', '3,tag:x', 'option:3', '255', '0', '-1', '#'),
    )
    fc.assert(
      fc.property(text, text, text, (hostname, opt_name, opt_value) => {
        const made = files(network(), [port({ hostname, extra_dhcp_opts: [{ opt_name, opt_value, ip_version: 4 }] })])
        assert.equal(made.conf, files(network(), []).conf)
        assert.match(made.hosts, /^fa:16:3e:00:00:01,set:port-[0-9a-f-]{36},[a-z0-9-]+\.novalocal,10\.9\.0\.11\n$/i)
        assert.match(made.names, /^10\.9\.0\.11 [a-z0-9-]+\.novalocal [a-z0-9-]+\n$/i)
        const own = made.options.slice(files(network(), []).options.length)
        assert.match(own, /^(tag:port-[0-9a-f-]{36},(option:[a-z][a-z0-9-]*|\d{1,3}),[ -~]*\n)?$/)
      }),
      { numRuns: 1000 },
    )
  })

  it('is taken by dnsmasq itself, which leaves out an option that it does not know and serves on', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-dhcp-'))
    try {
      const bad = [
        { opt_name: 'no-such-option', opt_value: 'x', ip_version: 4 },
        { opt_name: 'router', opt_value: 'no address', ip_version: 4 },
        { opt_name: 'bootfile-name', opt_value: 'fine', ip_version: 4 },
      ]
      const made = dnsmasqFiles(network(), [port({ extra_dhcp_opts: bad })], folder)
      for (const [name, content] of Object.entries({
        'dnsmasq.conf': made.conf,
        options: made.options,
        hosts: made.hosts,
        names: made.names,
      }))
        fs.writeFileSync(path.join(folder, name), content)
      fs.chmodSync(folder, 0o755)
      await run(['dnsmasq', '--test', `--conf-file=${folder}/dnsmasq.conf`])
      // In a network namespace of its own: up, its options read, and down again.
      const start = `ip link set lo up; ip link add dhcp type dummy; ip addr add 10.9.0.2/24 dev dhcp; ip link set dhcp up
        dnsmasq --conf-file="$1/dnsmasq.conf" --log-facility="$1/log" || exit
        # It reads them after it has gone into the background.
        tries=0
        until grep -q 'read .*hosts' "$1/log" && grep -q 'bad .* at line' "$1/log" || [ $tries -ge 500 ]; do tries=$((tries + 1)); sleep 0.1; done
        kill "$(cat "$1/dnsmasq.pid")"`
      await run(['unshare', '--net', 'sh', '-c', start, 'sh', folder], { timeoutMs: 60_000 })
      const log = fs.readFileSync(path.join(folder, 'log'), 'utf8')
      assert.match(log, /read .*hosts/)
      assert.match(log, /bad .* at line \d+ of .*options/)
    } finally {
      fs.rmSync(folder, { recursive: true, force: true })
    }
  })
})
