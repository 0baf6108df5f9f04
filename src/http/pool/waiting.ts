import type { XpsError } from '../../errors.ts'
import type { UpstreamSession } from '../upstream-session.ts'

/** Somebody who wants to send a request. */
export interface Waiter {
  /** Whether the request may be sent behind others that are not answered yet. The first call asks the hooks of its body. */
  mayPipeline(): boolean
  /** The connection must speak HTTP/1.1: it is to be switched to something else, or the upstream wants that. */
  readonly http1: boolean
  /** Here is a connection: use it now. */
  given(session: UpstreamSession): void
  /** There is none, and why. */
  refused(error: XpsError): void
}

/**
 * Requests that wait for a connection: one queue for all, whatever they want.
 *
 * Connections that are being dialled cover so many of those who wait; who is not covered has to wait for one that comes
 * free, or for another to be dialled. Those who need HTTP/1.1 are counted apart, since not every connection is for them.
 */
export class Waiting {
  readonly #queue: Waiter[] = []
  #http1 = 0
  #covered = 0
  #coveredHttp1 = 0

  get length(): number {
    return this.#queue.length
  }

  get first(): Waiter | undefined {
    return this.#queue[0]
  }

  /** The first who can do with a connection that is shared. */
  get firstSharing(): Waiter | undefined {
    return this.#http1 === 0 ? this.#queue[0] : this.#queue.find((one) => !one.http1)
  }

  /** Somebody waits whom no connection covers that is being dialled. */
  get uncovered(): boolean {
    return this.#http1 > this.#coveredHttp1 || this.#queue.length - this.#http1 > this.#covered
  }

  has(waiter: Waiter): boolean {
    return this.#queue.includes(waiter)
  }

  add(waiter: Waiter): void {
    this.#queue.push(waiter)
    if (waiter.http1) this.#http1++
  }

  /** False if it did not wait. */
  remove(waiter: Waiter): boolean {
    const index = waiter === this.#queue[0] ? 0 : this.#queue.indexOf(waiter)
    if (index < 0) return false
    if (index === 0) this.#queue.shift()
    else this.#queue.splice(index, 1)
    if (waiter.http1) this.#http1--
    return true
  }

  /** The first of those that are not covered, for whom a connection is to be dialled; undefined if all are. */
  nextUncovered(): Waiter | undefined {
    return this.uncovered ? (this.uncoveredOnes(true)[0] ?? this.uncoveredOnes(false)[0]) : undefined
  }

  /** All of a kind that are not covered. */
  uncoveredOnes(http1: boolean): Waiter[] {
    return this.#queue.filter((one) => one.http1 === http1).slice(http1 ? this.#coveredHttp1 : this.#covered)
  }

  /** A connection is being dialled that will do for so many. */
  cover(count: number, http1: boolean): void {
    if (http1) this.#coveredHttp1 += count
    else this.#covered += count
  }

  uncover(count: number, http1: boolean): void {
    this.cover(-count, http1)
  }

  /** Takes everybody out. */
  clear(): Waiter[] {
    this.#http1 = 0
    return this.#queue.splice(0)
  }
}
