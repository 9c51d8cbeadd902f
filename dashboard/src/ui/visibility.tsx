// Who may use an image, as a word and as a field of forms.
import { FormSelect, FormSelectOption } from '@patternfly/react-core'
import { isAdmin, type Session } from '../api/session.ts'
import { type Dictionary, useText } from '../i18n/index.ts'
import { Field } from './field.tsx'

export const visibilityWord = (t: Dictionary, visibility: string) =>
  (t.images.visibilities as Record<string, string>)[visibility] ?? visibility

type VisibilityFieldProps = { value: string; change: (value: string) => void; session: Session; disabled?: boolean }

/** Only administrators make images public; the choice is there for others, too, but says so. */
export function VisibilityField({ value, change, session, disabled = false }: VisibilityFieldProps) {
  const t = useText()
  const admin = isAdmin(session)
  return (
    <Field label={t.images.visibility} id="image-visibility" help={admin ? undefined : t.images.visibilityHelp}>
      <FormSelect id="image-visibility" value={value} isDisabled={disabled} onChange={(_event, next) => change(next)}>
        {Object.entries(t.images.visibilities).map(([name, label]) => (
          <FormSelectOption key={name} value={name} label={label} isDisabled={name === 'public' && !admin && value !== 'public'} />
        ))}
      </FormSelect>
    </Field>
  )
}
