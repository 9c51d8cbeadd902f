// TanStack Query's cache, one for the page, with what all queries have in common.
import { notifyManager, QueryClient } from '@tanstack/react-query'
import { ApiError } from './http.ts'
import { currentSession, onSessionChange } from './session.ts'

// Before the next event is heard, not some milliseconds after: until a form knows that it was sent, a second click sends it again.
notifyManager.setScheduler(queueMicrotask)

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      // A refusal stays a refusal; only a service that is away or stumbling is asked again.
      retry: (count, error) => count < 2 && error instanceof ApiError && (error.status === 0 || error.status >= 502),
      retryDelay: (count) => 500 * 2 ** count,
    },
  },
})

let token = currentSession()?.token
onSessionChange(() => {
  // Another token is another project or another person: nothing read before may be shown to them.
  if (currentSession()?.token !== token) queryClient.clear()
  token = currentSession()?.token
})
