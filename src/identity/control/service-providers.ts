// The clouds that take our word for our users, as every token names them.
import type { Tx } from '../../database/connect.ts'

export interface ServiceProvider {
  id: string
  auth_url: string
  sp_url: string
}

export const readServiceProviders = (tx: Tx): Promise<ServiceProvider[]> =>
  tx.selectFrom('identity.service_provider').select(['auth_url', 'id', 'sp_url']).where('enabled', '=', true).orderBy('id').execute()
