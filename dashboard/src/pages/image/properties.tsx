// An image's own properties, to look at and to edit: changed ones are sent together. What the cloud's metadata definitions know stands beside
// them, so that nobody has to remember how a property is called.
import { Button, TextInput } from '@patternfly/react-core'
import TrashIcon from '@patternfly/react-icons/dist/esm/icons/trash-icon'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { imageCan } from '../../api/can.ts'
import { changeImage, changesBetween, type Image, isPropertyName, propertiesOf } from '../../api/image.ts'
import { keys } from '../../api/keys.ts'
import { type DefinedProperty, firstValue } from '../../api/metadefs.ts'
import { queryClient } from '../../api/query-client.ts'
import { useSession } from '../../api/session.ts'
import { useText } from '../../i18n/index.ts'
import { Definitions } from '../../ui/definitions.tsx'
import { Facts, Panel } from '../../ui/pieces.tsx'
import { Problem } from '../../ui/problem.tsx'
import { PropertyValue } from '../../ui/property-value.tsx'

export function ImageProperties({ image }: { image: Image }) {
  const t = useText()
  const session = useSession()
  const before = propertiesOf(image)
  const [edited, setEdited] = useState<Record<string, string>>()
  const [known, setKnown] = useState<Record<string, DefinedProperty>>({})
  const [name, setName] = useState('')
  const properties = edited ?? before
  const changes = changesBetween(before, properties)
  const save = useMutation({
    mutationFn: () => changeImage(image.id, changes),
    onSuccess: async () => {
      await queryClient.invalidateQueries({ queryKey: keys.images })
      setEdited(undefined)
    },
  })
  const no = imageCan.change(image, session)
  if (no !== undefined)
    return (
      <Panel wide>
        <p className="wisp-subtle wisp-note-line">{t.why[no]}</p>
        {Object.keys(before).length === 0 ? <p>{t.images.noProperties}</p> : <Facts of={Object.entries(before)} />}
      </Panel>
    )
  const set = (property: string, value: string) => setEdited({ ...properties, [property]: value })
  const remove = (property: string) => setEdited(Object.fromEntries(Object.entries(properties).filter(([each]) => each !== property)))
  const taken = name.trim() !== '' && (!isPropertyName(name.trim()) || Object.hasOwn(properties, name.trim()))
  const add = () => {
    set(name.trim(), '')
    setName('')
  }
  return (
    <div className="wisp-panels">
      <Panel title={t.images.properties}>
        {save.isError && <Problem error={save.error} what={t.images.doing.change} />}
        <form
          className="wisp-properties"
          onSubmit={(event) => {
            event.preventDefault()
            if (changes.length > 0 && !save.isPending) save.mutate()
          }}
        >
          {Object.keys(properties).length === 0 && <p className="wisp-subtle">{t.images.noProperties}</p>}
          {Object.entries(properties).map(([property, value]) => {
            const definition = Object.hasOwn(known, property) ? known[property] : undefined
            return (
              <div key={property} className={before[property] === value ? 'wisp-property' : 'wisp-property wisp-property-changed'}>
                <label htmlFor={`property-${property}`}>
                  <code>{property}</code>
                  {definition && <span className="wisp-subtle">{definition.title}</span>}
                </label>
                <PropertyValue id={`property-${property}`} definition={definition} value={value} change={(next) => set(property, next)} />
                <Button
                  variant="plain"
                  aria-label={`${t.images.removeProperty}: ${property}`}
                  icon={<TrashIcon />}
                  onClick={() => remove(property)}
                />
              </div>
            )
          })}
          <div className="wisp-property">
            <TextInput
              aria-label={t.images.newProperty}
              placeholder={t.images.newProperty}
              value={name}
              validated={taken ? 'error' : 'default'}
              onChange={(_event, next) => setName(next)}
              onKeyDown={(event) => {
                if (event.key !== 'Enter') return
                event.preventDefault()
                if (name.trim() !== '' && !taken) add()
              }}
            />
            <Button variant="secondary" className="wisp-start" isDisabled={name.trim() === '' || taken} onClick={add}>
              {t.images.addProperty}
            </Button>
          </div>
          <div className="wisp-row">
            <Button type="submit" isDisabled={changes.length === 0 || save.isPending} isLoading={save.isPending}>
              {t.save}
            </Button>
            <Button variant="link" isDisabled={changes.length === 0} onClick={() => setEdited(undefined)}>
              {t.images.undo}
            </Button>
          </div>
        </form>
      </Panel>
      <Definitions
        used={properties}
        know={(more) => setKnown((old) => ({ ...old, ...more }))}
        add={(property, definition) => set(property, firstValue(definition))}
      />
    </div>
  )
}
