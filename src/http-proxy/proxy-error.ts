import { systemCode, type XpsError } from '../errors.ts'
import { statusOf } from '../http/faults.ts'

/**
 * What the `error` and `econnreset` events, callbacks and promises of a {@link ProxyServer} are told.
 *
 * `code` is the one that Node's own clients would give, as users of http-proxy expect it: `ECONNREFUSED`, `ENOTFOUND`,
 * `ECONNRESET`, `ETIMEDOUT`, `DEPTH_ZERO_SELF_SIGNED_CERT`; where there is no such, the library's own (`XPS_…`), which `cause` always has.
 */
export class ProxyError extends Error {
  override readonly name = 'ProxyError'
  override readonly cause: XpsError
  readonly code: string
  /** The HTTP status that tells a client of it: 502, 504 and the like. */
  readonly statusCode: number

  constructor(cause: XpsError) {
    super(cause.message, { cause })
    this.cause = cause
    this.code = codeOf(cause)
    this.statusCode = statusOf(cause)
  }

  /** The same as `statusCode`, by the name that Express looks for. */
  get status(): number {
    return this.statusCode
  }
}

function codeOf(error: XpsError): string {
  // What is wrong with a certificate.
  if (error.code === 'XPS_TLS') return systemCode(error.cause) ?? error.code
  let cause: unknown = error.cause
  for (let depth = 0; depth < 5 && cause instanceof Error; depth++) {
    const code = systemCode(cause) ?? (cause instanceof AggregateError ? systemCode(cause.errors[0]) : undefined)
    if (code?.startsWith('E') === true && !code.startsWith('ERR_')) return code
    cause = cause.cause
  }
  if (error.code === 'XPS_TIMEOUT') return 'ETIMEDOUT'
  if (error.code === 'XPS_RESET' || error.code === 'XPS_TRUNCATED') return 'ECONNRESET'
  return error.code
}
