// Imports the public half of a key that someone already has.
import { TextArea, TextInput } from '@patternfly/react-core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { importKeyPair } from '../api/compute.ts'
import { keys } from '../api/keys.ts'
import { queryClient } from '../api/query-client.ts'
import { useText } from '../i18n/index.ts'
import { Field } from '../ui/field.tsx'
import { FormModal } from '../ui/form-modal.tsx'

const looksLikeKey = (text: string) => /^(ssh|ecdsa|sk-)[\w@.-]+ [A-Za-z0-9+/=]+(\s.*)?$/.test(text)

export function KeyPairImport({ close, done }: { close: () => void; done?: (name: string) => void }) {
  const t = useText()
  const [name, setName] = useState('')
  const [publicKey, setPublicKey] = useState('')
  const key = publicKey.trim()
  const load = useMutation({
    mutationFn: () => importKeyPair(name.trim(), key),
    onSuccess: () => queryClient.invalidateQueries({ queryKey: keys.keyPairs }),
  })
  const finish = () => {
    done?.(name.trim())
    close()
  }
  const bad = key !== '' && !looksLikeKey(key) ? t.keyPairs.publicKeyBad : undefined
  return (
    <FormModal
      title={t.keyPairs.import}
      button={t.keyPairs.import}
      what={t.keyPairs.doing.import}
      error={load.error}
      busy={load.isPending}
      ready={name.trim() !== '' && key !== '' && bad === undefined}
      submit={() => load.mutate(undefined, { onSuccess: finish })}
      close={close}
    >
      <Field label={t.name} id="key-name" required>
        <TextInput id="key-name" autoFocus value={name} onChange={(_event, value) => setName(value)} />
      </Field>
      <Field label={t.keyPairs.publicKey} id="public-key" required help={t.keyPairs.publicKeyHelp} error={bad}>
        <TextArea id="public-key" rows={5} className="wisp-mono" value={publicKey} onChange={(_event, value) => setPublicKey(value)} />
      </Field>
    </FormModal>
  )
}
