// Ports for servers of tests.
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'

/**
 * A free port below those that the kernel gives to clients. For while nobody listens on one of theirs, a client that tries again and again is
 * one day given that very port itself, and connected with itself; then no controller can have it any more.
 */
export async function freePort(): Promise<number> {
  const [lowest = 32768] = fs.readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s+/).map(Number)
  for (;;) {
    const server = net.createServer().listen(randomInt(Math.min(lowest - 1, 12_000), lowest), '127.0.0.1')
    const listens = await once(server, 'listening').then(
      () => true,
      () => false,
    )
    if (!listens) continue
    const { port } = server.address() as net.AddressInfo
    server.close()
    await once(server, 'close')
    return port
  }
}
