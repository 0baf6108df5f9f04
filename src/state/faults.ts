import { type ErrorCode, XpsError } from '../errors.ts'

/** Why something was not done: what the wire says after `err`, and the code of the error that programs get. */
export interface StateFault {
  readonly text: string
  readonly code: ErrorCode
}

/**
 * All that the server answers `err`. The first thirteen are the reference's, to the byte (it ends some with a period and
 * some not); the others say what the reference does not know, or does not tell.
 */
export const faults = {
  unknown: { text: 'unknown command', code: 'XPS_BAD_REQUEST' },
  notOpen: { text: 'No session opened.', code: 'XPS_CLOSED' },
  open: { text: 'Could not open session.', code: 'XPS_NOT_FOUND' },
  close: { text: 'Could not close session', code: 'XPS_FAULT' },
  commit: { text: 'Could not commit session.', code: 'XPS_FORBIDDEN' },
  destroy: { text: 'Could not destroy session.', code: 'XPS_FORBIDDEN' },
  noKey: { text: 'Key does not exist', code: 'XPS_NOT_FOUND' },
  store: { text: 'Could not store value', code: 'XPS_FORBIDDEN' },
  keys: { text: 'Could not retrieve keys.', code: 'XPS_CLOSED' },
  data: { text: 'Could not get session data.', code: 'XPS_FAULT' },
  regenerate: { text: 'Could not regenerate session id.', code: 'XPS_FORBIDDEN' },
  // Ours.
  readOnly: { text: 'Session is read-only.', code: 'XPS_FORBIDDEN' },
  notData: { text: 'Not a serialized array of scalars and arrays.', code: 'XPS_BAD_REQUEST' },
  lines: { text: 'Value does not fit in a line.', code: 'XPS_BAD_REQUEST' },
  isArray: { text: 'Value is an array.', code: 'XPS_BAD_REQUEST' },
  unsaved: { text: 'Session has unsaved changes, close it first.', code: 'XPS_BUSY' },
  locked: { text: 'Session is locked.', code: 'XPS_TIMEOUT' },
  waiters: { text: 'Too many wait for the session.', code: 'XPS_BUSY' },
  lost: { text: 'Lock was lost.', code: 'XPS_LOCK_LOST' },
  exists: { text: 'Session exists.', code: 'XPS_BUSY' },
  full: { text: 'Too many sessions.', code: 'XPS_TOO_LARGE' },
  line: { text: 'Line is too long.', code: 'XPS_TOO_LARGE' },
  key: { text: 'Key is too long.', code: 'XPS_TOO_LARGE' },
  value: { text: 'Value is too long.', code: 'XPS_TOO_LARGE' },
  size: { text: 'Session is too large.', code: 'XPS_TOO_LARGE' },
  count: { text: 'Too many keys.', code: 'XPS_TOO_LARGE' },
  changed: { text: 'Session has changed.', code: 'XPS_PRECONDITION' },
  words: { text: 'Arguments cannot be read.', code: 'XPS_BAD_REQUEST' },
  auth: { text: 'Not authenticated.', code: 'XPS_FORBIDDEN' },
  secret: { text: 'Wrong secret.', code: 'XPS_FORBIDDEN' },
  admin: { text: 'Not allowed.', code: 'XPS_FORBIDDEN' },
  sealed: { text: 'Session cannot be decrypted.', code: 'XPS_READ' },
  stopping: { text: 'Server is stopping.', code: 'XPS_CLOSED' },
  failed: { text: 'Command failed.', code: 'XPS_FAULT' },
} as const

const byText = new Map<string, StateFault>(Object.values(faults).map((fault: StateFault) => [fault.text, fault]))

/** What a server has answered after `err`. A command of the host's own may say anything. */
export function faultOf(text: string): StateFault {
  return byText.get(text) ?? { text, code: 'XPS_BAD_REQUEST' }
}

/** Tells a fault from what a call gives otherwise. */
export function isFault(value: unknown): value is StateFault {
  return typeof value === 'object' && value !== null && 'text' in value && byText.get(value.text as string) === value
}

/** The error for a program. Nothing of an id is in its message. */
export function errorOf(fault: StateFault, from?: { address: string; cause?: unknown }): XpsError {
  const message = fault.text.replace(/\.$/, '').replace(/^./, (first) => first.toLowerCase())
  return new XpsError(fault.code, from === undefined ? message : `${from.address}: ${message}`, {
    ...(from === undefined ? {} : { origin: 'upstream', address: from.address, cause: from.cause }),
    ...(fault.code === 'XPS_TIMEOUT' ? { reason: 'lock' } : {}),
  })
}
