// What a caller may not do with rights that were only lent to them: what outlives the loan, or reaches further than it.
import { forbidden } from '../../http/fault.ts'
import type { Who } from '../../http/who.ts'
import { forbiddenAction } from '../control/faults.ts'

/** @throws Fault 403 for an application credential that may not make or remove others @param what 'application credentials', … */
export function refuseRestricted({ delegation }: Who, what: string): void {
  if (delegation?.kind !== 'application_credential' || delegation.unrestricted) return
  throw forbiddenAction(`Using method 'application_credential' is not allowed for managing additional ${what}`)
}

/** @throws Fault 403 for tokens of trusts and of OAuth1: an application credential made with one would outlive it */
export function refuseTrustAndOauth({ delegation }: Who): void {
  if (delegation === undefined || delegation.kind === 'application_credential') return
  throw forbidden('Cannot manage application credentials with a token issued via delegation.')
}

/** @throws Fault 403 if what was lent is of another project than the thing, or the thing of none: the user's own secrets are no part of it */
export function refuseOtherProject({ delegation, project }: Who, project_id: string | null | undefined, what = 'Credential'): void {
  if (delegation === undefined || (project !== null && project.id === project_id)) return
  throw forbiddenAction(`${what} project does not match the project scope of the delegated token`)
}
