// Changes a project's quotas of one service: a number each, -1 for no limit. Only what was changed is sent.
import { TextInput } from '@patternfly/react-core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { keys } from '../api/keys.ts'
import { setComputeQuotas, setNetworkQuotas } from '../api/limits.ts'
import type { Quota } from '../api/network.ts'
import { queryClient } from '../api/query-client.ts'
import { useText } from '../i18n/index.ts'
import { Field } from '../ui/field.tsx'
import { FormModal } from '../ui/form-modal.tsx'

type QuotaEditProps = { service: 'compute' | 'network'; projectId: string; quotas: [string, Quota][]; close: () => void }

const isLimit = (text: string) => /^(-1|\d{1,9})$/.test(text.trim())

export function QuotaEdit({ service, projectId, quotas, close }: QuotaEditProps) {
  const t = useText()
  const [values, setValues] = useState(Object.fromEntries(quotas.map(([name, { limit }]) => [name, String(limit)])))
  const changed = quotas.filter(([name, { limit }]) => values[name]?.trim() !== String(limit)).map(([name]) => name)
  const save = useMutation({
    mutationFn: () => {
      const limits = Object.fromEntries(changed.map((name) => [name, Number(values[name])]))
      return service === 'compute' ? setComputeQuotas(projectId, limits) : setNetworkQuotas(projectId, limits)
    },
    onSuccess: () => {
      for (const queryKey of [keys.computeQuotas(projectId), keys.networkQuotas, keys.limits])
        void queryClient.invalidateQueries({ queryKey })
    },
  })
  return (
    <FormModal
      title={`${t.limits.change}: ${t.limits[service]}`}
      button={t.save}
      what={t.limits.doing.change}
      error={save.error}
      busy={save.isPending}
      ready={changed.length > 0 && changed.every((name) => isLimit(values[name] ?? ''))}
      submit={() => save.mutate(undefined, { onSuccess: close })}
      close={close}
    >
      <p className="wisp-subtle">{t.limits.unlimitedHelp}</p>
      <div className="wisp-two-columns">
        {quotas.map(([name, { used }]) => (
          <Field
            key={name}
            label={name === 'ram' ? `${t.resources[name] ?? name} (MiB)` : (t.resources[name] ?? name)}
            id={`quota-${name}`}
            help={t.limits.used(used)}
            error={isLimit(values[name] ?? '') ? undefined : t.limits.bad}
          >
            <TextInput
              id={`quota-${name}`}
              inputMode="numeric"
              value={values[name] ?? ''}
              onChange={(_event, value) => setValues({ ...values, [name]: value })}
            />
          </Field>
        ))}
      </div>
    </FormModal>
  )
}
