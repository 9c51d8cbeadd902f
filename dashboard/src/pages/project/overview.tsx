// What a project is, where it stands in its tree, and which roles one has on it.
import { Label } from '@patternfly/react-core'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { projectsQuery } from '../../api/identity-queries.ts'
import type { Project } from '../../api/projects.ts'
import { seesPeople, useSession } from '../../api/session.ts'
import { useText } from '../../i18n/index.ts'
import { useDomainName } from '../../ui/domain-filter.tsx'
import { Labels } from '../../ui/labels.tsx'
import { Copyable, Facts, Panel } from '../../ui/pieces.tsx'

export function ProjectOverview({ project }: { project: Project }) {
  const t = useText()
  const session = useSession()
  const seesAll = seesPeople(session)
  const domainName = useDomainName(seesAll)
  const projects = useQuery({ ...projectsQuery, enabled: seesAll })
  const parent = projects.data?.find(({ id }) => id === project.parent_id)
  const below = projects.data?.filter(({ parent_id }) => parent_id === project.id) ?? []
  const link = ({ id, name }: Project) => (
    <Link key={id} to="/projects/$projectId" params={{ projectId: id }}>
      {name}
    </Link>
  )
  return (
    <div className="wisp-panels">
      <Panel title={t.projects.one}>
        <Facts
          of={[
            [t.id, <Copyable key="id" value={project.id} />],
            [t.domains.one, domainName(project.domain_id)],
            [t.projects.parent, parent === undefined ? '' : link(parent)],
            [
              t.projects.below,
              below.length === 0 ? (
                ''
              ) : (
                <span key="below" className="wisp-row">
                  {below.map(link)}
                </span>
              ),
            ],
            [
              t.images.tags,
              (project.tags ?? []).length === 0 ? (
                ''
              ) : (
                <Labels key="tags" label={t.images.tags}>
                  {project.tags?.map((tag) => (
                    <Label key={tag} isCompact>
                      {tag}
                    </Label>
                  ))}
                </Labels>
              ),
            ],
          ]}
        />
      </Panel>
      {project.id === session.project.id && (
        <Panel title={t.projects.yourRoles}>
          <Labels label={t.projects.yourRoles}>
            {session.roles.map((role) => (
              <Label key={role}>{role}</Label>
            ))}
          </Labels>
          <p className="wisp-subtle wisp-note-line">{t.projects.yourRolesLine}</p>
        </Panel>
      )}
    </div>
  )
}
