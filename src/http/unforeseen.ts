/**
 * What becomes of an error that no row turned into a Fault: the database's troubles get their own status, malformed requests
 * Fastify's, and all else is a 500 that tells the client nothing but where to look.
 */
import { Fault, unavailable } from './fault.ts'

const lost = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  '57P01',
  '57P02',
  '57P03',
  '53300',
  '53400',
  '08000',
  '08003',
  '08006',
  '08001',
  '25P03',
])
const lostMessage = /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error)/
const contended = new Set(['40001', '40P01', '55P03'])
// PostgreSQL could not read a value as its column's type: uuid, integer, inet, text with NUL, timestamp, …
const unreadable = new Set(['22P02', '22P03', '22021', '22003', '22007', '22008', '22P05'])

/**
 * The Fault to answer with for anything thrown. `log` says at which level it should be logged, if at all.
 * @param params the path's params: a value that PostgreSQL can't read as an id is an object that doesn't exist
 */
export function asFault(error: unknown, requestId: string, params: Record<string, string> = {}): { fault: Fault; log?: 'warn' | 'error' } {
  if (error instanceof Fault) return error.status >= 500 && error.status !== 501 ? { fault: error, log: 'warn' } : { fault: error }
  const { code, statusCode, syscall, message } = partsOf(error)
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) return { fault: fromFastify(code, statusCode, message) }
  if (lost.has(code) || (syscall === 'connect' && code === 'ENOENT') || lostMessage.test(message)) {
    return { fault: unavailable('The database is not available at the moment; try again shortly.', 2, error), log: 'error' }
  }
  if (contended.has(code)) {
    return { fault: unavailable('Too many changes to the same object at the same time; try again shortly.', 1, error), log: 'warn' }
  }
  if (unreadable.has(code)) {
    const foreign = Object.values(params).find((value) => message.includes(`"${value}"`))
    if (foreign !== undefined) return { fault: new Fault(404, `${foreign} could not be found.`) }
    return { fault: new Fault(400, 'A value in the request is not valid for the field it was given for.', { cause: error }), log: 'warn' }
  }
  if (code === '23505' || code === '23503') {
    return { fault: new Fault(409, 'The request conflicts with another change made at the same time.', { cause: error }), log: 'warn' }
  }
  return {
    fault: new Fault(500, `Something unforeseen went wrong. The log of the controller has the cause under ${requestId}.`, { cause: error }),
    log: 'error',
  }
}

function partsOf(error: unknown): { code: string; statusCode?: number; syscall?: string; message: string } {
  if (!(error instanceof Error)) return { code: '', message: '' }
  const { code, statusCode, syscall } = error as Error & { code?: unknown; statusCode?: unknown; syscall?: unknown }
  return {
    code: typeof code === 'string' ? code : '',
    message: error.message,
    ...(typeof statusCode === 'number' && { statusCode }),
    ...(typeof syscall === 'string' && { syscall }),
  }
}

function fromFastify(code: string, status: number, message: string): Fault {
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return new Fault(413, 'The request body is too large.')
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return new Fault(415, 'The Content-Type of the request is not supported.')
  if (code === 'FST_ERR_BAD_URL') return new Fault(400, 'The path of the request has an invalid percent encoding.')
  if (code === 'FST_ERR_MAX_PARAM_LENGTH') return new Fault(404, 'The resource could not be found.')
  return new Fault(status, message)
}
