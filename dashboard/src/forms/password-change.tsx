// Changes one's own password. The tokens of the old one end with it, so this page logs in again with the new one.
import { TextInput } from '@patternfly/react-core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { renewSession } from '../api/identity.ts'
import { useSession } from '../api/session.ts'
import { changeOwnPassword } from '../api/users.ts'
import { useText } from '../i18n/index.ts'
import { Field } from '../ui/field.tsx'
import { FormModal } from '../ui/form-modal.tsx'
import { NewPassword } from '../ui/new-password.tsx'

export function PasswordChange({ close, done }: { close: () => void; done: () => void }) {
  const t = useText()
  const { user } = useSession()
  const [old, setOld] = useState('')
  const [password, setPassword] = useState<string>()
  const save = useMutation({
    mutationFn: async (next: string) => {
      await changeOwnPassword(user.id, old, next)
      await renewSession(next)
    },
    onSuccess: () => {
      close()
      done()
    },
  })
  return (
    <FormModal
      title={t.profile.changePassword}
      button={t.profile.changePassword}
      what={t.users.doing.password}
      error={save.error}
      busy={save.isPending}
      ready={old !== '' && password !== undefined}
      submit={() => password !== undefined && save.mutate(password)}
      close={close}
    >
      <Field label={t.profile.oldPassword} id="old-password" required>
        <TextInput
          id="old-password"
          type="password"
          autoFocus
          autoComplete="current-password"
          value={old}
          onChange={(_event, value) => setOld(value)}
        />
      </Field>
      <NewPassword id="new-password" change={setPassword} />
      <p className="wisp-subtle">{t.profile.changePasswordLine}</p>
    </FormModal>
  )
}
