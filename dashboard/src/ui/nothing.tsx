// What a list shows when it has no rows: what would be here, and how to get the first one.
import { EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter } from '@patternfly/react-core'
import type { ComponentType, ReactNode } from 'react'

export function Nothing({ title, line, icon, children }: { title: string; line?: string; icon?: ComponentType; children?: ReactNode }) {
  return (
    <EmptyState titleText={title} headingLevel="h2" icon={icon} variant="sm" className="wisp-nothing">
      {line !== undefined && <EmptyStateBody>{line}</EmptyStateBody>}
      {children !== undefined && (
        <EmptyStateFooter>
          <EmptyStateActions>{children}</EmptyStateActions>
        </EmptyStateFooter>
      )}
    </EmptyState>
  )
}
