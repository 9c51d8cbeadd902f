// Registers a limit for every project, changes a registered one, or gives one project its own.
import { FormSelect, FormSelectOption, TextInput } from '@patternfly/react-core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { keys } from '../api/keys.ts'
import {
  changeProjectLimit,
  changeRegisteredLimit,
  createProjectLimit,
  createRegisteredLimit,
  type EffectiveLimit,
  type Service,
} from '../api/limits.ts'
import { queryClient } from '../api/query-client.ts'
import { useSession } from '../api/session.ts'
import { useText } from '../i18n/index.ts'
import { Field } from '../ui/field.tsx'
import { FormModal } from '../ui/form-modal.tsx'

type LimitEditProps = { of?: EffectiveLimit; own?: boolean; projectId: string; services: Service[]; close: () => void }

/** Without `of` it registers one; with `own` it is about the project's instead of the registered limit. */
export function LimitEdit({ of, own = false, projectId, services, close }: LimitEditProps) {
  const t = useText()
  const { regions } = useSession()
  const [service, setService] = useState(of?.registered.service_id ?? '')
  const [region, setRegion] = useState(of?.registered.region_id ?? '')
  const [resource, setResource] = useState(of?.registered.resource_name ?? '')
  const [description, setDescription] = useState(of?.registered.description ?? '')
  const [limit, setLimit] = useState(of === undefined ? '' : String(own ? of.limit : of.registered.default_limit))
  const fresh = of === undefined
  const good = /^(-1|\d{1,9})$/.test(limit.trim())
  const save = useMutation({
    mutationFn: () => {
      const value = Number(limit)
      if (of === undefined)
        return createRegisteredLimit({
          service_id: service,
          resource_name: resource.trim(),
          default_limit: value,
          ...(region === '' ? {} : { region_id: region }),
          ...(description === '' ? {} : { description }),
        })
      if (!own) return changeRegisteredLimit(of.registered.id, { default_limit: value, description })
      if (of.own !== undefined) return changeProjectLimit(of.own.id, value)
      const { service_id, region_id, resource_name } = of.registered
      return createProjectLimit({ service_id, region_id, resource_name, resource_limit: value, project_id: projectId })
    },
    onSuccess: () => {
      void queryClient.invalidateQueries({ queryKey: keys.unifiedLimits })
    },
  })
  return (
    <FormModal
      title={fresh ? t.limits.register : own ? t.limits.setOwn : t.limits.editRegistered}
      button={t.save}
      what={t.limits.doing.change}
      error={save.error}
      busy={save.isPending}
      ready={good && (!fresh || (service !== '' && resource.trim() !== ''))}
      submit={() => save.mutate(undefined, { onSuccess: close })}
      close={close}
    >
      {fresh ? (
        <>
          <div className="wisp-pair">
            <Field label={t.limits.service} id="limit-service" required>
              <FormSelect id="limit-service" value={service} onChange={(_event, value) => setService(value)}>
                <FormSelectOption value="" label={t.choose} isPlaceholder />
                {services.map(({ id, type, name }) => (
                  <FormSelectOption key={id} value={id} label={name === undefined ? type : `${type} (${name})`} />
                ))}
              </FormSelect>
            </Field>
            <Field label={t.header.region} id="limit-region">
              <FormSelect id="limit-region" value={region} onChange={(_event, value) => setRegion(value)}>
                <FormSelectOption value="" label={t.limits.everyRegion} />
                {regions.map((name) => (
                  <FormSelectOption key={name} value={name} label={name} />
                ))}
              </FormSelect>
            </Field>
          </div>
          <Field label={t.limits.resource} id="limit-resource" required help={t.limits.resourceHelp}>
            <TextInput id="limit-resource" value={resource} onChange={(_event, value) => setResource(value)} />
          </Field>
        </>
      ) : (
        <p>
          <strong>{resource}</strong> {own && <span className="wisp-subtle">{t.limits.insteadOf(of.registered.default_limit)}</span>}
        </p>
      )}
      <Field
        label={t.limits.limit}
        id="limit-value"
        required
        help={t.limits.unlimitedHelp}
        error={limit === '' || good ? undefined : t.limits.bad}
      >
        <TextInput id="limit-value" inputMode="numeric" value={limit} onChange={(_event, value) => setLimit(value)} />
      </Field>
      {!own && (
        <Field label={t.description} id="limit-description">
          <TextInput id="limit-description" value={description} onChange={(_event, value) => setDescription(value)} />
        </Field>
      )}
    </FormModal>
  )
}
