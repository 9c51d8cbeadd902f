// The field for one property's value: a choice, a number or text, as its definition says; text for what nobody defined.
import { FormSelect, FormSelectOption, TextInput } from '@patternfly/react-core'
import type { DefinedProperty } from '../api/metadefs.ts'

type PropertyValueProps = { id: string; definition: DefinedProperty | undefined; value: string; change: (value: string) => void }

export function PropertyValue({ id, definition, value, change }: PropertyValueProps) {
  const values = definition?.enum?.map(String) ?? (definition?.type === 'boolean' ? ['true', 'false'] : undefined)
  if (values !== undefined)
    return (
      <FormSelect id={id} value={value} onChange={(_event, next) => change(next)}>
        {/* A value from before the definition stays choosable. */}
        {[...new Set([...values, value])].map((each) => (
          <FormSelectOption key={each} value={each} label={each} />
        ))}
      </FormSelect>
    )
  const isNumber = definition?.type === 'integer' || definition?.type === 'number'
  return (
    <TextInput
      id={id}
      value={value}
      type={isNumber ? 'number' : 'text'}
      min={definition?.minimum}
      max={definition?.maximum}
      onChange={(_event, next) => change(next)}
    />
  )
}
