// Projects. Who administers or reads the cloud or a domain sees all of them, as the trees they form; everyone else the ones they have a role on.
import { Button } from '@patternfly/react-core'
import FolderIcon from '@patternfly/react-icons/dist/esm/icons/folder-icon'
import { useMutation, useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { roleCan } from '../api/can.ts'
import { switchProject } from '../api/identity.ts'
import { projectsOfQuery, projectsQuery } from '../api/identity-queries.ts'
import { asTree, type Project } from '../api/projects.ts'
import { seesPeople, useSession } from '../api/session.ts'
import { ProjectEdit } from '../forms/project-edit.tsx'
import { useText } from '../i18n/index.ts'
import type { IdentitySearch } from '../routes.tsx'
import { Collection } from '../ui/collection.tsx'
import { DomainFilter, useDomainName } from '../ui/domain-filter.tsx'
import { List } from '../ui/list.tsx'
import { NameFilter } from '../ui/name-filter.tsx'
import { Pages, pageOf } from '../ui/pages.tsx'
import { PageHeader } from '../ui/pieces.tsx'
import { useProjectVerbs } from '../ui/project-verbs.tsx'
import { EnabledState } from '../ui/state.tsx'
import { toastProblem } from '../ui/toasts.tsx'
import { WithReason } from '../ui/with-reason.tsx'

const route = getRouteApi('/inside/projects')

export function ProjectsPage() {
  const t = useText()
  const session = useSession()
  const navigate = useNavigate()
  const search = route.useSearch()
  const seesAll = seesPeople(session)
  const all = useQuery({ ...projectsQuery, enabled: seesAll })
  const own = useQuery({ ...projectsOfQuery(session.user.id), enabled: !seesAll })
  const domainName = useDomainName(seesAll)
  const projects = seesAll ? all : own
  const [creating, setCreating] = useState<{ parent?: Project }>()
  const verbs = useProjectVerbs()
  const enter = useMutation({ mutationFn: switchProject, onError: (error) => toastProblem(t.header.switchProject, error) })
  const change = (next: Partial<IdentitySearch>) =>
    void navigate({ to: '/projects', search: { ...search, page: undefined, ...next }, replace: 'name' in next })
  const wanted = search.name?.toLowerCase()
  const inDomain = (projects.data ?? []).filter(({ domain_id }) => search.domain === undefined || domain_id === search.domain)
  // A filtered list is flat: a tree with holes would mislead.
  const tree =
    wanted === undefined
      ? asTree(inDomain)
      : inDomain.filter(({ name, id }) => name.toLowerCase().includes(wanted) || id === wanted).map((project) => ({ project, depth: 0 }))
  const { rows, page, pages } = pageOf(tree, search.page ?? 1)
  const no = roleCan.administerPeople(session)
  const create = (
    <WithReason no={no}>
      <Button isDisabled={no !== undefined} onClick={() => setCreating({})}>
        {t.projects.create}
      </Button>
    </WithReason>
  )
  return (
    <>
      <PageHeader title={t.projects.title} line={seesAll ? undefined : t.projects.ownLine}>
        {create}
      </PageHeader>
      <div className="wisp-card">
        <div className="wisp-toolbar">
          <NameFilter label={t.projects.filter} value={search.name ?? ''} change={(name) => change({ name })} />
          {seesAll && <DomainFilter value={search.domain} change={(domain) => change({ domain })} />}
        </div>
        <Collection
          query={projects}
          all={projects.data?.length ?? 0}
          shown={rows.length}
          empty={{ title: t.projects.empty, icon: FolderIcon, action: create }}
          {...(wanted === undefined && search.domain === undefined ? {} : { clear: () => void navigate({ to: '/projects' }) })}
        >
          <List
            label={t.projects.title}
            rows={rows}
            idOf={({ project }) => project.id}
            nameOf={({ project }) => project.name}
            columns={[
              {
                title: t.name,
                main: true,
                cell: ({ project, depth }) => (
                  <span style={{ paddingInlineStart: `${depth * 1.4}rem` }} className={depth > 0 ? 'wisp-below' : undefined}>
                    <Link to="/projects/$projectId" params={{ projectId: project.id }}>
                      {project.name}
                    </Link>
                    {project.id === session.project.id && <span className="wisp-subtle"> · {t.projects.present}</span>}
                  </span>
                ),
              },
              { title: t.state, cell: ({ project }) => <EnabledState enabled={project.enabled} /> },
              ...(seesAll ? [{ title: t.domains.one, cell: ({ project }: { project: Project }) => domainName(project.domain_id) }] : []),
              { title: t.description, cell: ({ project }) => project.description || '—', secondary: true },
            ]}
            actions={({ project }) => [
              ...(project.id !== session.project.id && session.projects.some(({ id }) => id === project.id)
                ? [{ title: t.projects.enter, run: () => enter.mutate(project.id) }]
                : []),
              { title: t.projects.createBelow, no, run: () => setCreating({ parent: project }) },
              ...verbs.actions(project, projects.data ?? []),
            ]}
          />
          <Pages page={page} pages={pages} open={(next) => change({ page: next })} />
        </Collection>
      </div>
      {creating !== undefined && (
        <ProjectEdit
          parent={creating.parent}
          close={() => setCreating(undefined)}
          done={(projectId) => void navigate({ to: '/projects/$projectId', params: { projectId } })}
        />
      )}
      {verbs.dialog}
    </>
  )
}
