// The images a project may use, and for administrators those of all projects. What the list shows is in its address.
import { Button, FormSelect, FormSelectOption, Label } from '@patternfly/react-core'
import ImageIcon from '@patternfly/react-icons/dist/esm/icons/hdd-icon'
import { useMutation, useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { roleCan } from '../api/can.ts'
import { projectsQuery } from '../api/identity-queries.ts'
import { answerImageOffer, type Image, type ImageShow, type ImageSort, imageShows, narrowed, queryOfShow } from '../api/image.ts'
import { keys } from '../api/keys.ts'
import { imageListQuery } from '../api/queries.ts'
import { queryClient } from '../api/query-client.ts'
import { isAdmin, useSession } from '../api/session.ts'
import { ImageCreate } from '../forms/image-create.tsx'
import { diskFormats } from '../forms/image-formats.ts'
import { useText } from '../i18n/index.ts'
import type { ImagesSearch } from '../routes.tsx'
import { Collection } from '../ui/collection.tsx'
import { bytes, shortId } from '../ui/format.ts'
import { useImageActions } from '../ui/image-actions.tsx'
import { Labels } from '../ui/labels.tsx'
import { type Column, List } from '../ui/list.tsx'
import { NameFilter } from '../ui/name-filter.tsx'
import { Pages, pageOf } from '../ui/pages.tsx'
import { ImageStatus, PageHeader, When } from '../ui/pieces.tsx'
import { toastProblem } from '../ui/toasts.tsx'
import { visibilityWord } from '../ui/visibility.tsx'
import { WithReason } from '../ui/with-reason.tsx'

const route = getRouteApi('/inside/images')
const statuses = ['active', 'queued', 'saving', 'uploading', 'importing', 'deactivated', 'killed']

function useColumns(show: ImageShow, openTag: (tag: string) => void): Column<Image>[] {
  const t = useText()
  const session = useSession()
  const admin = isAdmin(session)
  const projects = useQuery({ ...projectsQuery, enabled: admin })
  const owner = ({ owner: id }: Image) => {
    if (id === null) return '—'
    if (id === session.project.id) return session.project.name
    return projects.data?.find((project) => project.id === id)?.name ?? shortId(id)
  }
  const answer = useMutation({
    mutationFn: ({ image, status }: { image: Image; status: 'accepted' | 'rejected' }) =>
      answerImageOffer(image.id, session.project.id, status),
    onSuccess: () => queryClient.invalidateQueries({ queryKey: keys.images }),
    onError: (error) => toastProblem(t.images.doing.answer, error),
  })
  return [
    {
      title: t.name,
      sort: 'name',
      main: true,
      cell: ({ id, name, tags }) => (
        <span>
          <Link to="/images/$imageId" params={{ imageId: id }}>
            {name || id}
          </Link>{' '}
          <Labels label={`${name || id}: ${t.images.tags}`} most={6}>
            {tags.map((tag) => (
              <Label key={tag} isCompact onClick={() => openTag(tag)}>
                {tag}
              </Label>
            ))}
          </Labels>
        </span>
      ),
    },
    { title: t.status, sort: 'status', cell: ({ status }) => <ImageStatus status={status} /> },
    { title: t.size, sort: 'size', cell: ({ size }) => (size === null ? '—' : bytes(size)) },
    { title: t.images.format, cell: ({ disk_format }) => disk_format ?? '—', secondary: true },
    { title: t.images.visibility, cell: ({ visibility }) => visibilityWord(t, visibility) },
    ...(admin ? [{ title: t.images.owner, cell: owner }] : []),
    { title: t.created, sort: 'created_at', cell: ({ created_at }) => <When time={created_at} /> },
    ...(show === 'offered'
      ? [
          {
            title: t.images.offer,
            cell: (image: Image) => (
              <div className="wisp-row">
                <Button size="sm" onClick={() => answer.mutate({ image, status: 'accepted' })}>
                  {t.images.accept}
                </Button>
                <Button size="sm" variant="secondary" onClick={() => answer.mutate({ image, status: 'rejected' })}>
                  {t.images.reject}
                </Button>
              </div>
            ),
          },
        ]
      : []),
  ]
}

function Filters({ search, change }: { search: ImagesSearch; change: (next: Partial<ImagesSearch>) => void }) {
  const t = useText()
  const admin = isAdmin(useSession())
  // Administrators see every project's images; which of them were offered to this one can't be asked.
  const shows = imageShows.filter((show) => (admin ? show !== 'offered' : show !== 'all'))
  return (
    <div className="wisp-toolbar">
      <NameFilter label={t.images.filter} value={search.name ?? ''} change={(name) => change({ name })} />
      <FormSelect
        aria-label={t.images.show}
        value={search.show ?? 'usable'}
        onChange={(_event, show) => change({ show: show === 'usable' ? undefined : (show as ImageShow) })}
      >
        {shows.map((show) => (
          <FormSelectOption key={show} value={show} label={show === 'usable' && admin ? t.images.showsAdmin : t.images.shows[show]} />
        ))}
      </FormSelect>
      <FormSelect aria-label={t.status} value={search.status ?? ''} onChange={(_event, status) => change({ status: status || undefined })}>
        <FormSelectOption value="" label={t.servers.anyStatus} />
        {statuses.map((status) => (
          <FormSelectOption key={status} value={status} label={t.imageStatus[status] ?? status} />
        ))}
      </FormSelect>
      <FormSelect
        aria-label={t.images.format}
        value={search.format ?? ''}
        onChange={(_event, format) => change({ format: format || undefined })}
      >
        <FormSelectOption value="" label={t.images.anyFormat} />
        {diskFormats.map((format) => (
          <FormSelectOption key={format} value={format} label={format} />
        ))}
      </FormSelect>
      {search.tag !== undefined && (
        <Label onClose={() => change({ tag: undefined })} closeBtnAriaLabel={`${t.clearFilters}: ${search.tag}`}>
          {search.tag}
        </Label>
      )}
    </div>
  )
}

export function ImagesPage() {
  const t = useText()
  const session = useSession()
  const navigate = useNavigate()
  const search = route.useSearch()
  const { show = 'usable', sort = 'created_at', dir = 'desc' } = search
  const images = useQuery(imageListQuery(queryOfShow(show, session.project.id)))
  const [creating, setCreating] = useState(false)
  const { actions, dialog } = useImageActions()
  const change = (next: Partial<ImagesSearch>) =>
    void navigate({ to: '/images', search: { ...search, page: undefined, ...next }, replace: 'name' in next })
  const columns = useColumns(show, (tag) => change({ tag }))
  // What a project shares is no offer to itself.
  const listed = images.data?.filter(({ owner }) => show !== 'offered' || owner !== session.project.id) ?? []
  const { name, status, format, tag } = search
  const left = narrowed(listed, { name, status, format, tag, sort, dir })
  const { rows, page, pages } = pageOf(left, search.page ?? 1)
  const filtered = [name, status, format, tag, search.show].some((value) => value !== undefined)
  const create = (
    <WithReason no={roleCan.change(session)}>
      <Button isDisabled={roleCan.change(session) !== undefined} onClick={() => setCreating(true)}>
        {t.images.create}
      </Button>
    </WithReason>
  )
  return (
    <>
      <PageHeader title={t.images.title}>{create}</PageHeader>
      <div className="wisp-card">
        <Filters search={search} change={change} />
        <Collection
          query={images}
          all={listed.length}
          shown={rows.length}
          empty={{ title: t.images.empty, line: t.images.emptyLine, icon: ImageIcon, action: create }}
          {...(filtered ? { clear: () => void navigate({ to: '/images' }) } : {})}
        >
          <List
            label={t.images.title}
            rows={rows}
            idOf={({ id }) => id}
            nameOf={(image) => image.name || image.id}
            columns={columns}
            actions={actions}
            sorting={{ by: sort, dir, change: (by, direction) => change({ sort: by as ImageSort, dir: direction }) }}
          />
          <Pages page={page} pages={pages} open={(next) => change({ page: next })} />
        </Collection>
      </div>
      {creating && (
        <ImageCreate close={() => setCreating(false)} done={(imageId) => void navigate({ to: '/images/$imageId', params: { imageId } })} />
      )}
      {dialog}
    </>
  )
}
