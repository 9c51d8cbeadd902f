import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { quoted, shellWord } from './shell.ts'

test('a shell reads each text as one word that says the same', () => {
  for (const text of ['plain-1.2_x', 'two words', "it's", '$(echo no)', 'a;b', '`x`', '<b>x</b>', '🦄', '', '-n'])
    for (const word of [quoted(text), shellWord(text)])
      assert.equal(execFileSync('sh', ['-c', `printf %s "$#:" ${word}`, 'sh']).toString(), `0:${text}`, text)
  assert.equal(shellWord('plain-1.2_x'), 'plain-1.2_x')
})
