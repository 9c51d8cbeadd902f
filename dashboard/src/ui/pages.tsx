// Pages of a list that was read whole: identity's lists have no pages of their own, and thousands of rows at once serve nobody.
import { Button } from '@patternfly/react-core'
import { useText } from '../i18n/index.ts'

const perPage = 50

/** The rows of one page, counted from 1; a page beyond the end shows the last one. */
export function pageOf<T>(rows: T[], page: number): { rows: T[]; page: number; pages: number } {
  const pages = Math.max(1, Math.ceil(rows.length / perPage))
  const shown = Math.min(Math.max(1, page), pages)
  return { rows: rows.slice((shown - 1) * perPage, shown * perPage), page: shown, pages }
}

/** Nothing, as long as everything fits on one page. `open` gets undefined for the first one, which needs no mention in the address. */
export function Pages({ page, pages, open }: { page: number; pages: number; open: (page: number | undefined) => void }) {
  const t = useText()
  if (pages === 1) return null
  return (
    <nav className="wisp-pages" aria-label={t.page.label}>
      <span className="wisp-subtle">{t.page.of(page, pages)}</span>
      <Button variant="secondary" isDisabled={page === 1} onClick={() => open(page === 2 ? undefined : page - 1)}>
        {t.previous}
      </Button>
      <Button variant="secondary" isDisabled={page === pages} onClick={() => open(page + 1)}>
        {t.next}
      </Button>
    </nav>
  )
}
