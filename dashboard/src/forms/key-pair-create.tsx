// Lets the cloud generate a key pair and hands over its private half, once.
import { Alert, Button, Modal, ModalBody, ModalFooter, ModalHeader, TextInput } from '@patternfly/react-core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { generateKeyPair } from '../api/compute.ts'
import { keys } from '../api/keys.ts'
import { queryClient } from '../api/query-client.ts'
import { shellWord } from '../api/shell.ts'
import { useText } from '../i18n/index.ts'
import { Field } from '../ui/field.tsx'
import { FormModal } from '../ui/form-modal.tsx'
import { saveFile } from '../ui/format.ts'
import { Copyable } from '../ui/pieces.tsx'

export function KeyPairCreate({ close, done }: { close: () => void; done?: (name: string) => void }) {
  const t = useText()
  const [name, setName] = useState('')
  const [downloaded, setDownloaded] = useState(false)
  const create = useMutation({
    mutationFn: () => generateKeyPair(name.trim()),
    // Not waiting for the list: should it not come, the key must be handed over all the same.
    onSuccess: () => {
      void queryClient.invalidateQueries({ queryKey: keys.keyPairs })
      done?.(name.trim())
    },
  })
  const made = create.data
  if (made === undefined)
    return (
      <FormModal
        title={t.keyPairs.create}
        button={t.create}
        what={t.keyPairs.doing.create}
        error={create.error}
        busy={create.isPending}
        ready={name.trim() !== ''}
        stays
        submit={() => create.mutate()}
        close={close}
      >
        <Field label={t.name} id="key-name" required>
          <TextInput id="key-name" autoFocus value={name} onChange={(_event, value) => setName(value)} />
        </Field>
      </FormModal>
    )
  // Without a close button: the key must not be lost by a slip of the hand.
  return (
    <Modal variant="medium" isOpen aria-labelledby="private-key-title">
      <ModalHeader title={t.keyPairs.privateTitle} labelId="private-key-title" />
      <ModalBody className="wisp-stack">
        <Alert isInline variant="warning" variantLabel={`${t.warning}:`} title={t.keyPairs.privateLine} />
        <Button
          onClick={() => {
            saveFile(`${made.name}.pem`, made.private_key)
            setDownloaded(true)
          }}
        >
          {t.keyPairs.download(made.name)}
        </Button>
        <p className="wisp-subtle">{t.keyPairs.thenProtect}</p>
        <Copyable value={`chmod 600 ${shellWord(`${made.name}.pem`)}`} />
      </ModalBody>
      <ModalFooter>
        <Button variant="secondary" isDisabled={!downloaded} onClick={close}>
          {t.keyPairs.saved}
        </Button>
      </ModalFooter>
    </Modal>
  )
}
