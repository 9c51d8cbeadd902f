// A new password, typed twice, with an eye to look at it.
import { Button, InputGroup, InputGroupItem, TextInput } from '@patternfly/react-core'
import EyeIcon from '@patternfly/react-icons/dist/esm/icons/eye-icon'
import EyeSlashIcon from '@patternfly/react-icons/dist/esm/icons/eye-slash-icon'
import { useState } from 'react'
import { useText } from '../i18n/index.ts'
import { Field } from './field.tsx'

/** `change` gets the password once both fields agree, else undefined. */
export function NewPassword({ id, change }: { id: string; change: (password: string | undefined) => void }) {
  const t = useText()
  const [password, setPassword] = useState('')
  const [again, setAgain] = useState('')
  const [shown, setShown] = useState(false)
  const tell = (one: string, other: string) => change(one !== '' && one === other ? one : undefined)
  const type = shown ? 'text' : 'password'
  return (
    <div className="wisp-pair">
      <Field label={t.users.password} id={id} required>
        <InputGroup>
          <InputGroupItem isFill>
            <TextInput
              id={id}
              type={type}
              autoComplete="new-password"
              value={password}
              onChange={(_event, value) => {
                setPassword(value)
                tell(value, again)
              }}
            />
          </InputGroupItem>
          <InputGroupItem>
            <Button
              variant="control"
              aria-label={shown ? t.logIn.hidePassword : t.logIn.showPassword}
              icon={shown ? <EyeSlashIcon /> : <EyeIcon />}
              onClick={() => setShown(!shown)}
            />
          </InputGroupItem>
        </InputGroup>
      </Field>
      <Field
        label={t.users.passwordAgain}
        id={`${id}-again`}
        required
        error={again !== '' && again !== password ? t.users.passwordsDiffer : undefined}
      >
        <TextInput
          id={`${id}-again`}
          type={type}
          autoComplete="new-password"
          value={again}
          onChange={(_event, value) => {
            setAgain(value)
            tell(password, value)
          }}
        />
      </Field>
    </div>
  )
}
