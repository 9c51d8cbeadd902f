// What an image is: every attribute that the image service knows of it, and how its import goes while it is on the way.
import { Button, Label, Progress } from '@patternfly/react-core'
import { useMutation, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { imageCan } from '../../api/can.ts'
import { projectsQuery } from '../../api/identity-queries.ts'
import type { Image } from '../../api/image.ts'
import { importStaged } from '../../api/image-data.ts'
import { keys } from '../../api/keys.ts'
import { imageStagedQuery, imageTasksQuery } from '../../api/queries.ts'
import { queryClient } from '../../api/query-client.ts'
import { isAdmin, useSession } from '../../api/session.ts'
import { ImageUpload } from '../../forms/image-upload.tsx'
import { useLanguage, useText } from '../../i18n/index.ts'
import { bytes, gibibytes, mebibytes } from '../../ui/format.ts'
import { Labels } from '../../ui/labels.tsx'
import { Copyable, Facts, Panel, StatusWord, When } from '../../ui/pieces.tsx'
import { CauseAndRemedy } from '../../ui/problem.tsx'
import { toastProblem } from '../../ui/toasts.tsx'
import { visibilityWord } from '../../ui/visibility.tsx'

/** What became of the last import, as long as the image has no bits. */
function Import({ image }: { image: Image }) {
  const t = useText()
  const tasks = useQuery({ ...imageTasksQuery(image.id), enabled: image.status !== 'active' && image.status !== 'deactivated' })
  const last = tasks.data?.[0]
  const failed = image.os_glance_failed_import
  if (image.status === 'importing' || last?.status === 'processing')
    return (
      <div className="wisp-note" role="status">
        <StatusWord tone="busy">{t.image.importing}</StatusWord>
      </div>
    )
  if (last?.status === 'failure' || (typeof failed === 'string' && failed !== ''))
    return <CauseAndRemedy title={t.image.importFailed} cause={last?.message || String(failed ?? '')} remedy="importAgain" />
  if (image.status === 'queued') return <WaitsForFile image={image} />
  if (image.status === 'uploading') return <Uploading image={image} />
  return null
}

/** The dialog that brings the bits, behind a button; nothing for those who may not. */
function UploadButton({ image, there, children }: { image: Image; there?: string; children: string }) {
  const session = useSession()
  const [open, setOpen] = useState(false)
  if (imageCan.upload(image, session) !== undefined) return null
  return (
    <>
      <Button variant="secondary" onClick={() => setOpen(true)}>
        {children}
      </Button>
      {open && <ImageUpload image={image} there={there} close={() => setOpen(false)} />}
    </>
  )
}

function WaitsForFile({ image }: { image: Image }) {
  const t = useText()
  return (
    <div className="wisp-note wisp-note-action">
      <span>{t.image.waitsForFile}</span>
      <UploadButton image={image}>{t.images.uploadFile}</UploadButton>
    </div>
  )
}

/** An upload that goes on in this or another window, or waits for someone to go on with it. */
function Uploading({ image }: { image: Image }) {
  const t = useText()
  const { locale } = useLanguage()
  const session = useSession()
  const staged = useQuery({ ...imageStagedQuery(image.id), enabled: imageCan.upload(image, session) === undefined })
  const finish = useMutation({
    mutationFn: () => importStaged(image.id, undefined),
    onSettled: () => queryClient.invalidateQueries({ queryKey: keys.images }),
    onError: (error) => toastProblem(t.images.doing.upload, error),
  })
  if (staged.data === undefined || staged.data === null) return null
  const { size, total, complete, expires_at } = staged.data
  if (complete)
    return (
      <div className="wisp-note wisp-note-action">
        <span>{t.image.allArrived}</span>
        <Button variant="secondary" isLoading={finish.isPending} isDisabled={finish.isPending} onClick={() => finish.mutate()}>
          {t.image.finishImport}
        </Button>
      </div>
    )
  if (total === null || expires_at === null) return null
  return (
    <div className="wisp-note wisp-note-action">
      <div>
        <Progress value={Math.floor((size / total) * 100)} title={t.image.arrived(bytes(size), bytes(total))} />
        <span className="wisp-subtle">
          {t.image.keptUntil(new Date(expires_at).toLocaleString(locale, { dateStyle: 'medium', timeStyle: 'short' }))}
        </span>
      </div>
      <UploadButton image={image} there={t.images.goOnHelp(bytes(size), bytes(total))}>
        {t.images.goOnUpload}
      </UploadButton>
    </div>
  )
}

export function ImageOverview({ image }: { image: Image }) {
  const t = useText()
  const session = useSession()
  const projects = useQuery({ ...projectsQuery, enabled: isAdmin(session) })
  const ownerName = image.owner === session.project.id ? session.project.name : projects.data?.find(({ id }) => id === image.owner)?.name
  const hash = image.os_hash_value
  const stores = typeof image.stores === 'string' ? image.stores : ''
  return (
    <>
      <Import image={image} />
      <div className="wisp-panels">
        <Panel title={t.launch.image}>
          <Facts
            of={[
              [t.id, <Copyable key="id" value={image.id} />],
              [t.images.visibility, visibilityWord(t, image.visibility)],
              [t.images.owner, image.owner === null ? '' : <Copyable key="owner" value={image.owner} shown={ownerName ?? image.owner} />],
              [t.images.protected, image.protected ? t.yes : t.no],
              [t.images.hidden, image.os_hidden === true ? t.yes : t.no],
              [t.created, <When key="created" time={image.created_at} />],
              [t.images.updated, <When key="updated" time={image.updated_at} />],
              [
                t.images.tags,
                image.tags.length === 0 ? (
                  ''
                ) : (
                  <Labels key="tags" label={t.images.tags}>
                    {image.tags.map((tag) => (
                      <Label key={tag} isCompact>
                        {tag}
                      </Label>
                    ))}
                  </Labels>
                ),
              ],
            ]}
          />
        </Panel>
        <Panel title={t.images.file}>
          <Facts
            of={[
              [t.images.format, image.disk_format],
              [t.images.containerFormat, image.container_format],
              [t.size, image.size === null ? '' : bytes(image.size)],
              [t.images.virtualSize, typeof image.virtual_size === 'number' ? bytes(image.virtual_size) : ''],
              [t.images.minDisk, image.min_disk === 0 ? t.none : gibibytes(image.min_disk)],
              [t.images.minRam, image.min_ram === 0 ? t.none : mebibytes(image.min_ram)],
              ...(stores === '' ? [] : ([[t.images.store, stores]] as [string, string][])),
            ]}
          />
        </Panel>
        <Panel title={t.images.hash} wide>
          <Facts
            of={[
              [t.images.checksum, typeof image.checksum === 'string' ? <Copyable key="md5" value={image.checksum} /> : ''],
              [
                image.os_hash_algo?.toUpperCase() ?? t.images.hash,
                typeof hash === 'string' ? (
                  <Copyable key="hash" value={hash} shown={hash.length > 48 ? `${hash.slice(0, 48)}…` : hash} />
                ) : (
                  ''
                ),
              ],
            ]}
          />
        </Panel>
      </div>
    </>
  )
}
