import { type ErrorCode, isXpsError, reasonOf, XpsError } from '../errors.ts'

/** What the program has done wrong, and not the store. */
const ofTheProgram: ReadonlySet<ErrorCode> = new Set([
  'XPS_TOO_LARGE',
  'XPS_INVALID_OPTION',
  'XPS_BAD_REQUEST',
  'XPS_FORBIDDEN',
])

/** Somebody else has the session, or too many want one: it is worth to come again. */
export function isBusy(error: unknown): boolean {
  if (!isXpsError(error)) return false
  const { code, reason } = error
  return (
    code === 'XPS_BUSY' ||
    code === 'XPS_LOCK_LOST' ||
    (code === 'XPS_TIMEOUT' && (reason === 'lock' || reason === 'queue'))
  )
}

/** The store cannot be asked. */
export function isDown(error: unknown): boolean {
  return isXpsError(error) && !isBusy(error) && !ofTheProgram.has(error.code)
}

/** The error that a request fails with: 503 with `Retry-After`, or 500 for a mistake of the program's. */
export function unavailable(error: unknown, { retryAfter }: { readonly retryAfter: number }): XpsError {
  const message = `the session cannot be had or written: ${reasonOf(error)}`
  if (!isBusy(error) && !isDown(error)) {
    return new XpsError(isXpsError(error) ? error.code : 'XPS_FAULT', message, { cause: error, status: 500 })
  }
  const { code, reason, address } = error as XpsError
  return new XpsError(code, message, {
    cause: error,
    status: 503,
    headers: { 'retry-after': String(retryAfter) },
    ...(reason === undefined ? {} : { reason }),
    ...(address === undefined ? {} : { address }),
  })
}
