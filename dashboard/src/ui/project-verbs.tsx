// What can be done to a project, with its forms and questions. Used by the list and by a project's own page.
import { useMutation } from '@tanstack/react-query'
import { type ReactNode, useState } from 'react'
import { projectCan, roleCan } from '../api/can.ts'
import { keys } from '../api/keys.ts'
import { changeProject, deleteProject, type Project } from '../api/projects.ts'
import { queryClient } from '../api/query-client.ts'
import { useSession } from '../api/session.ts'
import { ProjectEdit } from '../forms/project-edit.tsx'
import { useText } from '../i18n/index.ts'
import { Confirm } from './confirm.tsx'
import type { RowAction } from './list.tsx'
import { toastProblem } from './toasts.tsx'

type Dialog = { kind: 'edit' | 'disable' | 'delete'; project: Project }
type ProjectVerbs = { actions: (project: Project, all: Project[]) => RowAction[]; dialog: ReactNode }

export function useProjectVerbs(afterDelete?: () => void): ProjectVerbs {
  const t = useText()
  const session = useSession()
  const [open, setOpen] = useState<Dialog>()
  const close = () => setOpen(undefined)
  const changed = () => queryClient.invalidateQueries({ queryKey: keys.projects })
  const enable = useMutation({
    mutationFn: (project: Project) => changeProject(project.id, { enabled: true }),
    onSuccess: changed,
    onError: (error) => toastProblem(t.projects.doing.change, error),
  })
  const actions = (project: Project, all: Project[]): RowAction[] => [
    { title: t.edit, no: roleCan.administerPeople(session), run: () => setOpen({ kind: 'edit', project }) },
    project.enabled
      ? { title: t.disable, no: projectCan.disable(project, session), run: () => setOpen({ kind: 'disable', project }) }
      : { title: t.enable, no: roleCan.administerPeople(session), run: () => enable.mutate(project) },
    {
      title: t.delete,
      no: projectCan.delete(project, all, session),
      run: () => setOpen({ kind: 'delete', project }),
      danger: true,
      separate: true,
    },
  ]
  if (open === undefined) return { actions, dialog: null }
  const { kind, project } = open
  if (kind === 'edit') return { actions, dialog: <ProjectEdit project={project} close={close} /> }
  const going = kind === 'delete'
  const dialog = (
    <Confirm
      title={going ? t.projects.confirmDelete : t.projects.confirmDisable}
      line={going ? t.projects.confirmDeleteLine : t.projects.confirmDisableLine}
      objects={[project]}
      button={going ? t.delete : t.disable}
      what={going ? t.projects.doing.delete : t.projects.doing.change}
      danger={going}
      run={async () => {
        if (going) await deleteProject(project.id)
        else await changeProject(project.id, { enabled: false })
        if (going) afterDelete?.()
        await changed()
      }}
      close={close}
    />
  )
  return { actions, dialog }
}
