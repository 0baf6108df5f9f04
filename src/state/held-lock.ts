import type { Alarm, Clock } from '../clock.ts'
import { isPromiseLike } from '../lifetime/owned.ts'
import type { ContainerLock } from './container.ts'
import type { StateFault } from './faults.ts'
import type { Lock } from './locks.ts'

/**
 * The right to write one session: the lock of this process, and with it that of the container, where several processes
 * use that. The latter is prolonged for as long as the former has traffic.
 */
export class HeldLock {
  readonly #local: Lock
  readonly #remote: ContainerLock | undefined
  readonly #clock: Clock
  readonly #lease: number
  #alarm: Alarm | undefined
  #released = false

  constructor(local: Lock, remote: ContainerLock | undefined, clock: Clock, lease: number) {
    this.#local = local
    this.#remote = remote
    this.#clock = clock
    this.#lease = lease
    if (remote !== undefined) this.#prolong(remote)
  }

  get fence(): number {
    return this.#remote?.fence ?? this.#local.fence
  }

  get lost(): boolean {
    return this.#local.lost
  }

  renew(): void {
    this.#local.renew()
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

  /** Gives it up: first for other processes, so that who waits in this one finds it free. */
  release(): void {
    if (this.#released) return
    this.#released = true
    this.#alarm?.cancel()
    if (this.#remote === undefined) return this.#local.release()
    const releasing = this.#remote.release()
    // A container that has let go of it already costs no promise.
    if (!isPromiseLike(releasing)) return this.#local.release()
    const released = (): void => this.#local.release()
    Promise.resolve(releasing).then(released, released)
  }

  /** Three times in each lease, so that one answer that is late does no harm. */
  #prolong(remote: ContainerLock): void {
    this.#alarm = this.#clock.after(Math.ceil(this.#lease / 3), () => {
      if (this.#released || this.lost) return
      // Who is silent for longer than the lease shall lose it, in all processes.
      if (this.#local.silent) return this.#prolong(remote)
      Promise.resolve(remote.renew()).then(
        (held) => {
          if (!held) this.#local.lost = true
          else if (!this.#released) this.#prolong(remote)
        },
        () => {
          if (!this.#released) this.#prolong(remote)
        },
      )
    })
  }
}
