// Words side by side as labels: tags, roles, options. Of very many the first are shown, with a button for the rest.
import { LabelGroup } from '@patternfly/react-core'
import type { ReactNode } from 'react'
import { useText } from '../i18n/index.ts'

export function Labels({ label, most = 20, children }: { label: string; most?: number; children: ReactNode }) {
  const t = useText()
  // PatternFly puts the number into this, as a template of its own.
  const rest = t.labels.more('$' + '{remaining}')
  return (
    <LabelGroup numLabels={most} collapsedText={rest} expandedText={t.labels.fewer} aria-label={label}>
      {children}
    </LabelGroup>
  )
}
