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

/** A lock that this process has. */
interface Held {
  readonly fence: number
  /** When the lease is over, in milliseconds since 1970. */
  until: number
  /** There is a record of it that others see. */
  recorded: boolean
  /** When the session expires, as the table of times tells; undefined where it is not known to be there. */
  noted: number | undefined
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
  readonly #held = new Map<string, Held>()
  readonly #waiting = new Map<string, Set<() => void>>()

  constructor(tables: LmdbTables, members: LmdbMembers) {
    this.#tables = tables
    this.#members = members
  }

  /** At once where it is free and nobody else uses the folder. */
  lock(id: string, request: LockRequest): Awaitable<ContainerLock | undefined> {
    const { lease } = request
    const held = this.#members.state === 'alone' ? this.#take(id, lease) : undefined
    return held === undefined ? this.#wait(id, request) : this.#lockOf(id, held, lease)
  }

  async #wait(id: string, { wait, lease, signal }: LockRequest): Promise<ContainerLock | undefined> {
    const end = systemClock.now() + wait
    for (let pause = firstPause; ; pause = Math.min(pause * 2, longestPause)) {
      signal.throwIfAborted()
      const held = this.#members.state === 'alone' ? this.#take(id, lease) : await this.#takeShared(id, lease)
      if (held === 'again') continue
      if (held !== undefined) {
        const lock = this.#lockOf(id, held, lease)
        if (!signal.aborted) return lock
        void lock.release()
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
  #take(id: string, lease: number): Held | undefined {
    const before = this.#held.get(id)
    const now = Date.now()
    if (before !== undefined && before.until > now) return undefined
    const held = {
      fence: ++this.#members.fence,
      until: now + lease,
      recorded: before?.recorded ?? false,
      noted: undefined,
    }
    this.#held.set(id, held)
    return held
  }

  /** By a record. `'again'` if this process has become alone, or was taken for gone. */
  async #takeShared(id: string, lease: number): Promise<Held | 'again' | undefined> {
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
      const until = Date.now() + lease
      const fence = Math.max(this.#members.fence, Number(meta.get('fence') ?? 0)) + 1
      this.#members.fence = fence
      meta.putSync('fence', fence, 0)
      locks.putSync(id, { by, until }, fence)
      const held = { fence, until, recorded: true, noted: undefined }
      this.#held.set(id, held)
      return held
    })
    if (outcome !== 'gone') return outcome
    this.#members.lost()
    return 'again'
  }

  #lockOf(id: string, held: Held, lease: number): ContainerLock {
    const isHeld = (): boolean => this.#held.get(id) === held
    return {
      fence: held.fence,
      renew: () => {
        if (!isHeld()) return false
        const until = Date.now() + lease
        held.until = until
        if (!held.recorded) return true
        return this.#tables.locks.put(id, { by: this.#members.token, until }, held.fence, held.fence)
      },
      release: () => {
        if (!isHeld()) return
        this.#held.delete(id)
        // Its end is not waited for: what is written afterwards comes after it.
        if (held.recorded) this.#tables.locks.remove(id, held.fence).catch(reasonOf)
        for (const wake of this.#waiting.get(id) ?? []) wake()
      },
    }
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
