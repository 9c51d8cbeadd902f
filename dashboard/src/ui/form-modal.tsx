// The frame of the small forms: a dialog with fields, a button that submits them and the refusal, should there be one. A form closes itself and
// leads on by what it gives to `mutate`, which is not called any more once it was closed: a late answer must not close or leave what came after.
import { Button, Form, ModalBody, ModalFooter, ModalHeader } from '@patternfly/react-core'
import { type FormEvent, type ReactNode, useId } from 'react'
import { useText } from '../i18n/index.ts'
import { Dialog } from './dialog.tsx'
import { Problem } from './problem.tsx'

type FormModalProps = {
  title: string
  button: string
  what: string
  error: Error | null
  busy: boolean
  ready: boolean
  submit: () => void
  close: () => void
  /** What closing is called, where it takes nothing back. */
  closeWord?: string | undefined
  /** What is being made is shown once and never again: the dialog stays until it is here, or refused. */
  stays?: boolean
  children: ReactNode
}

export function FormModal({ title, button, what, error, busy, ready, submit, close, closeWord, stays = false, children }: FormModalProps) {
  const t = useText()
  const id = useId()
  const onSubmit = (event: FormEvent) => {
    event.preventDefault()
    if (ready && !busy) submit()
  }
  const held = stays && busy
  return (
    <Dialog variant="medium" onClose={held ? () => undefined : close} aria-labelledby={`${id}-title`}>
      <ModalHeader title={title} labelId={`${id}-title`} />
      <ModalBody>
        <Form id={id} onSubmit={onSubmit}>
          {error !== null && <Problem error={error} what={what} />}
          {children}
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button type="submit" form={id} isDisabled={!ready || busy} isLoading={busy}>
          {button}
        </Button>
        <Button variant="link" isDisabled={held} onClick={close}>
          {closeWord ?? t.cancel}
        </Button>
      </ModalFooter>
    </Dialog>
  )
}
