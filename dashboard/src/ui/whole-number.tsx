// A field for a whole number that isn't negative, with its buttons named for those who can't see them.
import { NumberInput } from '@patternfly/react-core'
import { useText } from '../i18n/index.ts'

type WholeNumberProps = {
  id: string
  label: string
  value: number
  change: (value: number) => void
  least?: number
  disabled?: boolean
  width?: number
}

export function WholeNumber({ id, label, value, change, least = 0, disabled = false, width = 5 }: WholeNumberProps) {
  const t = useText()
  return (
    <NumberInput
      inputProps={{ id }}
      inputAriaLabel={label}
      value={value}
      min={least}
      widthChars={width}
      isDisabled={disabled}
      minusBtnAriaLabel={`${t.less}: ${label}`}
      plusBtnAriaLabel={`${t.more}: ${label}`}
      onMinus={() => change(Math.max(least, value - 1))}
      onPlus={() => change(value + 1)}
      onChange={(event) => change(Math.max(least, Math.trunc(Number(event.currentTarget.value)) || 0))}
    />
  )
}
