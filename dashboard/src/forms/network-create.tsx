// Creates a network with its first subnet, or adds a subnet to a network that exists.
import { Checkbox, TextInput } from '@patternfly/react-core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { keys } from '../api/keys.ts'
import { createNetwork, createSubnet, deleteNetwork } from '../api/network.ts'
import { queryClient } from '../api/query-client.ts'
import { useText } from '../i18n/index.ts'
import { Field } from '../ui/field.tsx'
import { FormModal } from '../ui/form-modal.tsx'

const looksLikeCidr = (text: string) => /^(\d{1,3}(\.\d{1,3}){3}|[0-9a-f:]*:[0-9a-f:.]*)\/\d{1,3}$/i.test(text)

/** With `network` it only adds a subnet to that one. */
export function NetworkCreate({ network, close }: { network?: { id: string; name: string }; close: () => void }) {
  const t = useText()
  const [name, setName] = useState('')
  const [withSubnet, setWithSubnet] = useState(true)
  const [cidr, setCidr] = useState('')
  const [gateway, setGateway] = useState(true)
  const [dhcp, setDhcp] = useState(true)
  const [dns, setDns] = useState('')
  const create = useMutation({
    mutationFn: async () => {
      const made = network ?? (await createNetwork(name.trim()))
      if (!withSubnet) return
      try {
        const servers = dns.split(/[\s,]+/).filter((address) => address !== '')
        await createSubnet({
          network_id: made.id,
          name: network === undefined ? `${made.name}-subnet` : name.trim(),
          cidr: cidr.trim(),
          ip_version: cidr.includes(':') ? 6 : 4,
          enable_dhcp: dhcp,
          ...(gateway ? {} : { gateway_ip: null }),
          ...(servers.length > 0 ? { dns_nameservers: servers } : {}),
        })
      } catch (error) {
        // Refused as one: the form can be corrected and sent again without leaving an empty network each time.
        if (network === undefined) await deleteNetwork(made.id).catch(() => undefined)
        throw error
      }
    },
    onSettled: () => {
      for (const queryKey of [keys.networks, keys.subnets, keys.networkQuotas]) void queryClient.invalidateQueries({ queryKey })
    },
  })
  const bad = cidr.trim() !== '' && !looksLikeCidr(cidr.trim()) ? t.networks.cidrBad : undefined
  return (
    <FormModal
      title={network === undefined ? t.networks.create : t.networks.addSubnet}
      button={t.create}
      what={network === undefined ? t.networks.doing.create : t.networks.doing.subnet}
      error={create.error}
      busy={create.isPending}
      ready={(name.trim() !== '' || network !== undefined) && (!withSubnet || (cidr.trim() !== '' && bad === undefined))}
      submit={() => create.mutate(undefined, { onSuccess: close })}
      close={close}
    >
      <Field label={network === undefined ? t.name : t.networks.subnetName} id="network-name" required={network === undefined}>
        <TextInput id="network-name" autoFocus value={name} onChange={(_event, value) => setName(value)} />
      </Field>
      {network === undefined && (
        <Checkbox id="with-subnet" label={t.networks.withSubnet} isChecked={withSubnet} onChange={(_event, on) => setWithSubnet(on)} />
      )}
      {withSubnet && (
        <>
          <Field label={t.networks.cidr} id="cidr" required help={t.networks.cidrHelp} error={bad}>
            <TextInput id="cidr" value={cidr} onChange={(_event, value) => setCidr(value)} />
          </Field>
          <Checkbox id="gateway" label={t.networks.gatewayOn} isChecked={gateway} onChange={(_event, on) => setGateway(on)} />
          <Checkbox id="dhcp" label={t.networks.dhcpOn} isChecked={dhcp} onChange={(_event, on) => setDhcp(on)} />
          <Field label={t.networks.dns} id="dns" help={t.networks.dnsHelp}>
            <TextInput id="dns" value={dns} onChange={(_event, value) => setDns(value)} />
          </Field>
        </>
      )}
    </FormModal>
  )
}
