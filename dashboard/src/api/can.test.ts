import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isTransitional, networkCan, serverCan } from './can.ts'
import type { Server } from './compute.ts'
import type { Network, Port } from './network.ts'

const server = (vm: string, task: string | null = null, more: Partial<Server> = {}) =>
  ({ status: 'X', 'OS-EXT-STS:vm_state': vm, 'OS-EXT-STS:task_state': task, ...more }) as Server

test('a stopped server can be started and deleted, not stopped', () => {
  const stopped = server('stopped')
  assert.equal(serverCan.start(stopped), undefined)
  assert.equal(serverCan.delete(stopped), undefined)
  assert.equal(serverCan.stop(stopped), 'serverMustRun')
  assert.equal(serverCan.console(stopped), 'serverMustRun')
})

test('a soft reboot that hangs can be followed by a hard one, and by nothing else', () => {
  const hanging = server('active', 'rebooting')
  assert.equal(serverCan['hard-reboot'](hanging), undefined)
  assert.equal(serverCan['soft-reboot'](hanging), 'serverBusy')
  assert.equal(serverCan.stop(hanging), 'serverBusy')
})

test('whatever its state, a server that is being deleted takes no other action', () => {
  const going = server('active', 'deleting')
  for (const verb of ['start', 'stop', 'soft-reboot', 'hard-reboot', 'delete'] as const)
    assert.equal(serverCan[verb](going), 'serverBeingDeleted')
})

test('a locked server says so', () => {
  assert.equal(serverCan.stop(server('active', null, { locked: true })), 'serverLocked')
  assert.equal(serverCan.delete(server('active', null, { locked: true })), 'serverLocked')
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
  assert.equal(networkCan.delete(network, [port('network:dhcp')], 'mine', false), undefined)
  assert.equal(networkCan.delete(network, [port('network:dhcp'), port('compute:nova')], 'mine', false), 'networkInUse')
  assert.equal(networkCan.delete(network, [], 'other', false), 'networkOfAnotherProject')
  assert.equal(networkCan.delete(network, [], 'other', true), undefined)
})
