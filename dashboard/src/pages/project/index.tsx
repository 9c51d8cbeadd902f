// One project: what it is, who has which role on it, and how much it may use.
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { projectQuery, projectsQuery } from '../../api/identity-queries.ts'
import { seesPeople, useSession } from '../../api/session.ts'
import { useText } from '../../i18n/index.ts'
import { type ProjectTab, projectTabs } from '../../routes.tsx'
import { Assignments } from '../../ui/assignments.tsx'
import { DetailPage, useLeave } from '../../ui/detail-page.tsx'
import { ActionMenu } from '../../ui/list.tsx'
import { useProjectVerbs } from '../../ui/project-verbs.tsx'
import { Quotas } from '../../ui/quotas.tsx'
import { EnabledState } from '../../ui/state.tsx'
import { Tabbed } from '../../ui/tabbed.tsx'
import { ProjectOverview } from './overview.tsx'

const route = getRouteApi('/inside/projects/$projectId')

export function ProjectPage() {
  const t = useText()
  const session = useSession()
  const navigate = useNavigate()
  const { projectId } = route.useParams()
  const { tab = 'overview' } = route.useSearch()
  const seesAll = seesPeople(session)
  const query = useQuery(projectQuery(projectId))
  const all = useQuery({ ...projectsQuery, enabled: seesAll })
  const { actions, dialog } = useProjectVerbs(useLeave('/projects'))
  const open = (next: ProjectTab) =>
    void navigate({ to: '/projects/$projectId', params: { projectId }, search: { tab: next === 'overview' ? undefined : next } })
  // Who else has a role is for administrators to know; what is used is asked of services that know projects only.
  const tabs = projectTabs.filter((name) => (seesAll || name !== 'members') && (name !== 'quotas' || session.scope.kind === 'project'))
  const shown = tabs.includes(tab) ? tab : 'overview'
  return (
    <DetailPage
      query={query}
      kind={t.projects.one}
      back={{ to: '/projects', text: t.projects.title }}
      head={(project) => ({
        title: project.name,
        line: project.description || undefined,
        beside: <EnabledState enabled={project.enabled} />,
        actions: <ActionMenu label={`${t.moreActions}: ${project.name}`} actions={actions(project, all.data ?? [])} />,
      })}
    >
      {(project) => (
        <>
          <Tabbed label={project.name} tabs={tabs} words={t.project} shown={shown} open={open}>
            {shown === 'overview' && <ProjectOverview project={project} />}
            {shown === 'members' && (
              <Assignments of={{ project: project.id }} target={{ kind: 'project', id: project.id, domain: project.domain_id }} />
            )}
            {shown === 'quotas' && <Quotas projectId={project.id} />}
          </Tabbed>
          {dialog}
        </>
      )}
    </DetailPage>
  )
}
