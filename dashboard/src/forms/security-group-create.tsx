// Creates a security group; its rules are added on its own page.
import { TextInput } from '@patternfly/react-core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { keys } from '../api/keys.ts'
import { createSecurityGroup } from '../api/network.ts'
import { queryClient } from '../api/query-client.ts'
import { useText } from '../i18n/index.ts'
import { Field } from '../ui/field.tsx'
import { FormModal } from '../ui/form-modal.tsx'

export function SecurityGroupCreate({ close, done }: { close: () => void; done: (id: string) => void }) {
  const t = useText()
  const [name, setName] = useState('')
  const [description, setDescription] = useState('')
  const create = useMutation({
    mutationFn: () => createSecurityGroup(name.trim(), description.trim()),
    onSuccess: () => {
      void queryClient.invalidateQueries({ queryKey: keys.securityGroups })
      void queryClient.invalidateQueries({ queryKey: keys.networkQuotas })
    },
  })
  return (
    <FormModal
      title={t.securityGroups.create}
      button={t.create}
      what={t.securityGroups.doing.create}
      error={create.error}
      busy={create.isPending}
      ready={name.trim() !== ''}
      submit={() => create.mutate(undefined, { onSuccess: ({ id }) => done(id) })}
      close={close}
    >
      <Field label={t.name} id="group-name" required>
        <TextInput id="group-name" autoFocus value={name} onChange={(_event, value) => setName(value)} />
      </Field>
      <Field label={t.description} id="group-description">
        <TextInput id="group-description" value={description} onChange={(_event, value) => setDescription(value)} />
      </Field>
    </FormModal>
  )
}
