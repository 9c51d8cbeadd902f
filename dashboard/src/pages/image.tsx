// One image: what it is, its hash, what it needs, and the properties someone gave it.
import { Button } from '@patternfly/react-core'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import type { Image } from '../api/image.ts'
import { imageQuery } from '../api/queries.ts'
import { useText } from '../i18n/index.ts'
import { bytes, gibibytes, mebibytes } from '../ui/format.ts'
import { Copyable, Facts, ImageStatus, PageHeader, Panel, Waiting, When } from '../ui/pieces.tsx'
import { Problem } from '../ui/problem.tsx'
import { visibilityWord } from './images.tsx'

const route = getRouteApi('/inside/images/$imageId')

/** What glance defines itself; whatever else an image carries is a property that someone gave it. */
const own = new Set(
  `id name status visibility owner size virtual_size disk_format container_format min_disk min_ram checksum os_hash_algo os_hash_value os_hidden
  protected created_at updated_at tags self file schema locations direct_url stores`.split(/\s+/),
)

function propertiesOf(image: Image): [string, ReactNode][] {
  return Object.entries(image)
    .filter(([name]) => !own.has(name))
    .map(([name, value]) => [name, String(value)])
}

export function ImagePage() {
  const t = useText()
  const navigate = useNavigate()
  const { imageId } = route.useParams()
  const query = useQuery(imageQuery(imageId))
  const image = query.data
  const back = { to: '/images', text: t.images.title } as const
  if (image === undefined)
    return (
      <>
        <PageHeader title={t.launch.image} back={back} />
        {query.isError ? <Problem error={query.error} retry={() => void query.refetch()} /> : <Waiting />}
      </>
    )
  const properties = propertiesOf(image)
  return (
    <>
      <PageHeader title={image.name ?? image.id} back={back} beside={<ImageStatus status={image.status} />}>
        {image.status === 'active' && (
          <Button onClick={() => void navigate({ to: '/servers/launch', search: { image: image.id } })}>{t.images.launch}</Button>
        )}
      </PageHeader>
      <div className="wisp-panels">
        <Panel title={t.launch.image}>
          <Facts
            of={[
              [t.id, <Copyable key="id" value={image.id} />],
              [t.images.visibility, visibilityWord(t, image.visibility)],
              [t.images.protected, image.protected ? t.yes : t.no],
              [t.created, <When key="created" time={image.created_at} />],
              [t.images.tags, image.tags.join(', ')],
            ]}
          />
        </Panel>
        <Panel title={t.images.file}>
          <Facts
            of={[
              [t.images.format, image.disk_format],
              [t.size, image.size === null ? '' : bytes(image.size)],
              [t.images.virtualSize, typeof image.virtual_size === 'number' ? bytes(image.virtual_size) : ''],
              [t.images.minDisk, image.min_disk === 0 ? t.none : gibibytes(image.min_disk)],
              [t.images.minRam, image.min_ram === 0 ? t.none : mebibytes(image.min_ram)],
            ]}
          />
        </Panel>
        <Panel title={t.images.hash} wide>
          <Facts
            of={[
              [t.images.checksum, typeof image.checksum === 'string' ? <Copyable key="md5" value={image.checksum} /> : ''],
              [
                image.os_hash_algo?.toUpperCase() ?? t.images.hash,
                typeof image.os_hash_value === 'string' ? (
                  <Copyable key="hash" value={image.os_hash_value} shown={`${image.os_hash_value.slice(0, 48)}…`} />
                ) : (
                  ''
                ),
              ],
            ]}
          />
        </Panel>
        {properties.length > 0 && (
          <Panel title={t.images.properties} wide>
            <Facts of={properties} />
          </Panel>
        )}
      </div>
    </>
  )
}
