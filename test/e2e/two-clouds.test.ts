// Two clouds on one machine, with the same names and the same address ranges, do not meet; destroying one leaves the other as it was.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type Cloud, keyPair, leftovers, qemuPid, startCloud } from './cloud.ts'
import { consoleSays, importKey, launch, networkId, remove } from './person.ts'
import { patience } from './run-program.ts'

describe('two clouds on one machine', { timeout: 5 * patience * 1000 }, () => {
  let clouds: [Cloud, Cloud]
  let key: string
  const ids: string[] = []
  /** The cloud's own objects on the machine, without processes: those come and go. */
  const objects = async ({ home }: Cloud) =>
    (await leftovers(home))
      .filter((line) => !line.startsWith('process'))
      .map(steady)
      .sort()

  before(async () => {
    ;({ key } = await keyPair())
    const first = await startCloud()
    clouds = [first, first]
    clouds = [first, await startCloud({ own: true })]
  })
  after(async () => {
    const [first, second] = clouds ?? []
    if (second && second !== first && (await leftovers(second.home)).length > 0) await second.stop()
    if (first && ids[0]) await remove(first.demo, ids[0]).catch(() => undefined)
    await first?.demo.ask('DELETE', 'compute/v2.1/os-keypairs/twin').catch(() => undefined)
    await first?.stop()
  })

  it('each runs its server, of the same name, and lets its own owner in', async () => {
    for (const { demo } of clouds) {
      await importKey(demo, 'twin', `${key}.pub`)
      ids.push((await launch(demo, { name: 'twin', key: 'twin', network: { uuid: await networkId(demo, 'private') } })).id)
    }
    for (const [n, cloud] of clouds.entries()) {
      const { servers } = await cloud.demo.ask<{ servers: { id: string }[] }>('GET', 'compute/v2.1/servers')
      assert.deepEqual(
        ids.map((id) => servers.some((server) => server.id === id)),
        [n === 0, n === 1],
      )
      assert.match(await consoleSays(cloud.demo, ids[n]!, /wisp guest ready/), new RegExp(`instance-id: ${ids[n]}`))
      assert.equal((await cloud.wisp('ssh', 'twin', '-i', key, 'hostname')).stdout, 'twin\n')
    }
  })

  it('a token of one is worth nothing in the other', async () => {
    const [first, second] = clouds
    const { id } = await first.demo.openstack<{ id: string }>('token', 'issue')
    const ask = (cloud: Cloud) => fetch(`${cloud.url}/compute/v2.1/servers`, { headers: { 'x-auth-token': id } })
    assert.deepEqual([(await ask(first)).status, (await ask(second)).status], [200, 401])
  })

  it('one is destroyed, the other does not notice', async () => {
    const [first, second] = clouds
    const [before, pid] = [await objects(first), qemuPid(ids[0]!)]
    assert.ok(pid !== undefined)
    await second.stop()
    assert.equal(qemuPid(ids[1]!), undefined)
    assert.deepEqual(await objects(first), before)
    assert.equal(qemuPid(ids[0]!), pid)
    assert.equal((await first.wisp('ssh', 'twin', '-i', key, 'hostname')).stdout, 'twin\n')
  })
})

/** Without what changes by itself: counters of rules, numbers of interfaces. */
function steady(line: string): string {
  return line.replace(/\[\d+:\d+\]/, '').replace(/^link: \d+:/, 'link:')
}
