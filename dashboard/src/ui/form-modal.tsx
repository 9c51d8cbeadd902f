// The frame of the small forms: a dialog with fields, a button that submits them and the refusal, should there be one.
import { Button, Form, Modal, ModalBody, ModalFooter, ModalHeader } from '@patternfly/react-core'
import { type FormEvent, type ReactNode, useId } from 'react'
import { useText } from '../i18n/index.ts'
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
  children: ReactNode
}

export function FormModal({ title, button, what, error, busy, ready, submit, close, closeWord, children }: FormModalProps) {
  const t = useText()
  const id = useId()
  const onSubmit = (event: FormEvent) => {
    event.preventDefault()
    if (ready && !busy) submit()
  }
  return (
    <Modal variant="medium" isOpen onClose={close} aria-labelledby={`${id}-title`}>
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
        <Button variant="link" onClick={close}>
          {closeWord ?? t.cancel}
        </Button>
      </ModalFooter>
    </Modal>
  )
}
