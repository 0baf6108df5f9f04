import type { SoapFault } from './fault.ts'

/** Why something that a peer sent was not taken; `docs/soap.md` explains each. */
export const rejectionReasons = [
  'framing',
  'too-large',
  'xml',
  'envelope',
  'version',
  'must-understand',
  'addressing',
  'duplicate',
  'destination',
  'reply-to',
  'login',
  'throttled',
  'too-many-logins',
  'session-in-use',
  'call-back',
  'not-logged-in',
  'wrong-session',
  'not-entitled',
  'unknown-action',
  'invalid-body',
  'processor',
  'slow-reader',
] as const

/** A stable name for why something was not taken. */
export type RejectionReason = (typeof rejectionReasons)[number]

/** Thrown while a message is read: why it is not taken, and the fault that tells its sender, if it can be told. */
export class Rejection extends Error {
  readonly reason: RejectionReason
  readonly fault: SoapFault | undefined

  /** With a `cause` it is a function of the host's that failed. */
  constructor(reason: RejectionReason, message: string, fault?: SoapFault, options?: { cause: unknown }) {
    super(message, options)
    this.reason = reason
    this.fault = fault
  }
}
