// The field above a list of identity that narrows it to one domain. A cloud with one domain has no use for it.
import { FormSelect, FormSelectOption } from '@patternfly/react-core'
import { useQuery } from '@tanstack/react-query'
import { domainsQuery } from '../api/identity-queries.ts'
import { useText } from '../i18n/index.ts'

export function DomainFilter({ value, change }: { value: string | undefined; change: (domain: string | undefined) => void }) {
  const t = useText()
  const domains = useQuery(domainsQuery)
  if ((domains.data?.length ?? 0) < 2) return null
  return (
    <FormSelect aria-label={t.domains.one} value={value ?? ''} onChange={(_event, domain) => change(domain || undefined)}>
      <FormSelectOption value="" label={t.domains.any} />
      {domains.data?.map(({ id, name }) => (
        <FormSelectOption key={id} value={id} label={name} />
      ))}
    </FormSelect>
  )
}

/** The field of a form that says in which domain something is made. */
export function DomainChoice({ id, value, change }: { id: string; value: string; change: (domain: string) => void }) {
  const domains = useQuery(domainsQuery)
  return (
    <FormSelect id={id} value={value} onChange={(_event, domain) => change(domain)}>
      {domains.data?.map((domain) => (
        <FormSelectOption key={domain.id} value={domain.id} label={domain.name} />
      ))}
    </FormSelect>
  )
}

/** Names of domains by their ids; the id itself for whoever may not see the names. */
export function useDomainName(enabled = true): (id: string) => string {
  const domains = useQuery({ ...domainsQuery, enabled })
  return (id) => domains.data?.find((domain) => domain.id === id)?.name ?? id
}
