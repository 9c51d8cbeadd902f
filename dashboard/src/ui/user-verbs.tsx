// What can be done to a user, with its forms and questions. Used by the list and by a user's own page.
import { useMutation } from '@tanstack/react-query'
import { type ReactNode, useState } from 'react'
import { roleCan, userCan } from '../api/can.ts'
import { keys } from '../api/keys.ts'
import { queryClient } from '../api/query-client.ts'
import { useSession } from '../api/session.ts'
import { changeUser, deleteUser, type User } from '../api/users.ts'
import { PasswordSet } from '../forms/password-set.tsx'
import { UserEdit } from '../forms/user-edit.tsx'
import { useText } from '../i18n/index.ts'
import { Confirm } from './confirm.tsx'
import type { RowAction } from './list.tsx'
import { toastProblem } from './toasts.tsx'

type Dialog = { kind: 'edit' | 'password' | 'disable' | 'delete'; user: User }

export function useUserVerbs(afterDelete?: () => void): { actions: (user: User) => RowAction[]; dialog: ReactNode } {
  const t = useText()
  const session = useSession()
  const [open, setOpen] = useState<Dialog>()
  const close = () => setOpen(undefined)
  const changed = () => queryClient.invalidateQueries({ queryKey: keys.users })
  const enable = useMutation({
    mutationFn: (user: User) => changeUser(user.id, { enabled: true }),
    onSuccess: changed,
    onError: (error) => toastProblem(t.users.doing.change, error),
  })
  const actions = (user: User): RowAction[] => [
    { title: t.edit, no: roleCan.administerPeople(session), run: () => setOpen({ kind: 'edit', user }) },
    { title: t.users.setPassword, no: userCan.remove(user, session), run: () => setOpen({ kind: 'password', user }) },
    user.enabled
      ? { title: t.disable, no: userCan.remove(user, session), run: () => setOpen({ kind: 'disable', user }) }
      : { title: t.enable, no: roleCan.administerPeople(session), run: () => enable.mutate(user) },
    {
      title: t.delete,
      no: userCan.remove(user, session),
      run: () => setOpen({ kind: 'delete', user }),
      danger: true,
      separate: true,
    },
  ]
  if (open === undefined) return { actions, dialog: null }
  const { kind, user } = open
  if (kind === 'edit') return { actions, dialog: <UserEdit user={user} close={close} /> }
  if (kind === 'password') return { actions, dialog: <PasswordSet user={user} close={close} /> }
  const going = kind === 'delete'
  const dialog = (
    <Confirm
      title={going ? t.users.confirmDelete : t.users.confirmDisable}
      line={going ? t.users.confirmDeleteLine : t.users.confirmDisableLine}
      objects={[user]}
      button={going ? t.delete : t.disable}
      what={going ? t.users.doing.delete : t.users.doing.change}
      danger={going}
      run={async () => {
        if (going) await deleteUser(user.id)
        else await changeUser(user.id, { enabled: false })
        if (going) afterDelete?.()
        await changed()
      }}
      close={close}
    />
  )
  return { actions, dialog }
}
