// Web servers of a test, beside the cloud: one that answers what it is told to, and one that has an image.
import { once } from 'node:events'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Server {
  url: string
  end(): Promise<unknown>
}

export async function serve(answer: (request: IncomingMessage, response: ServerResponse, body: string) => unknown): Promise<Server> {
  const server = http.createServer(async (request, response) => {
    let body = ''
    for await (const part of request) body += part
    try {
      await answer(request, response, body)
    } catch (error) {
      response.writeHead(500).end(String(error))
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, end: () => new Promise((ended) => server.close(ended).closeAllConnections()) }
}

/** What is fetched from there is the same at every path: an image without a signature (`raw`). */
export const serveImage = (): Promise<Server> => {
  const bits = Buffer.alloc(4096, 'an image ')
  return serve(({ method }, response) => {
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': bits.length })
    response.end(method === 'HEAD' ? undefined : bits)
  })
}
