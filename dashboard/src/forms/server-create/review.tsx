// The launch form's right side: what will be launched, what it takes of the quota, and the command that does the same.
import { Button } from '@patternfly/react-core'
import { useQuery } from '@tanstack/react-query'
import { limitsQuery } from '../../api/queries.ts'
import { useText } from '../../i18n/index.ts'
import { mebibytes } from '../../ui/format.ts'
import { CopyButton, Facts, Panel, QuotaBar } from '../../ui/pieces.tsx'
import { Problem } from '../../ui/problem.tsx'
import { commandOf, type Launch, missing } from './launch.ts'

const plain = (count: number) => String(count)

type ReviewProps = { launch: Launch; error: Error | null; busy: boolean; asked: boolean; submit: () => void; cancel: () => void }

export function Review({ launch, error, busy, asked, submit, cancel }: ReviewProps) {
  const t = useText()
  const { data: limits } = useQuery(limitsQuery)
  const lacks = missing(launch, t)
  const command = commandOf(launch)
  const { count, flavor } = launch
  const over =
    limits !== undefined &&
    flavor !== undefined &&
    [
      [limits.totalInstancesUsed + count, limits.maxTotalInstances],
      [limits.totalCoresUsed + count * flavor.vcpus, limits.maxTotalCores],
      [limits.totalRAMUsed + count * flavor.ram, limits.maxTotalRAMSize],
    ].some(([after, limit]) => limit! >= 0 && after! > limit!)
  return (
    <aside className="wisp-review">
      <Panel title={t.launch.review}>
        <Facts
          of={[
            [t.name, launch.name],
            [t.launch.image, launch.image?.name || launch.image?.id],
            [t.launch.flavor, flavor?.name ?? ''],
            [t.launch.network, launch.networks.map(({ id, name }) => name || id).join(', ')],
            [t.launch.keyPair, launch.keyPair ?? t.launch.noKeyPair],
          ]}
        />
        {limits !== undefined && flavor !== undefined && (
          <div className="wisp-review-quota">
            <h3>{t.launch.quotaAfter}</h3>
            <QuotaBar
              name={t.overview.servers}
              used={limits.totalInstancesUsed}
              added={count}
              limit={limits.maxTotalInstances}
              show={plain}
            />
            <QuotaBar
              name={t.overview.vcpus}
              used={limits.totalCoresUsed}
              added={count * flavor.vcpus}
              limit={limits.maxTotalCores}
              show={plain}
            />
            <QuotaBar
              name={t.overview.memory}
              used={limits.totalRAMUsed}
              added={count * flavor.ram}
              limit={limits.maxTotalRAMSize}
              show={mebibytes}
            />
            {over && <p className="wisp-bad-text">{t.launch.overQuota}</p>}
          </div>
        )}
        {error !== null && <Problem error={error} what={t.launch.doing} />}
        {asked && lacks.length > 0 && (
          <p className="wisp-bad-text" role="alert">
            {lacks.join(' · ')}
          </p>
        )}
        <div className="wisp-review-buttons">
          <Button isBlock onClick={submit} isLoading={busy} isDisabled={busy}>
            {t.launch.submit(count)}
          </Button>
          <Button variant="link" onClick={cancel}>
            {t.cancel}
          </Button>
        </div>
      </Panel>
      <Panel title={t.launch.command} actions={<CopyButton value={command} label={`${t.copy}: ${t.launch.command}`} />}>
        <pre className="wisp-command">{command}</pre>
      </Panel>
    </aside>
  )
}
