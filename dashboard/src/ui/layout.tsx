// The frame around every page for people who are logged in: header, navigation, toasts; it also keeps the event stream open.
import { Nav, NavGroup, NavItem, Page, PageSidebar, PageSidebarBody, SkipToContent } from '@patternfly/react-core'
import { Link, Outlet, useLocation, useRouter } from '@tanstack/react-router'
import { type ReactNode, Suspense, useEffect } from 'react'
import { followEvents } from '../api/live.ts'
import { currentSession, isAdmin, onSessionChange, seesCloud, seesPeople, useSession, whyEnded } from '../api/session.ts'
import { useText } from '../i18n/index.ts'
import { Header } from './header.tsx'
import { Waiting } from './pieces.tsx'
import { InScope } from './scope.tsx'
import { Toasts } from './toasts.tsx'

type Place =
  | '/'
  | '/servers'
  | '/images'
  | '/key-pairs'
  | '/networks'
  | '/security-groups'
  | '/projects'
  | '/application-credentials'
  | '/limits'
  | '/users'
  | '/groups'
  | '/roles'
  | '/domains'
  | '/hypervisors'

function NavLink({ to, children }: { to: Place; children: ReactNode }) {
  const { pathname } = useLocation()
  const active = to === '/' ? pathname === '/' : pathname === to || pathname.startsWith(`${to}/`)
  return (
    <NavItem isActive={active}>
      <Link to={to} className={`pf-v6-c-nav__link${active ? ' pf-m-current' : ''}`} aria-current={active ? 'page' : undefined}>
        {children}
      </Link>
    </NavItem>
  )
}

function Navigation() {
  const t = useText()
  const session = useSession()
  const inProject = session.scope.kind === 'project'
  return (
    <PageSidebar className="wisp-sidebar">
      <PageSidebarBody>
        <Nav aria-label={t.nav.label}>
          {inProject && (
            <>
              <ul className="pf-v6-c-nav__list">
                <NavLink to="/">{t.nav.overview}</NavLink>
              </ul>
              <NavGroup title={t.nav.compute}>
                <NavLink to="/servers">{t.nav.servers}</NavLink>
                <NavLink to="/images">{t.nav.images}</NavLink>
                <NavLink to="/key-pairs">{t.nav.keyPairs}</NavLink>
              </NavGroup>
              <NavGroup title={t.nav.network}>
                <NavLink to="/networks">{t.nav.networks}</NavLink>
                <NavLink to="/security-groups">{t.nav.securityGroups}</NavLink>
              </NavGroup>
            </>
          )}
          <NavGroup title={t.nav.identity}>
            <NavLink to="/projects">{t.nav.projects}</NavLink>
            {inProject && <NavLink to="/limits">{t.nav.limits}</NavLink>}
            {inProject && <NavLink to="/application-credentials">{t.nav.applicationCredentials}</NavLink>}
          </NavGroup>
          {seesPeople(session) && (
            <NavGroup title={t.nav.admin}>
              <NavLink to="/users">{t.nav.users}</NavLink>
              <NavLink to="/groups">{t.nav.groups}</NavLink>
              {seesCloud(session) && <NavLink to="/roles">{t.nav.roles}</NavLink>}
              <NavLink to="/domains">{t.nav.domains}</NavLink>
              {isAdmin(session) && inProject && <NavLink to="/hypervisors">{t.nav.hypervisors}</NavLink>}
            </NavGroup>
          )}
        </Nav>
      </PageSidebarBody>
    </PageSidebar>
  )
}

export function Layout() {
  const t = useText()
  const router = useRouter()
  const { token, scope } = useSession()
  useEffect(() => {
    if (token === '') return
    const stop = new AbortController()
    void followEvents(stop.signal)
    return () => stop.abort()
  }, [token])
  useEffect(
    () =>
      onSessionChange(() => {
        if (currentSession() !== undefined) return
        // An expired session comes back to this page after logging in; someone who logged out starts anew.
        const back = whyEnded() === 'expired' ? router.state.location.href : undefined
        void router.navigate({ to: '/login', search: { back } })
      }),
    [router],
  )
  return (
    <Page
      masthead={<Header />}
      sidebar={<Navigation />}
      isManagedSidebar
      isContentFilled
      skipToContent={<SkipToContent href="#main">{t.skipToContent}</SkipToContent>}
      mainContainerId="main"
      className="wisp-page"
    >
      <div className="wisp-main" key={`${scope.kind} ${scope.id}`}>
        <InScope>
          <Suspense fallback={<Waiting />}>
            <Outlet />
          </Suspense>
        </InScope>
      </div>
      <Toasts />
    </Page>
  )
}
