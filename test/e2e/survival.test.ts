// A server runs on while everything around it dies and comes back: through kill -9 of each program and of all at once, through `down` and `up`.
// One SSH session into the guest stays open all the time, so a packet that is lost for good would show.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { after, before, describe, it } from 'node:test'
import { loadConfig } from '../../src/config.ts'
import { embeddedPid } from '../../src/database/embedded.ts'
import { answers } from '../../src/start/cloud.ts'
import { programPids, supervisorPid } from '../../src/start/supervisor.ts'
import { type Cloud, keyPair, launcher, leftovers, qemuPid, startCloud } from './cloud.ts'
import { becomes, consoleSays, importKey, launch, networkId, notNow, show } from './person.ts'
import { patience, run, until } from './run-program.ts'

describe('survival', { timeout: 8 * patience * 1000 }, () => {
  let cloud: Cloud
  let key: string
  let server: string
  let pid: number
  let session: ChildProcess
  let beats = 0

  const pidOf = {
    controller: () => programPids(cloud.home, 'controller')[0],
    host: () => programPids(cloud.home, 'host')[0],
    supervisor: () => supervisorPid(cloud.home),
    postgres: () => embeddedPid(cloud.home),
  }
  type Program = keyof typeof pidOf
  const kill = (name: Program): number => {
    const was = pidOf[name]()
    assert.ok(was !== undefined, `${name} runs`)
    process.kill(was, 'SIGKILL')
    return was
  }
  const isBack = (name: Program, was: number) => until(() => ![undefined, was].includes(pidOf[name]()), `${name} runs again`, 60)
  const apiAnswers = () => until(() => answers(loadConfig(cloud.env)), 'the API answers', 60)

  /** The server is as it was, the guest never noticed, and the cloud does what it is asked: by the API, on the host, in the database. */
  const allIsWell = async () => {
    await apiAnswers()
    await until(async () => {
      const services = (await cloud.admin.ask<{ services: { state: string }[] }>('GET', 'compute/v2.1/os-services').catch(notNow))?.services
      return services && services.length > 0 && services.every(({ state }) => state === 'up')
    }, 'the compute service is up')
    assert.equal((await until(() => show(cloud.demo, server).catch(notNow), 'the server is shown')).status, 'ACTIVE')
    assert.equal(qemuPid(server), pid, 'the same QEMU runs')
    const before = beats
    await until(() => beats > before, 'the SSH session that was opened at first goes on', 60)
    await consoleSays(cloud.demo, server, /wisp guest ready/)
    const { network } = await cloud.demo.ask<{ network: { id: string } }>('POST', 'network/v2.0/networks', { network: { name: 'after' } })
    await cloud.demo.ask('DELETE', `network/v2.0/networks/${network.id}`)
  }

  before(async () => {
    cloud = await startCloud({ own: true })
    ;({ key } = await keyPair())
    await importKey(cloud.demo, 'me', `${key}.pub`)
    const network = { uuid: await networkId(cloud.demo, 'private') }
    server = (await launch(cloud.demo, { name: 'steady', key: 'me', network })).id
    await consoleSays(cloud.demo, server, /wisp guest ready/)
    pid = qemuPid(server)!
    session = spawn(launcher, ['ssh', 'steady', '-i', key, 'while sleep 1; do echo beat; done'], {
      env: cloud.env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    session.stdout!.on('data', () => {
      beats++
    })
    await until(() => beats > 0, 'an SSH session is open')
  })
  after(async () => {
    session?.kill('SIGKILL')
    if (cloud && (await leftovers(cloud.home)).length > 0) await cloud.stop()
  })

  it('"wisp up" a second time changes nothing', async () => {
    const was = Object.values(pidOf).map((of) => of())
    assert.match((await cloud.wisp('up')).stdout, /is up already/)
    assert.deepEqual(
      Object.values(pidOf).map((of) => of()),
      was,
    )
    await allIsWell()
  })

  for (const name of ['controller', 'host', 'postgres'] as const)
    it(`kill -9 of the ${name}: it comes back by itself`, async () => {
      await isBack(name, kill(name))
      await allIsWell()
    })

  it('kill -9 of the supervisor: its programs run on, and "wisp up" watches over them again', async () => {
    const [controller, host] = [pidOf.controller()!, pidOf.host()!]
    const was = kill('supervisor')
    await until(() => pidOf.supervisor() === undefined, 'the supervisor is gone')
    await apiAnswers()
    assert.equal(qemuPid(server), pid)
    const doctor = await run([launcher, 'doctor'], cloud.env, 120)
    assert.equal(doctor.status, 1)
    assert.match(doctor.stdout, /BAD +the supervisor does not run, only postgres, controller, host: what dies stays dead\n +→ "wisp up"/)
    await cloud.wisp('up')
    await isBack('supervisor', was)
    assert.ok(![controller, host].some((pid) => [pidOf.controller(), pidOf.host()].includes(pid)), 'both are the new supervisor’s')
    await allIsWell()
    assert.deepEqual([programPids(cloud.home, 'controller').length, programPids(cloud.home, 'host').length], [1, 1])
  })

  it('kill -9 of everything at once: "wisp up" brings all back', async () => {
    for (const name of ['supervisor', 'controller', 'host', 'postgres'] as const) kill(name)
    await cloud.wisp('up')
    await allIsWell()
  })

  it('"wisp down" leaves the guest running, and "wisp up" adopts it', async () => {
    await cloud.wisp('down')
    for (const [name, of] of Object.entries(pidOf)) assert.equal(of(), undefined, `${name} is stopped`)
    assert.equal(qemuPid(server), pid)
    const before = beats
    await until(() => beats > before, 'the SSH session goes on while Wisp is down', 60)
    await cloud.wisp('up')
    await allIsWell()
  })

  it('"wisp down --servers" stops it too, and "wisp up" starts it again', async () => {
    await cloud.wisp('down', '--servers')
    assert.equal(qemuPid(server), undefined)
    await cloud.wisp('up')
    await until(() => qemuPid(server) !== undefined, 'its QEMU runs')
    await becomes(cloud.demo, server, 'ACTIVE')
    await consoleSays(cloud.demo, server, /(wisp guest ready.*){2}/s)
  })

  it('"wisp destroy --yes" leaves no trace, though a server runs; without --yes it does nothing', async () => {
    const names = (await leftovers(cloud.home)).map((line) => line.split(':')[0])
    for (const what of ['domain', 'link', 'namespace', 'nft table', 'iptables', 'ipset', 'process', 'file'])
      assert.ok(names.includes(what), `there is a ${what}`)
    const refused = await run([launcher, 'destroy'], cloud.env)
    assert.equal(refused.status, 1)
    assert.match(refused.stderr, /--yes/)
    assert.notEqual(qemuPid(server), undefined)
    await cloud.stop()
  })
})
