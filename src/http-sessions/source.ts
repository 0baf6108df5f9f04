import type { HeldSession } from '../state/faces/holding.ts'
import type { OpenOptions, PatchOptions, Snapshot } from '../state/shared-sessions.ts'

/** A session that is open and locked, and can be given another id. */
export interface LockedSession extends HeldSession {
  /** Another one after {@link regenerateId}. */
  readonly id: string
  /** What was committed is safe under the id that it resolves to. */
  regenerateId(): Promise<string>
}

/** Where sessions are kept: a `StateClient`, `SharedSessions`, or what does the same. */
export interface CookieSessionSource {
  /** Opens a session alone. Rejects with `XPS_NOT_FOUND`, or `XPS_TIMEOUT` (`lock`) or `XPS_BUSY` while others have it. */
  openSession(id: string, options?: OpenOptions): Promise<LockedSession>
  /** Makes one, with an id that nobody can guess. */
  createSession(): Promise<LockedSession>
  /** What was last committed, without waiting for anybody; undefined if there is no such session. */
  read(id: string): Promise<Snapshot | undefined>
  /** Changes keys at once. Rejects as {@link openSession} does. */
  patch(id: string, options: PatchOptions): Promise<string>
  /** Removes one; false if there is none. */
  destroySession(id: string, options?: Pick<OpenOptions, 'lockTimeout'>): Promise<boolean>
}
