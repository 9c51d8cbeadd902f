// The full size of test/scale/scale.test.ts: one controller, many simulated hosts and servers, and how long requests take while more servers are
// launched at a steady pace. Controller, database, hosts and this program are processes of their own, as in real life.
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { sql } from 'kysely'
import { connect } from '../src/database/connect.ts'
import { embeddedSocket } from '../src/database/embedded.ts'
import { account, launch, prepare, settled, signIn } from '../test/scale/cloud.ts'
import { startWisp } from './clouds.ts'
import { median, quantile } from './load.ts'
import { cpuSeconds, memory } from './processes.ts'

const { values } = parseArgs({
  options: {
    hosts: { type: 'string', default: '1000' },
    servers: { type: 'string', default: '10000' },
    launch: { type: 'string', default: '50' },
    seconds: { type: 'string', default: '30' },
    networks: { type: 'string', default: '0' },
  },
})
const [hosts, servers, pace, seconds, networks] = [values.hosts, values.servers, values.launch, values.seconds, values.networks].map(
  Number,
) as [number, number, number, number, number]
/** How many requests a second are timed while servers are launched. */
const asked = 20

const wisp = await startWisp({ count: hosts, vcpus: 64, memoryMb: 262_144, diskGb: 4096 })
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void wisp.stop().finally(() => process.exit(130)))
const db = connect(embeddedSocket(wisp.home), { connections: 2, name: 'scale bench' })
try {
  const client = await signIn(new URL(wisp.authUrl).origin, wisp.user, wisp.password)
  const image = await client.call<{ id: string }>('POST', 'image/v2', 'images', {
    name: 'scale',
    disk_format: 'raw',
    container_format: 'bare',
  })
  await client.upload(image.id, Buffer.alloc(1024))
  const launching = await prepare(client, networks)
  console.log(`${hosts} simulated hosts are connected, ${networks} networks made.`)

  const filling = performance.now()
  await launch(client, launching, servers, pace)
  await settled(db, 600)
  console.log(`${servers} servers: all settled after ${secondsSince(filling)} s, at ${pace}/s asked for.`)

  const reads = ['servers?limit=50', 'servers/detail?limit=50', 'flavors/detail', 'os-hypervisors?limit=50', 'limits']
  const latencies = new Map(reads.map((path): [string, number[]] => [path, []]))
  let launched = false
  const ask = async () => {
    const answers: Promise<void>[] = []
    for (let n = 0; !launched; n++) {
      const path = reads[n % reads.length]!
      const sent = performance.now()
      answers.push(client.call('GET', 'compute/v2.1', path).then(() => void latencies.get(path)!.push(performance.now() - sent)))
      await sleep(1000 / asked)
    }
    await Promise.all(answers)
  }
  const began = performance.now()
  const before = cpuSeconds(wisp.processes())
  const asking = ask()
  await launch(client, launching, pace * seconds, pace)
  launched = true
  await asking
  const took = (performance.now() - began) / 1000
  console.log(
    `\n${pace} launches a second for ${took.toFixed(0)} s; Wisp used ${((cpuSeconds(wisp.processes()) - before) / took).toFixed(2)} cores. Requests meanwhile:\n`,
  )
  console.log('| request | count | p50 ms | p99 ms |\n|---|---|---|---|')
  for (const [path, times] of [...latencies, ['all', [...latencies.values()].flat()] as const])
    console.log(`| ${path} | ${times.length} | ${median([...times]).toFixed(1)} | ${quantile([...times], 0.99).toFixed(1)} |`)

  const settling = performance.now()
  await settled(db, 600)
  const { rows } = await sql<{ p50: number; p99: number }>`
    select percentile_cont(0.5) within group (order by t) as p50, percentile_cont(0.99) within group (order by t) as p99
    from (select extract(epoch from launched_at - created_at) * 1000 as t from compute.server order by created_at desc limit ${pace * seconds}) recent`.execute(
    db.read,
  )
  console.log(
    `\nPOST → ACTIVE of those: p50 ${rows[0]?.p50.toFixed(0)} ms, p99 ${rows[0]?.p99.toFixed(0)} ms. The last one settled ${secondsSince(settling)} s after the last launch.`,
  )
  for (const { root, pss } of memory(wisp.processes())) console.log(`memory of ${root}: ${pss.toFixed(0)} MiB`)
  const wrong = await account(db, [])
  console.log(wrong.length === 0 ? 'Everything adds up.' : `This does not add up:\n${wrong.join('\n')}`)
} finally {
  await db.close()
  await wisp.stop()
}
process.exit()

function secondsSince(since: number): string {
  return ((performance.now() - since) / 1000).toFixed(1)
}
