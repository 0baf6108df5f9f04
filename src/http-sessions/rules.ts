import type { Clock } from '../clock.ts'
import type { OpenOptions } from '../state/shared-sessions.ts'
import type { RetiredIds } from './retired-ids.ts'
import type { SessionCookie } from './session-cookie.ts'
import type { CookieSessionSource } from './source.ts'

/** What has happened to the sessions of {@link CookieSessions}; counts only grow. */
export interface CookieSessionsStats {
  /** Requests that had their session asked for. */
  readonly opened: number
  /** Sessions that were stored for the first time. */
  readonly created: number
  /** Sessions that were written, besides those that were created. */
  readonly committed: number
  /** Sessions that got another id. */
  readonly rotated: number
  /** Sessions that a request has removed. */
  readonly destroyed: number
  /** Requests whose changes were forgotten because they failed, or because their client left. */
  readonly rolledBack: number
  /** Requests whose changes were forgotten because their session was destroyed, or got another id, meanwhile. */
  readonly dropped: number
  /** Cookies that nobody of us has signed, or of which there were several. */
  readonly forged: number
  /** Ids that were signed, and whose session is not there: it was destroyed, or its time was over. */
  readonly unknown: number
  /** Requests that went on without a session, because the store could not be asked. */
  readonly unavailable: number
}

/** What all requests of {@link CookieSessions} go by. */
export interface Rules {
  readonly source: CookieSessionSource
  readonly cookie: SessionCookie
  readonly locking: boolean
  readonly onFailure: 'rollback' | 'commit'
  readonly whenDown: 'refuse' | 'pass'
  readonly rolling: boolean
  readonly rotateOn: ReadonlySet<string>
  readonly retired: RetiredIds
  /** How long a session may be unused, in milliseconds, where the store has to be told so. */
  readonly idle: number | undefined
  readonly wait: Pick<OpenOptions, 'lockTimeout'>
  /** How long a request may have its session to itself, in milliseconds. */
  readonly holdTimeout: number
  /** Seconds. */
  readonly retryAfter: number
  readonly clock: Clock
  /** Seconds since 1970. */
  seconds(): number
  readonly counts: { -readonly [name in keyof CookieSessionsStats]: number }
}
