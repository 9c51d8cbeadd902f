// An administrator sets another user's password, without knowing the old one.
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { keys } from '../api/keys.ts'
import { queryClient } from '../api/query-client.ts'
import { changeUser, type User } from '../api/users.ts'
import { useText } from '../i18n/index.ts'
import { FormModal } from '../ui/form-modal.tsx'
import { NewPassword } from '../ui/new-password.tsx'

export function PasswordSet({ user, close }: { user: User; close: () => void }) {
  const t = useText()
  const [password, setPassword] = useState<string>()
  const save = useMutation({
    mutationFn: (next: string) => changeUser(user.id, { password: next }),
    onSuccess: () => {
      void queryClient.invalidateQueries({ queryKey: keys.users })
    },
  })
  return (
    <FormModal
      title={t.users.setPasswordOf(user.name)}
      button={t.users.setPassword}
      what={t.users.doing.password}
      error={save.error}
      busy={save.isPending}
      ready={password !== undefined}
      submit={() => password !== undefined && save.mutate(password, { onSuccess: close })}
      close={close}
    >
      <p className="wisp-subtle">{t.users.setPasswordLine}</p>
      <NewPassword id="password" change={setPassword} />
    </FormModal>
  )
}
