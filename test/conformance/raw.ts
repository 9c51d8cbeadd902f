// Requests as bytes, for what no HTTP client would send: broken framing, huge or strange headers, bodies that end early or are no text. And
// what a server made of them: the statuses it answered, and whether it let go of the connection in time.
import { connect } from 'node:net'

export interface Raw {
  /** What is wrong with it. */
  what: string
  bytes: Buffer
}

/** Seconds after which a request that the client has ended must be answered, or its connection closed. */
const bound = 20

const deep = (open: string, close: string, depth: number) => `${open.repeat(depth)}1${close.repeat(depth)}`
const words = (...codes: number[]) => Buffer.from(codes)

/** The same wrongs for any row; each client ends its side after the bytes. */
export function rawRequests(method: string, path: string, token: string): Raw[] {
  const head = (line: string, headers: string[]) => Buffer.from(`${line}\r\n${headers.map((one) => `${one}\r\n`).join('')}\r\n`, 'latin1')
  const usual = ['Host: cloud.test', `X-Auth-Token: ${token}`]
  const line = `${method} ${path} HTTP/1.1`
  const json = 'Content-Type: application/json'
  const make = (what: string, headers: string[], body: Buffer | string = '', first = line): Raw => ({
    what,
    bytes: Buffer.concat([head(first, [...usual, ...headers]), Buffer.from(body as string)]),
  })
  const whole = (what: string, body: Buffer | string, ...headers: string[]) =>
    make(what, [`Content-Length: ${Buffer.byteLength(body)}`, ...(headers.length > 0 ? headers : [json])], body)
  return [
    make('half a body', [json, 'Content-Length: 100'], '{"a":'),
    make('half a chunk', [json, 'Transfer-Encoding: chunked'], '64\r\n{"a":'),
    make('chunks without an end', [json, 'Transfer-Encoding: chunked'], '2\r\n{}\r\n'),
    make('a chunk whose size is no number', [json, 'Transfer-Encoding: chunked'], 'zz\r\n{}\r\n0\r\n\r\n'),
    make('two lengths', [json, 'Content-Length: 2', 'Content-Length: 3'], '{} '),
    make('a length and chunks', [json, 'Content-Length: 2', 'Transfer-Encoding: chunked'], '2\r\n{}\r\n0\r\n\r\n'),
    make('a negative length', [json, 'Content-Length: -1'], '{}'),
    make('a length beyond numbers', [json, 'Content-Length: 99999999999999999999'], '{}'),
    make('a body that is too long, and does not come', [json, 'Content-Length: 2000000'], '{}'),
    make('an encoding of the connection that nobody knows', [json, 'Transfer-Encoding: gzip'], '{}'),
    whole('bytes that are no UTF-8', Buffer.concat([Buffer.from('{"a":"'), words(0xff, 0xfe, 0xc0, 0x80), Buffer.from('"}')])),
    whole('UTF-16', Buffer.concat([words(0xff, 0xfe), Buffer.from('{}', 'utf16le')])),
    whole('lists in lists', deep('[', ']', 50_000)),
    whole('objects in objects', deep('{"a":', '}', 20_000)),
    whole('a number of many digits', `{"a":${'9'.repeat(50_000)}}`),
    whole('random bytes', Buffer.from(Array.from({ length: 2000 }, (_, i) => (i * 7919) % 256))),
    whole('no type', '{}', 'X-Nothing: here'),
    whole('a form with parts, but no boundary', '--x\r\n\r\n1\r\n--x--', 'Content-Type: multipart/form-data'),
    whole('a type that is none', '{}', 'Content-Type: ;;;=,'),
    whole('a body that says it is packed', 'not gzip', json, 'Content-Encoding: gzip'),
    make('a header of 60 KB', [`X-Long: ${'x'.repeat(60_000)}`]),
    make(
      'ten thousand headers',
      Array.from({ length: 10_000 }, (_, i) => `X-${i}: 1`),
    ),
    make('a header with NUL', ['X-Nul: a\0b']),
    make('a header without a name', [': nothing']),
    make('a header in two lines', ['X-Folded: a', ' b']),
    make('a token of strange letters', [`X-Auth-Token: ${String.fromCharCode(0xe9, 0xff)}`]),
    make('a microversion of strange letters', [`OpenStack-API-Version: ${String.fromCharCode(0xe9)} ${'9'.repeat(500)}`]),
    make('a range beyond all', ['Range: bytes=99999999999999999999-1,-0']),
    make('an expectation that nobody knows', ['Expect: the-unexpected']),
    make('a promise of a body that does not come', [json, 'Expect: 100-continue', 'Content-Length: 2']),
    make('another protocol', ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 99']),
    make('bytes in the path', [], '', `${method} ${path}/${String.fromCharCode(0xff, 0xfe)} HTTP/1.1`),
    make('a path of 60 KB', [], '', `${method} ${path}/${'x'.repeat(60_000)} HTTP/1.1`),
    make('another host in the target', [], '', `${method} http://other.test${path} HTTP/1.1`),
    make('another version of HTTP', [], '', `${method} ${path} HTTP/7.3`),
    make('no version of HTTP', [], '', `${method} ${path}`),
    make('a method that nobody knows', [], '', `${method}X ${path} HTTP/1.1`),
    { what: 'no host', bytes: head(line, [`X-Auth-Token: ${token}`]) },
    { what: 'HTTP/2', bytes: Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0') },
    { what: 'two requests at once', bytes: Buffer.concat([head(line, usual), head(line, usual)]) },
  ]
}

/** The statuses that came back, in order; 'hangs' if the connection was still open when the time was over. */
export function sendRaw(port: number, { bytes }: Raw): Promise<number[] | 'hangs'> {
  return new Promise((answered) => {
    let text = ''
    const socket = connect(port, '127.0.0.1')
    const timer = setTimeout(() => {
      answered('hangs')
      socket.destroy()
    }, bound * 1000)
    socket.setEncoding('latin1')
    socket.on('data', (data) => {
      // An answer's first line is all that is looked at; a long body is not kept.
      text = (text + data).slice(0, 100_000)
    })
    // The server may hang up while it is still written to.
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(timer)
      answered([...text.matchAll(/^HTTP\/1\.[01] (\d{3}) /gm)].map(([, status]) => Number(status)))
    })
    socket.end(bytes)
  })
}
