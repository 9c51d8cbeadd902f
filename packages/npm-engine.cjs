// Loaded into npm by ../wisp. npm leaves out, without a word, optional libraries that say they are too new for the Node that npm itself runs
// on: Debian 12's is 18. But what runs them is the Node that comes with them, so npm is told that one's version.
const { version } = require('../package-lock.json').packages[`node_modules/node-linux-${process.arch}`]
Object.defineProperty(process, 'version', { value: `v${version}` })
