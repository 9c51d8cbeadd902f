// Gives an image that waits for its bits what it waits for: after a page was closed during an upload, or an import failed.
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import type { Image } from '../api/image.ts'
import { importFromWeb } from '../api/image-data.ts'
import { keys } from '../api/keys.ts'
import { queryClient } from '../api/query-client.ts'
import { useText } from '../i18n/index.ts'
import { FormModal } from '../ui/form-modal.tsx'
import { UploadProgress, useUpload } from '../ui/upload.tsx'
import { ImageSource, isComplete, noSource, type Source } from './image-source.tsx'

export function ImageUpload({ image, close }: { image: Image; close: () => void }) {
  const t = useText()
  const [source, setSource] = useState<Source>(noSource)
  const upload = useUpload()
  const send = useMutation({
    mutationFn: async () => {
      if (source.from === 'web') return importFromWeb(image.id, source.uri.trim(), source.store)
      if (source.file !== undefined) return upload.run(image.id, source.file, source.store)
    },
    onSettled: () => void queryClient.invalidateQueries({ queryKey: keys.images }),
    onSuccess: close,
  })
  const stop = () => {
    upload.stop()
    close()
  }
  return (
    <FormModal
      title={t.images.uploadInto(image.name ?? image.id)}
      button={source.from === 'web' ? t.images.import : t.images.upload}
      what={source.from === 'web' ? t.images.doing.import : t.images.doing.upload}
      error={send.error}
      busy={send.isPending}
      ready={isComplete(source)}
      submit={() => send.mutate()}
      close={send.isPending && source.from === 'file' ? stop : close}
    >
      <ImageSource source={source} change={setSource} disabled={send.isPending} />
      {send.isPending && source.from === 'file' && <UploadProgress upload={upload} stop={stop} />}
    </FormModal>
  )
}
