// Errors as people need them: what could not be done, the cause in the service's words, what to do about it, and the request id for the logs.
import { Button } from '@patternfly/react-core'
import ExclamationCircleIcon from '@patternfly/react-icons/dist/esm/icons/exclamation-circle-icon'
import type { ReactNode } from 'react'
import { type Remedy, remedyOf } from '../api/explain.ts'
import { ApiError } from '../api/http.ts'
import { useText } from '../i18n/index.ts'
import { Copyable } from './pieces.tsx'

type FrameProps = { title: string; cause: string; remedy: Remedy; requestId?: string | undefined; children?: ReactNode }

export function CauseAndRemedy({ title, cause, remedy, requestId, children }: FrameProps) {
  const t = useText()
  return (
    <div className="wisp-problem" role="alert">
      <ExclamationCircleIcon className="wisp-problem-icon" />
      <div className="wisp-problem-body">
        <strong className="wisp-problem-title">{title}</strong>
        <dl>
          <dt>{t.problem.cause}</dt>
          <dd>{cause}</dd>
          <dt>{t.problem.remedy}</dt>
          <dd>{t.remedies[remedy]}</dd>
          {requestId !== undefined && (
            <>
              <dt>{t.problem.requestId}</dt>
              <dd>
                <Copyable value={requestId} />
              </dd>
            </>
          )}
        </dl>
        {children}
      </div>
    </div>
  )
}

/** An error of a query or a mutation. `what` continues the sentence "Could not …". */
export function Problem({ error, what, retry, children }: { error: Error; what?: string; retry?: () => void; children?: ReactNode }) {
  const t = useText()
  return (
    <CauseAndRemedy
      title={t.problem.couldNot(what ?? t.problem.load)}
      cause={error instanceof ApiError && error.status === 0 ? t.problem.noAnswer : error.message}
      remedy={remedyOf(error)}
      requestId={error instanceof ApiError ? error.requestId : undefined}
    >
      {retry !== undefined && (
        <Button variant="link" isInline onClick={retry}>
          {t.retry}
        </Button>
      )}
      {children}
    </CauseAndRemedy>
  )
}
