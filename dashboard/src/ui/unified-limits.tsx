// Identity's limits: what is registered for every project, and what this one has instead; with a bar where the service says how much is used.
import { Button } from '@patternfly/react-core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { roleCan } from '../api/can.ts'
import { projectLimitsQuery, registeredLimitsQuery, servicesQuery } from '../api/identity-queries.ts'
import { keys } from '../api/keys.ts'
import { deleteProjectLimit, deleteRegisteredLimit, type EffectiveLimit, effectiveLimits } from '../api/limits.ts'
import { imageUsageQuery } from '../api/queries.ts'
import { queryClient } from '../api/query-client.ts'
import { isAdmin, useSession } from '../api/session.ts'
import { LimitEdit } from '../forms/limit-edit.tsx'
import { useText } from '../i18n/index.ts'
import { Collection } from './collection.tsx'
import { Confirm } from './confirm.tsx'
import { List } from './list.tsx'
import { QuotaBar } from './pieces.tsx'
import { units } from './quotas.tsx'

type Dialog = { kind: 'register' } | { kind: 'registered' | 'own' | 'delete' | 'forget'; of: EffectiveLimit }

export function UnifiedLimits({ projectId }: { projectId: string }) {
  const t = useText()
  const session = useSession()
  const registered = useQuery(registeredLimitsQuery)
  const own = useQuery({ ...projectLimitsQuery(projectId), enabled: registered.isSuccess })
  const usage = useQuery({ ...imageUsageQuery, enabled: projectId === session.project.id })
  const services = useQuery({ ...servicesQuery, enabled: isAdmin(session) })
  const [open, setOpen] = useState<Dialog>()
  const close = () => setOpen(undefined)
  const no = roleCan.administer(session)
  const rows = effectiveLimits(registered.data ?? [], own.data ?? [])
  const serviceName = (id: string) => services.data?.find((service) => service.id === id)?.type ?? id.slice(0, 8)
  const show = (limit: number) => (limit < 0 ? t.overview.unlimited : String(limit))
  const add = (
    <Button isDisabled={no !== undefined} onClick={() => setOpen({ kind: 'register' })}>
      {t.limits.register}
    </Button>
  )
  return (
    <div className="wisp-card">
      {no === undefined && rows.length > 0 && <div className="wisp-toolbar">{add}</div>}
      <Collection
        query={registered}
        all={rows.length}
        shown={rows.length}
        empty={{ title: t.limits.empty, line: t.limits.emptyLine, ...(no === undefined ? { action: add } : {}) }}
      >
        <List
          label={t.limits.tabs.limits}
          rows={rows}
          idOf={({ registered: { id } }) => id}
          nameOf={({ registered: { resource_name } }) => resource_name}
          columns={[
            {
              title: t.limits.resource,
              main: true,
              cell: ({ registered: { resource_name, description } }) => (
                <>
                  <span className="wisp-row-name">{resource_name}</span>
                  {description && <div className="wisp-subtle">{description}</div>}
                </>
              ),
            },
            ...(isAdmin(session)
              ? [{ title: t.limits.service, cell: ({ registered: one }: EffectiveLimit) => serviceName(one.service_id) }]
              : []),
            { title: t.header.region, cell: ({ registered: one }) => one.region_id ?? t.limits.everyRegion, secondary: true },
            { title: t.limits.registered, cell: ({ registered: one }) => show(one.default_limit) },
            { title: t.limits.own, cell: ({ own: mine }) => (mine === undefined ? '—' : show(mine.resource_limit)) },
            {
              title: t.limits.holds,
              cell: ({ limit, registered: { resource_name: name } }) => {
                const used = usage.data?.[name]?.usage
                return used === undefined ? (
                  show(limit)
                ) : (
                  <QuotaBar name={name} used={used} limit={limit} show={units.get(name) ?? String} />
                )
              },
            },
          ]}
          {...(isAdmin(session)
            ? {
                actions: (of: EffectiveLimit) => [
                  { title: t.limits.setOwn, no, run: () => setOpen({ kind: 'own', of }) },
                  ...(of.own === undefined ? [] : [{ title: t.limits.forget, no, run: () => setOpen({ kind: 'forget', of }) }]),
                  { title: t.limits.editRegistered, no, run: () => setOpen({ kind: 'registered', of }), separate: true },
                  { title: t.delete, no, run: () => setOpen({ kind: 'delete', of }), danger: true },
                ],
              }
            : {})}
        />
      </Collection>
      {open?.kind === 'register' && <LimitEdit projectId={projectId} services={services.data ?? []} close={close} />}
      {open?.kind === 'registered' && <LimitEdit of={open.of} projectId={projectId} services={services.data ?? []} close={close} />}
      {open?.kind === 'own' && <LimitEdit of={open.of} own projectId={projectId} services={services.data ?? []} close={close} />}
      {(open?.kind === 'delete' || open?.kind === 'forget') && (
        <Confirm
          title={open.kind === 'delete' ? t.limits.confirmDelete : t.limits.confirmForget}
          line={open.kind === 'delete' ? t.limits.confirmDeleteLine : t.limits.confirmForgetLine(show(open.of.registered.default_limit))}
          objects={[{ id: open.of.registered.id, name: open.of.registered.resource_name }]}
          button={open.kind === 'delete' ? t.delete : t.limits.forget}
          what={t.limits.doing.change}
          run={async () => {
            if (open.kind === 'delete') await deleteRegisteredLimit(open.of.registered.id)
            else if (open.of.own !== undefined) await deleteProjectLimit(open.of.own.id)
            await queryClient.invalidateQueries({ queryKey: keys.unifiedLimits })
          }}
          close={close}
        />
      )}
    </div>
  )
}
