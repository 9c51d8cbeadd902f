import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Flavor } from '../../api/compute.ts'
import type { Image } from '../../api/image.ts'
import type { Network, SecurityGroup } from '../../api/network.ts'
import { commandOf, encodeUserData, type Launch, requestOf, shortfall } from './launch.ts'

const image = { id: 'image-id', name: 'wisp guest', min_disk: 2, min_ram: 256, virtual_size: 3 * 1024 ** 3 } as Image
const flavor = (ram: number, disk: number) => ({ id: 'f', name: 'm1.nano', vcpus: 1, ram, disk }) as Flavor
const launch: Launch = {
  name: "it's",
  count: 2,
  image,
  flavor: flavor(512, 5),
  networks: [{ id: 'n1', name: 'private' } as Network],
  securityGroups: [{ id: 'g1', name: 'default' } as SecurityGroup],
  keyPair: 'me',
  userData: '#!/bin/sh\necho héllo',
  configDrive: true,
}

test('the command quotes what a shell would take apart', () => {
  assert.equal(
    commandOf(launch).replaceAll(' \\\n  ', ' '),
    "openstack server create --image 'wisp guest' --flavor m1.nano --network private --security-group default --key-name me " +
      "--user-data user-data.txt --config-drive True --min 2 --max 2 'it'\\''s'",
  )
})

test('the request carries what was chosen and nothing that was not', () => {
  const request = requestOf({ ...launch, count: 1, networks: [], keyPair: undefined, userData: '', configDrive: false })
  assert.deepEqual(request, { name: "it's", imageRef: 'image-id', flavorRef: 'f', networks: 'none' })
  assert.equal(requestOf(launch).max_count, 2)
})

test('user data survives base64 as UTF-8', () => {
  assert.equal(Buffer.from(encodeUserData(launch.userData), 'base64').toString(), launch.userData)
})

test('a flavor smaller than the image needs is told apart', () => {
  const sizes = { disk: (gb: number) => `${gb} GB`, ram: (mb: number) => `${mb} MB` }
  assert.equal(shortfall(flavor(512, 1), image, sizes), '3 GB')
  assert.equal(shortfall(flavor(128, 5), image, sizes), '256 MB')
  assert.equal(shortfall(flavor(512, 0), image, sizes), undefined)
  assert.equal(shortfall(flavor(512, 5), image, sizes), undefined)
})
