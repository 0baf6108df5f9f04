/** Every code that an {@link XpsError} can carry; `docs/errors.md` explains each. */
export const errorCodes = [
  'XPS_INVALID_OPTION',
  'XPS_CLOSED',
  'XPS_ABORTED',
  'XPS_TIMEOUT',
  'XPS_LISTEN',
  'XPS_NO_ROUTE',
  'XPS_REFUSED',
  'XPS_EVICTED',
  'XPS_ZOMBIE',
  'XPS_CONNECT',
  'XPS_TLS',
  'XPS_RESET',
  'XPS_NOT_FOUND',
  'XPS_FORBIDDEN',
  'XPS_RANGE',
  'XPS_TRUNCATED',
  'XPS_READ',
  'XPS_STREAM',
  'XPS_FAULT',
  'XPS_INVALID_HEADER',
  'XPS_BAD_REQUEST',
  'XPS_BAD_RESPONSE',
  'XPS_TOO_LARGE',
  'XPS_METHOD',
  'XPS_EXPECTATION',
  'XPS_PRECONDITION',
  'XPS_BUSY',
  'XPS_LOCK_LOST',
  'XPS_FLOOD',
  'XPS_BAD_PROXY_HEADER',
  'XPS_PROTOCOL',
  'XPS_SOAP_FAULT',
] as const

/** A stable name for what went wrong. Match on this, never on the message. */
export type ErrorCode = (typeof errorCodes)[number]

/** Which of the times an `XPS_TIMEOUT` was about. */
export type TimeoutReason =
  | 'first-byte'
  | 'connect'
  | 'proxy-header'
  | 'handshake'
  | 'client-idle'
  | 'upstream-idle'
  | 'tunnel-idle'
  | 'tunnel-age'
  | 'session-age'
  | 'drain'
  | 'request-head'
  | 'request-body'
  | 'keep-alive'
  | 'transaction'
  | 'response-head'
  | 'queue'
  | 'lock'
  | 'login'
  | 'message'
  | 'stale'
  | 'reply'

/** The side that an error came from: who called us, whom we call, or this program itself. */
export type ErrorOrigin = 'client' | 'upstream' | 'internal'

/** What an {@link XpsError} can say besides its code and message. */
export interface XpsErrorOptions {
  /** @default 'internal' */
  origin?: ErrorOrigin
  /** True only when the peer cannot have seen a byte of this work. @default false */
  retryable?: boolean
  /** The error underneath, usually one of Node's. */
  cause?: unknown
  /** The peer's address, where one peer is to blame: `127.0.0.1:3000` or `unix:/run/app.sock`. */
  address?: string
  /** How long the work had been going on, in milliseconds. */
  elapsed?: number
  /** For `XPS_TIMEOUT`: which time it was. */
  reason?: TimeoutReason
  /** The HTTP status that tells a client of it, where there is a better one than the code's own. */
  status?: number
  /** Header fields that tell an HTTP client more: `allow`, `retry-after`. */
  headers?: Readonly<Record<string, string>>
}

/** The one error class of the library. */
export class XpsError extends Error {
  override readonly name = 'XpsError'
  readonly code: ErrorCode
  readonly origin: ErrorOrigin
  readonly retryable: boolean
  readonly address: string | undefined
  readonly elapsed: number | undefined
  readonly reason: TimeoutReason | undefined
  readonly status: number | undefined
  readonly headers: Readonly<Record<string, string>> | undefined

  constructor(code: ErrorCode, message: string, options: XpsErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.origin = options.origin ?? 'internal'
    this.retryable = options.retryable ?? false
    this.address = options.address
    this.elapsed = options.elapsed
    this.reason = options.reason
    this.status = options.status
    this.headers = options.headers
  }
}

/** Tells whether a value is an {@link XpsError}, and of the given code if one is given. */
export function isXpsError(value: unknown, code?: ErrorCode): value is XpsError {
  return value instanceof XpsError && (code === undefined || value.code === code)
}

/** Returns an {@link XpsError} as it is, and anything else as the cause of a new one. */
export function asXpsError(value: unknown, code: ErrorCode, message: string, options: XpsErrorOptions = {}): XpsError {
  if (value instanceof XpsError) return value
  const reason = reasonOf(value)
  return new XpsError(code, reason === '' ? message : `${message}: ${reason}`, {
    ...options,
    cause: value,
  })
}

/** What an unknown thrown value says, for a message. */
export function reasonOf(value: unknown): string {
  if (value === undefined || value === null) return ''
  if (value instanceof Error) {
    // An AggregateError (several addresses tried) has an empty message of its own.
    if (value instanceof AggregateError && value.message === '') {
      return value.errors.map(reasonOf).join(', ')
    }
    return value.message
  }
  return String(value)
}

/** The code that Node puts on its own errors (`ECONNREFUSED` and the like), if there is one. */
export function systemCode(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('code' in value)) return undefined
  return typeof value.code === 'string' ? value.code : undefined
}
