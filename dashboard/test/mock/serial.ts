// A guest at a serial port: repeats what is typed as a terminal does, answers each line, and goes off at `poweroff`.
import type { WebSocket } from 'ws'

export function speakSerial(socket: WebSocket): void {
  let line = ''
  const say = (text: string) => socket.send(Buffer.from(text))
  socket.on('message', (data: Buffer) => {
    for (const letter of data.toString()) {
      if (letter !== '\r') {
        line += letter
        say(letter)
      } else if (line === 'poweroff') socket.close(1000, 'The server is not running.')
      else {
        say(`\r\nguest heard: ${line}\r\n`)
        line = ''
      }
    }
  })
}
