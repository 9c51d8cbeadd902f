// In a namespace of the test's own.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { deleteConnections, loadNftables, removeSet, replaceSet, restoreRules, restoreSets, savedRules, setNames } from './iptables.ts'
import { ensureNamespace, removeNamespace } from './namespaces.ts'
import { CommandFailed, run } from './shell.ts'

const NETNS = `wisp-test-rules-${process.pid}`

describe('iptables', () => {
  before(() => ensureNamespace(NETNS))
  after(() => removeNamespace(NETNS))

  const chain = async (name: string, family: 4 | 6 = 4) =>
    (await savedRules(NETNS, { table: 'filter', family })).split('\n').filter((line) => line.startsWith(`-A ${name} `))

  it('loads a chain whole and leaves the others', async () => {
    const rules = (name: string, ports: number[]) =>
      `*filter\n:${name} - [0:0]\n${ports.map((port) => `-A ${name} -p tcp --dport ${port} -j RETURN\n`).join('')}COMMIT\n`
    await restoreRules(NETNS, rules('wisp-a', [22, 80]))
    await restoreRules(NETNS, rules('wisp-b', [443]))
    await restoreRules(NETNS, rules('wisp-a', [22]))
    assert.deepEqual(await chain('wisp-a'), ['-A wisp-a -p tcp -m tcp --dport 22 -j RETURN'])
    assert.equal((await chain('wisp-b')).length, 1)
    await restoreRules(NETNS, rules('wisp-6', [22]), { family: 6 })
    assert.equal((await chain('wisp-6', 6)).length, 1)
  })

  it('loads nothing when one rule is wrong, and names the line', async () => {
    const text = '*filter\n:wisp-a - [0:0]\n-A wisp-a -p tcp --dport 25 -j RETURN\n-A wisp-a -j wisp-no-such-target\nCOMMIT\n'
    await assert.rejects(restoreRules(NETNS, text, { doing: 'load the rules of port 42ab' }), (error) => {
      assert.ok(error instanceof CommandFailed)
      assert.match(error.message, /^Could not load the rules of port 42ab: /)
      assert.match(error.stderr, /line:? \d|: line \d/)
      return true
    })
    assert.deepEqual(await chain('wisp-a'), ['-A wisp-a -p tcp -m tcp --dport 22 -j RETURN'])
  })

  it('fills a set in one moment, also while a rule uses it', async () => {
    const members = async () => {
      const { stdout } = await run(['ipset', 'save', 'wisp-group'], { netns: NETNS })
      return stdout
        .split('\n')
        .filter((line) => line.startsWith('add '))
        .map((line) => line.split(' ')[2])
        .sort()
    }
    const set = { name: 'wisp-group', type: 'hash:net' }
    await replaceSet(NETNS, { ...set, members: ['10.1.0.11', '10.1.0.12'] })
    await restoreRules(NETNS, '*filter\n:wisp-s - [0:0]\n-A wisp-s -m set --match-set wisp-group src -j RETURN\nCOMMIT\n')
    await replaceSet(NETNS, { ...set, members: ['10.1.0.12', '10.2.0.0/16'] })
    assert.deepEqual(await members(), ['10.1.0.12', '10.2.0.0/16'])
    await restoreSets(NETNS, 'add wisp-group 10.1.0.12\ndel wisp-group 10.9.9.9\n')
    assert.deepEqual(await setNames(NETNS), ['wisp-group'])
    await assert.rejects(removeSet(NETNS, 'wisp-group'), CommandFailed)
    await restoreRules(NETNS, '*filter\n:wisp-s - [0:0]\nCOMMIT\n')
    for (let i = 0; i < 2; i++) await removeSet(NETNS, 'wisp-group')
    assert.deepEqual(await setNames(NETNS), [])
  })

  it('loads nftables, whole or not at all', async () => {
    const table = (rule: string) => `table bridge wisp {\n  chain spoof {\n    ${rule}\n  }\n}\n`
    await loadNftables(NETNS, table('ether saddr != fa:16:3e:00:00:01 drop'))
    await assert.rejects(loadNftables(NETNS, `flush table bridge wisp\n${table('nonsense')}`), CommandFailed)
    assert.match((await run(['nft', 'list', 'table', 'bridge', 'wisp'], { netns: NETNS })).stdout, /fa:16:3e:00:00:01 drop/)
  })

  it('forgets connections, also when there are none', async () => {
    assert.equal(await deleteConnections(NETNS, { source: '10.1.0.11', zone: 4097 }), 0)
    await assert.rejects(deleteConnections(NETNS, { source: 'nonsense' }), CommandFailed)
  })
})
