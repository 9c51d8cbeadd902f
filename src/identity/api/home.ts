// The domain that a request means when it names none.
import type { Who } from '../../http/who.ts'

/** The token's domain, or its project's; for tokens of the system and unscoped ones the default domain. */
export const homeDomain = ({ domain, project }: Who): string => domain?.id ?? project?.domain.id ?? 'default'
