// One image: its name, state and actions on top, and a tab each for what it is, its properties, and with whom it is shared.
import { Button } from '@patternfly/react-core'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { lazy, Suspense } from 'react'
import { imageCan } from '../../api/can.ts'
import type { Image } from '../../api/image.ts'
import { imageQuery } from '../../api/queries.ts'
import { useSession } from '../../api/session.ts'
import { useText } from '../../i18n/index.ts'
import { type ImageTab, imageTabs } from '../../routes.tsx'
import { DetailPage, useLeave } from '../../ui/detail-page.tsx'
import { useImageActions } from '../../ui/image-actions.tsx'
import { ActionMenu } from '../../ui/list.tsx'
import { ImageStatus, Waiting } from '../../ui/pieces.tsx'
import { Tabbed } from '../../ui/tabbed.tsx'
import { ImageOverview } from './overview.tsx'

const route = getRouteApi('/inside/images/$imageId')

const ImageProperties = lazy(async () => ({ default: (await import('./properties.tsx')).ImageProperties }))
const ImageMembers = lazy(async () => ({ default: (await import('./members.tsx')).ImageMembers }))

function TabContent({ tab, image }: { tab: ImageTab; image: Image }) {
  switch (tab) {
    case 'overview':
      return <ImageOverview image={image} />
    case 'properties':
      return <ImageProperties image={image} />
    case 'members':
      return <ImageMembers image={image} />
  }
}

export function ImagePage() {
  const t = useText()
  const session = useSession()
  const navigate = useNavigate()
  const { imageId } = route.useParams()
  const { tab = 'overview' } = route.useSearch()
  const query = useQuery(imageQuery(imageId))
  const { actions, dialog } = useImageActions(useLeave('/images'))
  const open = (next: ImageTab) =>
    void navigate({ to: '/images/$imageId', params: { imageId }, search: { tab: next === 'overview' ? undefined : next } })
  return (
    <DetailPage
      query={query}
      kind={t.launch.image}
      back={{ to: '/images', text: t.images.title }}
      head={(image) => ({
        title: image.name || image.id,
        beside: <ImageStatus status={image.status} />,
        actions: (
          <>
            {imageCan.launch(image, session) === undefined && (
              <Button onClick={() => void navigate({ to: '/servers/launch', search: { image: image.id } })}>{t.images.launch}</Button>
            )}
            <ActionMenu label={`${t.moreActions}: ${image.name || image.id}`} actions={actions(image)} />
          </>
        ),
      })}
    >
      {(image) => (
        <>
          <Tabbed label={image.name || image.id} tabs={imageTabs} words={t.image} shown={tab} open={open}>
            <Suspense fallback={<Waiting />}>
              <TabContent tab={tab} image={image} />
            </Suspense>
          </Tabbed>
          {dialog}
        </>
      )}
    </DetailPage>
  )
}
