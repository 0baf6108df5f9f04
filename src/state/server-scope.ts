import type { Awaitable } from './container.ts'
import type { Guesses } from './guesses.ts'
import type { SharedSession } from './shared-session.ts'
import type { SharedSessions, SharedSessionsStats } from './shared-sessions.ts'

/**
 * A command of the host's own: gets its words (at most two; the second may have blanks in it) and the shared session
 * that the client has open, and returns what is answered after `ok`, or nothing.
 */
export type StateCommand = (
  words: readonly string[],
  session: SharedSession | undefined,
) => Awaitable<string | undefined>

/** Numbers of a state server. Counts only grow; `connections` is of now. */
export interface StateServerStats {
  readonly connections: number
  readonly commands: number
  /** Commands that were answered `err`. */
  readonly errors: number
  /** Opens of ids that nobody has, and those of them that were answered late. */
  readonly failedOpens: number
  readonly lateAnswers: number
  readonly sessions: SharedSessionsStats
}

/** What the connections of one server have in common. */
export interface ServerScope {
  readonly maxLineLength: number
  /** Checks a secret; undefined if none is asked for. */
  readonly auth: ((secret: string) => Awaitable<boolean>) | undefined
  readonly admin: boolean
  readonly own: ReadonlyMap<string, StateCommand>
  readonly names: readonly string[]
  readonly guesses: Guesses
  commands: number
  errors: number
  stats(): StateServerStats
  join(session: object): void
  leave(session: object): void
  /** Tells lines of what happens, until what it returns is called. */
  watch(sessions: SharedSessions, tell: (line: string) => void): () => void
}
