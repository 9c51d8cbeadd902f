// Asks before something that can't be taken back, naming exactly what it is done to.
import { Button, ModalBody, ModalFooter, ModalHeader } from '@patternfly/react-core'
import { useMutation } from '@tanstack/react-query'
import { useText } from '../i18n/index.ts'
import { Dialog } from './dialog.tsx'
import { Problem } from './problem.tsx'

type ConfirmProps = {
  title: string
  line: string
  objects: { id: string; name: string }[]
  button: string
  /** Continues "Could not …" when it is refused. */
  what: string
  danger?: boolean
  run: () => Promise<void>
  close: () => void
}

export function Confirm({ title, line, objects, button, what, danger = true, run, close }: ConfirmProps) {
  const t = useText()
  const mutation = useMutation({ mutationFn: run })
  // Of one that was closed meanwhile nothing is left to close: another may be open.
  const go = () => mutation.mutate(undefined, { onSuccess: close })
  return (
    <Dialog variant="small" onClose={close} aria-labelledby="confirm-title" aria-describedby="confirm-body">
      <ModalHeader
        title={title}
        labelId="confirm-title"
        titleIconVariant={danger ? 'warning' : undefined}
        titleScreenReaderText={danger ? `${t.warning}:` : undefined}
      />
      <ModalBody id="confirm-body">
        <p>{line}</p>
        <ul className="wisp-confirm-names">
          {objects.slice(0, 8).map(({ id, name }) => (
            <li key={id}>{name}</li>
          ))}
          {objects.length > 8 && <li>… +{objects.length - 8}</li>}
        </ul>
        {mutation.isError && <Problem error={mutation.error} what={what} />}
      </ModalBody>
      <ModalFooter>
        <Button variant={danger ? 'danger' : 'primary'} onClick={go} isLoading={mutation.isPending} isDisabled={mutation.isPending}>
          {button}
        </Button>
        <Button variant="link" onClick={close}>
          {t.cancel}
        </Button>
      </ModalFooter>
    </Dialog>
  )
}
