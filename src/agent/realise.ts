// The contract of a host's doors: what a room must be able to do with one kind of document. The real host and the simulated one
// both keep it, and both pass the same contract test.
import type { DocumentOf, Kind, Observation } from '../wire/documents.ts'

/** What a realiser found or did; the loop adds kind, id and generation. */
export type Outcome = Omit<Observation, 'kind' | 'id' | 'generation'>

export interface Realiser<K extends Kind = Kind> {
  kind: K
  /**
   * Makes the document true, from whatever is there. Doing it twice is the same as once; being killed anywhere inside and doing it again, too.
   * Throws `Final` when trying again is useless; any other error is tried again with backoff.
   */
  ensure(document: DocumentOf[K], generation: number): Promise<Outcome>
  /** Takes the object away, all of it; no error when there is nothing. */
  remove(id: string): Promise<void>
  /** Ids of the objects of this kind that really exist on the machine and bear this cloud's mark. */
  existing(): Promise<string[]>
  /** Starts to watch the machine; calls back with the id of an object that changed by itself (a guest shut down, …), to be looked at again. */
  watch?(changed: (id: string) => void): Promise<() => void>
}

/** An error that another try will not mend: cause and remedy, for the user to read. */
export class Final extends Error {}
