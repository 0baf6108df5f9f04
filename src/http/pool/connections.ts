import type { Clock } from '../../clock.ts'
import type { XpsError } from '../../errors.ts'
import type { UpstreamSession } from '../upstream-session.ts'
import { end, IdleWatch, isIdle } from './idle-watch.ts'
import { Lanes } from './lanes.ts'
import type { PoolRules } from './pool-options.ts'

/** The connections to an address, by what they can take: which one is the best for a request, and which may go. */
export class Connections {
  /** Of HTTP/1.1, that carry requests one behind the other. */
  readonly lanes: Lanes
  readonly #rules: PoolRules
  readonly #all = new Set<UpstreamSession>()
  /** Of HTTP/2, that take no other request, and wait for those under way. They count no more as connections in use. */
  readonly #leaving = new Set<UpstreamSession>()
  /** Of HTTP/1.1, without work; the one that had some last at the end. */
  readonly #idle: UpstreamSession[] = []
  /** Of HTTP/2, that carry requests side by side; the first that has room is used, so that the others can go. */
  readonly #shared: UpstreamSession[] = []
  readonly #idleWatch: IdleWatch
  readonly #maybeIdle = (): UpstreamSession[] => [...this.#idle, ...this.lanes, ...this.#shared]

  constructor(rules: PoolRules) {
    this.#rules = rules
    this.#idleWatch = new IdleWatch(rules)
    this.lanes = new Lanes(rules.pipelineConnections, rules.pipeline)
  }

  /** How many are in use, or could be. */
  get inUse(): number {
    return this.#all.size
  }

  /** How many there are. */
  get size(): number {
    return this.#all.size + this.#leaving.size
  }

  /** How many have no work. */
  get idle(): number {
    return this.#idle.length + this.lanes.idle + this.#shared.filter(isIdle).length
  }

  /** One of HTTP/2 that has room. */
  shared(): UpstreamSession | undefined {
    return this.#shared.length === 0 ? undefined : this.#shared.find((one) => this.roomIn(one) > 0)
  }

  /** One of HTTP/1.1 for one request alone. The newest idle one is used first, so that the others can go. */
  alone(): UpstreamSession | undefined {
    for (let session = this.#idle.pop(); session !== undefined; session = this.#idle.pop()) {
      if (session.usable) return session
    }
    return this.lanes.takeOut(this.#fresh)
  }

  /** One of HTTP/1.1 that carries requests one behind the other. */
  lane(): UpstreamSession | undefined {
    const lane = this.lanes.next(this.#fresh)
    if (lane !== undefined || this.lanes.full) return lane
    const session = this.alone()
    if (session !== undefined) this.lanes.add(session)
    return session
  }

  /** How many more requests one of HTTP/2 takes. */
  roomIn(session: UpstreamSession): number {
    return session.usable && !this.spent(session) ? session.capacity - session.busy - session.reserved : 0
  }

  /** It has carried as many requests as it may. */
  spent(session: UpstreamSession): boolean {
    const { maxRequestsPerConnection } = this.#rules
    return maxRequestsPerConnection > 0 && session.requests + session.reserved >= maxRequestsPerConnection
  }

  readonly #fresh = (session: UpstreamSession): boolean => !this.spent(session)

  /** Counts one that is connected. */
  add(session: UpstreamSession): void {
    this.#all.add(session)
  }

  /** It can be used from now on; `lane` says what becomes of one of HTTP/1.1. */
  open(session: UpstreamSession, lane: boolean): void {
    if (session.multiplexed) this.#shared.push(session)
    else if (lane) this.lanes.add(session)
  }

  /** It is among those that wait for work alone. */
  rests(session: UpstreamSession): boolean {
    return this.#idle.includes(session)
  }

  /** Keeps one that has no work for the next request; false if there are enough, and it ends. */
  keep(session: UpstreamSession): boolean {
    if (session.multiplexed) {
      if (this.#idle.length + this.#shared.filter(isIdle).length <= this.#rules.maxIdle) return true
      end(session)
      return false
    }
    if (!this.lanes.has(session)) {
      this.#idle.push(session)
      if (this.#idle.length > this.#rules.maxIdle) this.#idle.shift()?.abort()
    }
    return true
  }

  /** Sees to it that those without work end in time. */
  watch(clock: Clock): void {
    if (!this.#idleWatch.set) this.#idleWatch.look(clock, this.#maybeIdle, () => this.#all.size)
  }

  /** Ends one without work; false if all have some. */
  endIdle(): boolean {
    const session = this.#idle.shift() ?? this.#shared.find((one) => one.usable && isIdle(one))
    if (session !== undefined) end(session)
    return session !== undefined
  }

  /** Ends all that have no work. */
  endAllIdle(): void {
    for (const session of this.#idle.splice(0)) session.abort()
    for (const session of [...this.lanes, ...this.#shared]) if (isIdle(session)) end(session)
  }

  /** Nobody is going to watch those without work any more. */
  stop(): void {
    this.#idleWatch.stop()
  }

  abort(error: XpsError): void {
    for (const session of [...this.#all, ...this.#leaving]) session.abort(error)
  }

  /** One of HTTP/2 takes no other request: another may be connected in its place. False if that was known. */
  leave(session: UpstreamSession): boolean {
    if (!session.multiplexed || !this.#all.delete(session)) return false
    this.#leaving.add(session)
    remove(this.#shared, session)
    return true
  }

  /** It has closed. */
  remove(session: UpstreamSession): void {
    this.#all.delete(session)
    this.#leaving.delete(session)
    remove(this.#idle, session)
    remove(this.#shared, session)
    this.lanes.remove(session)
  }
}

function remove<T>(list: T[], item: T): void {
  const index = list.indexOf(item)
  if (index >= 0) list.splice(index, 1)
}
