// `node dashboard/test/mock/main.ts [port]`: the imitated cloud to look at the page with. Users: demo/demo-password, admin/admin-password.
import { join } from 'node:path'
import { startMock } from './server.ts'

const mock = await startMock({ page: join(import.meta.dirname, '../../dist'), port: Number(process.argv[2] ?? 5000) })
console.log(`${mock.url}/dashboard`)
