import type { Alarm, Clock } from '../clock.ts'
import { ask } from './ask.ts'
import type { ContainerLock } from './container.ts'
import type { StateFault } from './faults.ts'
import type { Lock } from './locks.ts'
import type { TableOwner, TableRules } from './table-rules.ts'

/**
 * The right to write one session: the lock of this process, and with it that of the container, where several processes
 * use that. The latter is prolonged for as long as the former has traffic, and given up as soon as that is lost.
 */
export class HeldLock {
  readonly #local: Lock
  readonly #remote: ContainerLock | undefined
  readonly #clock: Clock
  readonly #waitFor: TableOwner['waitFor']
  /** A third of the lease: so often it is prolonged, so that one answer that is late does no harm. */
  readonly #interval: number
  #alarm: Alarm | undefined
  /** When the container's was last prolonged. */
  #prolonged = 0
  #prolonging = false
  #released = false

  /** `waitFor` is told what the container must not be closed before. */
  constructor(
    local: Lock,
    remote: ContainerLock | undefined,
    { clock, lease }: Pick<TableRules, 'clock' | 'lease'>,
    waitFor: TableOwner['waitFor'],
  ) {
    this.#local = local
    this.#remote = remote
    this.#clock = clock
    this.#waitFor = waitFor
    this.#interval = Math.ceil(lease / 3)
    if (remote === undefined) return
    this.#prolonged = clock.now()
    local.holder = this
    this.#watch(remote)
  }

  get fence(): number {
    return this.#remote?.fence ?? this.#local.fence
  }

  get lost(): boolean {
    return this.#local.lost
  }

  renew(): void {
    this.#local.renew()
    if (this.#remote !== undefined && this.#local.used - this.#prolonged > this.#interval) this.#prolong(this.#remote)
  }

  pin(): void {
    this.#local.pin()
  }

  unpin(): void {
    this.#local.unpin()
  }

  forsake(fault: StateFault): void {
    this.#local.forsake(fault)
  }

  /** @internal Whoever waits for it in this process asks the container next. */
  onLost(): void {
    this.release()
  }

  /** Gives it up: first for other processes, so that who waits in this one finds it free. */
  release(): void {
    if (this.#released) return
    this.#released = true
    this.#alarm?.cancel()
    const remote = this.#remote
    if (remote === undefined) return this.#local.release()
    const released = (): void => this.#local.release()
    const releasing = ask<void, void>(() => remote.release(), released, released)
    if (releasing instanceof Promise) this.#waitFor(releasing)
  }

  /** Looks whether there was traffic. Who is silent for longer than the lease shall lose it, in all processes. */
  #watch(remote: ContainerLock): void {
    this.#alarm = this.#clock.after(this.#interval, () => {
      if (this.#local.pinned || this.#local.used > this.#prolonged) this.#prolong(remote)
      if (!this.#released) this.#watch(remote)
    })
  }

  #prolong(remote: ContainerLock): void {
    if (this.#prolonging || this.#released) return
    this.#prolonging = true
    const asked = this.#clock.now()
    void ask<boolean, void>(
      () => remote.renew(),
      (held) => {
        this.#prolonging = false
        if (held) this.#prolonged = asked
        else this.#lose()
      },
      () => {
        this.#prolonging = false
      },
    )
  }

  /** Another process has it. Who waits in this one has nothing to expect of the holder. */
  #lose(): void {
    if (this.#released) return
    this.#local.lost = true
    if (!this.#local.pinned) this.release()
  }
}
