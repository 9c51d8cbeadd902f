// The field above a list that narrows it by name: it waits until the typing pauses, then tells the address.
import { SearchInput } from '@patternfly/react-core'
import { useEffect, useState } from 'react'
import { useText } from '../i18n/index.ts'

/** `change` gets undefined for an empty field. */
export function NameFilter({ label, value, change }: { label: string; value: string; change: (name: string | undefined) => void }) {
  const t = useText()
  const [typed, setTyped] = useState(value)
  useEffect(() => setTyped(value), [value])
  useEffect(() => {
    if (typed === value) return
    const timer = setTimeout(() => change(typed === '' ? undefined : typed), 300)
    return () => clearTimeout(timer)
  }, [typed, value, change])
  return (
    <SearchInput
      aria-label={label}
      placeholder={label}
      value={typed}
      onChange={(_event, next) => setTyped(next)}
      onClear={() => setTyped('')}
      resetButtonLabel={t.clearFilters}
      className="wisp-filter"
    />
  )
}
