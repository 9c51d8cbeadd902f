// For addresses that lead nowhere.
import { Link } from '@tanstack/react-router'
import { useText } from '../i18n/index.ts'
import { Nothing } from '../ui/nothing.tsx'

export function NotFoundPage() {
  const t = useText()
  return (
    <Nothing title={t.notFound.title} line={t.notFound.line}>
      <Link to="/">{t.notFound.home}</Link>
    </Nothing>
  )
}
