// Short notices in the corner: what was refused (stays until closed) and what was done (goes by itself).
import { Alert, AlertActionCloseButton, AlertGroup } from '@patternfly/react-core'
import { useSyncExternalStore } from 'react'
import { remedyOf } from '../api/explain.ts'
import { ApiError } from '../api/http.ts'
import { useText } from '../i18n/index.ts'

type Toast = { id: number; what: string; error?: Error }

let toasts: Toast[] = []
let lastId = 0
const listeners = new Set<() => void>()

function set(next: Toast[]): void {
  toasts = next
  for (const listener of listeners) listener()
}

const close = (id: number) => set(toasts.filter((toast) => toast.id !== id))

/** `what` continues the sentence "Could not …". */
export function toastProblem(what: string, error: Error): void {
  lastId += 1
  set([...toasts.slice(-4), { id: lastId, what, error }])
}

export function Toasts() {
  const t = useText()
  const shown = useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    () => toasts,
  )
  return (
    <AlertGroup isToast isLiveRegion>
      {shown.map(({ id, what, error }) => (
        <Alert
          key={id}
          variant="danger"
          variantLabel=""
          title={t.problem.couldNot(what)}
          actionClose={<AlertActionCloseButton aria-label={t.close} onClose={() => close(id)} />}
        >
          <p>{error?.message}</p>
          <p>{t.remedies[remedyOf(error)]}</p>
          {error instanceof ApiError && error.requestId !== undefined && (
            <p className="wisp-subtle">
              {t.problem.requestId}: <code>{error.requestId}</code>
            </p>
          )}
        </Alert>
      ))}
    </AlertGroup>
  )
}
