// A labelled form field with its help and, once there is something to say, its error.
import { FormGroup, FormHelperText, HelperText, HelperTextItem } from '@patternfly/react-core'
import type { ReactNode } from 'react'
import { useText } from '../i18n/index.ts'

type FieldProps = {
  label: string
  id: string
  help?: string | undefined
  error?: string | undefined
  required?: boolean
  /** For several controls under one label. */
  role?: 'radiogroup' | 'group'
  children: ReactNode
}

export function Field({ label, id, help, error, required = false, role, children }: FieldProps) {
  const t = useText()
  return (
    <FormGroup label={label} fieldId={id} isRequired={required} role={role}>
      {children}
      {(error ?? help) !== undefined && (
        <FormHelperText>
          <HelperText id={`${id}-help`}>
            <HelperTextItem variant={error === undefined ? 'default' : 'error'} screenReaderText={t.wrong}>
              {error ?? help}
            </HelperTextItem>
          </HelperText>
        </FormHelperText>
      )}
    </FormGroup>
  )
}
