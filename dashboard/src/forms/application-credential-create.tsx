// Creates an application credential with no more roles, time and requests than it needs; its secret is shown once, with the files that hold it.
import { Alert, Button, Checkbox, ExpandableSection, Modal, ModalBody, ModalFooter, ModalHeader, TextInput } from '@patternfly/react-core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import {
  type AccessRule,
  cloudsYaml,
  createApplicationCredential,
  type NewApplicationCredential,
  openrc,
} from '../api/application-credentials.ts'
import { authUrl } from '../api/identity.ts'
import { keys } from '../api/keys.ts'
import { queryClient } from '../api/query-client.ts'
import { useSession } from '../api/session.ts'
import { shellWord } from '../api/shell.ts'
import { useText } from '../i18n/index.ts'
import { AccessRules, isRule } from '../ui/access-rules.tsx'
import { Field } from '../ui/field.tsx'
import { FormModal } from '../ui/form-modal.tsx'
import { saveFile } from '../ui/format.ts'
import { Copyable, Facts } from '../ui/pieces.tsx'

/** A file's name from any text. */
const fileName = (name: string) => name.replaceAll(/[^\w.-]+/g, '-')

function Secret({ made, close }: { made: NewApplicationCredential; close: () => void }) {
  const t = useText()
  const { region, project } = useSession()
  const [kept, setKept] = useState(false)
  const place = { authUrl: authUrl(), region, cloud: `${project.name}-${made.name}` }
  const save = (name: string, content: string) => {
    saveFile(name, content)
    setKept(true)
  }
  // Without a close button: the secret must not be lost by a slip of the hand.
  return (
    <Modal variant="medium" isOpen aria-labelledby="secret-title">
      <ModalHeader title={t.applicationCredentials.secretTitle} labelId="secret-title" />
      <ModalBody className="wisp-stack">
        <Alert isInline variant="warning" variantLabel={`${t.warning}:`} title={t.applicationCredentials.secretLine} />
        <Facts
          of={[
            [t.id, <Copyable key="id" value={made.id} />],
            [t.applicationCredentials.secret, <Copyable key="secret" value={made.secret} />],
          ]}
        />
        <div className="wisp-row">
          <Button onClick={() => save('clouds.yaml', cloudsYaml(made, place))}>{t.applicationCredentials.downloadClouds}</Button>
          <Button variant="secondary" onClick={() => save(`${fileName(made.name)}-openrc.sh`, openrc(made, place))}>
            {t.applicationCredentials.downloadOpenrc}
          </Button>
        </div>
        <p className="wisp-subtle">{t.applicationCredentials.thenUse}</p>
        <Copyable value={`openstack --os-cloud ${shellWord(place.cloud)} server list`} />
        <Checkbox id="secret-kept" label={t.applicationCredentials.keptOtherwise} isChecked={kept} onChange={(_event, on) => setKept(on)} />
      </ModalBody>
      <ModalFooter>
        <Button variant="secondary" isDisabled={!kept} onClick={close}>
          {t.keyPairs.saved}
        </Button>
      </ModalFooter>
    </Modal>
  )
}

export function ApplicationCredentialCreate({ close }: { close: () => void }) {
  const t = useText()
  const session = useSession()
  const [name, setName] = useState('')
  const [description, setDescription] = useState('')
  const [roles, setRoles] = useState<ReadonlySet<string>>(new Set(session.roles))
  const [expires, setExpires] = useState('')
  const [own, setOwn] = useState('')
  const [unrestricted, setUnrestricted] = useState(false)
  const [rules, setRules] = useState<AccessRule[]>([])
  const [more, setMore] = useState(false)
  const past = expires !== '' && Date.parse(expires) <= Date.now()
  const create = useMutation({
    mutationFn: () =>
      createApplicationCredential(session.user.id, {
        name: name.trim(),
        unrestricted,
        ...(description === '' ? {} : { description }),
        ...(own === '' ? {} : { secret: own }),
        // The field is in this computer's time, the service's times are UTC without saying so.
        ...(expires === '' ? {} : { expires_at: new Date(expires).toISOString().slice(0, 19) }),
        // All of them is what the service gives by itself.
        ...(roles.size === session.roles.length ? {} : { roles: [...roles].map((role) => ({ name: role })) }),
        ...(rules.length === 0 ? {} : { access_rules: rules }),
      }),
    onSuccess: () => void queryClient.invalidateQueries({ queryKey: keys.applicationCredentials }),
  })
  if (create.data !== undefined) return <Secret made={create.data} close={close} />
  const toggle = (role: string, on: boolean) => setRoles(new Set(session.roles.filter((each) => (each === role ? on : roles.has(each)))))
  return (
    <FormModal
      title={t.applicationCredentials.create}
      button={t.create}
      what={t.applicationCredentials.doing.create}
      error={create.error}
      busy={create.isPending}
      ready={name.trim() !== '' && roles.size > 0 && !past && rules.every(isRule)}
      submit={() => create.mutate()}
      close={close}
      stays
    >
      <p className="wisp-subtle">{t.applicationCredentials.forProject(session.project.name)}</p>
      <Field label={t.name} id="credential-name" required>
        <TextInput id="credential-name" autoFocus maxLength={255} value={name} onChange={(_event, value) => setName(value)} />
      </Field>
      <Field label={t.description} id="credential-description">
        <TextInput id="credential-description" value={description} onChange={(_event, value) => setDescription(value)} />
      </Field>
      <Field label={t.roles.title} id="credential-roles" role="group" help={t.applicationCredentials.rolesHelp}>
        <div className="wisp-row">
          {session.roles.map((role) => (
            <Checkbox key={role} id={`role-${role}`} label={role} isChecked={roles.has(role)} onChange={(_event, on) => toggle(role, on)} />
          ))}
        </div>
      </Field>
      <Field
        label={t.applicationCredentials.expires}
        id="credential-expires"
        help={t.applicationCredentials.expiresHelp}
        error={past ? t.applicationCredentials.inThePast : undefined}
      >
        <TextInput id="credential-expires" type="datetime-local" value={expires} onChange={(_event, value) => setExpires(value)} />
      </Field>
      <ExpandableSection toggleText={t.applicationCredentials.more} isExpanded={more} onToggle={(_event, open) => setMore(open)} isIndented>
        <div className="wisp-column">
          <AccessRules rules={rules} change={setRules} />
          <Field label={t.applicationCredentials.ownSecret} id="credential-secret" help={t.applicationCredentials.ownSecretHelp}>
            <TextInput id="credential-secret" autoComplete="off" value={own} onChange={(_event, value) => setOwn(value)} />
          </Field>
          <Checkbox
            id="credential-unrestricted"
            label={t.applicationCredentials.unrestricted}
            description={t.applicationCredentials.unrestrictedHelp}
            isChecked={unrestricted}
            onChange={(_event, on) => setUnrestricted(on)}
          />
        </div>
      </ExpandableSection>
    </FormModal>
  )
}
