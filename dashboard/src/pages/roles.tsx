// The cloud's roles: which there are, and which of them bring others along.
import { Label } from '@patternfly/react-core'
import { useMutation, useQuery } from '@tanstack/react-query'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { roleCan } from '../api/can.ts'
import { inferencesQuery, rolesQuery } from '../api/identity-queries.ts'
import { keys } from '../api/keys.ts'
import { queryClient } from '../api/query-client.ts'
import { deleteRole, noLongerImplyRole, type Role } from '../api/roles.ts'
import { useSession } from '../api/session.ts'
import { ImpliedRole } from '../forms/implied-role.tsx'
import { RoleEdit } from '../forms/role-edit.tsx'
import { useText } from '../i18n/index.ts'
import { Confirm } from '../ui/confirm.tsx'
import { DomainFilter } from '../ui/domain-filter.tsx'
import { Labels } from '../ui/labels.tsx'
import { ListPage } from '../ui/list-page.tsx'
import { MaySee } from '../ui/may-see.tsx'
import { toastProblem } from '../ui/toasts.tsx'

const route = getRouteApi('/inside/roles')

type Dialog = { kind: 'edit' | 'imply' | 'delete'; role: Role }

function Roles() {
  const t = useText()
  const navigate = useNavigate()
  const { domain } = route.useSearch()
  const roles = useQuery(rolesQuery(domain))
  const inferences = useQuery(inferencesQuery)
  const [open, setOpen] = useState<Dialog>()
  const close = () => setOpen(undefined)
  const forget = useMutation({
    mutationFn: ({ prior, implied }: { prior: string; implied: string }) => noLongerImplyRole(prior, implied),
    onSuccess: () => queryClient.invalidateQueries({ queryKey: keys.roles }),
    onError: (error) => toastProblem(t.roles.doing.imply, error),
  })
  const impliedBy = (id: string) => inferences.data?.find(({ prior_role }) => prior_role.id === id)?.implies ?? []
  const rows = roles.data ?? []
  const no = roleCan.administer(useSession())
  return (
    <ListPage
      title={t.roles.title}
      line={t.roles.line}
      create={{ button: t.roles.create, no, form: (done) => <RoleEdit domain={domain} close={done} /> }}
      filters={<DomainFilter value={domain} change={(next) => void navigate({ to: '/roles', search: { domain: next } })} />}
      query={roles}
      empty={{ title: t.roles.empty, line: t.roles.emptyLine }}
      columns={[
        { title: t.name, main: true, cell: ({ name }) => <span className="wisp-row-name">{name}</span> },
        {
          title: t.roles.implies,
          cell: ({ id, name }) =>
            impliedBy(id).length === 0 ? (
              '—'
            ) : (
              <Labels label={`${name}: ${t.roles.implies}`}>
                {impliedBy(id).map((implied) => (
                  <Label
                    key={implied.id}
                    isCompact
                    {...(no === undefined && {
                      closeBtnAriaLabel: t.roles.noLonger(name, implied.name),
                      onClose: () => forget.mutate({ prior: id, implied: implied.id }),
                    })}
                  >
                    {implied.name}
                  </Label>
                ))}
              </Labels>
            ),
        },
        { title: t.description, cell: ({ description }) => description || '—' },
      ]}
      actions={(role) => [
        { title: t.roles.imply, no, run: () => setOpen({ kind: 'imply', role }) },
        { title: t.edit, no, run: () => setOpen({ kind: 'edit', role }) },
        { title: t.delete, no, run: () => setOpen({ kind: 'delete', role }), danger: true, separate: true },
      ]}
    >
      {open?.kind === 'edit' && <RoleEdit role={open.role} domain={domain} close={close} />}
      {open?.kind === 'imply' && (
        <ImpliedRole
          role={open.role}
          among={rows.filter(({ id }) => id !== open.role.id && !impliedBy(open.role.id).some((one) => one.id === id))}
          close={close}
        />
      )}
      {open?.kind === 'delete' && (
        <Confirm
          title={t.roles.confirmDelete}
          line={t.roles.confirmDeleteLine}
          objects={[open.role]}
          button={t.delete}
          what={t.roles.doing.delete}
          run={async () => {
            await deleteRole(open.role.id)
            await queryClient.invalidateQueries({ queryKey: keys.roles })
          }}
          close={close}
        />
      )}
    </ListPage>
  )
}

export function RolesPage() {
  return <MaySee of="cloud">{() => <Roles />}</MaySee>
}
