// What a server is: its fault first, should it have one, then addresses, hardware, access and metadata.
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import type { Server } from '../../api/compute.ts'
import { remedyOfFault } from '../../api/explain.ts'
import { imagesQuery } from '../../api/queries.ts'
import { isAdmin, useSession } from '../../api/session.ts'
import { useText } from '../../i18n/index.ts'
import { gibibytes, mebibytes, shortId } from '../../ui/format.ts'
import { Copyable, Facts, Panel, When } from '../../ui/pieces.tsx'
import { CauseAndRemedy } from '../../ui/problem.tsx'

function Fault({ fault }: { fault: NonNullable<Server['fault']> }) {
  const t = useText()
  return (
    <CauseAndRemedy title={t.server.failed} cause={fault.message} remedy={remedyOfFault(fault.message)}>
      <p className="wisp-subtle">
        <When time={fault.created} />
      </p>
      {fault.details !== undefined && fault.details !== '' && (
        <details>
          <summary>{t.server.details}</summary>
          <pre className="wisp-details">{fault.details}</pre>
        </details>
      )}
    </CauseAndRemedy>
  )
}

export function ServerOverview({ server }: { server: Server }) {
  const t = useText()
  const session = useSession()
  const images = useQuery(imagesQuery)
  const imageId = typeof server.image === 'object' && server.image !== null ? server.image.id : undefined
  const addresses: [string, ReactNode][] = Object.entries(server.addresses).map(([network, list]) => [
    network,
    list.map(({ addr, 'OS-EXT-IPS:type': type }) => (
      <div key={addr}>
        <Copyable value={addr} /> {type === 'floating' && <span className="wisp-subtle">{type}</span>}
      </div>
    )),
  ])
  const { vcpus, ram, disk, original_name } = server.flavor
  return (
    <>
      {server.fault !== undefined && <Fault fault={server.fault} />}
      <div className="wisp-panels">
        <Panel title={t.server.network}>
          {addresses.length === 0 ? (
            <p className="wisp-subtle">{server.status === 'BUILD' ? t.servers.noAddress : t.none}</p>
          ) : (
            <Facts of={addresses} />
          )}
        </Panel>
        <Panel title={t.server.hardware}>
          <Facts
            of={[
              [t.servers.flavor, original_name],
              [t.size, `${t.server.vcpus(vcpus)} · ${t.server.memory(mebibytes(ram))} · ${t.server.disk(gibibytes(disk))}`],
              [
                t.servers.image,
                imageId === undefined ? (
                  t.servers.noImage
                ) : (
                  <Link key="image" to="/images/$imageId" params={{ imageId }}>
                    {images.data?.find(({ id }) => id === imageId)?.name || shortId(imageId)}
                  </Link>
                ),
              ],
            ]}
          />
        </Panel>
        <Panel title={t.server.access}>
          <Facts
            of={[
              [t.servers.keyPair, server.key_name],
              [t.nav.securityGroups, [...new Set(server.security_groups?.map(({ name }) => name))].join(', ')],
              [t.server.configDrive, server.config_drive === 'True' ? t.yes : t.no],
            ]}
          />
        </Panel>
        <Panel title={t.server.facts}>
          <Facts
            of={[
              [t.id, <Copyable key="id" value={server.id} />],
              [t.created, <When key="created" time={server.created} />],
              [t.server.launched, <When key="launched" time={server['OS-SRV-USG:launched_at']} />],
              [t.server.availabilityZone, server['OS-EXT-AZ:availability_zone']],
              ...(isAdmin(session) ? ([[t.servers.host, server['OS-EXT-SRV-ATTR:hypervisor_hostname']]] as [string, ReactNode][]) : []),
              ...(server.locked === true ? ([[t.server.locked, t.yes]] as [string, ReactNode][]) : []),
            ]}
          />
        </Panel>
        {Object.keys(server.metadata).length > 0 && (
          <Panel title={t.server.metadata} wide>
            <Facts of={Object.entries(server.metadata)} />
          </Panel>
        )}
      </div>
    </>
  )
}
