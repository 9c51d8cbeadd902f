// Creates a group or changes one.
import { TextInput } from '@patternfly/react-core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { keys } from '../api/keys.ts'
import { queryClient } from '../api/query-client.ts'
import { useHomeDomain } from '../api/session.ts'
import { changeGroup, createGroup, type Group } from '../api/users.ts'
import { useText } from '../i18n/index.ts'
import { DomainChoice } from '../ui/domain-filter.tsx'
import { Field } from '../ui/field.tsx'
import { FormModal } from '../ui/form-modal.tsx'

/** Without `group` it creates one. */
export function GroupEdit({ group, close, done }: { group?: Group; close: () => void; done?: (id: string) => void }) {
  const t = useText()
  const home = useHomeDomain()
  const fresh = group === undefined
  const [name, setName] = useState(group?.name ?? '')
  const [description, setDescription] = useState(group?.description ?? '')
  const [domain, setDomain] = useState(group?.domain_id ?? home)
  const save = useMutation({
    mutationFn: () => {
      const fields = { name: name.trim(), description }
      return group === undefined ? createGroup({ ...fields, domain_id: domain }) : changeGroup(group.id, fields)
    },
    onSuccess: () => {
      void queryClient.invalidateQueries({ queryKey: keys.groups })
    },
  })
  const finish = (id: string) => {
    close()
    done?.(id)
  }
  return (
    <FormModal
      title={fresh ? t.groups.create : t.groups.edit}
      button={fresh ? t.create : t.save}
      what={fresh ? t.groups.doing.create : t.groups.doing.change}
      error={save.error}
      busy={save.isPending}
      ready={name.trim() !== ''}
      submit={() => save.mutate(undefined, { onSuccess: ({ id }) => finish(id) })}
      close={close}
    >
      <Field label={t.name} id="group-name" required>
        <TextInput id="group-name" autoFocus maxLength={64} value={name} onChange={(_event, value) => setName(value)} />
      </Field>
      <Field label={t.description} id="group-description">
        <TextInput id="group-description" value={description} onChange={(_event, value) => setDescription(value)} />
      </Field>
      {fresh && (
        <Field label={t.domains.one} id="group-domain">
          <DomainChoice id="group-domain" value={domain} change={setDomain} />
        </Field>
      )}
    </FormModal>
  )
}
