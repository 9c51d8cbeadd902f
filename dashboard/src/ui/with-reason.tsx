// A control that can't be used now says why: on hover, on focus, and to a screen reader. What one's role never allows is left out.
import { Tooltip } from '@patternfly/react-core'
import type { ReactNode } from 'react'
import { isForbidden, type Verdict } from '../api/can.ts'
import { useText } from '../i18n/index.ts'

/** Nothing but its children when nothing forbids them. */
export function WithReason({ no, children }: { no: Verdict; children: ReactNode }) {
  const t = useText()
  if (no === undefined) return children
  if (isForbidden(no)) return null
  return (
    <Tooltip content={t.why[no]}>
      {/* biome-ignore lint: a disabled button takes no focus, so what stands around it does */}
      <span className="wisp-with-reason" tabIndex={0} aria-label={t.why[no]} role="note">
        {children}
      </span>
    </Tooltip>
  )
}
