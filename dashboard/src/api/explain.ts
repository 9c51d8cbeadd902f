// Turns a refusal or a server's fault into what people need: the cause in the service's own words, and what to do about it. The remedies here are
// for refusals whose words are OpenStack's and say only what is wrong; a key of the dictionary's `remedies`.
import { ApiError } from './http.ts'

export type Remedy =
  | 'unreachable'
  | 'logInAgain'
  | 'wrongPassword'
  | 'forbidden'
  | 'quota'
  | 'gone'
  | 'conflict'
  | 'tooLarge'
  | 'notBuilt'
  | 'internal'
  | 'overloaded'
  | 'noValidHost'
  | 'imageTooLarge'
  | 'noAddress'
  | 'checkInput'
  | 'seeTimeline'
  | 'importAgain'

/** What can be done about words that several services use, whatever the status. */
function byWords(words: string): Remedy | undefined {
  if (/no valid host|not enough hosts|no host has room/i.test(words)) return 'noValidHost'
  if (/quota exceeded|exceeds? .*quota|overquota|over quota/i.test(words)) return 'quota'
  if (/(flavor|disk).*too small|image.*(too large|larger than)|minimum (disk|ram)/i.test(words)) return 'imageTooLarge'
  if (/no more (ip addresses|fixed ip)|no (free )?fixed ip|ip address generation failure/i.test(words)) return 'noAddress'
  return undefined
}

export function remedyOf(error: unknown): Remedy {
  if (!(error instanceof ApiError)) return 'internal'
  const known = byWords(error.message)
  if (known !== undefined) return known
  if (error.status === 0) return 'unreachable'
  if (error.status === 401) return error.service === 'identity' ? 'wrongPassword' : 'logInAgain'
  if (error.status === 403) return 'forbidden'
  if (error.status === 404) return 'gone'
  if (error.status === 409) return 'conflict'
  if (error.status === 413) return 'tooLarge'
  if (error.status === 501) return 'notBuilt'
  if (error.status === 502 || error.status === 503 || error.status === 504 || error.status === 429) return 'overloaded'
  if (error.status >= 500) return 'internal'
  return 'checkInput'
}

/** A list that isn't there, or that the service says it has not got: this cloud does not offer the feature. */
export function isNotOffered(error: Error): boolean {
  return error instanceof ApiError && (error.status === 501 || error.status === 404)
}

export function remedyOfFault(message: string): Remedy {
  return byWords(message) ?? 'seeTimeline'
}
