import type { Alarm, Clock } from '../clock.ts'
import { faults, type StateFault } from './faults.ts'

/** How locks are given. */
export interface LockRules {
  /** How long a holder may be silent before one who waits gets the lock, in milliseconds. */
  readonly lease: number
  /** How many may wait for one session. */
  readonly maxWaiters: number
}

/** What was counted; the first two are of now. */
export interface LockNumbers {
  held: number
  waiting: number
  /** Locks that were given, and of those, to one who had waited. */
  given: number
  waited: number
  /** How long those had waited, together, in milliseconds; and the longest of it. */
  waitTime: number
  longestWait: number
  /** Waits that ended without the lock: too long, or too many. */
  timedOut: number
  refused: number
  /** Locks that were taken from a silent holder. */
  expired: number
}

/**
 * Who may write which session: one at a time, in the order in which they asked.
 *
 * ```
 *   session ─► holder ◄─ renew (its traffic)
 *                ▲ released, or silent for longer than the lease while somebody waits
 *              queue: first in, first out; bounded; each waits until its own limit
 * ```
 *
 * A lock costs an entry in a map. Only where somebody waits there is an alarm.
 */
export class LockTable {
  readonly numbers: LockNumbers = {
    held: 0,
    waiting: 0,
    given: 0,
    waited: 0,
    waitTime: 0,
    longestWait: 0,
    timedOut: 0,
    refused: 0,
    expired: 0,
  }
  readonly #clock: Clock
  readonly #rules: LockRules
  readonly #holders = new Map<string, Lock>()
  /** Grows with every lock, also over a restart, as it starts from the time. */
  #fence: number = Date.now() * 1000

  constructor(clock: Clock, rules: LockRules) {
    this.#clock = clock
    this.#rules = rules
  }

  isLocked(id: string): boolean {
    return this.#holders.has(id)
  }

  /** The lock, if nobody has it. */
  take(id: string): Lock | undefined {
    const holder = this.#holders.get(id)
    if (holder === undefined) return this.#give(id)
    if ((holder.queue !== undefined && holder.queue.size > 0) || !holder.silent) return undefined
    this.#expire(holder)
    return this.#give(id)
  }

  /** Waits for the lock, behind those who wait already. `tell` is called once, later, unless it is cancelled before. */
  wait(id: string, limit: number, tell: (outcome: Lock | StateFault) => void): Waiter | StateFault {
    const holder = this.#holders.get(id) as Lock
    holder.queue ??= new Queue()
    if (holder.queue.size >= this.#rules.maxWaiters) {
      this.numbers.refused++
      return faults.waiters
    }
    if (limit === 0) {
      this.numbers.timedOut++
      return faults.locked
    }
    const waiter = new Waiter(this, this.#clock, limit, tell)
    holder.queue.push(waiter)
    this.numbers.waiting++
    if (holder.queue.size === 1) this.#watch(holder)
    return waiter
  }

  /** Tells all who wait that they get none. */
  stop(fault: StateFault): void {
    for (const lock of this.#holders.values()) this.forsaken(lock, fault)
  }

  /** Takes all locks from who has them. */
  end(): void {
    for (const lock of [...this.#holders.values()]) this.#lose(lock)
  }

  /** @internal A lock was given up: the next one gets it. */
  released(lock: Lock): void {
    if (this.#holders.get(lock.id) !== lock) return
    this.#holders.delete(lock.id)
    this.numbers.held--
    this.#pass(lock)
  }

  /** @internal Its session is no more: so is what they wait for. */
  forsaken(lock: Lock, fault: StateFault): void {
    const { queue } = lock
    lock.queue = undefined
    lock.alarm?.cancel()
    for (let waiter = queue?.shift(); waiter !== undefined; waiter = queue?.shift()) {
      this.numbers.waiting--
      waiter.settle(fault)
    }
  }

  /** @internal One who waited does so no more. */
  left(waiter: Waiter, timedOut: boolean): void {
    const { queue } = waiter
    if (queue === undefined || !queue.remove(waiter)) return
    this.numbers.waiting--
    if (timedOut) this.numbers.timedOut++
  }

  /** @internal */
  now(): number {
    return this.#clock.now()
  }

  /** @internal */
  get lease(): number {
    return this.#rules.lease
  }

  #give(id: string): Lock {
    const lock = new Lock(this, id, ++this.#fence)
    this.#holders.set(id, lock)
    this.numbers.held++
    this.numbers.given++
    return lock
  }

  /** Hands the lock to the first who waits, and the others with it. */
  #pass(former: Lock): void {
    const { queue } = former
    former.queue = undefined
    former.alarm?.cancel()
    const next = queue?.shift()
    if (next === undefined) return
    const { numbers } = this
    const waited = this.#clock.now() - next.since
    numbers.waiting--
    numbers.waited++
    numbers.waitTime += waited
    numbers.longestWait = Math.max(numbers.longestWait, waited)
    const lock = this.#give(former.id)
    lock.queue = queue
    if (queue !== undefined && queue.size > 0) this.#watch(lock)
    next.settle(lock)
  }

  /** Looks at the holder when its lease would be over if it stayed silent. */
  #watch(lock: Lock): void {
    lock.alarm?.cancel()
    lock.alarm = this.#clock.after(Math.max(1, lock.used + this.#rules.lease - this.#clock.now()), () => {
      if (lock.queue === undefined || lock.queue.size === 0) return
      if (lock.silent) {
        this.#expire(lock)
        this.#pass(lock)
      } else this.#watch(lock)
    })
  }

  #expire(lock: Lock): void {
    this.#lose(lock)
    this.numbers.expired++
  }

  #lose(lock: Lock): void {
    lock.lost = true
    this.#holders.delete(lock.id)
    this.numbers.held--
    lock.holder?.onLost()
  }
}

/** The right to write one session. */
export class Lock {
  readonly id: string
  /** Higher than that of any lock before. */
  readonly fence: number
  /** Another one has it, because the holder was silent. */
  lost = false
  /** Told when it is taken from it. */
  holder: { onLost(): void } | undefined
  /** @internal */
  queue: Queue | undefined
  /** @internal */
  alarm: Alarm | undefined
  /** @internal When it was last used. */
  used: number
  readonly #table: LockTable
  #pins = 0

  constructor(table: LockTable, id: string, fence: number) {
    this.#table = table
    this.id = id
    this.fence = fence
    this.used = table.now()
  }

  /** Its holder has been heard of. */
  renew(): void {
    this.used = this.#table.now()
  }

  /** Something is under way that needs it. */
  get pinned(): boolean {
    return this.#pins > 0
  }

  /** Whether one who waits may have it. Never while something is written under it. */
  get silent(): boolean {
    return !this.pinned && this.#table.now() - this.used >= this.#table.lease
  }

  /** Something is under way that needs it, as a write, until {@link unpin}. */
  pin(): void {
    this.#pins++
  }

  unpin(): void {
    this.#pins--
    this.renew()
  }

  /** Gives it up. Nothing happens for one that is lost or given up. */
  release(): void {
    this.#table.released(this)
  }

  /** Tells those who wait that there is nothing to wait for. */
  forsake(fault: StateFault): void {
    this.#table.forsaken(this, fault)
  }
}

/** One who waits for a lock. */
export class Waiter {
  /** @internal */
  readonly since: number
  /** @internal */
  queue: Queue | undefined
  /** @internal */
  next: Waiter | undefined
  /** @internal */
  previous: Waiter | undefined
  readonly #table: LockTable
  readonly #alarm: Alarm
  #tell: ((outcome: Lock | StateFault) => void) | undefined
  #outcome: Lock | StateFault | undefined

  constructor(table: LockTable, clock: Clock, limit: number, tell: (outcome: Lock | StateFault) => void) {
    this.#table = table
    this.since = clock.now()
    this.#tell = tell
    this.#alarm = clock.after(limit, () => {
      this.#table.left(this, true)
      this.settle(faults.locked)
    })
  }

  /** Waits no more; a lock that is on its way goes to the next. */
  cancel(): void {
    this.#tell = undefined
    this.#alarm.cancel()
    this.#table.left(this, false)
    if (this.#outcome instanceof Lock) this.#outcome.release()
  }

  /** @internal Told at the end of the turn: who gives a lock up is not to wait for all that the next one does with it. */
  settle(outcome: Lock | StateFault): void {
    if (this.#outcome !== undefined) return
    this.#alarm.cancel()
    this.#outcome = outcome
    process.nextTick(settled, this)
  }

  /** @internal */
  told(): void {
    const tell = this.#tell
    const outcome = this.#outcome
    this.#tell = this.#outcome = undefined
    if (outcome !== undefined) tell?.(outcome)
  }
}

function settled(waiter: Waiter): void {
  waiter.told()
}

/** Who waits, in order; linked, so that one who leaves costs nothing. */
class Queue {
  size = 0
  #first: Waiter | undefined
  #last: Waiter | undefined

  push(waiter: Waiter): void {
    waiter.queue = this
    waiter.previous = this.#last
    if (this.#last === undefined) this.#first = waiter
    else this.#last.next = waiter
    this.#last = waiter
    this.size++
  }

  shift(): Waiter | undefined {
    const waiter = this.#first
    if (waiter !== undefined) this.remove(waiter)
    return waiter
  }

  /** False if it is not in it. */
  remove(waiter: Waiter): boolean {
    if (waiter.queue !== this) return false
    if (waiter.previous === undefined) this.#first = waiter.next
    else waiter.previous.next = waiter.next
    if (waiter.next === undefined) this.#last = waiter.previous
    else waiter.next.previous = waiter.previous
    waiter.queue = waiter.next = waiter.previous = undefined
    this.size--
    return true
  }
}
