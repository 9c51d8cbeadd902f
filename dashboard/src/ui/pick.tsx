// Picks one of many by name: type a part of it, and the browser offers what matches. An id is as good as a name.
import { TextInput } from '@patternfly/react-core'
import { useEffect, useState } from 'react'

export type Pickable = { id: string; name: string /** Tells namesakes apart. */; of?: string | undefined }

/** More than this the browser need not offer at once. */
const most = 200

const labelOf = ({ name, of }: Pickable) => (of === undefined ? name : `${name} (${of})`)

/** The one that was meant by a text: its label, its id, or its name when no other has that name. */
export function meant(among: Pickable[], text: string): string | undefined {
  const wanted = text.trim()
  const exact = among.find((one) => labelOf(one) === wanted || one.id === wanted)
  if (exact !== undefined) return exact.id
  const named = among.filter(({ name }) => name === wanted)
  return named.length === 1 ? named[0]?.id : undefined
}

type PickProps = {
  id: string
  among: Pickable[]
  /** `unclear`: something is typed that nothing is called, or several; it must not be taken for nothing. */
  change: (id: string | undefined, unclear: boolean) => void
  placeholder?: string
  /** The id of what is picked, as far as it isn't typed. */
  initial?: string | undefined
  /** What is typed is taken as an id when nothing is called so: for those who can't see the names. */
  free?: boolean
}

export function Pick({ id, among, change, placeholder, initial, free = false }: PickProps) {
  const first = among.find((one) => one.id === initial)
  const [typed, setTyped] = useState<string>()
  // Another choice from elsewhere (the browser's way back) takes the place of what was typed for the one before.
  // biome-ignore lint/correctness/useExhaustiveDependencies: only a change of what is picked counts, not every letter
  useEffect(() => {
    setTyped((text) => (text === undefined || meant(among, text) === initial ? text : undefined))
  }, [initial])
  const text = typed ?? (first === undefined ? '' : labelOf(first))
  const wanted = text.trim().toLowerCase()
  const isUnclear = (words: string) => !free && words.trim() !== '' && meant(among, words) === undefined
  const offered = among.filter((one) => labelOf(one).toLowerCase().includes(wanted)).slice(0, most)
  return (
    <>
      <TextInput
        id={id}
        value={text}
        list={`${id}-offered`}
        autoComplete="off"
        placeholder={placeholder}
        validated={isUnclear(text) ? (offered.length === 0 ? 'error' : 'warning') : 'default'}
        onChange={(_event, next) => {
          setTyped(next)
          change(meant(among, next) ?? (free && next.trim() !== '' ? next.trim() : undefined), isUnclear(next))
        }}
      />
      <datalist id={`${id}-offered`}>
        {offered.map((one) => (
          <option key={one.id} value={labelOf(one)} />
        ))}
      </datalist>
    </>
  )
}
