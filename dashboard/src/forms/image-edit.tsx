// Changes what an image's record says: its name, who may use it, what it needs, its tags. Only what was changed is sent.
import { Checkbox, FormSelect, FormSelectOption, TextInput } from '@patternfly/react-core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { changeImage, changesBetween, type Image } from '../api/image.ts'
import { keys } from '../api/keys.ts'
import { queryClient } from '../api/query-client.ts'
import { useSession } from '../api/session.ts'
import { useText } from '../i18n/index.ts'
import { Field } from '../ui/field.tsx'
import { FormModal } from '../ui/form-modal.tsx'
import { VisibilityField } from '../ui/visibility.tsx'
import { WholeNumber } from '../ui/whole-number.tsx'
import { containerFormats, diskFormats } from './image-formats.ts'
import { splitTags } from './image-words.ts'

export function ImageEdit({ image, close }: { image: Image; close: () => void }) {
  const t = useText()
  const session = useSession()
  const [name, setName] = useState(image.name ?? '')
  const [visibility, setVisibility] = useState(image.visibility)
  const [minDisk, setMinDisk] = useState(image.min_disk)
  const [minRam, setMinRam] = useState(image.min_ram)
  const [kept, setKept] = useState(image.protected)
  const [hidden, setHidden] = useState(image.os_hidden ?? false)
  const [tags, setTags] = useState(image.tags.join(', '))
  const [diskFormat, setDiskFormat] = useState(image.disk_format ?? '')
  const [containerFormat, setContainerFormat] = useState(image.container_format ?? '')
  // Once there are bits, the formats say what they are.
  const queued = image.status === 'queued'
  const before = {
    name: image.name,
    visibility: image.visibility,
    min_disk: image.min_disk,
    min_ram: image.min_ram,
    protected: image.protected,
    os_hidden: image.os_hidden ?? false,
    tags: image.tags.toSorted(),
    ...(queued ? { disk_format: image.disk_format ?? '', container_format: image.container_format ?? '' } : {}),
  }
  const after = {
    name: name.trim(),
    visibility,
    min_disk: minDisk,
    min_ram: minRam,
    protected: kept,
    os_hidden: hidden,
    tags: splitTags(tags).toSorted(),
    ...(queued ? { disk_format: diskFormat, container_format: containerFormat } : {}),
  }
  const changes = changesBetween(before, after)
  const change = useMutation({
    mutationFn: () => changeImage(image.id, changes),
    onSuccess: () => {
      void queryClient.invalidateQueries({ queryKey: keys.images })
    },
  })
  const formats = (value: string, choices: string[], set: (next: string) => void, id: string) => (
    <FormSelect id={id} value={value} onChange={(_event, next) => set(next)}>
      {value === '' && <FormSelectOption value="" label="—" />}
      {choices.map((choice) => (
        <FormSelectOption key={choice} value={choice} label={choice} />
      ))}
    </FormSelect>
  )
  return (
    <FormModal
      title={t.images.edit}
      button={t.save}
      what={t.images.doing.change}
      error={change.error}
      busy={change.isPending}
      ready={changes.length > 0 && name.trim() !== ''}
      submit={() => change.mutate(undefined, { onSuccess: close })}
      close={close}
    >
      <Field label={t.name} id="image-name" required>
        <TextInput id="image-name" autoFocus value={name} onChange={(_event, value) => setName(value)} />
      </Field>
      <div className="wisp-inline wisp-inline-top">
        <VisibilityField value={visibility} change={setVisibility} session={session} />
        {queued && (
          <>
            <Field label={t.images.format} id="image-format">
              {formats(diskFormat, diskFormats, setDiskFormat, 'image-format')}
            </Field>
            <Field label={t.images.containerFormat} id="image-container">
              {formats(containerFormat, containerFormats, setContainerFormat, 'image-container')}
            </Field>
          </>
        )}
      </div>
      <div className="wisp-inline wisp-inline-top">
        <Field label={t.images.minDiskIn} id="image-min-disk">
          <WholeNumber id="image-min-disk" label={t.images.minDiskIn} value={minDisk} change={setMinDisk} />
        </Field>
        <Field label={t.images.minRamIn} id="image-min-ram">
          <WholeNumber id="image-min-ram" label={t.images.minRamIn} value={minRam} change={setMinRam} />
        </Field>
      </div>
      <Field label={t.images.tags} id="image-tags" help={t.images.tagsHelp}>
        <TextInput id="image-tags" value={tags} onChange={(_event, value) => setTags(value)} />
      </Field>
      <Checkbox id="image-protected" label={t.images.protectIt} isChecked={kept} onChange={(_event, on) => setKept(on)} />
      <Checkbox
        id="image-hidden"
        label={t.images.hideIt}
        description={t.images.hideItHelp}
        isChecked={hidden}
        onChange={(_event, on) => setHidden(on)}
      />
    </FormModal>
  )
}
