import type { ByteString } from './codec/byte-string.ts'
import type { StateData, StateValue } from './codec/php-serialize.ts'

/** A value, or a promise of it. What is at hand should be returned as it is: it costs no turn of the loop. */
export type Awaitable<T> = T | Promise<T>

/** A shared session as a container keeps it. Nobody changes one that was handed over, in either direction. */
export interface Stored {
  readonly data: ReadonlyMap<ByteString, StateValue>
  /** When it was made, in milliseconds since 1970. */
  readonly created: number
  /** When its time is over if nobody uses it, in milliseconds since 1970; `Infinity` for never. */
  readonly expires: number
  /**
   * How long it may be unused, in milliseconds, where that is not the lifetime of all; 0 for ever. A container with
   * {@link Container.lock} keeps -1 as well: that is a session whose place another id has taken.
   */
  readonly idle: number | undefined
}

/** What can be said of a shared session without reading it. */
export interface Summary {
  readonly id: string
  /** As of {@link Stored}; or sooner, if that is cheaper to tell: before anything is removed it is read. */
  readonly expires: number
}

/** What a container is told before anything is asked of it. */
export interface Lifetimes {
  /** How long a shared session may be unused, in milliseconds; 0 for ever. */
  readonly idleLifetime: number
  /** How long one may be there, used or not, in milliseconds; 0 for ever. */
  readonly absoluteLifetime: number
}

/** What was changed since the last commit, for containers that write no more than that. */
export interface Changes {
  /** All keys before these are gone. */
  readonly cleared: boolean
  /** Keys whose value is another, with it; undefined for keys that were removed. */
  readonly keys: ReadonlyMap<ByteString, StateValue | undefined>
}

/** How a commit is meant. */
export interface Commit {
  /** Whether there must be no such session yet, or must be one. */
  readonly expect: 'absent' | 'present'
  /** The number of the lock under which it happens; it grows with each lock of a session. */
  readonly fence: number
  readonly changes: Changes
}

/**
 * How a commit went: `'exists'` and `'missing'` are about what was expected, `'fenced'` says that a commit with a higher
 * number has been seen, `'full'` that the container takes no more. Only after `'done'` anything has changed.
 */
export type CommitResult = 'done' | 'exists' | 'missing' | 'fenced' | 'full'

/** A lock that a container holds for this process. */
export interface ContainerLock {
  /** Higher than that of each lock of the session before. */
  readonly fence: number
  /** Prolongs it by the lease; false if it has been lost. */
  renew(): Awaitable<boolean>
  /** Gives it up. Never throws for a lock that has been lost. */
  release(): Awaitable<void>
}

/**
 * Where shared sessions are kept: the one interface that a store implements.
 *
 * Who calls holds the session's lock in this process for `commit`, `destroy` and `touch`; there is never more than one
 * of them under way for one id. Ids consist of 16 to 100 letters, digits, `-`, `_` and `,`. Keys and values are
 * {@link ByteString}s. A rejection means that nothing is known of the outcome. `containerContract` of `xps/testing` has
 * the claims that every container must meet.
 */
export interface Container {
  /** What it is called in messages and numbers. */
  readonly name: string
  /** Gets ready. Called before anything else, and again after a {@link close}; rejects if it cannot be. */
  open?(lifetimes: Lifetimes): Awaitable<void>
  /** What was last committed; undefined if there is no such session. One whose time is over may still be returned. */
  read(id: string): Awaitable<Stored | undefined>
  /** Writes a session, all of it or nothing, and not before that is safe it is `'done'`. */
  commit(id: string, stored: Stored, commit: Commit): Awaitable<CommitResult>
  /** Removes a session; false if there was none, `'fenced'` as for a commit. */
  destroy(id: string, fence: number): Awaitable<boolean | 'fenced'>
  /**
   * Gives a session another time to expire, and leaves the rest as it is; false if there is none. `fence` is that of the
   * lock under which it happens, if it does: who only reads uses a session too. Without, one whose {@link Stored.idle} is -1
   * is left as it is: it was used before another id took its place.
   */
  touch(id: string, expires: number, fence?: number): Awaitable<boolean | 'fenced'>
  /** All sessions in any order; what changes meanwhile may be left out. Read to its end or returned from. */
  list(): Iterable<Summary> | AsyncIterable<Summary>
  /**
   * Removes at once up to `most` sessions whose time is over at `now`, but none that is locked in any process, and
   * returns their ids: fewer than `most` when there are no more. Without it, or without {@link Container.lock}, all are
   * listed and looked at, one by one.
   */
  sweep?(now: number, most: number): Awaitable<readonly string[]>
  /** Whether it removes what has expired by itself; then nobody looks for it, and no `expired` is told. @default false */
  readonly expiresAlone?: boolean
  /**
   * Locks a session for this process, where several processes use the container at a time. Undefined if it was not to
   * be had within `wait` milliseconds; after `lease` milliseconds without `renew` it is lost. Rejects when `signal` aborts.
   */
  lock?(
    id: string,
    request: { readonly wait: number; readonly lease: number; readonly signal: AbortSignal },
  ): Awaitable<ContainerLock | undefined>
  /** Lets go of all it holds; what was committed stays. Nothing is under way then. */
  close?(): Awaitable<void>
}

/** Applies what was changed to what was there. */
export function applyChanges(before: ReadonlyMap<ByteString, StateValue>, changes: Changes): StateData {
  const data: StateData = new Map(changes.cleared ? [] : before)
  for (const [key, value] of changes.keys) {
    if (value === undefined) data.delete(key)
    else data.set(key, value)
  }
  return data
}
