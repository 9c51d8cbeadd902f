// Makes one role bring another along: whoever has the first has the second, too.
import { FormSelect, FormSelectOption } from '@patternfly/react-core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { keys } from '../api/keys.ts'
import { queryClient } from '../api/query-client.ts'
import { implyRole, type Role } from '../api/roles.ts'
import { useText } from '../i18n/index.ts'
import { Field } from '../ui/field.tsx'
import { FormModal } from '../ui/form-modal.tsx'

export function ImpliedRole({ role, among, close }: { role: Role; among: Role[]; close: () => void }) {
  const t = useText()
  const [implied, setImplied] = useState('')
  const save = useMutation({
    mutationFn: () => implyRole(role.id, implied),
    onSuccess: () => {
      void queryClient.invalidateQueries({ queryKey: keys.roles })
    },
  })
  return (
    <FormModal
      title={t.roles.imply}
      button={t.add}
      what={t.roles.doing.imply}
      error={save.error}
      busy={save.isPending}
      ready={implied !== ''}
      submit={() => save.mutate(undefined, { onSuccess: close })}
      close={close}
    >
      <Field label={t.roles.alsoGets(role.name)} id="implied-role" required>
        <FormSelect id="implied-role" autoFocus value={implied} onChange={(_event, value) => setImplied(value)}>
          <FormSelectOption value="" label={t.choose} isPlaceholder />
          {among.map(({ id, name }) => (
            <FormSelectOption key={id} value={id} label={name} />
          ))}
        </FormSelect>
      </Field>
    </FormModal>
  )
}
