// A page about one thing: its name with its state and what can be done to it, and until it has been read, what kind of thing it is.
import { useLocation, useNavigate, useRouter } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { PageHeader, Waiting } from './pieces.tsx'
import { Problem } from './problem.tsx'

type Head = { title: string; line?: string | undefined; beside?: ReactNode; actions?: ReactNode }

type DetailPageProps<T> = {
  query: { data: T | undefined; error: Error | null; refetch: () => unknown }
  /** The word for such a thing. */
  kind: string
  /** The list that it stands in. */
  back: { to: string; text: string }
  head: (thing: T) => Head
  children: (thing: T) => ReactNode
}

/** What could not be read again stays on the page, below the reason. */
export function DetailPage<T>({ query: { data, error, refetch }, kind, back, head, children }: DetailPageProps<T>) {
  const problem = error !== null && <Problem error={error} retry={() => void refetch()} />
  if (data === undefined)
    return (
      <>
        <PageHeader title={kind} back={back} />
        {problem || <Waiting />}
      </>
    )
  const { actions, ...rest } = head(data)
  return (
    <>
      <PageHeader {...rest} back={back}>
        {actions}
      </PageHeader>
      {problem}
      {children(data)}
    </>
  )
}

type ListPath = '/servers' | '/images' | '/networks' | '/projects' | '/users' | '/groups' | '/domains'

/** Goes back to the list once what the page is about was deleted; not when the person has gone elsewhere before that was answered. */
export function useLeave(to: ListPath): () => void {
  const navigate = useNavigate()
  const router = useRouter()
  const { pathname } = useLocation()
  return () => {
    if (router.state.location.pathname === pathname) void navigate({ to })
  }
}
