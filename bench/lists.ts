// Long lists: a thousand users, projects and images, and what one user may do in a thousand projects. Made once for each cloud; making them
// takes a reference minutes, so with `keep` they stay for the next run.
import { type Cloud, login, type Session } from './clouds.ts'
import { ask, download, forAll } from './load.ts'
import { prefix, rates, remove, type Test } from './measure.ts'

const many = 1000
const name = (kind: string, n: number) => `${prefix}listed-${kind}-${n}`

/** Makes what is missing of `many` objects; answers the ids of all, in no order. */
async function filled(session: Session, url: string, collection: string, body: (n: number) => object): Promise<string[]> {
  const found = await listed(session, url, collection)
  const missing = Array.from({ length: many }, (_, n) => n).filter((n) => !found.has(name(collection, n)))
  await forAll(missing, 4, (n) => ask('POST', url, { headers: session.headers, body: body(n), expect: [201] }))
  return [...(await listed(session, url, collection)).values()]
}

/** Ids by name of what earlier runs made. */
async function listed(session: Session, url: string, collection: string): Promise<Map<string, string>> {
  const answer = await ask('GET', `${url}?limit=${many + 100}`, { headers: session.headers, expect: [200] })
  const all = answer.json<Record<string, { id: string; name: string }[]>>()[collection] ?? []
  return new Map(all.filter((one) => one.name?.startsWith(name(collection, 0).slice(0, -1))).map((one) => [one.name, one.id]))
}

interface List {
  what: string
  make(session: Session): Promise<{ url: string; end(): Promise<unknown> }>
}

const list = ({ what, make }: List, keep: boolean): Test => ({
  name: `list-${what.replaceAll(' ', '-')}`,
  rounds: 3,
  async begin(cloud: Cloud) {
    const session = await login(cloud)
    const { url, end } = await make(session)
    return {
      round: () => rates(`list of ${many} ${what}`, 8, () => download(url, session.headers)),
      end: async () => (keep ? undefined : end()),
    }
  },
})

const removeAll = (session: Session, url: string, ids: string[]) => forAll(ids, 8, (id) => remove(session, `${url}/${id}`))

const users: List = {
  what: 'users',
  async make(session) {
    const url = `${session.identity}/users`
    const ids = await filled(session, url, 'users', (n) => ({ user: { name: name('users', n), domain_id: 'default' } }))
    return { url: `${url}?limit=${many}`, end: () => removeAll(session, url, ids) }
  },
}

const makeProjects = (session: Session) =>
  filled(session, `${session.identity}/projects`, 'projects', (n) => ({ project: { name: name('projects', n), domain_id: 'default' } }))

const projects: List = {
  what: 'projects',
  async make(session) {
    const url = `${session.identity}/projects`
    const ids = await makeProjects(session)
    return { url: `${url}?limit=${many}`, end: () => removeAll(session, url, ids) }
  },
}

const images: List = {
  what: 'images',
  async make(session) {
    const url = `${session.image}/images`
    const ids = await filled(session, url, 'images', (n) => ({
      name: name('images', n),
      disk_format: 'raw',
      container_format: 'bare',
    }))
    return { url: `${url}?limit=${many}`, end: () => removeAll(session, url, ids) }
  },
}

/** One user with a role on each of a thousand projects: what follows from it, implied roles and names included. */
const assignments: List = {
  what: 'role assignments of a user, effective, with names',
  async make(session) {
    const { identity, headers } = session
    const answer = await ask('GET', `${identity}/roles?name=member`, { headers, expect: [200] })
    const role = answer.json<{ roles: { id: string }[] }>().roles[0]?.id
    const user = await assigned(session)
    const ids = await makeProjects(session)
    await forAll(ids, 4, (project) => ask('PUT', `${identity}/projects/${project}/users/${user}/roles/${role}`, { headers, expect: [204] }))
    return {
      url: `${identity}/role_assignments?user.id=${user}&effective&include_names`,
      async end() {
        await remove(session, `${identity}/users/${user}`)
        await removeAll(session, `${identity}/projects`, ids)
      },
    }
  },
}

/** The user who has those roles. */
async function assigned({ identity, headers }: Session): Promise<string> {
  const user = { name: `${prefix}assigned`, domain_id: 'default' }
  const found = await ask('GET', `${identity}/users?name=${user.name}`, { headers, expect: [200] })
  const [known] = found.json<{ users: { id: string }[] }>().users
  if (known) return known.id
  return (await ask('POST', `${identity}/users`, { headers, body: { user }, expect: [201] })).json<{ user: { id: string } }>().user.id
}

export const listTests = ({ keep }: { keep: boolean }): Test[] => [users, projects, images, assignments].map((one) => list(one, keep))
