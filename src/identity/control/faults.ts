// Refusals in Keystone's words, where several places use the same.
import { badRequest, type Fault, forbidden } from '../../http/fault.ts'

/** What is missing (keystone/exception.py, ValidationError). */
export const expecting = (attribute: string, target: string): Fault =>
  badRequest(
    `Expecting to find ${attribute} in ${target}. The server could not comply with the request since it is either malformed or otherwise incorrect. The client is assumed to be in error.`,
  )

/** keystone/exception.py, ForbiddenAction. */
export const forbiddenAction = (action: string): Fault => forbidden(`You are not authorized to perform the requested action: ${action}.`)
