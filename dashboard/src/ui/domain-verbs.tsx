// What can be done to a domain. Used by the list and by a domain's own page.
import { useMutation } from '@tanstack/react-query'
import { type ReactNode, useState } from 'react'
import { domainCan, roleCan } from '../api/can.ts'
import { keys } from '../api/keys.ts'
import { changeDomain, type Domain, deleteDomain } from '../api/projects.ts'
import { queryClient } from '../api/query-client.ts'
import { useSession } from '../api/session.ts'
import { DomainEdit } from '../forms/domain-edit.tsx'
import { useText } from '../i18n/index.ts'
import { Confirm } from './confirm.tsx'
import type { RowAction } from './list.tsx'
import { toastProblem } from './toasts.tsx'

type Dialog = { kind: 'edit' | 'disable' | 'delete'; domain: Domain }

export function useDomainVerbs(afterDelete?: () => void): { actions: (domain: Domain) => RowAction[]; dialog: ReactNode } {
  const t = useText()
  const session = useSession()
  const [open, setOpen] = useState<Dialog>()
  const close = () => setOpen(undefined)
  const changed = () => queryClient.invalidateQueries({ queryKey: keys.domains })
  const enable = useMutation({
    mutationFn: (domain: Domain) => changeDomain(domain.id, { enabled: true }),
    onSuccess: changed,
    onError: (error) => toastProblem(t.domains.doing.change, error),
  })
  const actions = (domain: Domain): RowAction[] => [
    { title: t.edit, no: roleCan.administer(session), run: () => setOpen({ kind: 'edit', domain }) },
    domain.enabled
      ? { title: t.disable, no: domainCan.disable(domain, session), run: () => setOpen({ kind: 'disable', domain }) }
      : { title: t.enable, no: roleCan.administer(session), run: () => enable.mutate(domain) },
    {
      title: t.delete,
      no: domainCan.delete(domain, session),
      run: () => setOpen({ kind: 'delete', domain }),
      danger: true,
      separate: true,
    },
  ]
  if (open === undefined) return { actions, dialog: null }
  const { kind, domain } = open
  if (kind === 'edit') return { actions, dialog: <DomainEdit domain={domain} close={close} /> }
  const going = kind === 'delete'
  const dialog = (
    <Confirm
      title={going ? t.domains.confirmDelete : t.domains.confirmDisable}
      line={going ? t.domains.confirmDeleteLine : t.domains.confirmDisableLine}
      objects={[domain]}
      button={going ? t.delete : t.disable}
      what={going ? t.domains.doing.delete : t.domains.doing.change}
      run={async () => {
        if (going) await deleteDomain(domain.id)
        else await changeDomain(domain.id, { enabled: false })
        if (going) afterDelete?.()
        await changed()
      }}
      close={close}
    />
  )
  return { actions, dialog }
}
