import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  domainCan,
  imageCan,
  isForbidden,
  isTransitional,
  networkCan,
  projectCan,
  roleCan,
  securityGroupCan,
  serverCan,
  userCan,
} from './can.ts'
import type { Server } from './compute.ts'
import type { Image } from './image.ts'
import type { Network, Port, SecurityGroup } from './network.ts'
import type { Domain, Project } from './projects.ts'
import type { Session } from './session.ts'
import type { User } from './users.ts'

const session = (...roles: string[]) => {
  const mine = { id: 'mine', name: 'mine' }
  return { roles, scope: { kind: 'project', ...mine }, project: mine, user: { id: 'me', name: 'me' } } as Session
}
const inDomain = (role: string) =>
  ({ ...session(role), scope: { kind: 'domain', id: 'd', name: 'd' }, project: { id: '', name: '' } }) as Session
const reader = session('reader')
const member = session('member', 'reader')
const otherMember = { ...member, project: { id: 'other', name: 'other' } } as Session
const admin = session('admin', 'manager', 'member', 'reader')

const server = (vm: string, task: string | null = null, more: Partial<Server> = {}) =>
  ({ status: 'X', 'OS-EXT-STS:vm_state': vm, 'OS-EXT-STS:task_state': task, ...more }) as Server

test('a stopped server can be started and deleted, not stopped', () => {
  const stopped = server('stopped')
  assert.equal(serverCan.start(stopped, member), undefined)
  assert.equal(serverCan.delete(stopped, member), undefined)
  assert.equal(serverCan.stop(stopped, member), 'serverMustRun')
  assert.equal(serverCan.console(stopped, member), 'serverMustRun')
})

test('a soft reboot that hangs can be followed by a hard one, and by nothing else', () => {
  const hanging = server('active', 'rebooting')
  assert.equal(serverCan['hard-reboot'](hanging, member), undefined)
  assert.equal(serverCan['soft-reboot'](hanging, member), 'serverBusy')
  assert.equal(serverCan.stop(hanging, member), 'serverBusy')
})

test('whatever its state, a server that is being deleted takes no other action', () => {
  const going = server('active', 'deleting')
  for (const verb of ['start', 'stop', 'soft-reboot', 'hard-reboot', 'delete'] as const)
    assert.equal(serverCan[verb](going, member), 'serverBeingDeleted')
})

test('a locked server says so', () => {
  assert.equal(serverCan.stop(server('active', null, { locked: true }), member), 'serverLocked')
  assert.equal(serverCan.delete(server('active', null, { locked: true }), member), 'serverLocked')
})

test('building and busy servers are on their way, settled ones are not', () => {
  assert.equal(isTransitional(server('building', null, { status: 'BUILD' })), true)
  assert.equal(isTransitional(server('active', 'powering-off', { status: 'ACTIVE' })), true)
  assert.equal(isTransitional(server('active', null, { status: 'ACTIVE' })), false)
  assert.equal(isTransitional(server('error', null, { status: 'ERROR' })), false)
})

test('a network is held by the ports of servers, not by its own DHCP port', () => {
  const network = { project_id: 'mine' } as Network
  const port = (device_owner: string) => ({ device_owner }) as Port
  assert.equal(networkCan.delete(network, [port('network:dhcp')], member), undefined)
  assert.equal(networkCan.delete(network, [port('network:dhcp'), port('compute:nova')], member), 'networkInUse')
  assert.equal(networkCan.delete(network, [], otherMember), 'networkOfAnotherProject')
  assert.equal(networkCan.delete(network, [], admin), undefined)
})

test('readers look, members change, administrators administer', () => {
  assert.equal(roleCan.change(reader), 'needsMember')
  assert.equal(roleCan.change(member), undefined)
  assert.equal(roleCan.administer(member), 'needsAdmin')
  assert.equal(roleCan.administer(admin), undefined)
})

test('readers are offered nothing that changes things, whatever the state of a thing', () => {
  const running = server('active')
  for (const verb of ['start', 'stop', 'soft-reboot', 'hard-reboot', 'delete', 'console'] as const)
    assert.ok(isForbidden(serverCan[verb](running, reader)), verb)
  assert.ok(isForbidden(networkCan.delete({ project_id: 'mine' } as Network, [], reader)))
  assert.ok(isForbidden(securityGroupCan.delete({ name: 'mine' } as SecurityGroup, reader)))
  for (const status of ['active', 'queued', 'uploading', 'deactivated'])
    for (const [verb, may] of Object.entries(imageCan))
      assert.ok(isForbidden(may({ owner: 'mine', status, protected: true } as Image, reader)), `${verb} ${status}`)
  assert.equal(isForbidden(serverCan.start(running, member)), false)
  assert.equal(roleCan.anything(reader), 'needsMember')
  assert.equal(roleCan.anything(inDomain('reader')), 'needsAdmin')
  assert.equal(roleCan.anything(inDomain('manager')), undefined)
})

test('whoever administers a domain administers its people and projects, and not the cloud', () => {
  for (const role of ['manager', 'admin']) {
    assert.equal(roleCan.administerPeople(inDomain(role)), undefined)
    assert.equal(roleCan.administer(inDomain(role)), 'needsAdmin')
    assert.equal(userCan.remove({ id: 'other' } as User, inDomain(role)), undefined)
    assert.equal(domainCan.delete({ id: 'd', enabled: false } as Domain, inDomain(role)), 'needsAdmin')
  }
  assert.equal(roleCan.administerPeople(inDomain('member')), 'needsAdmin')
  assert.equal(roleCan.administerPeople(session('manager')), 'needsAdmin')
})

test("an image is changed by its project's members and by administrators", () => {
  const image = (more: Partial<Image> = {}) => ({ owner: 'mine', status: 'active', protected: false, ...more }) as Image
  assert.equal(imageCan.change(image(), member), undefined)
  assert.equal(imageCan.change(image(), reader), 'needsMember')
  assert.equal(imageCan.change(image({ owner: 'other' }), member), 'imageOfAnotherProject')
  assert.equal(imageCan.change(image({ owner: 'other' }), admin), undefined)
  assert.equal(imageCan.delete(image({ protected: true }), admin), 'imageProtected')
})

test('what can be done to an image follows its status', () => {
  const image = (status: string) => ({ owner: 'mine', status, protected: false }) as Image
  assert.equal(imageCan.upload(image('queued'), member), undefined)
  assert.equal(imageCan.upload(image('active'), member), 'imageNotQueued')
  assert.equal(imageCan.launch(image('queued'), member), 'imageNotReady')
  assert.equal(imageCan.launch(image('deactivated'), admin), 'imageDeactivated')
  assert.equal(imageCan.deactivate(image('deactivated'), member), 'imageNotActive')
  assert.equal(imageCan.reactivate(image('deactivated'), member), undefined)
  assert.equal(imageCan.download(image('deactivated'), member), 'imageDeactivated')
  assert.equal(imageCan.download(image('deactivated'), admin), undefined)
})

test('nobody takes away what they stand on', () => {
  const project = (id: string, parent_id = 'default') => ({ id, parent_id }) as Project
  assert.equal(projectCan.delete(project('mine'), [], admin), 'projectInUse')
  assert.equal(projectCan.delete(project('other'), [project('below', 'other')], admin), 'projectHasProjects')
  assert.equal(projectCan.delete(project('other'), [project('beside')], admin), undefined)
  assert.equal(userCan.remove({ id: 'me' } as User, admin), 'userIsYou')
  assert.equal(userCan.remove({ id: 'other' } as User, member), 'needsAdmin')
  assert.equal(domainCan.delete({ id: 'd', enabled: true } as Domain, admin), 'domainEnabled')
  assert.equal(domainCan.delete({ id: 'd', enabled: false } as Domain, admin), undefined)
  assert.equal(domainCan.disable({ id: 'default', enabled: true } as Domain, admin), 'domainDefault')
})
