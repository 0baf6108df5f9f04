import { systemCode, type XpsError } from '../errors.ts'
import type { HttpSession } from './session.ts'
import type { Transaction } from './transaction.ts'

/** What is logged of a request, once, when all of it is over. */
export interface AccessEntry {
  /** The transaction's name; the session's for what was no request. */
  readonly id: string
  /** When it ended. */
  readonly at: Date
  /** The address of the client's connection. */
  readonly client: string | undefined
  readonly method: string
  readonly target: string
  readonly host: string
  readonly version: string
  /** What the client was told; 0 if it was told nothing. */
  readonly status: number
  /** Bytes of the response's body; of a tunnel, those that went to the client. */
  readonly bytes: number
  /** Bytes of the client that went through a tunnel; 0 if there was none. */
  readonly bytesIn: number
  /** How long it took, in milliseconds. */
  readonly elapsed: number
  /** Where it was forwarded to. */
  readonly upstream: string | undefined
  /** Why it did not end well: the code of an error, with what took too long, or is wrong with a certificate, behind it; undefined if it did. */
  readonly reason: string | undefined
  readonly referrer: string | undefined
  readonly userAgent: string | undefined
}

/** The entry of a transaction. */
export function entryOf(transaction: Transaction): AccessEntry {
  const { request, session, failure } = transaction
  return {
    id: transaction.id,
    at: new Date(),
    client: session.remoteAddress,
    method: request.method,
    target: request.target,
    host: request.authority,
    version: request.version,
    status: transaction.status,
    bytes: transaction.bytes,
    bytesIn: transaction.bytesIn,
    elapsed: transaction.age,
    upstream: transaction.upstream,
    reason: failure === undefined ? undefined : reasonOf(failure),
    referrer: request.headers.get('referer'),
    userAgent: request.headers.get('user-agent'),
  }
}

/** The entry of what was no request. */
export function entryOfFault(session: HttpSession, error: XpsError, status: number): AccessEntry {
  return {
    id: session.id,
    at: new Date(),
    client: session.remoteAddress,
    method: '',
    target: '',
    host: '',
    version: '',
    status,
    bytes: 0,
    bytesIn: 0,
    elapsed: 0,
    upstream: undefined,
    reason: reasonOf(error),
    referrer: undefined,
    userAgent: undefined,
  }
}

/** A short name for what went wrong: `XPS_TIMEOUT response-head`, `XPS_TLS CERT_HAS_EXPIRED`. */
export function reasonOf(error: XpsError): string {
  const why = error.reason ?? (error.code === 'XPS_TLS' ? systemCode(error.cause) : undefined)
  return why === undefined ? error.code : `${error.code} ${why}`
}

/**
 * An entry as a line of the Combined Log Format, which most tools read, with three words behind it: milliseconds, the
 * upstream and the reason, `-` for none.
 */
export function combinedLogLine(entry: AccessEntry): string {
  const request = entry.method === '' ? '-' : `${entry.method} ${entry.target} HTTP/${entry.version}`
  const status = entry.status === 0 ? '-' : entry.status
  return [
    `${entry.client ?? '-'} - - [${logTime(entry.at)}] "${escaped(request)}" ${status} ${entry.bytes}`,
    `"${escaped(entry.referrer ?? '-')}" "${escaped(entry.userAgent ?? '-')}"`,
    `${entry.elapsed} ${entry.upstream ?? '-'} "${entry.reason ?? '-'}"`,
  ].join(' ')
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** `21/Nov/2026:14:02:11 +0000`, in UTC. */
function logTime(at: Date): string {
  const [day, time] = at.toISOString().split('T') as [string, string]
  const [year, month, date] = day.split('-')
  return `${date}/${months[Number(month) - 1]}/${year}:${time.slice(0, 8)} +0000`
}

/** What a client sent must not end a quoted word, or start a line of its own. */
function escaped(text: string): string {
  return text.replace(/["\\]|[^\x20-\x7e]/g, (one) => `\\x${one.charCodeAt(0).toString(16).padStart(2, '0')}`)
}
