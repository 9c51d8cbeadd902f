// Creates an image: its record, then its bits, from a file with a progress bar or from an address that the cloud fetches. A broken connection
// is taken up again; what is discarded or refused leaves nothing behind, and a dialog that was closed leaves what has arrived.
import { Checkbox, ExpandableSection, FormSelect, FormSelectOption, TextArea, TextInput } from '@patternfly/react-core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { ApiError } from '../api/http.ts'
import { changeImage, createImage, deleteImage, type ImageCreate as NewImage } from '../api/image.ts'
import { importFromWeb } from '../api/image-data.ts'
import { keys } from '../api/keys.ts'
import { queryClient } from '../api/query-client.ts'
import { useSession } from '../api/session.ts'
import { useText } from '../i18n/index.ts'
import { Field } from '../ui/field.tsx'
import { FormModal } from '../ui/form-modal.tsx'
import { UploadProgress, useUpload } from '../ui/upload.tsx'
import { VisibilityField } from '../ui/visibility.tsx'
import { WholeNumber } from '../ui/whole-number.tsx'
import { containerFormats, diskFormats, formatOfName, nameOfFile, recognise } from './image-formats.ts'
import { ImageSource, isComplete, noSource, type Source } from './image-source.tsx'
import { parseProperties, splitTags } from './image-words.ts'

export function ImageCreate({ close, done }: { close: () => void; done: (imageId: string) => void }) {
  const t = useText()
  const session = useSession()
  const [source, setSource] = useState<Source>(noSource)
  const [name, setName] = useState('')
  const [diskFormat, setDiskFormat] = useState('qcow2')
  const [containerFormat, setContainerFormat] = useState('bare')
  const [visibility, setVisibility] = useState('private')
  const [minDisk, setMinDisk] = useState(0)
  const [minRam, setMinRam] = useState(0)
  const [kept, setKept] = useState(false)
  const [tags, setTags] = useState('')
  const [properties, setProperties] = useState('')
  const [more, setMore] = useState(false)
  const upload = useUpload()
  const given = parseProperties(properties)
  const send = async (imageId: string) => {
    if (source.file !== undefined && source.from === 'file') return upload.run(imageId, source.file, source.store)
    await importFromWeb(imageId, source.uri.trim(), source.store)
    return 'done'
  }
  const create = useMutation({
    mutationFn: async () => {
      const body: NewImage = {
        ...given.properties,
        name: name.trim(),
        disk_format: diskFormat,
        container_format: containerFormat,
        visibility,
        min_disk: minDisk,
        min_ram: minRam,
        tags: splitTags(tags),
      }
      const image = await createImage(body)
      // An empty record helps nobody; should even this fail, the list shows it as waiting for its file.
      const takeBack = () => deleteImage(image.id).catch(() => undefined)
      const end = await send(image.id).catch(async (error: unknown) => {
        // Whoever has to log in anew finds what has arrived.
        if (!(error instanceof ApiError && error.status === 401)) await takeBack()
        throw error
      })
      if (end === 'discarded') {
        await takeBack()
        return undefined
      }
      // Only now: a protected image could not have been taken back when its bits were refused.
      if (kept) await changeImage(image.id, [{ op: 'replace', path: '/protected', value: true }])
      return image.id
    },
    onSettled: () => void queryClient.invalidateQueries({ queryKey: keys.images }),
  })
  const finish = (imageId: string | undefined) => {
    close()
    if (imageId !== undefined) done(imageId)
  }
  const busy = create.isPending
  const choose = (next: Source) => {
    const { file, uri } = next
    if (next.from === 'file' && file !== undefined && file !== source.file) {
      // Both at once: who sees the name may go on, and must not go on with the format of nothing.
      void recognise(file).then((format) => {
        setDiskFormat(format)
        setName((old) => (old === '' ? nameOfFile(file.name) : old))
      })
    }
    if (next.from === 'web' && uri !== source.uri) setDiskFormat(formatOfName(uri.trim()))
    setSource(next)
  }
  const uploading = busy && source.from === 'file'
  return (
    <FormModal
      title={t.images.create}
      button={source.from === 'web' ? t.images.import : t.images.upload}
      what={source.from === 'web' ? t.images.doing.import : t.images.doing.upload}
      error={create.error}
      busy={busy}
      ready={isComplete(source) && name.trim() !== '' && given.error === undefined}
      submit={() => create.mutate(undefined, { onSuccess: finish })}
      closeWord={uploading ? t.close : undefined}
      close={uploading ? () => upload.end('closed') : close}
    >
      <ImageSource source={source} change={choose} disabled={busy} />
      <Field label={t.name} id="image-name" required>
        <TextInput id="image-name" value={name} isDisabled={busy} onChange={(_event, value) => setName(value)} />
      </Field>
      <div className="wisp-inline wisp-inline-top">
        <Field label={t.images.format} id="image-format" help={source.from === 'web' ? t.images.formatOfAddress : t.images.formatHelp}>
          <FormSelect id="image-format" value={diskFormat} isDisabled={busy} onChange={(_event, value) => setDiskFormat(value)}>
            {diskFormats.map((value) => (
              <FormSelectOption key={value} value={value} label={value} />
            ))}
          </FormSelect>
        </Field>
        <VisibilityField value={visibility} change={setVisibility} session={session} disabled={busy} />
      </div>
      <ExpandableSection toggleText={t.images.more} isExpanded={more} onToggle={(_event, open) => setMore(open)} isIndented>
        <div className="wisp-column">
          <div className="wisp-row">
            <Field label={t.images.minDiskIn} id="image-min-disk">
              <WholeNumber id="image-min-disk" label={t.images.minDiskIn} value={minDisk} change={setMinDisk} disabled={busy} />
            </Field>
            <Field label={t.images.minRamIn} id="image-min-ram">
              <WholeNumber id="image-min-ram" label={t.images.minRamIn} value={minRam} change={setMinRam} disabled={busy} />
            </Field>
            <Field label={t.images.containerFormat} id="image-container">
              <FormSelect
                id="image-container"
                value={containerFormat}
                isDisabled={busy}
                onChange={(_event, value) => setContainerFormat(value)}
              >
                {containerFormats.map((value) => (
                  <FormSelectOption key={value} value={value} label={value} />
                ))}
              </FormSelect>
            </Field>
          </div>
          <Checkbox
            id="image-protected"
            label={t.images.protectIt}
            isChecked={kept}
            isDisabled={busy}
            onChange={(_event, on) => setKept(on)}
          />
          <Field label={t.images.tags} id="image-tags" help={t.images.tagsHelp}>
            <TextInput id="image-tags" value={tags} isDisabled={busy} onChange={(_event, value) => setTags(value)} />
          </Field>
          <Field
            label={t.images.properties}
            id="image-properties"
            help={t.images.propertiesHelp}
            error={given.error === undefined ? undefined : t.images.propertiesBad(given.error)}
          >
            <TextArea
              id="image-properties"
              className="wisp-mono"
              rows={3}
              placeholder={'os_distro=debian\nhw_qemu_guest_agent=yes'}
              value={properties}
              isDisabled={busy}
              onChange={(_event, value) => setProperties(value)}
            />
          </Field>
        </div>
      </ExpandableSection>
      {uploading && <UploadProgress upload={upload} discard={() => upload.end('discarded')} />}
    </FormModal>
  )
}
