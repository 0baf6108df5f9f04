import type { XpsError } from '../errors.ts'
import { PipeSource } from '../pipe/source.ts'
import type { QueueLimits } from './limits.ts'

/** What an {@link Outbox} tells. */
export interface OutboxOwner {
  /** It was full, and has room again. */
  outboxReady(): void
  /** More waits than may: the peer is to be dropped. */
  outboxOverflowed(): void
  /** Nobody takes bytes any more: with an error, or because all have been delivered after the end. */
  outboxOver(error: XpsError | undefined): void
}

/** Messages up to this length are joined, so that many leave in one write. */
const smallMessage = 16 * 1024
const longestJoin = 64 * 1024
/** The part of what may wait at which the sender is told to wait. */
const fullAt = 4

/** Messages on their way to a peer: bounded in bytes and in number. What is sent in one turn leaves together. */
export class Outbox extends PipeSource {
  readonly #owner: OutboxOwner
  readonly #limits: QueueLimits
  #queue: Buffer[] = []
  #bytes = 0
  #inFlight = 0
  #scheduled = false
  #wasFull = false
  #ending = false

  constructor(owner: OutboxOwner, limits: QueueLimits) {
    super()
    this.#owner = owner
    this.#limits = limits
  }

  /** Everything has left. */
  get empty(): boolean {
    return this.#queue.length === 0 && this.flushed
  }

  /** Bytes that wait for the peer. */
  get waiting(): number {
    return this.#bytes + this.#inFlight
  }

  /** So much waits that nothing should be added. */
  get full(): boolean {
    const { bytes, messages } = this.#limits
    return this.waiting * fullAt > bytes || this.#queue.length * fullAt > messages
  }

  /** Adds a message; its memory is the outbox's from then on. False asks to wait until it is ready again. */
  send(message: Buffer): boolean {
    if (this.ended || this.#ending) return false
    this.#queue.push(message)
    this.#bytes += message.length
    const { bytes, messages } = this.#limits
    // One message alone may be as long as it likes.
    if (this.#queue.length > 1 && (this.waiting > bytes || this.#queue.length > messages)) {
      this.#drop()
      this.#owner.outboxOverflowed()
      return false
    }
    this.#schedule()
    if (!this.full) return true
    this.#wasFull = true
    return false
  }

  /** There is no more; what waits is sent before. */
  override end(error?: XpsError): void {
    if (this.#queue.length > 0 && error === undefined) {
      this.#ending = true
      this.#flush()
    } else super.end(error)
  }

  override pulled(): void {
    this.#inFlight = 0
    this.#flush()
  }

  override over(error: XpsError | undefined): void {
    super.over(error)
    this.#drop()
    this.#owner.outboxOver(error)
  }

  /** @internal */
  flushScheduled(): void {
    this.#scheduled = false
    this.#flush()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    process.nextTick(flushScheduled, this)
  }

  #flush(): void {
    while (this.#queue.length > 0 && this.ready && this.#inFlight === 0) {
      const chunk = this.#next()
      const taken = this.write(chunk)
      if (this.ended) return
      this.#bytes -= taken
      if (taken < chunk.length) this.#queue.unshift(chunk.subarray(taken))
      if (!this.flushed) this.#inFlight = taken
      else if (taken < chunk.length) return
    }
    if (this.#ending && this.#queue.length === 0) return super.end()
    if (this.#wasFull && !this.full) {
      this.#wasFull = false
      this.#owner.outboxReady()
    }
  }

  /** The next message; or several small ones, joined. */
  #next(): Buffer {
    const queue = this.#queue
    const first = queue[0] as Buffer
    let [count, length] = [1, first.length]
    while (count < queue.length && length < longestJoin) {
      const { length: more } = queue[count] as Buffer
      if (more > smallMessage || length + more > longestJoin) break
      length += more
      count++
    }
    if (count === 1) return queue.shift() as Buffer
    return Buffer.concat(queue.splice(0, count), length)
  }

  #drop(): void {
    this.#queue = []
    this.#bytes = 0
    this.#inFlight = 0
  }
}

function flushScheduled(outbox: Outbox): void {
  outbox.flushScheduled()
}
