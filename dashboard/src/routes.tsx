// The whole map of the page. Every page is a lazy chunk; what a list shows (filter, sort, page) is in its address.
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Outlet, redirect } from '@tanstack/react-router'
import { type ServerSort, serverSortKeys } from './api/compute.ts'
import { type ImageShow, type ImageSort, imageShows } from './api/image.ts'
import { currentSession } from './api/session.ts'
import { Layout } from './ui/layout.tsx'
import { Waiting } from './ui/pieces.tsx'

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined)
/** The router reads what looks like a number as one, names too. */
const words = (value: unknown): string | undefined => text(value) ?? (typeof value === 'number' ? String(value) : undefined)
const pageNumber = (value: unknown): number | undefined => (Number.isInteger(value) && Number(value) > 1 ? Number(value) : undefined)

/** Of lists that have nothing else to say: which page of them is shown. */
const onPage = (search: Record<string, unknown>): { page?: number | undefined } => ({ page: pageNumber(search.page) })

const root = createRootRoute({
  component: Outlet,
  notFoundComponent: lazyRouteComponent(() => import('./pages/not-found.tsx'), 'NotFoundPage'),
})

const login = createRoute({
  getParentRoute: () => root,
  path: '/login',
  validateSearch: (search): { back?: string | undefined } => ({ back: text(search.back) }),
  component: lazyRouteComponent(() => import('./pages/login.tsx'), 'LoginPage'),
})

/** Stands alone: whoever has the one-time address may use it, logged in or not. */
const consoleWindow = createRoute({
  getParentRoute: () => root,
  path: '/console',
  validateSearch: (search): { token?: string | undefined; server?: string | undefined; protocol?: 'serial' | undefined } => ({
    token: text(search.token),
    server: text(search.server),
    protocol: search.protocol === 'serial' ? 'serial' : undefined,
  }),
  component: lazyRouteComponent(() => import('./pages/console.tsx'), 'ConsolePage'),
})

const inside = createRoute({
  getParentRoute: () => root,
  id: 'inside',
  component: Layout,
  beforeLoad: ({ location }) => {
    if (currentSession() === undefined)
      throw redirect({ to: '/login', search: { back: location.pathname === '/' ? undefined : location.href } })
  },
})

const overview = createRoute({
  getParentRoute: () => inside,
  path: '/',
  component: lazyRouteComponent(() => import('./pages/overview.tsx'), 'OverviewPage'),
})

export type ServersSearch = {
  name?: string | undefined
  status?: string | undefined
  sort?: ServerSort | undefined
  dir?: 'asc' | 'desc' | undefined
  limit?: number | undefined
  after?: string | undefined
  before?: string | undefined
  all?: boolean | undefined
}

const servers = createRoute({
  getParentRoute: () => inside,
  path: '/servers',
  validateSearch: (search): ServersSearch => ({
    name: words(search.name),
    status: text(search.status),
    sort: typeof search.sort === 'string' && Object.hasOwn(serverSortKeys, search.sort) ? (search.sort as ServerSort) : undefined,
    dir: search.dir === 'asc' || search.dir === 'desc' ? search.dir : undefined,
    limit: typeof search.limit === 'number' && search.limit > 0 && search.limit <= 200 ? search.limit : undefined,
    after: text(search.after),
    before: text(search.before),
    all: search.all === true ? true : undefined,
  }),
  component: lazyRouteComponent(() => import('./pages/servers.tsx'), 'ServersPage'),
})

const launch = createRoute({
  getParentRoute: () => inside,
  path: '/servers/launch',
  validateSearch: (search): { image?: string | undefined } => ({ image: text(search.image) }),
  component: lazyRouteComponent(() => import('./forms/server-create.tsx'), 'ServerCreatePage'),
})

export const serverTabs = ['overview', 'log', 'console', 'serial', 'timeline', 'interfaces'] as const
export type ServerTab = (typeof serverTabs)[number]

const server = createRoute({
  getParentRoute: () => inside,
  path: '/servers/$serverId',
  validateSearch: (search): { tab?: ServerTab | undefined } => ({ tab: serverTabs.find((tab) => tab === search.tab) }),
  component: lazyRouteComponent(() => import('./pages/server/index.tsx'), 'ServerPage'),
})

const imageSorts: ImageSort[] = ['name', 'created_at', 'size', 'status']

export type ImagesSearch = {
  name?: string | undefined
  show?: ImageShow | undefined
  status?: string | undefined
  format?: string | undefined
  tag?: string | undefined
  sort?: ImageSort | undefined
  dir?: 'asc' | 'desc' | undefined
  page?: number | undefined
}

const images = createRoute({
  getParentRoute: () => inside,
  path: '/images',
  validateSearch: (search): ImagesSearch => ({
    name: words(search.name),
    show: imageShows.find((show) => show === search.show),
    status: text(search.status),
    format: text(search.format),
    tag: words(search.tag),
    sort: imageSorts.find((sort) => sort === search.sort),
    dir: search.dir === 'asc' || search.dir === 'desc' ? search.dir : undefined,
    page: pageNumber(search.page),
  }),
  component: lazyRouteComponent(() => import('./pages/images.tsx'), 'ImagesPage'),
})

export const imageTabs = ['overview', 'properties', 'members'] as const
export type ImageTab = (typeof imageTabs)[number]

const image = createRoute({
  getParentRoute: () => inside,
  path: '/images/$imageId',
  validateSearch: (search): { tab?: ImageTab | undefined } => ({ tab: imageTabs.find((tab) => tab === search.tab) }),
  component: lazyRouteComponent(() => import('./pages/image/index.tsx'), 'ImagePage'),
})

const keyPairs = createRoute({
  getParentRoute: () => inside,
  path: '/key-pairs',
  validateSearch: onPage,
  component: lazyRouteComponent(() => import('./pages/key-pairs.tsx'), 'KeyPairsPage'),
})

const networks = createRoute({
  getParentRoute: () => inside,
  path: '/networks',
  validateSearch: onPage,
  component: lazyRouteComponent(() => import('./pages/networks.tsx'), 'NetworksPage'),
})

const network = createRoute({
  getParentRoute: () => inside,
  path: '/networks/$networkId',
  component: lazyRouteComponent(() => import('./pages/network.tsx'), 'NetworkPage'),
})

const securityGroups = createRoute({
  getParentRoute: () => inside,
  path: '/security-groups',
  validateSearch: onPage,
  component: lazyRouteComponent(() => import('./pages/security-groups.tsx'), 'SecurityGroupsPage'),
})

const securityGroup = createRoute({
  getParentRoute: () => inside,
  path: '/security-groups/$groupId',
  component: lazyRouteComponent(() => import('./pages/security-group.tsx'), 'SecurityGroupPage'),
})

const hypervisors = createRoute({
  getParentRoute: () => inside,
  path: '/hypervisors',
  component: lazyRouteComponent(() => import('./pages/hypervisors.tsx'), 'HypervisorsPage'),
})

export type IdentitySearch = {
  name?: string | undefined
  domain?: string | undefined
  enabled?: boolean | undefined
  page?: number | undefined
}

const identitySearch = (search: Record<string, unknown>): IdentitySearch => ({
  name: words(search.name),
  domain: words(search.domain),
  enabled: typeof search.enabled === 'boolean' ? search.enabled : undefined,
  page: pageNumber(search.page),
})

const projects = createRoute({
  getParentRoute: () => inside,
  path: '/projects',
  validateSearch: identitySearch,
  component: lazyRouteComponent(() => import('./pages/projects.tsx'), 'ProjectsPage'),
})

export const projectTabs = ['overview', 'members', 'quotas'] as const
export type ProjectTab = (typeof projectTabs)[number]

const project = createRoute({
  getParentRoute: () => inside,
  path: '/projects/$projectId',
  validateSearch: (search): { tab?: ProjectTab | undefined } => ({ tab: projectTabs.find((tab) => tab === search.tab) }),
  component: lazyRouteComponent(() => import('./pages/project/index.tsx'), 'ProjectPage'),
})

const users = createRoute({
  getParentRoute: () => inside,
  path: '/users',
  validateSearch: identitySearch,
  component: lazyRouteComponent(() => import('./pages/users.tsx'), 'UsersPage'),
})

const user = createRoute({
  getParentRoute: () => inside,
  path: '/users/$userId',
  component: lazyRouteComponent(() => import('./pages/user.tsx'), 'UserPage'),
})

const groups = createRoute({
  getParentRoute: () => inside,
  path: '/groups',
  validateSearch: identitySearch,
  component: lazyRouteComponent(() => import('./pages/groups.tsx'), 'GroupsPage'),
})

const group = createRoute({
  getParentRoute: () => inside,
  path: '/groups/$groupId',
  component: lazyRouteComponent(() => import('./pages/group.tsx'), 'GroupPage'),
})

const roles = createRoute({
  getParentRoute: () => inside,
  path: '/roles',
  validateSearch: identitySearch,
  component: lazyRouteComponent(() => import('./pages/roles.tsx'), 'RolesPage'),
})

const domains = createRoute({
  getParentRoute: () => inside,
  path: '/domains',
  validateSearch: identitySearch,
  component: lazyRouteComponent(() => import('./pages/domains.tsx'), 'DomainsPage'),
})

const domain = createRoute({
  getParentRoute: () => inside,
  path: '/domains/$domainId',
  component: lazyRouteComponent(() => import('./pages/domain.tsx'), 'DomainPage'),
})

const applicationCredentials = createRoute({
  getParentRoute: () => inside,
  path: '/application-credentials',
  component: lazyRouteComponent(() => import('./pages/application-credentials.tsx'), 'ApplicationCredentialsPage'),
})

export const limitsTabs = ['quotas', 'limits'] as const
export type LimitsTab = (typeof limitsTabs)[number]

const limits = createRoute({
  getParentRoute: () => inside,
  path: '/limits',
  validateSearch: (search): { tab?: LimitsTab | undefined; project?: string | undefined } => ({
    tab: limitsTabs.find((tab) => tab === search.tab),
    project: words(search.project),
  }),
  component: lazyRouteComponent(() => import('./pages/limits.tsx'), 'LimitsPage'),
})

const profile = createRoute({
  getParentRoute: () => inside,
  path: '/profile',
  component: lazyRouteComponent(() => import('./pages/profile.tsx'), 'ProfilePage'),
})

/** Whoever is logged in keeps the frame around them where an address leads nowhere. */
const nowhere = createRoute({
  getParentRoute: () => inside,
  path: '$',
  component: lazyRouteComponent(() => import('./pages/not-found.tsx'), 'NotFoundPage'),
})

const routeTree = root.addChildren([
  login,
  consoleWindow,
  inside.addChildren([
    overview,
    servers,
    launch,
    server,
    images,
    image,
    keyPairs,
    networks,
    network,
    securityGroups,
    securityGroup,
    projects,
    project,
    users,
    user,
    groups,
    group,
    roles,
    domains,
    domain,
    applicationCredentials,
    limits,
    profile,
    hypervisors,
    nowhere,
  ]),
])

export const router = createRouter({
  routeTree,
  basepath: '/dashboard',
  defaultPreload: 'intent',
  defaultPendingComponent: Waiting,
  scrollRestoration: true,
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
