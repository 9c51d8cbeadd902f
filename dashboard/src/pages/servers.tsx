// The list of servers: live, filtered, sorted and paged by the service; all of which is in the address, so that it can be sent to a colleague.
import { Button, Dropdown, DropdownItem, DropdownList, FormSelect, FormSelectOption, MenuToggle, Switch } from '@patternfly/react-core'
import ServerIcon from '@patternfly/react-icons/dist/esm/icons/server-icon'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { roleCan, serverCan } from '../api/can.ts'
import type { Server, ServerSort } from '../api/compute.ts'
import { projectsQuery } from '../api/identity-queries.ts'
import { imagesQuery, serverListQuery } from '../api/queries.ts'
import { isAdmin, useSession } from '../api/session.ts'
import { useText } from '../i18n/index.ts'
import type { ServersSearch } from '../routes.tsx'
import { shortId } from '../ui/format.ts'
import { type Column, List } from '../ui/list.tsx'
import { NameFilter } from '../ui/name-filter.tsx'
import { Nothing } from '../ui/nothing.tsx'
import { PageHeader, ServerStatus, Waiting, When } from '../ui/pieces.tsx'
import { Problem } from '../ui/problem.tsx'
import { useServerActions, useServerVerbs, type Verb } from '../ui/server-actions.tsx'

const route = getRouteApi('/inside/servers')
const statuses = ['ACTIVE', 'BUILD', 'SHUTOFF', 'ERROR', 'REBOOT', 'HARD_REBOOT']
const pageSizes = [20, 50, 100]

function BulkActions({ servers, ask }: { servers: Server[]; ask: (verb: Verb, servers: Server[]) => void }) {
  const t = useText()
  const session = useSession()
  const [open, setOpen] = useState(false)
  const verbs: [Verb, string][] = [
    ['start', t.servers.start],
    ['stop', t.servers.stop],
    ['soft-reboot', t.servers.softReboot],
    ['hard-reboot', t.servers.hardReboot],
    ['delete', t.delete],
  ]
  return (
    <Dropdown
      isOpen={open}
      onOpenChange={setOpen}
      onSelect={() => setOpen(false)}
      shouldFocusToggleOnSelect
      toggle={(ref) => (
        <MenuToggle ref={ref} isExpanded={open} onClick={() => setOpen(!open)} isDisabled={servers.length === 0}>
          {servers.length === 0 ? t.actions : `${t.actions} · ${t.servers.selected(servers.length)}`}
        </MenuToggle>
      )}
    >
      <DropdownList>
        {verbs.map(([verb, title]) => {
          const able = servers.filter((server) => serverCan[verb](server, session) === undefined)
          return (
            <DropdownItem
              key={verb}
              isDanger={verb === 'delete'}
              isAriaDisabled={able.length === 0}
              description={able.length === 0 ? t.why.notForSelection : undefined}
              onClick={() => ask(verb, able)}
            >
              {able.length > 0 && able.length < servers.length ? `${title} (${able.length})` : title}
            </DropdownItem>
          )
        })}
      </DropdownList>
    </Dropdown>
  )
}

function useColumns(search: ServersSearch): Column<Server>[] {
  const t = useText()
  const session = useSession()
  const images = useQuery(imagesQuery)
  const projects = useQuery({ ...projectsQuery, enabled: search.all === true && isAdmin(session) })
  const imageName = (server: Server) => {
    if (typeof server.image !== 'object' || server.image === null) return t.servers.noImage
    const { id } = server.image
    return images.data?.find((image) => image.id === id)?.name || shortId(id)
  }
  const addressesOf = (server: Server) => Object.values(server.addresses).flat()
  return [
    {
      title: t.name,
      sort: 'name',
      main: true,
      cell: (server) => (
        <Link to="/servers/$serverId" params={{ serverId: server.id }}>
          {server.name}
        </Link>
      ),
    },
    { title: t.status, sort: 'status', cell: (server) => <ServerStatus server={server} /> },
    {
      title: t.servers.addresses,
      cell: (server) =>
        addressesOf(server).length === 0 ? (
          <span className="wisp-subtle">{server.status === 'BUILD' ? t.servers.noAddress : '—'}</span>
        ) : (
          addressesOf(server).map(({ addr, 'OS-EXT-IPS-MAC:mac_addr': mac }) => (
            <div key={`${mac} ${addr}`}>
              <code>{addr}</code>
            </div>
          ))
        ),
    },
    { title: t.servers.image, cell: imageName },
    { title: t.servers.flavor, cell: ({ flavor }) => flavor.original_name },
    ...(search.all === true
      ? [
          {
            title: t.servers.project,
            cell: ({ tenant_id }: Server) => projects.data?.find(({ id }) => id === tenant_id)?.name ?? shortId(tenant_id),
          },
          { title: t.servers.host, cell: (server: Server) => server['OS-EXT-SRV-ATTR:hypervisor_hostname'] ?? '—' },
        ]
      : [{ title: t.servers.keyPair, cell: ({ key_name }: Server) => key_name ?? '—', secondary: true }]),
    { title: t.created, sort: 'created', cell: (server) => <When time={server.created} /> },
  ]
}

export function ServersPage() {
  const t = useText()
  const session = useSession()
  const navigate = useNavigate()
  const search = route.useSearch()
  const { sort = 'created', dir = 'desc', limit = 20 } = search
  const admin = isAdmin(session)
  const page = useQuery(
    serverListQuery({
      name: search.name,
      status: search.status,
      sort,
      dir,
      limit,
      after: search.after,
      before: search.before,
      allProjects: admin && search.all === true,
    }),
  )
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set())
  const { ask, dialog } = useServerVerbs()
  const actions = useServerActions(ask)
  const columns = useColumns(search)
  const servers = page.data?.servers ?? []
  const chosen = servers.filter(({ id }) => selected.has(id))
  // Whatever changes what is listed starts again at the first page.
  const change = (next: Partial<ServersSearch>) =>
    void navigate({ to: '/servers', search: { ...search, after: undefined, before: undefined, ...next }, replace: 'name' in next })
  const filtered = search.name !== undefined || search.status !== undefined
  const mayChange = roleCan.change(session) === undefined
  const launch = mayChange && <Button onClick={() => void navigate({ to: '/servers/launch' })}>{t.servers.launch}</Button>
  const nothingAtAll = page.isSuccess && servers.length === 0 && !filtered && search.after === undefined && search.before === undefined
  return (
    <>
      <PageHeader title={t.servers.title}>{launch}</PageHeader>
      <div className="wisp-card">
        <div className="wisp-toolbar">
          <NameFilter label={t.servers.filterName} value={search.name ?? ''} change={(name) => change({ name })} />
          <FormSelect
            aria-label={t.status}
            value={search.status ?? ''}
            onChange={(_event, status) => change({ status: status === '' ? undefined : status })}
            className="wisp-toolbar-select"
          >
            <FormSelectOption value="" label={t.servers.anyStatus} />
            {statuses.map((status) => (
              <FormSelectOption key={status} value={status} label={t.serverStatus[status] ?? status} />
            ))}
          </FormSelect>
          {mayChange && <BulkActions servers={chosen} ask={ask} />}
          {admin && (
            <Switch
              label={t.servers.allProjects}
              isChecked={search.all === true}
              onChange={(_event, on) => change({ all: on ? true : undefined })}
            />
          )}
        </div>
        {page.isPending && <Waiting />}
        {page.isError && <Problem error={page.error} retry={() => void page.refetch()} />}
        {nothingAtAll && (
          <Nothing title={t.servers.empty} line={t.servers.emptyLine} icon={ServerIcon}>
            {launch}
          </Nothing>
        )}
        {page.isSuccess && servers.length === 0 && !nothingAtAll && (
          <Nothing title={t.servers.noneMatch}>
            <Button variant="link" onClick={() => change({ name: undefined, status: undefined })}>
              {t.servers.clearFilters}
            </Button>
          </Nothing>
        )}
        {servers.length > 0 && (
          <List
            label={t.servers.title}
            rows={servers}
            columns={columns}
            idOf={({ id }) => id}
            nameOf={({ name }) => name}
            actions={actions}
            sorting={{ by: sort, dir, change: (by, direction) => change({ sort: by as ServerSort, dir: direction }) }}
            {...(mayChange && { selection: { ids: selected, change: setSelected } })}
          />
        )}
        {(page.data?.hasNext === true || page.data?.hasPrevious === true || limit !== 20) && (
          <nav className="wisp-pages" aria-label={t.page.label}>
            <FormSelect
              aria-label={t.page.perPage(limit)}
              value={limit}
              onChange={(_event, size) => change({ limit: Number(size) === 20 ? undefined : Number(size) })}
            >
              {pageSizes.map((size) => (
                <FormSelectOption key={size} value={size} label={t.page.perPage(size)} />
              ))}
            </FormSelect>
            <Button variant="secondary" isDisabled={page.data?.hasPrevious !== true} onClick={() => change({ before: servers[0]?.id })}>
              {t.previous}
            </Button>
            <Button variant="secondary" isDisabled={page.data?.hasNext !== true} onClick={() => change({ after: servers.at(-1)?.id })}>
              {t.next}
            </Button>
          </nav>
        )}
      </div>
      {dialog}
    </>
  )
}
