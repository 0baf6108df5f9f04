import { ask } from './ask.ts'
import type { Awaitable, Container, ContainerLock } from './container.ts'
import { faults, isFault, type StateFault } from './faults.ts'
import { HeldLock } from './held-lock.ts'
import { Lock, type LockNumbers, LockTable } from './locks.ts'
import type { Call, TableRules } from './table-rules.ts'

/** The locks of sessions: those of this process, and with them those of a container that others use too. */
export class SessionLocks {
  readonly #container: Container
  readonly #rules: TableRules
  readonly #table: LockTable
  readonly #failed: (error: unknown) => StateFault

  /** `failed` is told what the container's lock failed of, and says what to answer. */
  constructor(container: Container, rules: TableRules, failed: (error: unknown) => StateFault) {
    this.#container = container
    this.#rules = rules
    this.#table = new LockTable(rules.clock, rules)
    this.#failed = failed
  }

  get numbers(): Readonly<LockNumbers> {
    return this.#table.numbers
  }

  isLocked(id: string): boolean {
    return this.#table.isLocked(id)
  }

  /** Goes on with the lock if nobody has it; undefined, and nothing happens, if somebody has. */
  ifFree<T>(id: string, next: (lock: HeldLock) => Awaitable<T | StateFault>): Awaitable<T | StateFault> | undefined {
    const lock = this.#table.take(id)
    return lock === undefined ? undefined : this.#hold(lock, {}, 0, next)
  }

  /** Goes on with the lock, now or when it is this call's turn. */
  wait<T>(
    id: string,
    call: Call,
    wait: number,
    next: (lock: HeldLock) => Awaitable<T | StateFault>,
  ): Awaitable<T | StateFault> {
    const lock = this.#table.take(id)
    if (lock !== undefined) return this.#hold(lock, call, wait, next)
    const since = this.#rules.clock.now()
    return new Promise((resolve) => {
      const waiter = this.#table.wait(id, wait, (outcome) => {
        call.cancel = undefined
        if (!(outcome instanceof Lock)) return resolve(outcome)
        const left = Math.max(0, wait - (this.#rules.clock.now() - since))
        resolve(this.#hold(outcome, call, left, next))
      })
      if (isFault(waiter)) return resolve(waiter)
      call.cancel = () => {
        waiter.cancel()
        resolve(faults.open)
      }
    })
  }

  /** Goes on with the container's lock too, if it has such a thing. */
  #hold<T>(
    local: Lock,
    call: Call,
    wait: number,
    next: (lock: HeldLock) => Awaitable<T | StateFault>,
  ): Awaitable<T | StateFault> {
    const { clock, lease } = this.#rules
    const hold = (remote?: ContainerLock): Awaitable<T | StateFault> => next(new HeldLock(local, remote, clock, lease))
    const container = this.#container
    const { lock } = container
    if (lock === undefined) return hold()
    // Made only for who looks at it: a container that has the lock at once does not.
    let made: AbortController | undefined
    const controller = (): AbortController => {
      made ??= new AbortController()
      return made
    }
    call.cancel = () => controller().abort()
    // Who waits for other processes is not silent.
    local.pin()
    const told = (): void => {
      call.cancel = undefined
      local.unpin()
    }
    const request = {
      wait,
      lease,
      get signal() {
        return controller().signal
      },
    }
    return ask<ContainerLock | undefined, T | StateFault>(
      () => lock.call(container, local.id, request),
      (remote) => {
        told()
        if (remote !== undefined) return hold(remote)
        local.release()
        return faults.locked
      },
      (error: unknown) => {
        told()
        local.release()
        return made?.signal.aborted === true ? faults.open : this.#failed(error)
      },
    )
  }
}
