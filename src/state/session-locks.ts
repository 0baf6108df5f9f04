import { ask } from './ask.ts'
import type { Awaitable, Container, ContainerLock } from './container.ts'
import { faults, isFault, type StateFault } from './faults.ts'
import { HeldLock } from './held-lock.ts'
import { Lock, type LockNumbers, LockTable } from './locks.ts'
import type { Call, TableOwner, TableRules } from './table-rules.ts'

/** The locks of sessions: those of this process, and with them those of a container that others use too. */
export class SessionLocks {
  readonly #container: Container
  readonly #rules: TableRules
  readonly #table: LockTable
  readonly #waitFor: TableOwner['waitFor']
  readonly #failed: (error: unknown) => StateFault
  /** Those for which the container waits. */
  readonly #waits = new Set<LockRequest>()
  #stopped = false

  /** `failed` is told what the container's lock failed of, and says what to answer. */
  constructor(
    container: Container,
    rules: TableRules,
    waitFor: TableOwner['waitFor'],
    failed: (error: unknown) => StateFault,
  ) {
    this.#container = container
    this.#rules = rules
    this.#waitFor = waitFor
    this.#table = new LockTable(rules.clock, rules)
    this.#failed = failed
  }

  get numbers(): Readonly<LockNumbers> {
    return this.#table.numbers
  }

  isLocked(id: string): boolean {
    return this.#table.isLocked(id)
  }

  /** Tells all who wait that they get no lock. */
  stop(): void {
    this.#stopped = true
    this.#table.stop(faults.stopping)
    for (const wait of this.#waits) wait.abort()
  }

  /** Gives up all locks, whoever has them. */
  end(): void {
    this.#table.end()
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
    const { lease } = this.#rules
    const hold = (remote?: ContainerLock): Awaitable<T | StateFault> =>
      next(new HeldLock(local, remote, this.#rules, this.#waitFor))
    const container = this.#container
    const { lock } = container
    if (lock === undefined) return hold()
    const request = new LockRequest(wait, lease, this.#waits)
    if (this.#stopped) request.abort()
    call.cancel = () => request.abort()
    // Who waits for other processes is not silent.
    local.pin()
    const told = (): void => {
      call.cancel = undefined
      local.unpin()
      this.#waits.delete(request)
    }
    const outcome = ask<ContainerLock | undefined, T | StateFault>(
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
        if (request.aborted) return this.#stopped ? faults.stopping : faults.open
        return this.#failed(error)
      },
    )
    if (outcome instanceof Promise) this.#waitFor(outcome)
    return outcome
  }
}

/** What a container is asked for a lock with. */
class LockRequest {
  readonly wait: number
  readonly lease: number
  readonly #waits: Set<LockRequest>
  #controller: AbortController | undefined

  /** `waits`: where it is to be found by who calls it off, once somebody waits. */
  constructor(wait: number, lease: number, waits: Set<LockRequest>) {
    this.wait = wait
    this.lease = lease
    this.#waits = waits
  }

  /** Made only for who looks at it: a container that has the lock at once does not. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    this.#waits.add(this)
    return this.#controller.signal
  }

  get aborted(): boolean {
    return this.#controller?.signal.aborted === true
  }

  abort(): void {
    this.#controller ??= new AbortController()
    this.#controller.abort()
  }
}
