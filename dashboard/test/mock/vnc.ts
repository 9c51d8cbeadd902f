// A VNC server just large enough for a noVNC client: RFB 3.8 without authentication, and one still picture.
import type { WebSocket } from 'ws'

const width = 640
const height = 400

function picture(): Buffer {
  const header = Buffer.alloc(16)
  header.writeUInt16BE(1, 2)
  header.writeUInt16BE(width, 8)
  header.writeUInt16BE(height, 10)
  const pixels = Buffer.alloc(width * height * 4)
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const line = y % 18 < 10 && x > 16 && x < 40 + ((Math.floor(y / 18) * 97) % 420) && x % 9 < 6
      pixels.writeUInt32LE(line ? 0xa9e8d6 : 0x0b0e1e, (y * width + x) * 4)
    }
  }
  return Buffer.concat([header, pixels])
}

function serverInit(): Buffer {
  const name = Buffer.from('mock')
  const init = Buffer.alloc(24)
  init.writeUInt16BE(width, 0)
  init.writeUInt16BE(height, 2)
  // 32 bits per pixel, depth 24, little endian, true colour, 8 bits each of red, green and blue.
  init.set([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0], 4)
  init.writeUInt32BE(name.length, 20)
  return Buffer.concat([init, name])
}

/** Walks through the handshake, then answers each full request for the picture with it. */
export function speakRfb(socket: WebSocket): void {
  let step = 0
  let sent = false
  socket.send(Buffer.from('RFB 003.008\n'))
  socket.on('message', (data: Buffer) => {
    step += 1
    if (step === 1) socket.send(Buffer.from([1, 1]))
    else if (step === 2) socket.send(Buffer.from([0, 0, 0, 0]))
    else if (step === 3) socket.send(serverInit())
    // Several client messages may come in one frame: the request for the picture is the last of the first batch.
    else if (!sent && data.includes(Buffer.from([3, 0, 0, 0, 0, 0]))) {
      sent = true
      socket.send(picture())
    }
  })
}
