// Each thing the pages read, as TanStack Query options: key, fetch function, and how often to look again.
import { keepPreviousData, queryOptions } from '@tanstack/react-query'
import { isTransitional } from './can.ts'
import * as compute from './compute.ts'
import * as image from './image.ts'
import * as imageData from './image-data.ts'
import { keys } from './keys.ts'
import { pollInterval } from './live.ts'
import * as metadefs from './metadefs.ts'
import * as network from './network.ts'

export const serverListQuery = (query: compute.ServerListQuery) =>
  queryOptions({
    queryKey: keys.serverList(query),
    queryFn: ({ signal }) => compute.listServers(query, signal),
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) => pollInterval(state.data?.servers.some(isTransitional) ?? false),
  })

export const serverQuery = (id: string) =>
  queryOptions({
    queryKey: keys.server(id),
    queryFn: ({ signal }) => compute.getServer(id, signal),
    refetchInterval: ({ state }) => pollInterval(state.data !== undefined && isTransitional(state.data)),
  })

export const serverActionsQuery = (id: string) =>
  queryOptions({
    queryKey: keys.serverActions(id),
    queryFn: ({ signal }) => compute.listServerActions(id, signal),
    refetchInterval: ({ state }) => pollInterval(state.data?.some(({ events }) => events?.some((e) => e.finish_time === null)) ?? false),
  })

/** The log is read every other second while it is looked at: no event says that a guest printed something. */
export const consoleLogQuery = (id: string) =>
  queryOptions({
    queryKey: keys.consoleLog(id),
    queryFn: ({ signal }) => compute.getConsoleLog(id, signal),
    refetchInterval: 2_000,
    staleTime: 0,
  })

export const limitsQuery = queryOptions({ queryKey: keys.limits, queryFn: ({ signal }) => compute.getComputeLimits(signal) })

export const flavorsQuery = queryOptions({
  queryKey: keys.flavors,
  queryFn: ({ signal }) => compute.listFlavors(signal),
  staleTime: 60_000,
})

export const keyPairsQuery = queryOptions({ queryKey: keys.keyPairs, queryFn: ({ signal }) => compute.listKeyPairs(signal) })

export const hypervisorsQuery = queryOptions({
  queryKey: keys.hypervisors,
  queryFn: ({ signal }) => compute.listHypervisors(signal),
  refetchInterval: 10_000,
})

const imageIsMoving = ({ status }: image.Image) => ['queued', 'saving', 'importing', 'uploading', 'pending_delete'].includes(status)

export const imageListQuery = (query: image.ImageListQuery) =>
  queryOptions({
    queryKey: keys.imageList(query),
    queryFn: ({ signal }) => image.listImages(query, signal),
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) => pollInterval(state.data?.some(imageIsMoving) ?? false),
  })

/** What a server can be launched from. */
export const imagesQuery = imageListQuery({})

export const imageQuery = (id: string) =>
  queryOptions({
    queryKey: keys.image(id),
    queryFn: ({ signal }) => image.getImage(id, signal),
    refetchInterval: ({ state }) => pollInterval(state.data !== undefined && imageIsMoving(state.data)),
  })

export const imageMembersQuery = (id: string) =>
  queryOptions({ queryKey: keys.imageMembers(id), queryFn: ({ signal }) => image.listImageMembers(id, signal) })

export const imageTasksQuery = (id: string) =>
  queryOptions({ queryKey: keys.imageTasks(id), queryFn: ({ signal }) => imageData.listImageTasks(id, signal) })

/** How far an upload is: no event tells of the bytes that arrive. */
export const imageStagedQuery = (id: string) =>
  queryOptions({
    queryKey: keys.imageStaged(id),
    queryFn: async ({ signal }) => (await imageData.getStaged(id, false, signal)) ?? null,
    refetchInterval: 3_000,
  })

export const imageUsageQuery = queryOptions({ queryKey: keys.imageUsage, queryFn: ({ signal }) => image.getImageUsage(signal) })

export const importMethodsQuery = queryOptions({
  queryKey: keys.importMethods,
  queryFn: ({ signal }) => imageData.listImportMethods(signal),
  staleTime: 300_000,
})

export const storesQuery = queryOptions({
  queryKey: keys.stores,
  queryFn: ({ signal }) => imageData.listStores(signal),
  staleTime: 300_000,
})

/** Definitions change when an operator loads new ones: hardly ever. */
export const namespacesQuery = queryOptions({
  queryKey: keys.namespaces,
  queryFn: ({ signal }) => metadefs.listNamespaces(signal),
  staleTime: 3_600_000,
})

export const definedPropertiesQuery = (namespace: string) =>
  queryOptions({
    queryKey: keys.definedProperties(namespace),
    queryFn: ({ signal }) => metadefs.getDefinedProperties(namespace, signal),
    staleTime: 3_600_000,
  })

export const networksQuery = queryOptions({
  queryKey: keys.networkList,
  queryFn: ({ signal }) => network.listNetworks(signal),
  refetchInterval: () => pollInterval(false),
})

export const networkQuery = (id: string) =>
  queryOptions({
    queryKey: keys.network(id),
    queryFn: ({ signal }) => network.getNetwork(id, signal),
    refetchInterval: () => pollInterval(false),
  })

export const subnetsQuery = queryOptions({ queryKey: keys.subnets, queryFn: ({ signal }) => network.listSubnets(signal) })

export const portsQuery = (of: { network_id?: string; device_id?: string }) =>
  queryOptions({
    queryKey: keys.portsOf(of),
    queryFn: ({ signal }) => network.listPorts(of, signal),
    refetchInterval: ({ state }) => pollInterval(state.data?.some(({ status }) => status === 'BUILD') ?? false),
  })

export const securityGroupsQuery = (projectId: string) =>
  queryOptions({ queryKey: keys.securityGroupList(projectId), queryFn: ({ signal }) => network.listSecurityGroups(projectId, signal) })

export const securityGroupQuery = (id: string) =>
  queryOptions({ queryKey: keys.securityGroup(id), queryFn: ({ signal }) => network.getSecurityGroup(id, signal) })

export const networkQuotasQuery = (projectId: string) =>
  queryOptions({ queryKey: [...keys.networkQuotas, projectId], queryFn: ({ signal }) => network.getNetworkQuotas(projectId, signal) })
