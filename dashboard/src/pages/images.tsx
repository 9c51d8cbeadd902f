// The images a project may use: its own, and those that others made public or shared.
import { Button, SearchInput } from '@patternfly/react-core'
import ImageIcon from '@patternfly/react-icons/dist/esm/icons/hdd-icon'
import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { imageCan } from '../api/can.ts'
import { deleteImage, type Image } from '../api/image.ts'
import { keys } from '../api/keys.ts'
import { imagesQuery } from '../api/queries.ts'
import { queryClient } from '../api/query-client.ts'
import { isAdmin, useSession } from '../api/session.ts'
import { ImageUpload } from '../forms/image-upload.tsx'
import { type Dictionary, useText } from '../i18n/index.ts'
import { Confirm } from '../ui/confirm.tsx'
import { bytes } from '../ui/format.ts'
import { List } from '../ui/list.tsx'
import { Nothing } from '../ui/nothing.tsx'
import { ImageStatus, PageHeader, Waiting, When } from '../ui/pieces.tsx'
import { Problem } from '../ui/problem.tsx'

export const visibilityWord = (t: Dictionary, visibility: string) =>
  (t.images.visibilities as Record<string, string>)[visibility] ?? visibility

export function ImagesPage() {
  const t = useText()
  const session = useSession()
  const navigate = useNavigate()
  const images = useQuery(imagesQuery)
  const [wanted, setWanted] = useState('')
  const [uploading, setUploading] = useState(false)
  const [doomed, setDoomed] = useState<Image>()
  const shown = images.data?.filter(({ name, id }) => (name ?? id).toLowerCase().includes(wanted.toLowerCase()))
  const upload = <Button onClick={() => setUploading(true)}>{t.images.upload}</Button>
  return (
    <>
      <PageHeader title={t.images.title}>{upload}</PageHeader>
      <div className="wisp-card">
        {images.isPending && <Waiting />}
        {images.isError && <Problem error={images.error} retry={() => void images.refetch()} />}
        {images.data?.length === 0 && (
          <Nothing title={t.images.empty} line={t.images.emptyLine} icon={ImageIcon}>
            {upload}
          </Nothing>
        )}
        {shown !== undefined && images.data !== undefined && images.data.length > 0 && (
          <>
            <div className="wisp-toolbar">
              <SearchInput
                aria-label={t.images.filter}
                placeholder={t.images.filter}
                value={wanted}
                onChange={(_event, value) => setWanted(value)}
                onClear={() => setWanted('')}
                className="wisp-filter"
              />
            </div>
            <List
              label={t.images.title}
              rows={shown}
              idOf={({ id }) => id}
              nameOf={({ name, id }) => name ?? id}
              columns={[
                {
                  title: t.name,
                  main: true,
                  cell: ({ id, name }) => (
                    <Link to="/images/$imageId" params={{ imageId: id }}>
                      {name ?? id}
                    </Link>
                  ),
                },
                { title: t.status, cell: ({ status }) => <ImageStatus status={status} /> },
                { title: t.size, cell: ({ size }) => (size === null ? '—' : bytes(size)) },
                { title: t.images.format, cell: ({ disk_format }) => disk_format ?? '—' },
                { title: t.images.visibility, cell: ({ visibility }) => visibilityWord(t, visibility) },
                { title: t.created, cell: ({ created_at }) => <When time={created_at} /> },
              ]}
              actions={(image) => [
                ...(image.status === 'active'
                  ? [{ title: t.images.launch, run: () => void navigate({ to: '/servers/launch', search: { image: image.id } }) }]
                  : []),
                {
                  title: t.delete,
                  danger: true,
                  no: imageCan.delete(image, session.project.id, isAdmin(session)),
                  run: () => setDoomed(image),
                },
              ]}
            />
          </>
        )}
      </div>
      {uploading && <ImageUpload close={() => setUploading(false)} />}
      {doomed !== undefined && (
        <Confirm
          title={t.images.confirmDelete}
          line={t.images.confirmDeleteLine}
          objects={[{ id: doomed.id, name: doomed.name ?? doomed.id }]}
          button={t.delete}
          what={t.images.doing.delete}
          run={async () => {
            await deleteImage(doomed.id)
            await queryClient.invalidateQueries({ queryKey: keys.images })
          }}
          close={() => setDoomed(undefined)}
        />
      )}
    </>
  )
}
