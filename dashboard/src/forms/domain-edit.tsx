// Creates a domain or changes one.
import { TextInput } from '@patternfly/react-core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { keys } from '../api/keys.ts'
import { changeDomain, createDomain, type Domain } from '../api/projects.ts'
import { queryClient } from '../api/query-client.ts'
import { useText } from '../i18n/index.ts'
import { Field } from '../ui/field.tsx'
import { FormModal } from '../ui/form-modal.tsx'

/** Without `domain` it creates one. */
export function DomainEdit({ domain, close }: { domain?: Domain; close: () => void }) {
  const t = useText()
  const fresh = domain === undefined
  const [name, setName] = useState(domain?.name ?? '')
  const [description, setDescription] = useState(domain?.description ?? '')
  const save = useMutation({
    mutationFn: () => {
      const fields = { name: name.trim(), description }
      return domain === undefined ? createDomain({ ...fields, enabled: true }) : changeDomain(domain.id, fields)
    },
    onSuccess: () => {
      void queryClient.invalidateQueries({ queryKey: keys.domains })
    },
  })
  return (
    <FormModal
      title={fresh ? t.domains.create : t.domains.edit}
      button={fresh ? t.create : t.save}
      what={fresh ? t.domains.doing.create : t.domains.doing.change}
      error={save.error}
      busy={save.isPending}
      ready={name.trim() !== ''}
      submit={() => save.mutate(undefined, { onSuccess: close })}
      close={close}
    >
      <Field label={t.name} id="domain-name" required>
        <TextInput id="domain-name" autoFocus maxLength={64} value={name} onChange={(_event, value) => setName(value)} />
      </Field>
      <Field label={t.description} id="domain-description">
        <TextInput id="domain-description" value={description} onChange={(_event, value) => setDescription(value)} />
      </Field>
    </FormModal>
  )
}
