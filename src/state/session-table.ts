import { asXpsError } from '../errors.ts'
import { after, ask } from './ask.ts'
import type { Awaitable, CommitResult, Container, Stored } from './container.ts'
import { faults, isFault, type StateFault } from './faults.ts'
import type { HeldLock } from './held-lock.ts'
import { isId, newId } from './ids.ts'
import type { StateLimits } from './limits.ts'
import type { LockNumbers } from './locks.ts'
import { mostReplaced, RetiredIds, retire, retiredIdle, withoutLink } from './retired-ids.ts'
import { SessionCommit } from './session-commit.ts'
import type { OpenMode, SessionKeeper } from './session-keeper.ts'
import { SessionLocks } from './session-locks.ts'
import { SharedSession } from './shared-session.ts'
import type { Call, Entries, PatchRules, TableOwner, TableRules } from './table-rules.ts'
import { undecipherable } from './undecipherable.ts'
import { versionOf } from './version.ts'

/** A use is noted when so much of the lifetime has passed since the last that was, or so many milliseconds. */
const noteAfter = 1 / 16
const longestNote = 60_000
/** So many ids that a session had before can be read at a time. */
const mostBefore = 16

/**
 * The shared sessions of a container: who opens which, who waits, and what has expired.
 *
 * ```
 *   open rw ──► lock (or wait) ──► read ──► SharedSession ──► commit, close ──► container, unlock
 *   open r  ───────────────────► read ──► SharedSession
 * ```
 *
 * What can be had at once is returned as it is, and what is refused is returned as a fault: a promise is made only where
 * the container takes its time, or somebody else has the lock.
 */
export class SessionTable implements SessionKeeper {
  readonly rules: TableRules
  readonly counts: Record<'opened' | 'created' | 'committed' | 'destroyed' | 'expired', number> = {
    opened: 0,
    created: 0,
    committed: 0,
    destroyed: 0,
    expired: 0,
  }
  readonly #container: Container
  readonly #owner: TableOwner
  readonly #locks: SessionLocks
  /** Sessions that were made and never committed. */
  readonly #fresh = new Set<string>()
  readonly #retired: RetiredIds

  constructor(container: Container, rules: TableRules, owner: TableOwner) {
    this.#container = container
    this.rules = rules
    this.#owner = owner
    this.#retired = new RetiredIds(rules.clock)
    const waitFor = (work: Promise<unknown>): void => owner.waitFor(work)
    this.#locks = new SessionLocks(container, rules, waitFor, (error) => this.#failed(error, faults.failed))
  }

  get limits(): StateLimits {
    return this.rules.limits
  }

  get locks(): Readonly<LockNumbers> {
    return this.#locks.numbers
  }

  get now(): number {
    return this.rules.time()
  }

  /** Calls off what it would do later, and what waits for a lock. */
  stop(): void {
    this.#retired.clear()
    this.#locks.stop()
  }

  /** Nothing is under way any more: gives up the locks of sessions that are open still. */
  end(): void {
    this.#locks.end()
  }

  open(
    id: string,
    mode: OpenMode,
    call: Call,
    wait: number = this.rules.lockTimeout,
  ): Awaitable<SharedSession | StateFault> {
    const refused = this.#refusal(id)
    if (refused !== undefined) return refused
    if (mode === 'rw') return this.#locks.wait(id, call, wait, (lock) => this.#openLocked(id, lock, !this.rules.strict))
    return ask<Stored | undefined, SharedSession | StateFault>(
      () => this.#container.read(id),
      (stored) => {
        const found = this.#valid(id, stored)
        if (found === undefined && !this.#fresh.has(id)) return faults.open
        if (found !== undefined && this.#retired.has(id, found)) return this.#openRetired(id, found)
        this.counts.opened++
        const session = new SharedSession(this, id, found ?? this.#new(), undefined, false)
        if (found !== undefined) this.touch(session)
        return session
      },
      (error) => this.#failed(error, faults.failed),
    )
  }

  /** Makes a session and opens it; nobody has it before it is committed. */
  create(id: string = newId()): Awaitable<SharedSession | StateFault> {
    const refused = this.#refusal(id)
    if (refused !== undefined) return refused
    const made = this.#locks.ifFree<SharedSession>(id, (lock) =>
      ask<Stored | undefined, SharedSession | StateFault>(
        () => this.#container.read(id),
        (stored) => {
          if (stored === undefined) return this.#make(id, lock)
          lock.release()
          return faults.exists
        },
        (error) => this.#failed(error, faults.failed, lock),
      ),
    )
    return made ?? faults.exists
  }

  /** Changes keys of a session at once, when nobody holds it, and returns its version. */
  patch(id: string, changes: Entries, rules: PatchRules, call: Call = {}): Awaitable<string | StateFault> {
    const refused = this.#refusal(id)
    if (refused !== undefined) return refused
    const adopt = rules.create === true || !this.rules.strict
    const opening = this.#locks.wait(id, call, rules.wait ?? this.rules.lockTimeout, (lock) =>
      this.#openLocked(id, lock, adopt),
    )
    return after(opening, (session) => (isFault(session) ? session : this.#patchOpen(session, changes, rules)))
  }

  /** Removes a session when nobody holds it; for as long as an id before can be read, by that as well. */
  drop(
    id: string,
    call: Call = {},
    wait: number = this.rules.lockTimeout,
    most: number = mostReplaced,
  ): Awaitable<StateFault | undefined> {
    const refused = this.#refusal(id)
    if (refused !== undefined) return refused
    const opening = this.#locks.wait(id, call, wait, (lock) => this.#openLocked(id, lock, false))
    return after(opening, (session) => {
      if (!isFault(session)) return session.end()
      if (session !== faults.open || most === 0) return session
      return after(this.#currentOf(id), (now) => {
        if (isFault(now)) return now
        return now === id ? faults.open : this.drop(now, call, wait, most - 1)
      })
    })
  }

  /** Says that a session is used. */
  note(id: string): Awaitable<StateFault | undefined> {
    const refused = this.#refusal(id)
    if (refused !== undefined) return refused
    return ask<Stored | undefined, StateFault | undefined>(
      () => this.#container.read(id),
      (stored) => {
        const found = this.#valid(id, stored)
        if (found === undefined) return faults.open
        if (this.#retired.has(id, found)) return after(this.#currentOf(id), (now) => (isFault(now) ? now : undefined))
        const expires = this.#used(id, found)
        if (expires === undefined) return undefined
        return ask<boolean | 'fenced', StateFault | undefined>(
          () => this.#container.touch(id, expires),
          (there) => (there === true ? undefined : faults.open),
          (error) => this.#failed(error, faults.failed),
        )
      },
      (error) => this.#failed(error, faults.failed),
    )
  }

  /** Removes a session that has expired, unless somebody holds it or has used it meanwhile. */
  expire(id: string): Awaitable<void> {
    if (!this.#owner.running || this.#locks.isLocked(id)) return
    const done = this.#locks.ifFree<undefined>(id, (lock) => {
      const over = (): undefined => {
        lock.release()
        return undefined
      }
      return this.#readLocked<undefined>(id, lock, over, over)
    })
    return done instanceof Promise ? done.then(() => {}) : undefined
  }

  /** The container has removed a session that had expired. */
  swept(id: string): void {
    this.#expired(id)
  }

  // What an open session asks for.

  commit(session: SharedSession): Awaitable<StateFault | undefined> {
    if (!this.#owner.running) return faults.stopping
    const { id, fresh, lock } = session
    const stored: Stored = { ...session.stored, data: session.data, expires: this.expiry(session.stored) }
    const commit = new SessionCommit(session, fresh ? 'absent' : 'present', lock.fence)
    return this.#write<CommitResult, undefined>(
      () => this.#container.commit(id, stored, commit),
      (result) => {
        if (result !== 'done') return commitFaults[result]
        this.forget(session)
        session.committed(stored)
        if (fresh) this.counts.created++
        this.counts.committed++
        this.#owner.tell('committed', id)
        return undefined
      },
    )
  }

  destroy(session: SharedSession): Awaitable<StateFault | undefined> {
    if (!this.#owner.running) return faults.stopping
    const { id, fresh, lock } = session
    const done = (): Awaitable<undefined> => {
      this.forget(session)
      this.counts.destroyed++
      this.#owner.tell('destroyed', id)
      return this.#dropBefore(id)
    }
    if (fresh) return done()
    return this.#write<boolean | 'fenced', undefined>(
      () => this.#container.destroy(id, lock.fence),
      (there) => (there === 'fenced' ? faults.lost : done()),
    )
  }

  /** What was committed is safe under the new id before it goes from the old one. */
  regenerate(session: SharedSession): Awaitable<string | StateFault> {
    if (!this.#owner.running) return faults.stopping
    const before = session.id
    const id = newId()
    const renewed = this.#locks.ifFree<string>(id, (held) => {
      const stored: Stored = { ...session.stored, expires: this.expiry(session.stored) }
      const moved = (): string => {
        const { lock, fresh } = session
        this.forget(session)
        if (fresh) this.#fresh.add(id)
        session.renamed(id, stored, held)
        lock.forsake(faults.open)
        lock.release()
        this.#owner.regenerated(id, before)
        this.#dropOldest(id)
        return id
      }
      if (session.fresh) return moved()
      const commit = { expect: 'absent', fence: held.fence, changes: { cleared: true, keys: stored.data } } as const
      const moving = this.#write<CommitResult, string>(
        () => this.#container.commit(id, stored, commit),
        (result) => {
          if (result !== 'done') return result === 'full' ? faults.full : faults.regenerate
          return this.#write<boolean | 'fenced', string>(
            () => this.#retire(session, id),
            (there) => (there === 'fenced' ? this.#undo(id, held) : moved()),
          )
        },
      )
      return after(moving, (outcome) => {
        if (isFault(outcome)) {
          this.#retired.keep(before)
          held.release()
        }
        return outcome
      })
    })
    return renewed ?? faults.regenerate
  }

  /** Notes a use, if the last that was noted is a while ago. */
  touch(session: SharedSession): void {
    const { id, stored } = session
    const expires = session.fresh ? undefined : this.#used(id, stored)
    if (expires === undefined) return
    void this.#write<boolean | 'fenced', undefined>(
      () => this.#container.touch(id, expires, session.fence),
      () => undefined,
    )
  }

  /** When a session expires that is used now; undefined if that need not be noted. */
  #used(id: string, stored: Stored): number | undefined {
    const idle = stored.idle ?? this.rules.lifetimes.idleLifetime
    if (idle === 0 || this.#retired.has(id, stored)) return undefined
    const expires = this.expiry(stored)
    return expires - stored.expires < Math.min(idle * noteAfter, longestNote) ? undefined : expires
  }

  /** A session that was never committed is no more, or is one that was. */
  forget(session: SharedSession): void {
    if (session.fresh) this.#fresh.delete(session.id)
  }

  /** When a session expires that is used now, in milliseconds since 1970. */
  expiry({ created, expires, idle }: Omit<Stored, 'data'>): number {
    if (idle === retiredIdle) return expires
    const { idleLifetime, absoluteLifetime } = this.rules.lifetimes
    const unused = idle ?? idleLifetime
    return Math.min(
      unused === 0 ? Number.POSITIVE_INFINITY : this.now + unused,
      absoluteLifetime === 0 ? Number.POSITIVE_INFINITY : created + absoluteLifetime,
    )
  }

  #refusal(id: string): StateFault | undefined {
    if (!this.#owner.running) return faults.stopping
    return isId(id) ? undefined : faults.open
  }

  #openLocked(id: string, lock: HeldLock, adopt: boolean): Awaitable<SharedSession | StateFault> {
    const missing = (): SharedSession | StateFault => {
      if (adopt) return this.#make(id, lock)
      lock.release()
      return faults.open
    }
    return this.#readLocked<SharedSession>(id, lock, (stored) => this.#openStored(id, lock, stored), missing)
  }

  /** What is there, for whoever has the lock: what has expired is removed first, and is missing then. */
  #readLocked<R>(
    id: string,
    lock: HeldLock,
    there: (stored: Stored) => R | StateFault,
    missing: () => R | StateFault,
  ): Awaitable<R | StateFault> {
    return ask<Stored | undefined, R | StateFault>(
      () => this.#container.read(id),
      (stored) => {
        if (stored === undefined) return missing()
        return stored.expires > this.now ? there(stored) : this.#removeExpired(id, lock, missing)
      },
      (error) => {
        const sealed = undecipherable(error)
        // Nobody will ever read it, and it would be told at each look for what has expired.
        if (sealed !== undefined && sealed.expires <= this.now) return this.#removeExpired(id, lock, missing)
        return this.#failed(error, faults.failed, lock)
      },
    )
  }

  #removeExpired<R>(id: string, lock: HeldLock, missing: () => R | StateFault): Awaitable<R | StateFault> {
    return ask<boolean | 'fenced', R | StateFault>(
      () => this.#container.destroy(id, lock.fence),
      (removed) => {
        if (removed === true) this.#expired(id)
        return missing()
      },
      (error) => this.#failed(error, faults.failed, lock),
    )
  }

  /** What was there before another id took the place of this one, for as long as the session is there. */
  #openRetired(id: string, stored: Stored): Awaitable<SharedSession | StateFault> {
    return after(this.#currentOf(id), (now) => {
      if (isFault(now)) return now
      this.counts.opened++
      return new SharedSession(this, id, withoutLink(stored), undefined, false)
    })
  }

  /** The id that a session has now which once had this one: this one, if it has it still. */
  #currentOf(id: string, most: number = mostReplaced): Awaitable<string | StateFault> {
    return ask<Stored | undefined, string | StateFault>(
      () => this.#container.read(id),
      (stored) => {
        const found = this.#valid(id, stored)
        if (found === undefined) return faults.open
        if (!this.#retired.has(id, found)) return id
        const next = this.#retired.next(id, found)
        return next === undefined || most === 0 ? faults.open : this.#currentOf(next, most - 1)
      },
      (error) => this.#failed(error, faults.failed),
    )
  }

  #openStored(id: string, lock: HeldLock, stored: Stored): SharedSession | StateFault {
    if (this.#retired.has(id, stored)) {
      lock.release()
      return faults.open
    }
    this.counts.opened++
    const session = new SharedSession(this, id, stored, lock, false)
    this.touch(session)
    return session
  }

  #make(id: string, lock: HeldLock): SharedSession {
    this.counts.opened++
    this.#fresh.add(id)
    return new SharedSession(this, id, this.#new(), lock, true)
  }

  #new(): Stored {
    return { data: new Map(), created: this.now, expires: Number.POSITIVE_INFINITY, idle: undefined }
  }

  #patchOpen(session: SharedSession, changes: Entries, { version, idle }: PatchRules): Awaitable<string | StateFault> {
    const same = version === undefined || version === versionOf(session.data)
    const fault = same ? session.setAll(changes) : faults.changed
    if (fault !== undefined) {
      session.abandon()
      return fault
    }
    if (idle !== undefined) session.keepFor(idle)
    const { data } = session
    return after(session.finish(true), (failure) => {
      if (failure === undefined) return versionOf(data)
      session.abandon()
      return failure
    })
  }

  /** The old id of a session: gone, or readable for a while. */
  #retire(session: SharedSession, by: string): Awaitable<boolean | 'fenced'> {
    const { grace } = this.rules
    const { id, stored } = session
    const { fence } = session.lock
    if (grace === 0) return this.#container.destroy(id, fence)
    // Who stops remembers nothing: nobody asks any more.
    if (this.#owner.running) this.#retired.add(id, by, grace, () => this.#expireMeanwhile(id))
    return retire(this.#container, { id, stored, fence }, by, this.now + grace)
  }

  /** What is gone is so under the ids that it had before, too. */
  #dropBefore(id: string): Awaitable<undefined> {
    const drops = this.#retired.before(id).map((before) => this.#dropRetired(before))
    const pending = drops.filter((one) => one instanceof Promise)
    return pending.length === 0 ? undefined : Promise.all(pending).then(() => undefined)
  }

  /** Who gives a session another id again and again does not fill the container with what it had before. */
  #dropOldest(id: string): void {
    const before = this.#retired.before(id)
    const dropped = before.length > mostBefore ? this.#dropRetired(before[0] as string) : undefined
    if (dropped instanceof Promise) this.#owner.waitFor(dropped)
  }

  #dropRetired(id: string): Awaitable<unknown> {
    return this.#locks.ifFree<undefined>(id, (lock) =>
      ask<boolean | 'fenced', StateFault | undefined>(
        () => this.#container.destroy(id, lock.fence),
        () => {
          lock.release()
          this.#retired.delete(id)
          return undefined
        },
        (error) => this.#failed(error, faults.failed, lock),
      ),
    )
  }

  #expireMeanwhile(id: string): void {
    const removed = this.expire(id)
    if (removed instanceof Promise) this.#owner.waitFor(removed)
  }

  /** The session that was to be renamed is another's meanwhile: its copy goes again. */
  #undo(id: string, { fence }: HeldLock): Awaitable<StateFault> {
    return this.#write<boolean | 'fenced', never>(
      () => this.#container.destroy(id, fence),
      () => faults.lost,
    )
  }

  /** What was read, unless its time is over. */
  #valid(id: string, stored: Stored | undefined): Stored | undefined {
    if (stored === undefined || stored.expires > this.now) return stored
    this.#expireMeanwhile(id)
    return undefined
  }

  #expired(id: string): void {
    this.#retired.delete(id)
    this.counts.expired++
    this.#owner.tell('expired', id)
  }

  /** A call that changes something: nothing is closed before it has come back. */
  #write<T, R>(call: () => Awaitable<T>, next: (value: T) => Awaitable<R | StateFault>): Awaitable<R | StateFault> {
    const outcome = ask<T, R | StateFault>(call, next, (error) => this.#failed(error, faults.failed))
    if (outcome instanceof Promise) this.#owner.waitFor(outcome)
    return outcome
  }

  #failed(error: unknown, fault: StateFault, lock?: HeldLock): StateFault {
    lock?.release()
    this.#owner.failed(asXpsError(error, 'XPS_READ', `the container '${this.#container.name}' failed`))
    return undecipherable(error) === undefined ? fault : faults.sealed
  }
}

/** What a commit tells that was not done. */
const commitFaults: Record<Exclude<CommitResult, 'done'>, StateFault> = {
  exists: faults.exists,
  missing: faults.lost,
  fenced: faults.lost,
  full: faults.full,
}
