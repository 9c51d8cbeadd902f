// The two ways of choosing in the launch form: one of several cards, or any number of check boxes.
import { Checkbox } from '@patternfly/react-core'
import type { ReactNode } from 'react'

type Card = { id: string; title: string; line: ReactNode; no?: string | undefined }

export function CardChoice({
  label,
  name,
  cards,
  chosen,
  choose,
}: {
  label: string
  name: string
  cards: Card[]
  chosen: string | undefined
  choose: (id: string) => void
}) {
  return (
    <div className="wisp-choices" role="radiogroup" aria-label={label}>
      {cards.map(({ id, title, line, no }) => (
        <label key={id} className={`wisp-choice${chosen === id ? ' wisp-choice-on' : ''}${no === undefined ? '' : ' wisp-choice-no'}`}>
          <input type="radio" name={name} value={id} checked={chosen === id} disabled={no !== undefined} onChange={() => choose(id)} />
          <span className="wisp-choice-title">{title}</span>
          <span className="wisp-subtle">{no ?? line}</span>
        </label>
      ))}
    </div>
  )
}

type Box = { id: string; title: string; line?: string | undefined }

export function BoxChoice({
  name,
  boxes,
  chosen,
  change,
}: {
  name: string
  boxes: Box[]
  chosen: string[]
  change: (ids: string[]) => void
}) {
  return (
    <div className="wisp-boxes">
      {boxes.map(({ id, title, line }) => (
        <Checkbox
          key={id}
          id={`${name}-${id}`}
          label={title}
          description={line}
          isChecked={chosen.includes(id)}
          onChange={(_event, on) => change(on ? [...chosen, id] : chosen.filter((other) => other !== id))}
        />
      ))}
    </div>
  )
}

/** One numbered section of the form. */
export function Section({ number, title, help, children }: { number: number; title: string; help?: string; children: ReactNode }) {
  return (
    <section className="wisp-section" aria-label={title}>
      <div className="wisp-section-head">
        <span className="wisp-section-number" aria-hidden="true">
          {number}
        </span>
        <div>
          <h2>{title}</h2>
          {help !== undefined && <p className="wisp-subtle">{help}</p>}
        </div>
      </div>
      <div className="wisp-section-body">{children}</div>
    </section>
  )
}
