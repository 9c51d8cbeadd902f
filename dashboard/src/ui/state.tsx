// Whether a user, project or domain is enabled, as the lists show it.
import { useText } from '../i18n/index.ts'
import { StatusWord } from './pieces.tsx'

export function EnabledState({ enabled }: { enabled: boolean }) {
  const t = useText()
  return <StatusWord tone={enabled ? 'good' : 'idle'}>{enabled ? t.enabled : t.disabled}</StatusWord>
}
