// A control that can't be used says why: on hover, on focus, and to a screen reader.
import { Tooltip } from '@patternfly/react-core'
import type { ReactNode } from 'react'
import type { Verdict } from '../api/can.ts'
import { useText } from '../i18n/index.ts'

/** Nothing but its children when nothing forbids them. */
export function WithReason({ no, children }: { no: Verdict; children: ReactNode }) {
  const t = useText()
  if (no === undefined) return children
  return (
    <Tooltip content={t.why[no]}>
      {/* biome-ignore lint: a disabled button takes no focus, so what stands around it does */}
      <span className="wisp-with-reason" tabIndex={0} aria-label={t.why[no]} role="note">
        {children}
      </span>
    </Tooltip>
  )
}
