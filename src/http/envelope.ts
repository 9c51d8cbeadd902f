/** How each service's clients expect a fault to be written: one envelope for each of OpenStack's dialects. */
import { STATUS_CODES } from 'node:http'
import { badRequest, type Fault } from './fault.ts'

/** What validation found wrong with a field, before a dialect puts it into words. */
export interface Problem {
  kind: 'body' | 'query'
  /** Path of the field, outermost first: ['server', 'name']; empty for the body or the query itself. */
  path: string[]
  /** The JSON Schema keyword that failed: 'minLength', 'required', 'additionalProperties', … */
  keyword: string
  /** A sentence in jsonschema's words: "'' is too short". Secrets are masked in it. */
  text: string
  /** The value as far as it may be repeated: '' for objects and lists, *** for secrets. */
  value: string
  /** The name that is missing or unknown, where the keyword is about one. */
  name?: string
}

export interface Envelope {
  /** The answer's body for a fault. */
  write(fault: Fault, requestId: string): { contentType: string; body: string }
  /** A validation problem as this service's 400. */
  invalid(problem: Problem): Fault
}

const json = 'application/json'
const phrase = (status: number) => STATUS_CODES[status] ?? 'Error'
const titleOf = (fault: Fault) => fault.title ?? phrase(fault.status)
const written = (body: unknown) => ({ contentType: json, body: JSON.stringify(body) })

/** In nova's words; the field is the last of the path, as nova says it. */
function novaInvalid({ path, value, text, kind }: Problem): Fault {
  const field = path.at(-1)
  if (field === undefined) return badRequest(kind === 'query' ? `Invalid input for query parameters. ${text}` : text)
  return badRequest(
    `Invalid input for ${kind === 'query' ? 'query parameters' : 'field/attribute'} ${field}. ${value ? `Value: ${value}. ` : ''}${text}`,
  )
}

/** In keystone's words, with the whole path. */
const pathInvalid = ({ path, text }: Problem) => badRequest(path.length > 0 ? `Invalid input for field '${path.join('/')}': ${text}` : text)

function neutronInvalid({ keyword, name, path, text }: Problem): Fault {
  const options = { type: 'HTTPBadRequest' }
  if (keyword === 'additionalProperties') return badRequest(`Unrecognized attribute(s) '${name}'`, options)
  if (keyword === 'required') return badRequest(`Failed to parse request. Required attribute '${name}' not specified`, options)
  return badRequest(`Invalid input for ${path.at(-1) ?? 'operation'}. Reason: ${text}.`, { type: 'InvalidInput' })
}

// nova/api/openstack/wsgi.py, Fault._fault_names; all else is a computeFault.
const novaNames: Record<number, string> = {
  400: 'badRequest',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'itemNotFound',
  405: 'badMethod',
  409: 'conflictingRequest',
  413: 'overLimit',
  415: 'badMediaType',
  429: 'overLimit',
  501: 'notImplemented',
  503: 'serviceUnavailable',
}

const novaLike = (other: string): Envelope => ({
  write(fault) {
    const retryAfter = fault.headers?.['retry-after']
    const body = { code: fault.status, message: fault.message, ...(retryAfter !== undefined && { retryAfter }) }
    return written({ [novaNames[fault.status] ?? other]: body })
  },
  invalid: novaInvalid,
})

// What needs no more than {"error": {…}}. Glance's own faults are HTML pages; python-glanceclient and openstacksdk read the
// `message` of each nested object of a JSON one (glanceclient/exc.py, openstack/exceptions.py), so this serves both.
const errorLike: Envelope = {
  write: (fault) => written({ error: { code: fault.status, message: fault.message, title: titleOf(fault) } }),
  invalid: pathInvalid,
}

/** The envelopes, by the service that speaks so; what has no dialect of its own uses `errors`. */
export const envelopes = {
  compute: novaLike('computeFault'),
  blockStorage: novaLike('cinderFault'),
  identity: errorLike,
  image: errorLike,
  network: {
    write: (fault) =>
      written({
        NeutronError: {
          type: fault.type ?? `HTTP${phrase(fault.status).replaceAll(/[^A-Za-z]/g, '')}`,
          message: fault.message,
          detail: fault.detail ?? '',
        },
      }),
    invalid: neutronInvalid,
  },
  /** The API working group's form, which placement speaks. `detail` of the fault may give `code` and further members. */
  errors: {
    write: (fault, requestId) =>
      written({
        errors: [
          {
            status: fault.status,
            title: titleOf(fault),
            detail: fault.message,
            code: fault.type ?? 'placement.undefined_code',
            request_id: requestId,
            ...(typeof fault.detail === 'object' && fault.detail),
          },
        ],
      }),
    invalid: ({ path, text }) =>
      badRequest(`JSON does not validate: ${text}${path.length > 0 ? `. Failed validating ${path.join('.')}` : ''}`),
  },
  loadBalancer: {
    write: (fault) => written({ faultcode: fault.status < 500 ? 'Client' : 'Server', faultstring: fault.message, debuginfo: null }),
    invalid: ({ path, value, text }) =>
      badRequest(path.length > 0 ? `Invalid input for field/attribute ${path.at(-1)}. Value: '${value}'. ${text}` : text),
  },
} satisfies Record<string, Envelope>
