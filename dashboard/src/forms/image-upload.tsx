// Uploads an image: creates its record, sends the file with a progress bar, and leaves nothing behind when it is stopped or refused.
import { Button, FileUpload, FormSelect, FormSelectOption, NumberInput, Progress, TextInput } from '@patternfly/react-core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { createImage, deleteImage, uploadImage } from '../api/image.ts'
import { keys } from '../api/keys.ts'
import { queryClient } from '../api/query-client.ts'
import { isAdmin, useSession } from '../api/session.ts'
import { useText } from '../i18n/index.ts'
import { Field } from '../ui/field.tsx'
import { FormModal } from '../ui/form-modal.tsx'
import { bytes } from '../ui/format.ts'

const formats = ['qcow2', 'raw', 'iso', 'vmdk', 'vdi', 'vhd', 'vhdx']

/** qcow2 says so in its first four bytes, an ISO at 32 KiB; otherwise the name's ending has to do. */
async function recognise(file: File): Promise<string> {
  const head = new Uint8Array(await file.slice(0, 4).arrayBuffer())
  if (head[0] === 0x51 && head[1] === 0x46 && head[2] === 0x49 && head[3] === 0xfb) return 'qcow2'
  const iso = new TextDecoder().decode(await file.slice(0x8001, 0x8006).arrayBuffer())
  if (iso === 'CD001') return 'iso'
  const ending = file.name.split('.').at(-1)?.toLowerCase() ?? ''
  return ending !== 'qcow2' && formats.includes(ending) ? ending : 'raw'
}

export function ImageUpload({ close }: { close: () => void }) {
  const t = useText()
  const admin = isAdmin(useSession())
  const [file, setFile] = useState<File>()
  const [name, setName] = useState('')
  const [format, setFormat] = useState('qcow2')
  const [visibility, setVisibility] = useState('private')
  const [minDisk, setMinDisk] = useState(0)
  const [sent, setSent] = useState(0)
  const [abort, setAbort] = useState<AbortController>()
  const upload = useMutation({
    mutationFn: async (chosen: File) => {
      const stop = new AbortController()
      setAbort(stop)
      setSent(0)
      const image = await createImage({
        name: name.trim(),
        disk_format: format,
        container_format: 'bare',
        visibility,
        min_disk: minDisk,
        min_ram: 0,
      })
      try {
        await uploadImage(image.id, chosen, setSent, stop.signal)
      } catch (error) {
        // An empty record helps nobody; should even this fail, the list shows it as waiting for its file.
        await deleteImage(image.id).catch(() => undefined)
        if (stop.signal.aborted) return
        throw error
      }
    },
    onSettled: () => void queryClient.invalidateQueries({ queryKey: keys.images }),
    onSuccess: close,
  })
  const choose = (chosen: File) => {
    setFile(chosen)
    if (name === '') setName(chosen.name.replace(/\.(qcow2|img|raw|iso|vmdk|vdi|vhdx?)$/i, ''))
    void recognise(chosen).then(setFormat)
  }
  const stopAndClose = () => {
    abort?.abort()
    close()
  }
  return (
    <FormModal
      title={t.images.upload}
      button={t.images.upload}
      what={t.images.doing.upload}
      error={upload.error}
      busy={upload.isPending}
      ready={file !== undefined && name.trim() !== ''}
      submit={() => file !== undefined && upload.mutate(file)}
      close={upload.isPending ? stopAndClose : close}
    >
      <Field label={t.images.file} id="image-file" required>
        <FileUpload
          id="image-file"
          filename={file === undefined ? '' : `${file.name} (${bytes(file.size)})`}
          filenamePlaceholder={t.images.fileHelp}
          browseButtonText={t.images.chooseFile}
          hideDefaultPreview
          isClearButtonDisabled
          clearButtonText=""
          isDisabled={upload.isPending}
          onFileInputChange={(_event, chosen) => choose(chosen)}
          className="wisp-file"
        />
      </Field>
      <Field label={t.name} id="image-name" required>
        <TextInput id="image-name" value={name} isDisabled={upload.isPending} onChange={(_event, value) => setName(value)} />
      </Field>
      <div className="wisp-inline wisp-inline-top">
        <Field label={t.images.format} id="image-format" help={t.images.formatHelp}>
          <FormSelect id="image-format" value={format} isDisabled={upload.isPending} onChange={(_event, value) => setFormat(value)}>
            {formats.map((value) => (
              <FormSelectOption key={value} value={value} label={value} />
            ))}
          </FormSelect>
        </Field>
        <Field label={t.images.minDisk} id="image-min-disk">
          <NumberInput
            inputProps={{ id: 'image-min-disk' }}
            value={minDisk}
            min={0}
            widthChars={4}
            isDisabled={upload.isPending}
            onMinus={() => setMinDisk(Math.max(0, minDisk - 1))}
            onPlus={() => setMinDisk(minDisk + 1)}
            onChange={(event) => setMinDisk(Math.max(0, Math.trunc(Number(event.currentTarget.value)) || 0))}
          />
        </Field>
        {admin && (
          <Field label={t.images.visibility} id="image-visibility">
            <FormSelect
              id="image-visibility"
              value={visibility}
              isDisabled={upload.isPending}
              onChange={(_event, value) => setVisibility(value)}
            >
              {Object.entries(t.images.visibilities).map(([value, label]) => (
                <FormSelectOption key={value} value={value} label={label} />
              ))}
            </FormSelect>
          </Field>
        )}
      </div>
      {upload.isPending && file !== undefined && (
        <div className="wisp-inline">
          <Progress
            value={file.size === 0 ? 100 : (sent / file.size) * 100}
            title={sent >= file.size ? t.images.checking : t.images.uploading(bytes(sent), bytes(file.size))}
            aria-label={t.images.upload}
          />
          <Button variant="secondary" onClick={stopAndClose}>
            {t.images.stopUpload}
          </Button>
        </div>
      )}
    </FormModal>
  )
}
