// Gives an image that waits for its bits what it waits for: after an import failed, or the rest of them after a page was closed during an upload.
import { Alert, AlertActionLink } from '@patternfly/react-core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import type { Image } from '../api/image.ts'
import { importFromWeb } from '../api/image-data.ts'
import { keys } from '../api/keys.ts'
import { queryClient } from '../api/query-client.ts'
import { OtherFile } from '../api/upload.ts'
import { useText } from '../i18n/index.ts'
import { FormModal } from '../ui/form-modal.tsx'
import { UploadProgress, useUpload } from '../ui/upload.tsx'
import { ImageSource, isComplete, noSource, type Source } from './image-source.tsx'

/** @param there says how much has arrived, where an upload has begun */
export function ImageUpload({ image, there, close }: { image: Image; there?: string | undefined; close: () => void }) {
  const t = useText()
  const [source, setSource] = useState<Source>(noSource)
  const upload = useUpload()
  const send = useMutation({
    mutationFn: async (anew: boolean) => {
      if (source.from === 'web') await importFromWeb(image.id, source.uri.trim(), source.store)
      else if (source.file !== undefined) await upload.run(image.id, source.file, source.store, anew)
    },
    onSettled: () => void queryClient.invalidateQueries({ queryKey: keys.images }),
  })
  const begun = image.status === 'uploading'
  const uploading = send.isPending && source.from === 'file'
  const other = send.error instanceof OtherFile
  return (
    <FormModal
      title={begun ? t.images.goOnInto(image.name || image.id) : t.images.uploadInto(image.name || image.id)}
      button={source.from === 'web' ? t.images.import : begun ? t.images.goOnUpload : t.images.upload}
      what={source.from === 'web' ? t.images.doing.import : t.images.doing.upload}
      error={other ? null : send.error}
      busy={send.isPending}
      ready={isComplete(source)}
      submit={() => send.mutate(false, { onSuccess: close })}
      closeWord={uploading ? t.close : undefined}
      close={uploading ? () => upload.end('closed') : close}
    >
      {there !== undefined && !uploading && <p>{there}</p>}
      {other && (
        <Alert
          isInline
          variant="warning"
          variantLabel={`${t.warning}:`}
          title={t.images.otherFile}
          actionLinks={<AlertActionLink onClick={() => send.mutate(true, { onSuccess: close })}>{t.images.beginAnew}</AlertActionLink>}
        >
          {t.images.otherFileLine}
        </Alert>
      )}
      <ImageSource
        source={source}
        change={(next) => {
          send.reset()
          setSource(next)
        }}
        disabled={send.isPending}
        onlyFile={begun}
      />
      {uploading && <UploadProgress upload={upload} />}
    </FormModal>
  )
}
