// What can be done to a group. Used by the list and by a group's own page.
import { type ReactNode, useState } from 'react'
import { roleCan } from '../api/can.ts'
import { keys } from '../api/keys.ts'
import { queryClient } from '../api/query-client.ts'
import { useSession } from '../api/session.ts'
import { deleteGroup, type Group } from '../api/users.ts'
import { GroupEdit } from '../forms/group-edit.tsx'
import { useText } from '../i18n/index.ts'
import { Confirm } from './confirm.tsx'
import type { RowAction } from './list.tsx'

export function useGroupVerbs(afterDelete?: () => void): { actions: (group: Group) => RowAction[]; dialog: ReactNode } {
  const t = useText()
  const [open, setOpen] = useState<{ kind: 'edit' | 'delete'; group: Group }>()
  const close = () => setOpen(undefined)
  const no = roleCan.administerPeople(useSession())
  const actions = (group: Group): RowAction[] => [
    { title: t.edit, no, run: () => setOpen({ kind: 'edit', group }) },
    { title: t.delete, no, run: () => setOpen({ kind: 'delete', group }), danger: true, separate: true },
  ]
  if (open === undefined) return { actions, dialog: null }
  const { kind, group } = open
  if (kind === 'edit') return { actions, dialog: <GroupEdit group={group} close={close} /> }
  const dialog = (
    <Confirm
      title={t.groups.confirmDelete}
      line={t.groups.confirmDeleteLine}
      objects={[group]}
      button={t.delete}
      what={t.groups.doing.delete}
      run={async () => {
        await deleteGroup(group.id)
        afterDelete?.()
        await queryClient.invalidateQueries({ queryKey: keys.groups })
      }}
      close={close}
    />
  )
  return { actions, dialog }
}
