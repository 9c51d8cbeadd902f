// Creates a user, with a password and at will a first role on a project, or changes one.
import { Checkbox, FormSelect, FormSelectOption, TextInput } from '@patternfly/react-core'
import { useMutation, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { projectsQuery, rolesQuery } from '../api/identity-queries.ts'
import { keys } from '../api/keys.ts'
import { queryClient } from '../api/query-client.ts'
import { grant } from '../api/roles.ts'
import { useHomeDomain } from '../api/session.ts'
import { changeUser, createUser, type User } from '../api/users.ts'
import { useText } from '../i18n/index.ts'
import { DomainChoice, useDomainName } from '../ui/domain-filter.tsx'
import { Field } from '../ui/field.tsx'
import { FormModal } from '../ui/form-modal.tsx'
import { NewPassword } from '../ui/new-password.tsx'
import { Pick } from '../ui/pick.tsx'

/** Without `user` it creates one. */
export function UserEdit({ user, close, done }: { user?: User; close: () => void; done?: (id: string) => void }) {
  const t = useText()
  const home = useHomeDomain()
  const fresh = user === undefined
  const projects = useQuery(projectsQuery)
  const roles = useQuery({ ...rolesQuery(), enabled: fresh })
  const domainName = useDomainName()
  const [name, setName] = useState(user?.name ?? '')
  const [domain, setDomain] = useState(user?.domain_id ?? home)
  const [email, setEmail] = useState(user?.email ?? '')
  const [description, setDescription] = useState(user?.description ?? '')
  const [project, setProject] = useState(user?.default_project_id ?? undefined)
  const [unclear, setUnclear] = useState(false)
  const [password, setPassword] = useState<string>()
  const [mustChange, setMustChange] = useState(false)
  const [role, setRole] = useState<string>()
  const member = roles.data?.find((each) => each.name === 'member')?.id
  const chosenRole = role ?? member ?? ''
  const save = useMutation({
    mutationFn: async () => {
      const fields = {
        name: name.trim(),
        email: email.trim() || null,
        description: description || null,
        default_project_id: project ?? null,
      }
      if (user !== undefined) return changeUser(user.id, fields)
      const { email: mail, description: text, default_project_id: first } = fields
      const made = await createUser({
        name: fields.name,
        domain_id: domain,
        enabled: true,
        ...(mail === null ? {} : { email: mail }),
        ...(text === null ? {} : { description: text }),
        ...(first === null ? {} : { default_project_id: first }),
        ...(password === undefined ? {} : { password }),
        ...(mustChange ? {} : { options: { ignore_change_password_upon_first_use: true } }),
      })
      if (project !== undefined && chosenRole !== '')
        await grant({ role: chosenRole, actor: { kind: 'user', id: made.id }, target: { kind: 'project', id: project }, inherited: false })
      return made
    },
    onSuccess: () => {
      void queryClient.invalidateQueries({ queryKey: keys.users })
      void queryClient.invalidateQueries({ queryKey: keys.assignments })
    },
  })
  const finish = (id: string) => {
    close()
    done?.(id)
  }
  return (
    <FormModal
      title={fresh ? t.users.create : t.users.edit}
      button={fresh ? t.create : t.save}
      what={fresh ? t.users.doing.create : t.users.doing.change}
      error={save.error}
      busy={save.isPending}
      ready={name.trim() !== '' && !unclear && (!fresh || password !== undefined)}
      submit={() => save.mutate(undefined, { onSuccess: ({ id }) => finish(id) })}
      close={close}
    >
      <div className="wisp-pair">
        <Field label={t.name} id="user-name" required>
          <TextInput id="user-name" autoFocus autoComplete="off" value={name} onChange={(_event, value) => setName(value)} />
        </Field>
        {fresh && (
          <Field label={t.domains.one} id="user-domain">
            <DomainChoice id="user-domain" value={domain} change={setDomain} />
          </Field>
        )}
      </div>
      {fresh && (
        <>
          <NewPassword id="user-password" change={setPassword} />
          <Checkbox
            id="user-must-change"
            label={t.users.mustChange}
            description={t.users.mustChangeHelp}
            isChecked={mustChange}
            onChange={(_event, on) => setMustChange(on)}
          />
        </>
      )}
      <Field label={t.users.email} id="user-email">
        <TextInput id="user-email" type="email" autoComplete="off" value={email} onChange={(_event, value) => setEmail(value)} />
      </Field>
      <Field label={t.description} id="user-description">
        <TextInput id="user-description" value={description} onChange={(_event, value) => setDescription(value)} />
      </Field>
      <div className="wisp-pair">
        <Field label={t.users.defaultProject} id="user-project" help={fresh ? t.users.firstProjectHelp : t.users.defaultProjectHelp}>
          <Pick
            id="user-project"
            among={(projects.data ?? []).map(({ id, name: title, domain_id }) => ({ id, name: title, of: domainName(domain_id) }))}
            initial={user?.default_project_id ?? undefined}
            change={(id, nothingSo) => {
              setProject(id)
              setUnclear(nothingSo)
            }}
          />
        </Field>
        {fresh && project !== undefined && (
          <Field label={t.roles.one} id="user-role">
            <FormSelect id="user-role" value={chosenRole} onChange={(_event, value) => setRole(value)}>
              <FormSelectOption value="" label={t.none} />
              {roles.data?.map(({ id, name: title }) => (
                <FormSelectOption key={id} value={id} label={title} />
              ))}
            </FormSelect>
          </Field>
        )}
      </div>
    </FormModal>
  )
}
