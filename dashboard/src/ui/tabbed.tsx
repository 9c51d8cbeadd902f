// Ways of looking at one thing, side by side; which one is open stands in the address, and is the caller's to know.
import { Tab, Tabs, TabTitleText } from '@patternfly/react-core'
import type { ReactNode } from 'react'
import { useText } from '../i18n/index.ts'

type TabbedProps<T extends string> = {
  /** What they are about. */
  label: string
  tabs: readonly T[]
  words: Record<NoInfer<T>, string>
  shown: T
  open: (tab: T) => void
  children: ReactNode
}

export function Tabbed<T extends string>({ label, tabs, words, shown, open, children }: TabbedProps<T>) {
  const t = useText()
  return (
    <>
      <Tabs
        activeKey={shown}
        onSelect={(_event, tab) => open(tab as T)}
        aria-label={label}
        backScrollAriaLabel={t.tabs.back}
        forwardScrollAriaLabel={t.tabs.forward}
        className="wisp-tabs"
      >
        {tabs.map((name) => (
          <Tab key={name} eventKey={name} title={<TabTitleText>{words[name]}</TabTitleText>} tabContentId={`tab-${name}`} />
        ))}
      </Tabs>
      <div role="tabpanel" id={`tab-${shown}`} aria-label={words[shown]} className="wisp-tab">
        {children}
      </div>
    </>
  )
}
