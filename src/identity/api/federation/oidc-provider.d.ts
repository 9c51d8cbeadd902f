// As much of oidc-provider (which brings no types) as tests use of it.
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http'

  interface Grant {
    addOIDCScope(scope: string): void
    save(): Promise<string>
  }
  interface Context {
    oidc: { client?: { clientId: string }; session?: { accountId?: string }; provider: Provider }
  }
  export interface Configuration {
    clients: { client_id: string; client_secret: string; redirect_uris: string[] }[]
    claims: Record<string, string[]>
    conformIdTokenClaims: boolean
    features: Record<string, { enabled: boolean }>
    pkce: { required(): boolean }
    findAccount(context: Context, accountId: string): { accountId: string; claims(): object }
    loadExistingGrant(context: Context): Promise<Grant>
    interactions: { url(context: Context, interaction: { uid: string }): string }
    cookies: { keys: string[] }
  }
  export default class Provider {
    constructor(issuer: string, configuration: Configuration)
    Grant: new (of: {
      clientId: string
      accountId: string
    }) => Grant
    callback(): (request: IncomingMessage, response: ServerResponse) => void
    interactionFinished(request: IncomingMessage, response: ServerResponse, result: object): Promise<void>
  }
}
