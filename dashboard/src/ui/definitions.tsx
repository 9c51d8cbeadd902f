// The cloud's metadata definitions, namespace by namespace, each property with its meaning and a button that puts it into the editor beside.
import { Button, FormSelect, FormSelectOption } from '@patternfly/react-core'
import { useQuery } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { type DefinedProperty, nameOfNamespace } from '../api/metadefs.ts'
import { definedPropertiesQuery, namespacesQuery } from '../api/queries.ts'
import { useText } from '../i18n/index.ts'
import { Refusal } from './collection.tsx'
import { NameFilter } from './name-filter.tsx'
import { Panel, Waiting } from './pieces.tsx'
import { Problem } from './problem.tsx'

/** What is shown first, because most images say it: which operating system they carry. */
const usual = 'OS::OperatingSystem'

type DefinitionsProps = {
  /** The properties that the image has already. */
  used: Record<string, string>
  add: (property: string, definition: DefinedProperty) => void
  /** Hears of every definition that was read. */
  know: (definitions: Record<string, DefinedProperty>) => void
}

export function Definitions({ used, add, know }: DefinitionsProps) {
  const t = useText()
  const namespaces = useQuery(namespacesQuery)
  const [chosen, setChosen] = useState<string>()
  const [wanted, setWanted] = useState('')
  const first = namespaces.data?.find((each) => each.namespace === usual) ?? namespaces.data?.[0]
  const namespace = chosen ?? first?.namespace
  const defined = useQuery({ ...definedPropertiesQuery(namespace ?? ''), enabled: namespace !== undefined })
  // biome-ignore lint/correctness/useExhaustiveDependencies: `know` is another function at every render of the page
  useEffect(() => {
    if (defined.data !== undefined) know(defined.data)
  }, [defined.data])
  const shown = Object.entries(defined.data ?? {}).filter(([name, { title }]) =>
    `${name} ${title}`.toLowerCase().includes(wanted.toLowerCase()),
  )
  const description = namespaces.data?.find((each) => each.namespace === namespace)?.description
  return (
    <Panel title={t.images.definitions}>
      {namespaces.isPending && <Waiting />}
      {namespaces.isError && <Refusal error={namespaces.error} retry={() => void namespaces.refetch()} />}
      {namespaces.data?.length === 0 && <p className="wisp-subtle">{t.images.noDefinitions}</p>}
      {namespace !== undefined && (
        <>
          <div className="wisp-inline">
            <FormSelect aria-label={t.images.namespace} value={namespace} onChange={(_event, next) => setChosen(next)}>
              {namespaces.data?.map((each) => (
                <FormSelectOption key={each.namespace} value={each.namespace} label={nameOfNamespace(each)} />
              ))}
            </FormSelect>
            <NameFilter label={t.images.filterProperties} value={wanted} change={(next) => setWanted(next ?? '')} />
          </div>
          {description != null && <p className="wisp-subtle wisp-note-line">{description}</p>}
          {defined.isPending && <Waiting />}
          {defined.isError && <Problem error={defined.error} retry={() => void defined.refetch()} />}
          <ul className="wisp-definitions">
            {shown.map(([name, definition]) => (
              <li key={name}>
                <div>
                  <strong>{definition.title}</strong> <code>{name}</code>
                  {definition.description !== undefined && <p className="wisp-subtle">{definition.description}</p>}
                </div>
                <Button
                  size="sm"
                  variant="secondary"
                  isDisabled={Object.hasOwn(used, name)}
                  aria-label={`${t.images.addProperty}: ${name}`}
                  onClick={() => add(name, definition)}
                >
                  {Object.hasOwn(used, name) ? t.images.isSet : t.images.addProperty}
                </Button>
              </li>
            ))}
          </ul>
        </>
      )}
    </Panel>
  )
}
