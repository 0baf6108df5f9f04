import type { Alarm, Clock } from '../../clock.ts'
import { XpsError } from '../../errors.ts'
import type { StateLink } from './link.ts'

/** How many links there are. */
export interface PoolRules {
  readonly maxConnections: number
  readonly maxQueue: number
  readonly queueTimeout: number
  readonly idleTimeout: number
  readonly address: string
  readonly clock: Clock
}

interface Waiting {
  readonly resolve: (link: StateLink) => void
  readonly reject: (error: XpsError) => void
  readonly alarm: Alarm
}

/** Links that are used by one at a time: so many at most, and who finds none free waits in order. */
export class LinkPool {
  readonly #rules: PoolRules
  readonly #dial: () => StateLink
  readonly #links = new Set<StateLink>()
  readonly #idle: StateLink[] = []
  readonly #waiting = new Set<Waiting>()
  #alarm: Alarm | undefined
  #closed = false

  constructor(rules: PoolRules, dial: () => StateLink) {
    this.#rules = rules
    this.#dial = dial
  }

  get size(): number {
    return this.#links.size
  }

  get idle(): number {
    return this.#idle.length
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /** A link for the caller alone, until it is given back. */
  async take(): Promise<StateLink> {
    const link = await this.#take()
    link.held = true
    return link
  }

  /** Takes a link back; one on which something is open must not be given back but closed. */
  give(link: StateLink): void {
    if (!link.usable || this.#closed) {
      link.held = false
      void link.close()
      return
    }
    const next = this.#next()
    if (next !== undefined) return next(link)
    link.held = false
    link.idleSince = this.#rules.clock.now()
    this.#idle.push(link)
    this.#alarm ??= this.#watch()
  }

  /** A link is no more; who waits may have another one. */
  left(link: StateLink): void {
    this.#links.delete(link)
    const index = this.#idle.indexOf(link)
    if (index >= 0) this.#idle.splice(index, 1)
    if (this.#closed || this.#links.size >= this.#rules.maxConnections) return
    this.#next()?.(this.#another)
  }

  /** Closes what is idle; who waits is told that nothing comes. */
  close(): void {
    this.#closed = true
    this.#alarm?.cancel()
    this.#alarm = undefined
    for (const waiting of this.#waiting) {
      waiting.alarm.cancel()
      waiting.reject(this.#over())
    }
    this.#waiting.clear()
    this.#idle.length = 0
  }

  #take(): Promise<StateLink> {
    if (this.#closed) return Promise.reject(this.#over())
    for (let link = this.#idle.pop(); link !== undefined; link = this.#idle.pop()) {
      if (link.usable) return Promise.resolve(link)
    }
    if (this.#links.size < this.#rules.maxConnections) return Promise.resolve(this.#another())
    const { maxQueue, queueTimeout, address, clock } = this.#rules
    if (this.#waiting.size >= maxQueue) {
      return Promise.reject(new XpsError('XPS_BUSY', `${address}: ${maxQueue} wait for a connection already`))
    }
    return new Promise((resolve, reject) => {
      const alarm = clock.after(queueTimeout, () => {
        this.#waiting.delete(waiting)
        reject(
          new XpsError('XPS_TIMEOUT', `${address}: no connection was free within ${queueTimeout} ms`, {
            reason: 'queue',
            retryable: true,
          }),
        )
      })
      const waiting: Waiting = { resolve, reject, alarm }
      this.#waiting.add(waiting)
    })
  }

  #another = (): StateLink => {
    const link = this.#dial()
    this.#links.add(link)
    return link
  }

  /** What gives the first who waits a link, or makes one for it. */
  #next(): ((link: StateLink | (() => StateLink)) => void) | undefined {
    const [first] = this.#waiting
    if (first === undefined) return undefined
    return (link) => {
      this.#waiting.delete(first)
      first.alarm.cancel()
      first.resolve(typeof link === 'function' ? link() : link)
    }
  }

  #watch(): Alarm | undefined {
    const { clock, idleTimeout } = this.#rules
    const [oldest] = this.#idle
    if (idleTimeout === 0 || oldest === undefined) return undefined
    return clock.after(Math.max(1, oldest.idleSince + idleTimeout - clock.now()), () => {
      // The last one given back is the first one taken, so that those in front have rested longest.
      while ((this.#idle[0]?.idleSince ?? Number.POSITIVE_INFINITY) + idleTimeout <= clock.now()) {
        void this.#idle.shift()?.close()
      }
      this.#alarm = this.#watch()
    })
  }

  #over(): XpsError {
    return new XpsError('XPS_CLOSED', `${this.#rules.address}: the client is closed`)
  }
}
