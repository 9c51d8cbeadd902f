// The configuration of single domains. Options can be asked for all together, by group, or one by one; what is secret is set and never shown.
import { Type as t } from 'typebox'
import { forbidden } from '../../http/fault.ts'
import { type Call, type Method, row } from '../../http/table.ts'
import type { SecurityCompliance } from '../../security-compliance.ts'
import { identityChanged } from '../control/changed.ts'
import {
  checkConfig,
  checkNames,
  checkUpdate,
  defaultsOf,
  forgetConfig,
  isSet,
  notSet,
  setConfig,
  shownConfig,
} from '../control/domain-config.ts'
import type { SealingKeys } from '../control/sealed.ts'
import { findDomain } from './find.ts'

const body = t.Object({ config: t.Optional(t.Record(t.String(), t.Unknown())) }, { additionalProperties: false })

const forms = ['', '/:group', '/:group/:option'] as const
const nameOf = (form: (typeof forms)[number]) =>
  form === '' ? 'the configuration' : form === '/:group' ? 'a group of options' : 'an option'

type Params = Record<string, string>

/** The options that everybody may know, so that they can choose a password that will be taken. */
const readable = ['password_regex', 'password_regex_description'] as const

function complianceOf(compliance: SecurityCompliance, { domain_id, option }: Params) {
  const refuse = (reason: string) => forbidden(`Invalid domain specific configuration: ${reason}.`)
  if (domain_id !== 'default')
    throw refuse('Reading security compliance information for any domain other than the default domain is not allowed or supported')
  const all = Object.fromEntries(readable.map((name) => [name, compliance[name] || null]))
  if (option === undefined) return { security_compliance: all }
  if (!Object.hasOwn(all, option))
    throw refuse('Reading security compliance values other than password_regex and password_regex_description is not allowed')
  return { [option]: all[option] }
}

/** @param key seals what is secret */
export function domainConfig(key: SealingKeys, compliance: SecurityCompliance) {
  const shown = async ({ tx, params }: { tx: Call['tx']; params: Params }) => {
    const { domain_id = '', group, option } = params
    await findDomain(tx, domain_id)
    checkNames(group, option)
    const config = await shownConfig(tx, domain_id, group, option)
    if (Object.keys(config).length === 0) throw notSet(domain_id, group, option)
    return { config: group !== undefined && option !== undefined ? config[group] : config }
  }

  const rowsOf = (form: (typeof forms)[number]) => {
    const route = <M extends Method>(method: M) => `${method} /domains/:domain_id/config${form}` as const
    return [
      row({
        route: route('GET'),
        policy: 'identity:get_domain_config',
        reply: 200,
        summary: `Show ${nameOf(form)} of a domain`,
        run: shown,
      }),
      row({
        route: route('PATCH'),
        policy: 'identity:update_domain_config',
        body,
        reply: 200,
        summary: `Change ${nameOf(form)} of a domain`,
        async run({ body, tx, params }) {
          const { domain_id, group, option } = params as Params
          await findDomain(tx, domain_id!)
          const config = checkUpdate(body.config ?? {}, group, option)
          if (group !== undefined && !(await isSet(tx, domain_id!, group, option))) throw notSet(domain_id!, group, option)
          await setConfig(tx, key, domain_id!, config)
          await identityChanged(tx)
          return { config: await shownConfig(tx, domain_id!) }
        },
      }),
      row({
        route: route('DELETE'),
        policy: 'identity:delete_domain_config',
        reply: 204,
        summary: `Forget ${nameOf(form)} of a domain`,
        async run({ tx, params }) {
          const { domain_id, group, option } = params as Params
          await findDomain(tx, domain_id!)
          checkNames(group, option)
          if (group !== undefined && !(await isSet(tx, domain_id!, group, option))) throw notSet(domain_id!, group, option)
          await forgetConfig(tx, domain_id!, group, option)
          await identityChanged(tx)
        },
      }),
    ]
  }

  return [
    ...forms.flatMap(rowsOf),
    row({
      route: 'PUT /domains/:domain_id/config',
      policy: 'identity:create_domain_config',
      body,
      reply: 201,
      summary: 'Set the configuration of a domain, in place of the one before',
      async run(call) {
        const { body, tx, params } = call
        const { id } = await findDomain(tx, params.domain_id)
        const config = checkConfig(body.config ?? {})
        if (await isSet(tx, id)) call.status(200)
        await forgetConfig(tx, id)
        await setConfig(tx, key, id, config)
        await identityChanged(tx)
        return { config: await shownConfig(tx, id) }
      },
    }),
    ...(['', '/:option'] as const).map((form) =>
      row({
        route: `GET /domains/:domain_id/config/security_compliance${form}` as const,
        policy: 'identity:get_security_compliance_domain_config',
        reply: 200,
        summary: 'Show what passwords must look like',
        run: ({ params }) => ({ config: complianceOf(compliance, params) }),
      }),
    ),
    ...(['', '/:group', '/:group/:option'] as const).map((form) =>
      row({
        route: `GET /domains/config${form}/default` as const,
        policy: 'identity:get_domain_config_default',
        reply: 200,
        summary: `Show the default of ${nameOf(form)}`,
        run: ({ params }) => ({ config: defaultsOf((params as Params).group, (params as Params).option) }),
      }),
    ),
  ]
}
