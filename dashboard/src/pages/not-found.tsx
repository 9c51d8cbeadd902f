// For addresses that lead nowhere.
import { Link } from '@tanstack/react-router'
import { useText } from '../i18n/index.ts'
import { PageHeader } from '../ui/pieces.tsx'

export function NotFoundPage() {
  const t = useText()
  return (
    <>
      <PageHeader title={t.notFound.title} />
      <p className="wisp-gap-below">{t.notFound.line}</p>
      <Link to="/">{t.notFound.home}</Link>
    </>
  )
}
