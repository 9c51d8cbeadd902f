// Creates a role, of the cloud or of one domain, or changes one.
import { FormSelect, FormSelectOption, TextInput } from '@patternfly/react-core'
import { useMutation, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { domainsQuery } from '../api/identity-queries.ts'
import { keys } from '../api/keys.ts'
import { queryClient } from '../api/query-client.ts'
import { changeRole, createRole, type Role } from '../api/roles.ts'
import { useText } from '../i18n/index.ts'
import { Field } from '../ui/field.tsx'
import { FormModal } from '../ui/form-modal.tsx'

/** Without `role` it creates one; `domain` is whose roles are being looked at. */
export function RoleEdit({ role, domain, close }: { role?: Role; domain: string | undefined; close: () => void }) {
  const t = useText()
  const fresh = role === undefined
  const domains = useQuery(domainsQuery)
  const [name, setName] = useState(role?.name ?? '')
  const [description, setDescription] = useState(role?.description ?? '')
  const [within, setWithin] = useState(domain ?? '')
  const save = useMutation({
    mutationFn: () => {
      const fields = { name: name.trim(), description }
      if (role !== undefined) return changeRole(role.id, fields)
      return createRole(within === '' ? fields : { ...fields, domain_id: within })
    },
    onSuccess: () => {
      void queryClient.invalidateQueries({ queryKey: keys.roles })
    },
  })
  return (
    <FormModal
      title={fresh ? t.roles.create : t.roles.edit}
      button={fresh ? t.create : t.save}
      what={fresh ? t.roles.doing.create : t.roles.doing.change}
      error={save.error}
      busy={save.isPending}
      ready={name.trim() !== ''}
      submit={() => save.mutate(undefined, { onSuccess: close })}
      close={close}
    >
      <Field label={t.name} id="role-name" required>
        <TextInput id="role-name" autoFocus maxLength={255} value={name} onChange={(_event, value) => setName(value)} />
      </Field>
      <Field label={t.description} id="role-description">
        <TextInput id="role-description" value={description} onChange={(_event, value) => setDescription(value)} />
      </Field>
      {fresh && (
        <Field label={t.roles.ofDomain} id="role-domain" help={t.roles.ofDomainHelp}>
          <FormSelect id="role-domain" value={within} onChange={(_event, value) => setWithin(value)}>
            <FormSelectOption value="" label={t.roles.ofCloud} />
            {domains.data?.map(({ id, name: title }) => (
              <FormSelectOption key={id} value={id} label={title} />
            ))}
          </FormSelect>
        </Field>
      )}
    </FormModal>
  )
}
