// The editor of access rules: which requests an application credential may make; none means all.
import { Button, FormSelect, FormSelectOption, TextInput } from '@patternfly/react-core'
import TrashIcon from '@patternfly/react-icons/dist/esm/icons/trash-icon'
import type { AccessRule } from '../api/application-credentials.ts'
import { useSession } from '../api/session.ts'
import { useText } from '../i18n/index.ts'

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']

export const isRule = ({ service, method, path }: AccessRule): boolean => service !== '' && methods.includes(method) && path.startsWith('/')

export function AccessRules({ rules, change }: { rules: AccessRule[]; change: (rules: AccessRule[]) => void }) {
  const t = useText()
  const { catalog } = useSession()
  const services = [...new Set(catalog.map(({ type }) => type))].sort()
  const set = (at: number, part: Partial<AccessRule>) => change(rules.map((rule, index) => (index === at ? { ...rule, ...part } : rule)))
  return (
    <fieldset className="wisp-rules">
      <legend>{t.applicationCredentials.accessRules}</legend>
      <p className="wisp-subtle">{t.applicationCredentials.accessRulesHelp}</p>
      {rules.map((rule, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: rules have no identity until they are sent, and are only added at the end
        <div key={at} className="wisp-rule">
          <FormSelect
            aria-label={`${t.applicationCredentials.service} ${at + 1}`}
            value={rule.service}
            onChange={(_event, service) => set(at, { service })}
          >
            {services.map((service) => (
              <FormSelectOption key={service} value={service} label={service} />
            ))}
          </FormSelect>
          <FormSelect
            aria-label={`${t.applicationCredentials.method} ${at + 1}`}
            value={rule.method}
            onChange={(_event, method) => set(at, { method })}
          >
            {methods.map((method) => (
              <FormSelectOption key={method} value={method} label={method} />
            ))}
          </FormSelect>
          <TextInput
            aria-label={`${t.applicationCredentials.path} ${at + 1}`}
            placeholder="/v2.1/servers/**"
            value={rule.path}
            validated={rule.path === '' || rule.path.startsWith('/') ? 'default' : 'error'}
            onChange={(_event, path) => set(at, { path })}
          />
          <Button
            variant="plain"
            aria-label={`${t.applicationCredentials.removeRule} ${at + 1}`}
            icon={<TrashIcon />}
            onClick={() => change(rules.filter((_rule, index) => index !== at))}
          />
        </div>
      ))}
      <Button variant="secondary" size="sm" onClick={() => change([...rules, { service: 'compute', method: 'GET', path: '' }])}>
        {t.applicationCredentials.addRule}
      </Button>
    </fieldset>
  )
}
