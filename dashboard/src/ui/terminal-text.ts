// A serial console's output as plain lines, for reading: without colours and cursor movements, and with what a carriage return overwrote left out.

/** What follows an ESC: [ … letter, ] … BEL (or the next ESC), or one letter. */
const sequence = /^(?:\[[0-?]*[ -/]*[@-~]|\][^\p{Cc}]*\p{Cc}?|[ -/]*[0-~])/u
const controlButTab = /[^\P{Cc}\t]/gu

export function plainLines(output: string): string[] {
  const [start = '', ...parts] = output.split('\u001b')
  const lines = (start + parts.map((part) => part.replace(sequence, '')).join('')).split(/\r*\n/)
  if (lines.at(-1) === '') lines.pop()
  return lines.map((line) => line.slice(line.lastIndexOf('\r') + 1).replace(controlButTab, ''))
}
