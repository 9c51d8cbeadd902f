// The whole map of the page. Every page is a lazy chunk; what a list shows (filter, sort, page) is in its address.
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Outlet, redirect } from '@tanstack/react-router'
import { type ServerSort, serverSortKeys } from './api/compute.ts'
import { currentSession } from './api/session.ts'
import { Layout } from './ui/layout.tsx'
import { Waiting } from './ui/pieces.tsx'

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined)

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
  validateSearch: (search): { token?: string | undefined; server?: string | undefined } => ({
    token: text(search.token),
    server: text(search.server),
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
    name: text(search.name) ?? (typeof search.name === 'number' ? String(search.name) : undefined),
    status: text(search.status),
    sort: typeof search.sort === 'string' && search.sort in serverSortKeys ? (search.sort as ServerSort) : undefined,
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

export const serverTabs = ['overview', 'log', 'console', 'timeline', 'interfaces'] as const
export type ServerTab = (typeof serverTabs)[number]

const server = createRoute({
  getParentRoute: () => inside,
  path: '/servers/$serverId',
  validateSearch: (search): { tab?: ServerTab | undefined } => ({ tab: serverTabs.find((tab) => tab === search.tab) }),
  component: lazyRouteComponent(() => import('./pages/server/index.tsx'), 'ServerPage'),
})

const images = createRoute({
  getParentRoute: () => inside,
  path: '/images',
  component: lazyRouteComponent(() => import('./pages/images.tsx'), 'ImagesPage'),
})

const image = createRoute({
  getParentRoute: () => inside,
  path: '/images/$imageId',
  component: lazyRouteComponent(() => import('./pages/image.tsx'), 'ImagePage'),
})

const keyPairs = createRoute({
  getParentRoute: () => inside,
  path: '/key-pairs',
  component: lazyRouteComponent(() => import('./pages/key-pairs.tsx'), 'KeyPairsPage'),
})

const networks = createRoute({
  getParentRoute: () => inside,
  path: '/networks',
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
    hypervisors,
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
