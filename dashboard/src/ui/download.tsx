// Downloads an image with a progress bar. Where the browser can write a file while it arrives, it does; elsewhere the image is gathered in
// memory first, and a large one is left to the command line.
import { Alert, Button, ModalBody, ModalFooter, ModalHeader, Progress } from '@patternfly/react-core'
import { useMutation } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import type { Image } from '../api/image.ts'
import { downloadImage, type Sink } from '../api/image-data.ts'
import { shellWord } from '../api/shell.ts'
import { useText } from '../i18n/index.ts'
import { Dialog } from './dialog.tsx'
import { bytes, saveBlob } from './format.ts'
import { Copyable } from './pieces.tsx'
import { Problem } from './problem.tsx'

type Picker = (options: { suggestedName: string }) => Promise<{ createWritable: () => Promise<WritableStream & Sink> }>

/** In Chromium on https and localhost only. */
const picker = () => (window as { showSaveFilePicker?: Picker }).showSaveFilePicker?.bind(window)

/** What may be gathered in memory, bytes. */
const mostInMemory = 2 * 1024 ** 3

function memorySink(name: string): Sink {
  const chunks: Uint8Array<ArrayBuffer>[] = []
  return {
    write: async (chunk) => void chunks.push(chunk),
    close: async () => saveBlob(name, new Blob(chunks, { type: 'application/octet-stream' })),
    abort: async () => void chunks.splice(0),
  }
}

export function Download({ image, close }: { image: Image; close: () => void }) {
  const t = useText()
  const [received, setReceived] = useState(0)
  const stop = useRef(new AbortController())
  const size = image.size ?? 0
  const name = `${(image.name || image.id).replaceAll(/[\\/:*?"<>|]/g, '_')}.${image.disk_format ?? 'img'}`
  const pick = picker()
  const tooLarge = pick === undefined && size > mostInMemory
  const download = useMutation({
    mutationFn: async () => {
      const sink = pick === undefined ? memorySink(name) : await (await pick({ suggestedName: name })).createWritable()
      await downloadImage(image.id, sink, setReceived, stop.current.signal)
    },
    onSuccess: close,
    onError: (error) => {
      if (error instanceof DOMException && error.name === 'AbortError') close()
    },
  })
  useEffect(() => () => stop.current.abort(), [])
  return (
    <Dialog variant="small" onClose={close} aria-labelledby="download-title">
      <ModalHeader title={t.images.downloadTitle(image.name || image.id)} labelId="download-title" />
      <ModalBody className="wisp-column">
        {tooLarge && <Alert isInline variant="info" variantLabel="" title={t.images.tooLargeHere} />}
        {download.isError && <Problem error={download.error} what={t.images.doing.download} />}
        {download.isPending && (
          <Progress
            value={size === 0 ? 0 : Math.floor((received / size) * 100)}
            title={t.images.uploading(bytes(received), bytes(size))}
            aria-label={t.images.download}
          />
        )}
        <p className="wisp-subtle">{t.images.orCommand}</p>
        <Copyable value={`openstack image save --file ${shellWord(name.replaceAll(' ', '_'))} ${image.id}`} />
      </ModalBody>
      <ModalFooter>
        <Button onClick={() => download.mutate()} isDisabled={tooLarge || download.isPending} isLoading={download.isPending}>
          {t.images.downloadSize(bytes(size))}
        </Button>
        <Button variant="link" onClick={close}>
          {download.isPending ? t.images.stopDownload : t.close}
        </Button>
      </ModalFooter>
    </Dialog>
  )
}
