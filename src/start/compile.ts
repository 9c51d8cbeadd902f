// Run once after an installation, and once after the code has changed: makes Node read all of our TypeScript and keep what it made of it.
// A process that had to do so itself would hold the memory for it (20 MiB) for as long as it runs, so that is none that stays.
import module from 'node:module'

await Promise.all([import('./up.ts'), import('./supervise.ts'), import('../controller.ts'), import('../agent/main.ts')])
module.flushCompileCache()
