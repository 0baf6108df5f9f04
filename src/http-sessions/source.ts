import type { HeldSession } from '../state/faces/holding.ts'
import type { OpenOptions, PatchOptions, Snapshot } from '../state/shared-sessions.ts'

/** A session that is open and locked, and can be given another id. */
export interface LockedSession extends HeldSession {
  readonly id: string
  regenerateId(): Promise<string>
}

/** Where sessions are kept: a `StateClient`, `SharedSessions`, or what does the same. */
export interface CookieSessionSource {
  openSession(id: string, options?: OpenOptions): Promise<LockedSession>
  createSession(): Promise<LockedSession>
  read(id: string): Promise<Snapshot | undefined>
  patch(id: string, options: PatchOptions): Promise<string>
  destroySession(id: string, options?: Pick<OpenOptions, 'lockTimeout'>): Promise<boolean>
}
