// What one is logged in for: in words, and for pages that need a project, the way to one.
import { Button } from '@patternfly/react-core'
import { useMutation } from '@tanstack/react-query'
import { Navigate, useLocation, useRouterState } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { switchProject } from '../api/identity.ts'
import { type Scope, useSession } from '../api/session.ts'
import { type Dictionary, useText } from '../i18n/index.ts'
import { Nothing } from './nothing.tsx'
import { Waiting } from './pieces.tsx'
import { toastProblem } from './toasts.tsx'

/** "Project demo", "Domain partners", "Whole system". */
export function scopeWord(t: Dictionary, { kind, name }: Scope): string {
  if (kind === 'system') return t.scope.system
  return t.scope[kind](name)
}

/** Whose services know projects only: a token of a domain or of the system has nothing to ask them. */
const ofProjects = [
  '/servers',
  '/images',
  '/key-pairs',
  '/networks',
  '/security-groups',
  '/application-credentials',
  '/limits',
  '/hypervisors',
]

export const needsProject = (path: string): boolean =>
  path === '/' || ofProjects.some((each) => path === each || path.startsWith(`${each}/`))

/** Shows a page, or where it needs a project and none is chosen, which there are. */
export function InScope({ children }: { children: ReactNode }) {
  const t = useText()
  const { scope, projects } = useSession()
  const { pathname } = useLocation()
  // On the way to another page, the one that is being left is still shown.
  const shown = useRouterState({ select: ({ resolvedLocation }) => resolvedLocation?.pathname }) ?? pathname
  const enter = useMutation({ mutationFn: switchProject, onError: (error) => toastProblem(t.header.switchScope, error) })
  if (scope.kind === 'project') return children
  if (!needsProject(pathname)) return needsProject(shown) ? <Waiting /> : children
  if (pathname === '/') return <Navigate to="/projects" replace />
  return (
    <Nothing title={t.scope.needsProject} line={projects.length === 0 ? t.scope.noProject : t.scope.needsProjectLine}>
      {projects.slice(0, 8).map(({ id, name }) => (
        <Button key={id} variant="secondary" isDisabled={enter.isPending} onClick={() => enter.mutate(id)}>
          {name}
        </Button>
      ))}
    </Nothing>
  )
}
