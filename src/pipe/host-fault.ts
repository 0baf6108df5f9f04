import { asXpsError, type XpsError } from '../errors.ts'

/** The error for a handler of the host's that threw inside a pipe. */
export function hostFault(error: unknown): XpsError {
  return asXpsError(error, 'XPS_FAULT', 'a handler in a pipe failed')
}
