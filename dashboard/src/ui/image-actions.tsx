// What can be done to an image, with the questions and forms that belong to it. Used by the list and by an image's own page.
import { useMutation } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { type ReactNode, useState } from 'react'
import { imageCan } from '../api/can.ts'
import { actOnImage, deleteImage, type Image } from '../api/image.ts'
import { keys } from '../api/keys.ts'
import { queryClient } from '../api/query-client.ts'
import { useSession } from '../api/session.ts'
import { ImageEdit } from '../forms/image-edit.tsx'
import { ImageUpload } from '../forms/image-upload.tsx'
import { useText } from '../i18n/index.ts'
import { Confirm } from './confirm.tsx'
import { Download } from './download.tsx'
import type { RowAction } from './list.tsx'
import { toastProblem } from './toasts.tsx'

type Dialog = { kind: 'edit' | 'upload' | 'download' | 'deactivate' | 'delete'; image: Image }

/** `actions(image)` for a menu; `dialog` must be rendered by the caller. */
export function useImageActions(afterDelete?: () => void): { actions: (image: Image) => RowAction[]; dialog: ReactNode } {
  const t = useText()
  const session = useSession()
  const navigate = useNavigate()
  const [open, setOpen] = useState<Dialog>()
  const close = () => setOpen(undefined)
  const reactivate = useMutation({
    mutationFn: (image: Image) => actOnImage(image.id, 'reactivate'),
    onSuccess: () => queryClient.invalidateQueries({ queryKey: keys.images }),
    onError: (error) => toastProblem(t.images.doing.reactivate, error),
  })
  const actions = (image: Image): RowAction[] => [
    {
      title: t.images.launch,
      no: imageCan.launch(image, session),
      run: () => void navigate({ to: '/servers/launch', search: { image: image.id } }),
    },
    { title: t.images.edit, no: imageCan.change(image, session), run: () => setOpen({ kind: 'edit', image }), separate: true },
    ...(image.status === 'queued' || image.status === 'uploading'
      ? [
          {
            title: image.status === 'queued' ? t.images.uploadFile : t.images.goOnUpload,
            no: imageCan.upload(image, session),
            run: () => setOpen({ kind: 'upload', image }),
          },
        ]
      : [{ title: t.images.download, no: imageCan.download(image, session), run: () => setOpen({ kind: 'download', image }) }]),
    image.status === 'deactivated'
      ? { title: t.images.reactivate, no: imageCan.reactivate(image, session), run: () => reactivate.mutate(image) }
      : { title: t.images.deactivate, no: imageCan.deactivate(image, session), run: () => setOpen({ kind: 'deactivate', image }) },
    { title: t.delete, no: imageCan.delete(image, session), run: () => setOpen({ kind: 'delete', image }), danger: true, separate: true },
  ]
  if (open === undefined) return { actions, dialog: null }
  const { kind, image } = open
  const objects = [{ id: image.id, name: image.name || image.id }]
  const dialogs: Record<Dialog['kind'], () => ReactNode> = {
    edit: () => <ImageEdit image={image} close={close} />,
    upload: () => <ImageUpload image={image} close={close} />,
    download: () => <Download image={image} close={close} />,
    deactivate: () => (
      <Confirm
        title={t.images.confirmDeactivate}
        line={t.images.confirmDeactivateLine}
        objects={objects}
        button={t.images.deactivate}
        what={t.images.doing.deactivate}
        danger={false}
        run={async () => {
          await actOnImage(image.id, 'deactivate')
          await queryClient.invalidateQueries({ queryKey: keys.images })
        }}
        close={close}
      />
    ),
    delete: () => (
      <Confirm
        title={t.images.confirmDelete}
        line={t.images.confirmDeleteLine}
        objects={objects}
        button={t.delete}
        what={t.images.doing.delete}
        run={async () => {
          await deleteImage(image.id)
          afterDelete?.()
          await queryClient.invalidateQueries({ queryKey: keys.imageLists })
        }}
        close={close}
      />
    ),
  }
  return { actions, dialog: dialogs[kind]() }
}
