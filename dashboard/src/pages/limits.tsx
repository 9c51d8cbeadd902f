// How much a project may have: the quotas with their use as bars, and identity's limits, registered for everyone and a project's own.
import { FormGroup } from '@patternfly/react-core'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { projectsQuery } from '../api/identity-queries.ts'
import { isAdmin, useSession } from '../api/session.ts'
import { useText } from '../i18n/index.ts'
import { limitsTabs } from '../routes.tsx'
import { useDomainName } from '../ui/domain-filter.tsx'
import { Pick } from '../ui/pick.tsx'
import { PageHeader } from '../ui/pieces.tsx'
import { Quotas } from '../ui/quotas.tsx'
import { Tabbed } from '../ui/tabbed.tsx'
import { UnifiedLimits } from '../ui/unified-limits.tsx'

const route = getRouteApi('/inside/limits')

function ProjectChoice({ value, change }: { value: string; change: (id: string) => void }) {
  const t = useText()
  const projects = useQuery(projectsQuery)
  const domainName = useDomainName()
  if (projects.data === undefined) return null
  return (
    <FormGroup label={t.servers.project} fieldId="limits-project" className="wisp-gap-below wisp-narrow-field">
      <Pick
        id="limits-project"
        among={projects.data.map(({ id, name, domain_id }) => ({ id, name, of: domainName(domain_id) }))}
        initial={value}
        change={(id) => id !== undefined && change(id)}
      />
    </FormGroup>
  )
}

export function LimitsPage() {
  const t = useText()
  const session = useSession()
  const navigate = useNavigate()
  const search = route.useSearch()
  const { tab = 'quotas' } = search
  const admin = isAdmin(session)
  const project = (admin ? search.project : undefined) ?? session.project.id
  return (
    <>
      <PageHeader title={t.limits.title} line={t.limits.line} />
      {admin && (
        <ProjectChoice
          value={project}
          change={(id) => void navigate({ to: '/limits', search: { ...search, project: id === session.project.id ? undefined : id } })}
        />
      )}
      <Tabbed
        label={t.limits.title}
        tabs={limitsTabs}
        words={t.limits.tabs}
        shown={tab}
        open={(next) => void navigate({ to: '/limits', search: { ...search, tab: next === 'quotas' ? undefined : next } })}
      >
        {tab === 'quotas' ? <Quotas projectId={project} /> : <UnifiedLimits projectId={project} />}
      </Tabbed>
    </>
  )
}
