// Adds a rule to a security group: the usual ones by name, anything else field by field.
import { FormSelect, FormSelectOption, TextInput } from '@patternfly/react-core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { keys } from '../api/keys.ts'
import { createSecurityGroupRule } from '../api/network.ts'
import { queryClient } from '../api/query-client.ts'
import { useText } from '../i18n/index.ts'
import { Field } from '../ui/field.tsx'
import { FormModal } from '../ui/form-modal.tsx'

type Preset = 'ssh' | 'http' | 'https' | 'ping' | 'custom'
const portOf: Partial<Record<Preset, number>> = { ssh: 22, http: 80, https: 443 }

export function SecurityGroupRuleCreate({ groupId, close }: { groupId: string; close: () => void }) {
  const t = useText()
  const [preset, setPreset] = useState<Preset>('ssh')
  const [direction, setDirection] = useState<'ingress' | 'egress'>('ingress')
  const [protocol, setProtocol] = useState('tcp')
  const [first, setFirst] = useState('')
  const [last, setLast] = useState('')
  const [version, setVersion] = useState<'IPv4' | 'IPv6'>('IPv4')
  const [cidr, setCidr] = useState('')
  const custom = preset === 'custom'
  const usesPorts = custom && (protocol === 'tcp' || protocol === 'udp')
  const from = first === '' ? null : Number(first)
  const to = last === '' ? from : Number(last)
  const isPort = (port: number | null) => port === null || (Number.isInteger(port) && port >= 1 && port <= 65_535)
  const bad = usesPorts && !(isPort(from) && isPort(to) && (from === null ? to === null : to !== null && to >= from))
  const add = useMutation({
    mutationFn: () => {
      const preference = portOf[preset]
      const ports = custom
        ? usesPorts
          ? { min: from, max: to }
          : { min: null, max: null }
        : { min: preference ?? null, max: preference ?? null }
      const chosen = custom ? protocol : preset === 'ping' ? 'icmp' : 'tcp'
      return createSecurityGroupRule({
        security_group_id: groupId,
        direction: custom ? direction : 'ingress',
        ethertype: cidr.includes(':') ? 'IPv6' : cidr === '' ? version : 'IPv4',
        protocol: chosen === 'any' ? null : chosen,
        ...(ports.min === null ? {} : { port_range_min: ports.min, port_range_max: ports.max }),
        ...(cidr.trim() === '' ? {} : { remote_ip_prefix: cidr.trim() }),
      })
    },
    onSuccess: () => {
      void queryClient.invalidateQueries({ queryKey: keys.securityGroups })
    },
  })
  return (
    <FormModal
      title={t.securityGroups.addRule}
      button={t.securityGroups.addRule}
      what={t.securityGroups.doing.rule}
      error={add.error}
      busy={add.isPending}
      ready={!bad}
      submit={() => add.mutate(undefined, { onSuccess: close })}
      close={close}
    >
      <Field label={t.securityGroups.what} id="preset">
        <FormSelect id="preset" value={preset} onChange={(_event, value) => setPreset(value as Preset)}>
          {Object.entries(t.securityGroups.presets).map(([value, label]) => (
            <FormSelectOption key={value} value={value} label={label} />
          ))}
        </FormSelect>
      </Field>
      {custom && (
        <div className="wisp-inline wisp-inline-top">
          <Field label={t.securityGroups.direction} id="direction">
            <FormSelect
              id="direction"
              value={direction}
              onChange={(_event, value) => setDirection(value === 'egress' ? 'egress' : 'ingress')}
            >
              <FormSelectOption value="ingress" label={t.securityGroups.ingress} />
              <FormSelectOption value="egress" label={t.securityGroups.egress} />
            </FormSelect>
          </Field>
          <Field label={t.securityGroups.protocol} id="protocol">
            <FormSelect id="protocol" value={protocol} onChange={(_event, value) => setProtocol(value)}>
              {['tcp', 'udp', 'icmp'].map((value) => (
                <FormSelectOption key={value} value={value} label={value.toUpperCase()} />
              ))}
              <FormSelectOption value="any" label={t.securityGroups.any} />
            </FormSelect>
          </Field>
          <Field label={t.securityGroups.version} id="version">
            <FormSelect id="version" value={version} onChange={(_event, value) => setVersion(value === 'IPv6' ? 'IPv6' : 'IPv4')}>
              <FormSelectOption value="IPv4" label="IPv4" />
              <FormSelectOption value="IPv6" label="IPv6" />
            </FormSelect>
          </Field>
        </div>
      )}
      {usesPorts && (
        <div className="wisp-inline wisp-inline-top">
          <Field label={t.securityGroups.portFrom} id="port-first" error={bad ? t.securityGroups.portBad : undefined}>
            <TextInput id="port-first" inputMode="numeric" value={first} onChange={(_event, value) => setFirst(value)} />
          </Field>
          <Field label={t.securityGroups.portTo} id="port-last">
            <TextInput id="port-last" inputMode="numeric" value={last} onChange={(_event, value) => setLast(value)} />
          </Field>
        </div>
      )}
      <Field label={t.securityGroups.cidr} id="remote-cidr" help={t.securityGroups.cidrHelp}>
        <TextInput id="remote-cidr" placeholder="0.0.0.0/0" value={cidr} onChange={(_event, value) => setCidr(value)} />
      </Field>
    </FormModal>
  )
}
