// A dialog: PatternFly's, whose button in the corner speaks the page's language.
import { Modal, type ModalProps } from '@patternfly/react-core'
import { useEffect, useRef } from 'react'
import { useText } from '../i18n/index.ts'

/** PatternFly names that button in English and lets nobody name it otherwise. */
function NameOfClose() {
  const t = useText()
  const here = useRef<HTMLSpanElement>(null)
  useEffect(() => {
    const button = here.current?.closest('[role="dialog"]')?.querySelector('.pf-v6-c-modal-box__close button')
    button?.setAttribute('aria-label', t.close)
  }, [t])
  return <span ref={here} hidden />
}

export function Dialog({ children, ...props }: Omit<ModalProps, 'ref' | 'isOpen'>) {
  return (
    <Modal isOpen {...props}>
      {children}
      <NameOfClose />
    </Modal>
  )
}
