// With whom an image is shared: its owner adds and removes projects, a project that was offered it accepts or rejects.
import { Button } from '@patternfly/react-core'
import { useMutation, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { imageCan, roleCan } from '../../api/can.ts'
import { projectsQuery } from '../../api/identity-queries.ts'
import { addImageMember, answerImageOffer, changeImage, type Image, type ImageMember, removeImageMember } from '../../api/image.ts'
import { keys } from '../../api/keys.ts'
import { imageMembersQuery } from '../../api/queries.ts'
import { queryClient } from '../../api/query-client.ts'
import { isAdmin, useSession } from '../../api/session.ts'
import { useText } from '../../i18n/index.ts'
import { Collection } from '../../ui/collection.tsx'
import { Field } from '../../ui/field.tsx'
import { List } from '../../ui/list.tsx'
import { Nothing } from '../../ui/nothing.tsx'
import { Pick } from '../../ui/pick.tsx'
import { StatusWord, type Tone, When } from '../../ui/pieces.tsx'
import { Problem } from '../../ui/problem.tsx'
import { toastProblem } from '../../ui/toasts.tsx'

const tones: Record<ImageMember['status'], Tone> = { accepted: 'good', pending: 'busy', rejected: 'bad' }

function AddMember({ image }: { image: Image }) {
  const t = useText()
  const session = useSession()
  // Only administrators can look up other projects; everyone else gets the id from the other side.
  const projects = useQuery({ ...projectsQuery, enabled: isAdmin(session) })
  const [text, setText] = useState(0)
  const [project, setProject] = useState<string>()
  const add = useMutation({
    mutationFn: (id: string) => addImageMember(image.id, id),
    onSuccess: async () => {
      await queryClient.invalidateQueries({ queryKey: keys.images })
      setProject(undefined)
      setText(text + 1)
    },
  })
  return (
    <form
      className="wisp-add"
      onSubmit={(event) => {
        event.preventDefault()
        if (project !== undefined && !add.isPending) add.mutate(project)
      }}
    >
      <Field label={t.images.shareWith} id="member" help={isAdmin(session) ? undefined : t.images.shareWithHelp}>
        <Pick
          key={text}
          id="member"
          among={(projects.data ?? []).filter(({ id }) => id !== image.owner)}
          free={!isAdmin(session)}
          change={setProject}
        />
      </Field>
      <Button type="submit" className="wisp-add-button" isDisabled={project === undefined || add.isPending} isLoading={add.isPending}>
        {t.images.share}
      </Button>
      {add.isError && <Problem error={add.error} what={t.images.doing.share} />}
    </form>
  )
}

export function ImageMembers({ image }: { image: Image }) {
  const t = useText()
  const session = useSession()
  const shared = image.visibility === 'shared'
  const members = useQuery({ ...imageMembersQuery(image.id), enabled: shared })
  const projects = useQuery({ ...projectsQuery, enabled: isAdmin(session) })
  const no = imageCan.change(image, session)
  const changed = () => queryClient.invalidateQueries({ queryKey: keys.images })
  const makeShared = useMutation({
    mutationFn: () => changeImage(image.id, [{ op: 'replace', path: '/visibility', value: 'shared' }]),
    onSuccess: changed,
    onError: (error) => toastProblem(t.images.doing.change, error),
  })
  const remove = useMutation({
    mutationFn: (id: string) => removeImageMember(image.id, id),
    onSuccess: changed,
    onError: (error) => toastProblem(t.images.doing.unshare, error),
  })
  const answer = useMutation({
    mutationFn: ({ id, status }: { id: string; status: ImageMember['status'] }) => answerImageOffer(image.id, id, status),
    onSuccess: changed,
    onError: (error) => toastProblem(t.images.doing.answer, error),
  })
  if (!shared)
    return (
      <div className="wisp-card">
        <Nothing title={t.images.notShared} line={t.images.notSharedLine[image.visibility] ?? ''}>
          {no === undefined && image.visibility === 'private' && (
            <Button onClick={() => makeShared.mutate()} isLoading={makeShared.isPending} isDisabled={makeShared.isPending}>
              {t.images.makeShared}
            </Button>
          )}
        </Nothing>
      </div>
    )
  const nameOf = (id: string) =>
    id === session.project.id ? session.project.name : (projects.data?.find((project) => project.id === id)?.name ?? id)
  return (
    <div className="wisp-card">
      {no === undefined && <AddMember image={image} />}
      <Collection
        query={members}
        all={members.data?.length ?? 0}
        shown={members.data?.length ?? 0}
        empty={{ title: t.images.noMembers, line: t.images.noMembersLine }}
      >
        <List
          label={t.image.members}
          rows={members.data ?? []}
          idOf={({ member_id }) => member_id}
          nameOf={({ member_id }) => nameOf(member_id)}
          columns={[
            { title: t.images.project, main: true, cell: ({ member_id }) => nameOf(member_id) },
            { title: t.id, cell: ({ member_id }) => <code>{member_id}</code>, secondary: true },
            { title: t.status, cell: ({ status }) => <StatusWord tone={tones[status]}>{t.images.memberStatus[status]}</StatusWord> },
            { title: t.images.updated, cell: ({ updated_at }) => <When time={updated_at} /> },
          ]}
          actions={({ member_id: id, status }) => {
            const mine = id === session.project.id || isAdmin(session)
            const answers = (['accepted', 'rejected'] as const).filter((each) => each !== status)
            return [
              ...(mine
                ? answers.map((each) => ({
                    title: each === 'accepted' ? t.images.accept : t.images.reject,
                    no: roleCan.change(session),
                    run: () => answer.mutate({ id, status: each }),
                  }))
                : []),
              { title: t.images.unshare, no, run: () => remove.mutate(id), danger: true },
            ]
          }}
        />
      </Collection>
    </div>
  )
}
