// Gives a role: to a user or group on what is known already, or on a project, a domain or the whole system to whom is known already.
import { Checkbox, FormSelect, FormSelectOption } from '@patternfly/react-core'
import { useMutation, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { domainsQuery, groupsQuery, projectsQuery, rolesQuery, usersQuery } from '../api/identity-queries.ts'
import { keys } from '../api/keys.ts'
import { queryClient } from '../api/query-client.ts'
import { type Grant, grant } from '../api/roles.ts'
import { useText } from '../i18n/index.ts'
import { useDomainName } from '../ui/domain-filter.tsx'
import { Field } from '../ui/field.tsx'
import { FormModal } from '../ui/form-modal.tsx'
import { Pick, type Pickable } from '../ui/pick.tsx'

type GrantRoleProps = { target: (Grant['target'] & { domain: string }) | undefined; actor: Grant['actor'] | undefined; close: () => void }

export function GrantRole({ target, actor, close }: GrantRoleProps) {
  const t = useText()
  const [actorKind, setActorKind] = useState<Grant['actor']['kind']>('user')
  const [targetKind, setTargetKind] = useState<Grant['target']['kind']>('project')
  const [picked, setPicked] = useState<string>()
  const [role, setRole] = useState('')
  const [inherited, setInherited] = useState(false)
  const domains = useQuery(domainsQuery)
  const users = useQuery({ ...usersQuery, enabled: actor === undefined })
  const groups = useQuery({ ...groupsQuery, enabled: actor === undefined })
  const projects = useQuery({ ...projectsQuery, enabled: target === undefined })
  const roles = useQuery(rolesQuery())
  const domainRoles = useQuery({ ...rolesQuery(target?.domain ?? ''), enabled: target !== undefined })
  const domainName = useDomainName()
  const inDomain = (rows: { id: string; name: string; domain_id: string }[] | undefined): Pickable[] =>
    (rows ?? []).map(({ id, name, domain_id }) => ({ id, name, of: domainName(domain_id) }))
  const among = {
    user: () => inDomain(users.data),
    group: () => inDomain(groups.data),
    project: () => inDomain(projects.data),
    domain: (): Pickable[] => domains.data ?? [],
    system: (): Pickable[] => [],
  }
  const choices = [...(roles.data ?? []), ...(domainRoles.data ?? [])]
  const kind = actor === undefined ? actorKind : targetKind
  const onSystem = actor !== undefined && targetKind === 'system'
  const give = useMutation({
    mutationFn: () =>
      grant({
        role,
        actor: actor ?? { kind: actorKind, id: picked ?? '' },
        target: target ?? { kind: targetKind, id: onSystem ? 'all' : (picked ?? '') },
        inherited: inherited && !onSystem,
      }),
    onSuccess: () => {
      void queryClient.invalidateQueries({ queryKey: keys.assignments })
    },
  })
  return (
    <FormModal
      title={t.roles.grant}
      button={t.roles.grant}
      what={t.roles.doing.grant}
      error={give.error}
      busy={give.isPending}
      ready={role !== '' && (picked !== undefined || onSystem)}
      submit={() => give.mutate(undefined, { onSuccess: close })}
      close={close}
    >
      <div className="wisp-pair">
        <Field label={actor === undefined ? t.roles.toWhat : t.roles.onWhat} id="grant-kind">
          <FormSelect
            id="grant-kind"
            value={kind}
            onChange={(_event, next) => {
              setPicked(undefined)
              if (actor === undefined) setActorKind(next as Grant['actor']['kind'])
              else setTargetKind(next as Grant['target']['kind'])
            }}
          >
            {(actor === undefined ? (['user', 'group'] as const) : (['project', 'domain', 'system'] as const)).map((each) => (
              <FormSelectOption key={each} value={each} label={t.roles.kinds[each]} />
            ))}
          </FormSelect>
        </Field>
        {!onSystem && (
          <Field label={t.roles.kinds[kind]} id="grant-pick" required help={t.pickHelp}>
            <Pick key={kind} id="grant-pick" among={among[kind]()} change={setPicked} />
          </Field>
        )}
      </div>
      <Field label={t.roles.one} id="grant-role" required>
        <FormSelect id="grant-role" value={role} onChange={(_event, next) => setRole(next)}>
          <FormSelectOption value="" label={t.choose} isPlaceholder />
          {choices.map(({ id, name, domain_id }) => (
            <FormSelectOption key={id} value={id} label={domain_id === null ? name : `${name} (${domainName(domain_id)})`} />
          ))}
        </FormSelect>
      </Field>
      {!onSystem && (
        <Checkbox
          id="grant-inherited"
          label={t.roles.inherited}
          description={t.roles.inheritedHelp}
          isChecked={inherited}
          onChange={(_event, on) => setInherited(on)}
        />
      )}
    </FormModal>
  )
}
