// Launching a server: one page instead of a row of dialogs. Everything has a sensible choice from the start, so that a name is enough.
import { Button, Checkbox, ExpandableSection, FormSelect, FormSelectOption, NumberInput, TextArea, TextInput } from '@patternfly/react-core'
import { useMutation, useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { type ReactNode, useState } from 'react'
import { roleCan } from '../api/can.ts'
import { createServer } from '../api/compute.ts'
import { keys } from '../api/keys.ts'
import { flavorsQuery, imagesQuery, keyPairsQuery, networksQuery, securityGroupsQuery, subnetsQuery } from '../api/queries.ts'
import { queryClient } from '../api/query-client.ts'
import { useSession } from '../api/session.ts'
import { useText } from '../i18n/index.ts'
import { Field } from '../ui/field.tsx'
import { bytes, gibibytes, mebibytes } from '../ui/format.ts'
import { Nothing } from '../ui/nothing.tsx'
import { PageHeader, Waiting } from '../ui/pieces.tsx'
import { Problem } from '../ui/problem.tsx'
import { KeyPairCreate } from './key-pair-create.tsx'
import { KeyPairImport } from './key-pair-import.tsx'
import { BoxChoice, CardChoice, Section } from './server-create/choices.tsx'
import { type Chosen, useChosen } from './server-create/chosen.ts'
import { type Launch, missing, requestOf, shortfall } from './server-create/launch.ts'
import { Review } from './server-create/review.tsx'

const route = getRouteApi('/inside/servers/launch')

function useOffer() {
  const { project } = useSession()
  const images = useQuery(imagesQuery)
  const flavors = useQuery(flavorsQuery)
  const networks = useQuery(networksQuery)
  const subnets = useQuery(subnetsQuery)
  const groups = useQuery(securityGroupsQuery(project.id))
  const keyPairs = useQuery(keyPairsQuery)
  const all = [images, flavors, networks, subnets, groups, keyPairs]
  return {
    pending: all.some(({ isPending }) => isPending),
    // What could not be read again is still as it was: no reason to take the form away.
    failed: all.find(({ isError, data }) => isError && data === undefined),
    images: images.data?.filter(({ status }) => status === 'active') ?? [],
    flavors: flavors.data ?? [],
    // An administrator sees everyone's networks, but a server belongs on the project's own or on shared ones.
    networks:
      networks.data?.filter((network) => (network.project_id === project.id || network.shared) && network['router:external'] !== true) ??
      [],
    subnets: subnets.data ?? [],
    groups: groups.data ?? [],
    keyPairs: keyPairs.data ?? [],
  }
}

function launchOf(chosen: Chosen, offer: ReturnType<typeof useOffer>): Launch {
  const image = chosen.imageId === undefined ? offer.images[0] : offer.images.find(({ id }) => id === chosen.imageId)
  const fits = offer.flavors.filter((flavor) => shortfall(flavor, image, { disk: String, ram: String }) === undefined)
  const chosenFlavor = fits.find(({ id }) => id === chosen.flavorId)
  const withSubnet = offer.networks.filter(({ id }) => offer.subnets.some(({ network_id }) => network_id === id))
  const networkIds = chosen.networkIds ?? withSubnet.slice(0, 1).map(({ id }) => id)
  const groupIds = chosen.groupIds ?? offer.groups.filter(({ name }) => name === 'default').map(({ id }) => id)
  const keyPair = chosen.keyPair === undefined ? offer.keyPairs[0]?.name : offer.keyPairs.find(({ name }) => name === chosen.keyPair)?.name
  return {
    name: chosen.name,
    count: chosen.count,
    image,
    flavor: chosenFlavor ?? fits[0],
    networks: networkIds.flatMap((wanted) => offer.networks.find(({ id }) => id === wanted) ?? []),
    securityGroups: groupIds.flatMap((wanted) => offer.groups.find(({ id }) => id === wanted) ?? []),
    keyPair,
    userData: chosen.userData,
    configDrive: chosen.configDrive,
  }
}

function KeyPairChoice({ names, chosen, choose }: { names: string[]; chosen: string | undefined; choose: (name: string | null) => void }) {
  const t = useText()
  const [form, setForm] = useState<'create' | 'import'>()
  const close = () => setForm(undefined)
  return (
    <>
      <div className="wisp-inline">
        <FormSelect aria-label={t.launch.keyPair} value={chosen ?? ''} onChange={(_event, name) => choose(name === '' ? null : name)}>
          <FormSelectOption value="" label={t.launch.noKeyPair} />
          {names.map((name) => (
            <FormSelectOption key={name} value={name} label={name} />
          ))}
        </FormSelect>
        <Button variant="secondary" onClick={() => setForm('import')}>
          {t.keyPairs.import}
        </Button>
        <Button variant="secondary" onClick={() => setForm('create')}>
          {t.keyPairs.create}
        </Button>
      </div>
      {form === 'create' && <KeyPairCreate close={close} done={choose} />}
      {form === 'import' && <KeyPairImport close={close} done={choose} />}
    </>
  )
}

export function ServerCreatePage() {
  const t = useText()
  const navigate = useNavigate()
  const search = route.useSearch()
  const no = roleCan.change(useSession())
  const offer = useOffer()
  const { chosen, set } = useChosen(search.image)
  const [asked, setAsked] = useState(false)
  const [advanced, setAdvanced] = useState(false)
  const launch = launchOf(chosen, offer)
  const create = useMutation({
    mutationFn: () => createServer(requestOf(launch)),
    onSuccess: () => {
      void queryClient.invalidateQueries({ queryKey: keys.serverLists })
      void queryClient.invalidateQueries({ queryKey: keys.limits })
    },
  })
  const show = ({ id }: { id: string }) => {
    if (launch.count > 1) void navigate({ to: '/servers' })
    else void navigate({ to: '/servers/$serverId', params: { serverId: id } })
  }
  const submit = () => {
    if (create.isPending) return
    setAsked(true)
    if (missing(launch, t).length === 0) create.mutate(undefined, { onSuccess: show })
  }
  const header = <PageHeader title={t.launch.title} line={t.launch.line} back={{ to: '/servers', text: t.servers.title }} />
  const frame = (content: ReactNode) => (
    <>
      {header}
      {content}
    </>
  )
  if (no !== undefined) return frame(<Nothing title={t.why[no]} />)
  if (offer.failed?.error) return frame(<Problem error={offer.failed.error} retry={() => void offer.failed?.refetch()} />)
  if (offer.pending) return frame(<Waiting />)
  const sizes = { disk: (gb: number) => t.launch.tooSmall(gibibytes(gb)), ram: (mb: number) => t.launch.tooSmall(mebibytes(mb)) }
  const nameError = asked && chosen.name.trim() === '' ? t.launch.nameMissing : undefined
  return frame(
    <div className="wisp-launch">
      <form
        className="wisp-launch-form"
        onSubmit={(event) => {
          event.preventDefault()
          submit()
        }}
      >
        <Section number={1} title={t.launch.basics}>
          <div className="wisp-inline wisp-inline-top">
            <Field
              label={t.name}
              id="server-name"
              required
              error={nameError}
              help={chosen.count > 1 ? t.launch.countHelp(chosen.name || t.name) : t.launch.nameHelp}
            >
              <TextInput
                id="server-name"
                autoFocus
                value={chosen.name}
                validated={nameError === undefined ? 'default' : 'error'}
                aria-describedby="server-name-help"
                onChange={(_event, name) => set({ name })}
              />
            </Field>
            <Field label={t.launch.count} id="server-count">
              <NumberInput
                inputProps={{ id: 'server-count' }}
                inputAriaLabel={t.launch.count}
                minusBtnAriaLabel={`${t.less}: ${t.launch.count}`}
                plusBtnAriaLabel={`${t.more}: ${t.launch.count}`}
                value={chosen.count}
                min={1}
                max={100}
                widthChars={3}
                onMinus={() => set({ count: Math.max(1, chosen.count - 1) })}
                onPlus={() => set({ count: Math.min(100, chosen.count + 1) })}
                onChange={(event) => set({ count: Math.min(100, Math.max(1, Math.trunc(Number(event.currentTarget.value)) || 1)) })}
              />
            </Field>
          </div>
        </Section>
        <Section number={2} title={t.launch.image} help={t.launch.imageHelp}>
          {offer.images.length === 0 && (
            <p>
              {t.launch.noImages} <Link to="/images">{t.launch.uploadImage}</Link>
            </p>
          )}
          <CardChoice
            label={t.launch.image}
            name="image"
            chosen={launch.image?.id}
            choose={(imageId) => set({ imageId })}
            cards={offer.images.map(({ id, name, size, disk_format, visibility }) => ({
              id,
              title: name || id,
              line: [size === null ? '' : bytes(size), disk_format, visibility === 'public' ? t.launch.public : '']
                .filter(Boolean)
                .join(' · '),
            }))}
          />
        </Section>
        <Section number={3} title={t.launch.flavor} help={t.launch.flavorHelp}>
          <CardChoice
            label={t.launch.flavor}
            name="flavor"
            chosen={launch.flavor?.id}
            choose={(flavorId) => set({ flavorId })}
            cards={offer.flavors.map((flavor) => ({
              id: flavor.id,
              title: flavor.name,
              line: `${t.server.vcpus(flavor.vcpus)} · ${mebibytes(flavor.ram)} · ${gibibytes(flavor.disk)}`,
              no: shortfall(flavor, launch.image, sizes),
            }))}
          />
        </Section>
        <Section number={4} title={t.launch.network} help={t.launch.networkHelp}>
          {launch.networks.length === 0 && (
            <p>
              {t.launch.noNetworks} <Link to="/networks">{t.launch.createNetwork}</Link>
            </p>
          )}
          <BoxChoice
            name="network"
            chosen={launch.networks.map(({ id }) => id)}
            change={(networkIds) => set({ networkIds })}
            boxes={offer.networks.map(({ id, name }) => ({
              id,
              title: name || id,
              line:
                offer.subnets
                  .filter(({ network_id }) => network_id === id)
                  .map(({ cidr }) => cidr)
                  .join(', ') || t.launch.noSubnet,
            }))}
          />
        </Section>
        <Section number={5} title={t.launch.securityGroups} help={t.launch.securityGroupsHelp}>
          <BoxChoice
            name="group"
            chosen={launch.securityGroups.map(({ id }) => id)}
            change={(groupIds) => set({ groupIds })}
            boxes={offer.groups.map(({ id, name, description }) => ({ id, title: name || id, line: description }))}
          />
        </Section>
        <Section number={6} title={t.launch.keyPair} help={t.launch.keyPairHelp}>
          <KeyPairChoice names={offer.keyPairs.map(({ name }) => name)} chosen={launch.keyPair} choose={(keyPair) => set({ keyPair })} />
        </Section>
        <div className="wisp-section">
          <ExpandableSection toggleText={t.launch.advanced} isExpanded={advanced} onToggle={(_event, open) => setAdvanced(open)}>
            <div className="wisp-section-body">
              <Field label={t.launch.userData} id="user-data" help={t.launch.userDataHelp}>
                <TextArea
                  id="user-data"
                  rows={8}
                  resizeOrientation="vertical"
                  className="wisp-mono"
                  placeholder={'#!/bin/sh\necho hello'}
                  value={chosen.userData}
                  onChange={(_event, userData) => set({ userData })}
                />
              </Field>
              <Checkbox
                id="config-drive"
                label={t.launch.configDrive}
                description={t.launch.configDriveHelp}
                isChecked={chosen.configDrive}
                onChange={(_event, configDrive) => set({ configDrive })}
              />
            </div>
          </ExpandableSection>
        </div>
        <button type="submit" hidden />
      </form>
      <Review
        launch={launch}
        error={create.error}
        busy={create.isPending}
        asked={asked}
        submit={submit}
        cancel={() => void navigate({ to: '/servers' })}
      />
    </div>,
  )
}
