// One group: who is in it, and the roles that gives them.
import { Button } from '@patternfly/react-core'
import { useMutation, useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useState } from 'react'
import { roleCan } from '../api/can.ts'
import { groupQuery, usersInGroupQuery, usersQuery } from '../api/identity-queries.ts'
import { keys } from '../api/keys.ts'
import { queryClient } from '../api/query-client.ts'
import { useSession } from '../api/session.ts'
import { addToGroup, removeFromGroup } from '../api/users.ts'
import { useText } from '../i18n/index.ts'
import { Assignments } from '../ui/assignments.tsx'
import { Collection } from '../ui/collection.tsx'
import { DetailPage, useLeave } from '../ui/detail-page.tsx'
import { useDomainName } from '../ui/domain-filter.tsx'
import { Field } from '../ui/field.tsx'
import { useGroupVerbs } from '../ui/group-verbs.tsx'
import { ActionMenu, List } from '../ui/list.tsx'
import { MaySee } from '../ui/may-see.tsx'
import { Pick } from '../ui/pick.tsx'
import { EnabledState } from '../ui/state.tsx'
import { toastProblem } from '../ui/toasts.tsx'

const route = getRouteApi('/inside/groups/$groupId')

function Members({ groupId }: { groupId: string }) {
  const t = useText()
  const members = useQuery(usersInGroupQuery(groupId))
  const no = roleCan.administerPeople(useSession())
  const users = useQuery({ ...usersQuery, enabled: no === undefined })
  const domainName = useDomainName()
  const [added, setAdded] = useState(0)
  const [picked, setPicked] = useState<string>()
  const changed = () => queryClient.invalidateQueries({ queryKey: keys.users })
  const add = useMutation({
    mutationFn: (userId: string) => addToGroup(groupId, userId),
    onSuccess: async () => {
      await changed()
      setPicked(undefined)
      setAdded(added + 1)
    },
    onError: (error) => toastProblem(t.groups.doing.add, error),
  })
  const remove = useMutation({
    mutationFn: (userId: string) => removeFromGroup(groupId, userId),
    onSuccess: changed,
    onError: (error) => toastProblem(t.groups.doing.remove, error),
  })
  const inside = new Set(members.data?.map(({ id }) => id))
  const outside = (users.data ?? []).filter(({ id }) => !inside.has(id))
  return (
    <div className="wisp-card">
      {no === undefined && (
        <form
          className="wisp-add"
          onSubmit={(event) => {
            event.preventDefault()
            if (picked !== undefined && !add.isPending) add.mutate(picked)
          }}
        >
          <Field label={t.groups.addUser} id="group-user" help={t.pickHelp}>
            <Pick
              key={added}
              id="group-user"
              among={outside.map(({ id, name, domain_id }) => ({ id, name, of: domainName(domain_id) }))}
              change={setPicked}
            />
          </Field>
          <Button type="submit" className="wisp-add-button" isDisabled={picked === undefined || add.isPending}>
            {t.add}
          </Button>
        </form>
      )}
      <Collection query={members} all={members.data?.length ?? 0} shown={members.data?.length ?? 0} empty={{ title: t.groups.noMembers }}>
        <List
          label={t.groups.members}
          rows={members.data ?? []}
          idOf={({ id }) => id}
          nameOf={({ name }) => name}
          columns={[
            {
              title: t.users.one,
              main: true,
              cell: ({ id, name }) => (
                <Link to="/users/$userId" params={{ userId: id }}>
                  {name}
                </Link>
              ),
            },
            { title: t.state, cell: ({ enabled }) => <EnabledState enabled={enabled} /> },
            { title: t.domains.one, cell: ({ domain_id }) => domainName(domain_id) },
          ]}
          actions={({ id }) => [{ title: t.groups.removeUser, no, run: () => remove.mutate(id), danger: true }]}
        />
      </Collection>
    </div>
  )
}

function OneGroup() {
  const t = useText()
  const { groupId } = route.useParams()
  const query = useQuery(groupQuery(groupId))
  const domainName = useDomainName()
  const { actions, dialog } = useGroupVerbs(useLeave('/groups'))
  return (
    <DetailPage
      query={query}
      kind={t.groups.one}
      back={{ to: '/groups', text: t.groups.title }}
      head={(group) => ({
        title: group.name,
        line: `${t.domains.one}: ${domainName(group.domain_id)}${group.description ? ` · ${group.description}` : ''}`,
        actions: <ActionMenu label={`${t.moreActions}: ${group.name}`} actions={actions(group)} />,
      })}
    >
      {() => (
        <>
          <h2 className="wisp-list-heading">{t.groups.members}</h2>
          <Members groupId={groupId} />
          <h2 className="wisp-list-heading">{t.roles.title}</h2>
          <Assignments of={{ group: groupId }} actor={{ kind: 'group', id: groupId }} />
          {dialog}
        </>
      )}
    </DetailPage>
  )
}

export function GroupPage() {
  return <MaySee of="people">{() => <OneGroup />}</MaySee>
}
