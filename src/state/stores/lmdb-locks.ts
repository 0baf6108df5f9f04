import { systemClock } from '../../clock.ts'
import type { Awaitable, ContainerLock } from '../container.ts'
import type { LmdbMembers } from './lmdb-members.ts'
import { type LmdbTables, reasonOf } from './lmdb-tables.ts'

/** What a lock is asked for with. */
export interface LockRequest {
  readonly wait: number
  readonly lease: number
  readonly signal: AbortSignal
}

/** One that waits for another process looks again after so many milliseconds; each time after twice as many. */
const firstPause = 1
const longestPause = 25

/**
 * The locks of sessions, between processes: records where several use the folder, else a map.
 *
 * A lock that is free, or whose lease is over, or whose process is gone, is taken in a transaction. So is its number.
 * Who waits is woken at once when this process releases the lock; that another one has, it only sees when it looks.
 */
export class LmdbLocks {
  readonly #tables: LmdbTables
  readonly #members: LmdbMembers
  readonly #held = new Map<string, HeldByProcess>()
  readonly #waiting = new Map<string, Set<() => void>>()

  constructor(tables: LmdbTables, members: LmdbMembers) {
    this.#tables = tables
    this.#members = members
  }

  /** At once where it is free and nobody else uses the folder. */
  lock(id: string, request: LockRequest): Awaitable<ContainerLock | undefined> {
    const { lease } = request
    const held = this.#members.state === 'alone' ? this.#take(id, lease) : undefined
    return held ?? this.#wait(id, request)
  }

  async #wait(id: string, { wait, lease, signal }: LockRequest): Promise<ContainerLock | undefined> {
    const end = systemClock.now() + wait
    for (let pause = firstPause; ; pause = Math.min(pause * 2, longestPause)) {
      signal.throwIfAborted()
      const held = this.#members.state === 'alone' ? this.#take(id, lease) : await this.#takeShared(id, lease)
      if (held === 'again') continue
      if (held !== undefined) {
        if (!signal.aborted) return held
        held.release()
        throw signal.reason
      }
      const left = end - systemClock.now()
      if (left <= 0) return undefined
      await this.#pause(id, Math.min(pause, left), signal)
    }
  }

  /** The fence of the lock that this process has. */
  fenceOf(id: string): number | undefined {
    return this.#held.get(id)?.fence
  }

  /** Keeps what the table of times tells of a session for as long as its lock is held. */
  note(id: string, expires: number | undefined): void {
    const held = this.#held.get(id)
    if (held !== undefined) held.noted = expires
  }

  /** What was noted last under the lock of this number. */
  notedOf(id: string, fence: number): number | undefined {
    const held = this.#held.get(id)
    return held?.fence === fence ? held.noted : undefined
  }

  /** Whether one who commits under this number has no right to: somebody else has the lock. Asked in a transaction. */
  isFenced(id: string, fence: number): boolean {
    const own = this.#held.get(id)
    if (own !== undefined) return own.fence > fence
    const { locks, meta } = this.#tables
    const owner = meta.get('owner')
    if (owner !== undefined && owner !== this.#members.token) return true
    const entry = locks.getEntry(id)
    return entry !== undefined && entry.version !== fence && this.#isLive(entry.value)
  }

  /** @internal False if it is not held any more. */
  prolong(held: HeldByProcess): Awaitable<boolean> {
    const { id, fence, until } = held
    if (this.#held.get(id) !== held) return false
    return !held.recorded || this.#tables.locks.put(id, { by: this.#members.token, until }, fence, fence)
  }

  /** @internal */
  letGo(held: HeldByProcess): void {
    const { id, fence } = held
    if (this.#held.get(id) !== held) return
    this.#held.delete(id)
    // Its end is not waited for: what is written afterwards comes after it.
    if (held.recorded) this.#tables.locks.remove(id, fence).catch(reasonOf)
    const waiting = this.#waiting.get(id)
    if (waiting !== undefined) for (const wake of waiting) wake()
  }

  /** @internal See {@link MemberOwner}. */
  record(): void {
    const by = this.#members.token
    for (const [id, held] of this.#held) {
      this.#tables.locks.putSync(id, { by, until: held.until }, held.fence)
      held.recorded = true
    }
  }

  /** @internal */
  purge(): void {
    const { locks } = this.#tables
    const mine = new Set<string>()
    for (const { key, version } of [...locks.getRange({ versions: true })]) {
      if (this.#held.get(key)?.fence === version) mine.add(key)
      else locks.removeSync(key)
    }
    for (const [id, { recorded }] of this.#held) if (recorded && !mine.has(id)) this.#held.delete(id)
  }

  /** @internal */
  forget(): void {
    this.#held.clear()
  }

  /** Alone: nobody else looks. */
  #take(id: string, lease: number): HeldByProcess | undefined {
    const before = this.#held.get(id)
    const now = Date.now()
    if (before !== undefined && before.until > now) return undefined
    const held = new HeldByProcess(this, id, ++this.#members.fence, lease, before?.recorded ?? false)
    this.#held.set(id, held)
    return held
  }

  /** By a record. `'again'` if this process has become alone, or was taken for gone. */
  async #takeShared(id: string, lease: number): Promise<HeldByProcess | 'again' | undefined> {
    const { env, locks, members, meta } = this.#tables
    if (this.#members.state !== 'shared') {
      await this.#members.join()
      return 'again'
    }
    env.resetReadTxn()
    const found = locks.get(id)
    if (found !== undefined && this.#isLive(found)) return undefined
    const by = this.#members.token
    const outcome = await env.transaction(() => {
      if (this.#members.state !== 'shared') return 'again'
      if (!members.doesExist(by)) return 'gone'
      const before = locks.get(id)
      if (before !== undefined && this.#isLive(before)) return undefined
      const fence = Math.max(this.#members.fence, Number(meta.get('fence') ?? 0)) + 1
      this.#members.fence = fence
      meta.putSync('fence', fence, 0)
      const held = new HeldByProcess(this, id, fence, lease, true)
      locks.putSync(id, { by, until: held.until }, fence)
      this.#held.set(id, held)
      return held
    })
    if (outcome !== 'gone') return outcome
    this.#members.lost()
    return 'again'
  }

  #isLive({ by, until }: { readonly by: string; readonly until: number }): boolean {
    return until > Date.now() && this.#tables.members.doesExist(by)
  }

  /** Until the time is over, this process releases the lock, or the signal aborts. */
  #pause(id: string, milliseconds: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(id) ?? new Set()
      this.#waiting.set(id, waiting)
      const over = (): void => {
        alarm.cancel()
        signal.removeEventListener('abort', over)
        waiting.delete(over)
        if (waiting.size === 0) this.#waiting.delete(id)
        resolve()
      }
      const alarm = systemClock.after(milliseconds, over, true)
      signal.addEventListener('abort', over)
      waiting.add(over)
    })
  }
}

/** A lock that this process has. */
class HeldByProcess implements ContainerLock {
  readonly id: string
  readonly fence: number
  /** When the lease is over, in milliseconds since 1970. */
  until: number
  /** There is a record of it that others see. */
  recorded: boolean
  /** When the session expires, as the table of times tells; undefined where it is not known to be there. */
  noted: number | undefined
  readonly #locks: LmdbLocks
  readonly #lease: number

  constructor(locks: LmdbLocks, id: string, fence: number, lease: number, recorded: boolean) {
    this.#locks = locks
    this.#lease = lease
    this.id = id
    this.fence = fence
    this.until = Date.now() + lease
    this.recorded = recorded
    this.noted = undefined
  }

  renew(): Awaitable<boolean> {
    this.until = Date.now() + this.#lease
    return this.#locks.prolong(this)
  }

  release(): void {
    this.#locks.letGo(this)
  }
}
