// Creates a project, in a domain or below another project, or changes one.
import { Checkbox, TextInput } from '@patternfly/react-core'
import { useMutation, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { projectsQuery } from '../api/identity-queries.ts'
import { keys } from '../api/keys.ts'
import { changeProject, createProject, type Project } from '../api/projects.ts'
import { queryClient } from '../api/query-client.ts'
import { useHomeDomain } from '../api/session.ts'
import { useText } from '../i18n/index.ts'
import { DomainChoice } from '../ui/domain-filter.tsx'
import { Field } from '../ui/field.tsx'
import { FormModal } from '../ui/form-modal.tsx'
import { Pick } from '../ui/pick.tsx'
import { splitTags } from './image-words.ts'

type ProjectEditProps = { project?: Project; parent?: Project | undefined; close: () => void; done?: (id: string) => void }

/** Without `project` it creates one; `parent` is where it suggests to put it. */
export function ProjectEdit({ project, parent, close, done }: ProjectEditProps) {
  const t = useText()
  const home = useHomeDomain()
  const fresh = project === undefined
  const projects = useQuery({ ...projectsQuery, enabled: fresh })
  const [name, setName] = useState(project?.name ?? '')
  const [description, setDescription] = useState(project?.description ?? '')
  const [domain, setDomain] = useState(parent?.domain_id ?? home)
  const [above, setAbove] = useState(parent?.id)
  const [unclear, setUnclear] = useState(false)
  const [tags, setTags] = useState(project?.tags?.join(', ') ?? '')
  const [enabled, setEnabled] = useState(project?.enabled ?? true)
  const save = useMutation({
    mutationFn: () => {
      const fields = { name: name.trim(), description, enabled, tags: splitTags(tags) }
      if (project !== undefined) return changeProject(project.id, fields)
      return createProject({ ...fields, domain_id: domain, ...(above === undefined ? {} : { parent_id: above }) })
    },
    onSuccess: () => {
      void queryClient.invalidateQueries({ queryKey: keys.projects })
    },
  })
  // What is above is in the same domain; the field begins anew with it.
  const move = (next: string) => {
    setDomain(next)
    setUnclear(false)
    setAbove(next === parent?.domain_id ? parent.id : undefined)
  }
  const finish = (id: string) => {
    close()
    done?.(id)
  }
  return (
    <FormModal
      title={fresh ? t.projects.create : t.projects.edit}
      button={fresh ? t.create : t.save}
      what={fresh ? t.projects.doing.create : t.projects.doing.change}
      error={save.error}
      busy={save.isPending}
      ready={name.trim() !== '' && !unclear}
      submit={() => save.mutate(undefined, { onSuccess: ({ id }) => finish(id) })}
      close={close}
    >
      <Field label={t.name} id="project-name" required>
        <TextInput id="project-name" autoFocus maxLength={64} value={name} onChange={(_event, value) => setName(value)} />
      </Field>
      <Field label={t.description} id="project-description">
        <TextInput id="project-description" value={description} onChange={(_event, value) => setDescription(value)} />
      </Field>
      {fresh && (
        <div className="wisp-pair">
          <Field label={t.domains.one} id="project-domain">
            <DomainChoice id="project-domain" value={domain} change={move} />
          </Field>
          <Field label={t.projects.parent} id="project-parent" help={t.projects.parentHelp}>
            <Pick
              key={domain}
              id="project-parent"
              among={(projects.data ?? []).filter(({ domain_id }) => domain_id === domain)}
              initial={parent?.id}
              change={(id, nothingSo) => {
                setAbove(id)
                setUnclear(nothingSo)
              }}
            />
          </Field>
        </div>
      )}
      <Field label={t.images.tags} id="project-tags" help={t.images.tagsHelp}>
        <TextInput id="project-tags" value={tags} onChange={(_event, value) => setTags(value)} />
      </Field>
      {fresh && <Checkbox id="project-enabled" label={t.enabled} isChecked={enabled} onChange={(_event, on) => setEnabled(on)} />}
    </FormModal>
  )
}
