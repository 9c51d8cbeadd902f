// The serial console's log as selectable text: follows its end while that is wanted, can be narrowed to matching lines and saved.
import { Button, SearchInput, Switch } from '@patternfly/react-core'
import { useQuery } from '@tanstack/react-query'
import { useEffect, useMemo, useRef, useState } from 'react'
import type { Server } from '../../api/compute.ts'
import { consoleLogQuery } from '../../api/queries.ts'
import { useText } from '../../i18n/index.ts'
import { saveFile } from '../../ui/format.ts'
import { Waiting } from '../../ui/pieces.tsx'
import { Problem } from '../../ui/problem.tsx'
import { plainLines } from '../../ui/terminal-text.ts'

export function ServerLog({ server }: { server: Server }) {
  const t = useText()
  const log = useQuery(consoleLogQuery(server.id))
  const [follow, setFollow] = useState(true)
  const [wrap, setWrap] = useState(true)
  const [wanted, setWanted] = useState('')
  const box = useRef<HTMLPreElement>(null)
  const lines = useMemo(() => plainLines(log.data ?? ''), [log.data])
  const needle = wanted.toLowerCase()
  const shown = needle === '' ? lines : lines.filter((line) => line.toLowerCase().includes(needle))
  const text = shown.join('\n')
  useEffect(() => {
    // `text` is what makes the end move.
    if (follow && text !== '' && box.current !== null) box.current.scrollTop = box.current.scrollHeight
  }, [follow, text])
  const onScroll = () => {
    const at = box.current
    // Scrolling up means reading; coming back to the end means following again.
    if (at !== null) setFollow(at.scrollHeight - at.scrollTop - at.clientHeight < 24)
  }
  if (log.isPending) return <Waiting />
  return (
    <div className="wisp-card wisp-log-card">
      <div className="wisp-toolbar">
        <SearchInput
          aria-label={t.server.logFilter}
          placeholder={t.server.logFilter}
          value={wanted}
          onChange={(_event, value) => setWanted(value)}
          onClear={() => setWanted('')}
          resetButtonLabel={t.clearFilters}
          className="wisp-filter"
        />
        <Switch label={t.server.follow} isChecked={follow} onChange={(_event, on) => setFollow(on)} />
        <Switch label={t.server.wrap} isChecked={wrap} onChange={(_event, on) => setWrap(on)} />
        <span className="wisp-subtle">{t.server.logLines(shown.length)}</span>
        <span className="wisp-header-space" />
        <Button variant="secondary" isDisabled={lines.length === 0} onClick={() => saveFile(`${server.name}.log`, lines.join('\n'))}>
          {t.server.download}
        </Button>
      </div>
      {log.isError && <Problem error={log.error} retry={() => void log.refetch()} />}
      <pre
        ref={box}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
        tabIndex={0}
        onScroll={onScroll}
        className={wrap ? 'wisp-log wisp-log-wrap' : 'wisp-log'}
        role="log"
        aria-label={t.server.log}
      >
        {lines.length === 0 ? t.server.logEmpty : text}
      </pre>
    </div>
  )
}
