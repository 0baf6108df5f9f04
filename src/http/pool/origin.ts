import { defaultTimeouts } from '../../admission/timeouts.ts'
import type { Clock } from '../../clock.ts'
import { Upstream, type UpstreamOptions, type UpstreamTarget } from '../../core/upstream.ts'
import { XpsError } from '../../errors.ts'
import type { HeadLimits } from '../http1/head-reader.ts'
import type { UpstreamOwner, UpstreamSession } from '../upstream-session.ts'
import { ClientOrigins, type PoolClient } from './client-origins.ts'
import { Dial, type DialOwner } from './dial.ts'
import { HealthCheck, type HealthRules, type HealthStats } from './health-check.ts'
import { end, IdleWatch, isIdle } from './idle-watch.ts'
import { Lanes } from './lanes.ts'
import type { PoolRules } from './pool-options.ts'
import { offered, sessionOn } from './session-on.ts'
import { type Waiter, Waiting } from './waiting.ts'

/** What the connections of an origin need to know of those who use them. */
export interface PoolScope {
  readonly clock: Clock
  readonly connectTimeout: number
  /** For whom it is, if a server could be told. */
  readonly poolClient: PoolClient | undefined
}

/** The connections to an address, in numbers. */
export interface OriginStats {
  /** Connections that there are, and how many of them have no work. */
  readonly connections: number
  readonly idle: number
  /** Requests that wait for a connection. */
  readonly queued: number
  /** Where an address is checked. */
  readonly health?: HealthStats
}

/**
 * One address that requests are sent to, and the connections to it.
 *
 * ```
 *   acquire ──► one that is free ─────────────────────────────► given
 *      │        (HTTP/2: one with room · a lane · the newest idle one)
 *      └──► waiting ◄── a dial covers as many as it will do for ──► open: given, in the order of the queue
 *               └────── at most `maxConnections` ·· one comes free ──► given
 * ```
 */
export class Origin implements UpstreamOwner, DialOwner {
  readonly upstream: Upstream
  /** Its host and port, or `localhost` for what has no address that is a host. */
  readonly authority: string
  /** What `Host` says of it: the same without a default port. */
  readonly host: string
  readonly #rules: PoolRules
  readonly #limits: HeadLimits
  /** Of an address that is told who the clients are: the connections of each. */
  readonly #clients: ClientOrigins | undefined
  /** Whose connections they are, and of what they are a part; undefined if they are for all. */
  readonly #client: (PoolClient & { readonly whole: Origin }) | undefined
  /** Connections of all clients. */
  #open = 0
  readonly #health: HealthCheck | undefined
  readonly #all = new Set<UpstreamSession>()
  /** Of HTTP/2, that take no other request, and wait for those under way. They count no more as connections in use. */
  readonly #leaving = new Set<UpstreamSession>()
  /** Of HTTP/1.1, without work; the one that had some last at the end. */
  readonly #idle: UpstreamSession[] = []
  /** Of HTTP/1.1, that carry requests one behind the other. */
  readonly #lanes: Lanes
  /** Of HTTP/2, that carry requests side by side; the first that has room is used, so that the others can go. */
  readonly #shared: UpstreamSession[] = []
  readonly #idleWatch: IdleWatch
  readonly #maybeIdle = (): UpstreamSession[] => [...this.#idle, ...this.#lanes, ...this.#shared]
  readonly #waiting = new Waiting()
  readonly #dials = new Set<Dial>()
  /** What the next connection will speak; undefined until one has been asked. */
  #speaks: 'http1' | 'http2' | undefined
  /** Of whoever asked last. */
  #scope: PoolScope | undefined
  #downUntil = 0
  /** So long it is spoken to by HTTP/1.1, though it has chosen HTTP/2 before. */
  #http1Until = 0
  #closed = false
  #retired = false

  constructor(
    target: UpstreamTarget | Upstream,
    options: UpstreamOptions,
    rules: PoolRules,
    limits: HeadLimits,
    health?: HealthRules,
    client?: PoolClient & { readonly whole: Origin },
  ) {
    this.upstream = target instanceof Upstream ? target : new Upstream(target, options)
    const { address, secure } = this.upstream
    const isHost = /^[^,\s]+:\d+$/.test(address) && !/^(?:unix|in-process):/.test(address)
    this.authority = isHost ? address : 'localhost'
    this.host = this.authority.replace(secure ? /:443$/ : /:80$/, '')
    this.#rules = rules
    this.#limits = limits
    if (health !== undefined) {
      const { upstream, host } = this
      this.#health = new HealthCheck({ upstream, host, rules, limits }, health, () => {
        this.#downUntil = 0
      })
    }
    this.#idleWatch = new IdleWatch(rules)
    this.#lanes = new Lanes(rules.pipelineConnections, rules.pipeline)
    this.#client = client
    if (this.upstream.introduces && client === undefined) {
      this.#clients = new ClientOrigins(
        ({ source, closed }) =>
          new Origin(this.upstream, {}, rules, limits, undefined, { source, closed, whole: this }),
      )
    }
    if (rules.http2 === 'prior-knowledge') this.#speaks = 'http2'
    else if (!rules.http2 || !this.upstream.secure) this.#speaks = 'http1'
  }

  get address(): string {
    return this.upstream.address
  }

  /** Whether requests may be sent one behind the other. */
  get pipelines(): boolean {
    return this.#lanes.used
  }

  get stats(): OriginStats {
    const stats = {
      connections: this.#all.size + this.#leaving.size + this.#dials.size,
      idle: this.#idle.length + this.#lanes.idle + this.#shared.filter(isIdle).length,
      queued: this.#waiting.length,
      ...(this.#health === undefined ? {} : { health: this.#health.stats }),
    }
    for (const origin of this.#clients ?? []) {
      const { connections, idle, queued } = origin.stats
      stats.connections += connections
      stats.idle += idle
      stats.queued += queued
    }
    return stats
  }

  /** What is known of the address holds for all clients. */
  get #whole(): Origin {
    return this.#client?.whole ?? this
  }

  /** It could not be connected to a short while ago, or its checks fail. */
  down(now: number): boolean {
    return this.#downUntil > now || this.#health?.up === false
  }

  /** It has asked for HTTP/1.1 a short while ago (RFC 9113, 7). */
  wantsHttp1(now: number): boolean {
    return this.#whole.#http1Until > now
  }

  /** What has the connections that are for the client: its own, where the address is told who it is. */
  of({ poolClient }: PoolScope): Origin {
    return poolClient === undefined ? this : (this.#clients?.of(poolClient) ?? this)
  }

  /** Ends a connection without work; false if all have some. */
  endIdle(): boolean {
    const session = this.#idle.shift() ?? this.#shared.find((one) => one.usable && isIdle(one))
    if (session !== undefined) end(session)
    return session !== undefined
  }

  /** Gives the waiter a connection, now or later. The newest idle one is used first, so that the others can go. */
  acquire(waiter: Waiter, scope: PoolScope): void {
    const session = this.#find(waiter)
    if (session === undefined) this.#wait(waiter, scope)
    else give(waiter, session)
  }

  /** The waiter does not want a connection any more. */
  forget(waiter: Waiter): void {
    this.#waiting.remove(waiter)
  }

  /** Takes a connection back that was given to somebody who has no use for it any more. */
  giveBack(session: UpstreamSession): void {
    session.reserved--
    if (session.usable) this.upstreamFree(session)
  }

  /** Ends all connections; waiters are refused. */
  close(): void {
    this.#closed = true
    this.#health?.stop()
    this.#idleWatch.stop()
    const error = new XpsError('XPS_CLOSED', 'the listener has closed')
    for (const waiter of this.#waiting.clear()) waiter.refused(error)
    for (const session of [...this.#all, ...this.#leaving]) session.abort(error)
    for (const dial of [...this.#dials]) dial.connection.abort(error)
    for (const origin of this.#clients ?? []) origin.close()
  }

  /** Nobody will ask for it any more: idle connections end now, the others when they come free. */
  retire(): void {
    this.#retired = true
    this.#health?.stop()
    for (const session of this.#idle.splice(0)) session.abort()
    for (const session of [...this.#lanes, ...this.#shared]) if (isIdle(session)) end(session)
    for (const origin of this.#clients ?? []) origin.retire()
  }

  /** It may be used, also again, by a listener that has opened: from now on its health is looked after. */
  open(clock: Clock): void {
    this.#closed = false
    this.#health?.start(clock)
    for (const origin of this.#clients ?? []) origin.open(clock)
  }

  // Who gets which connection.

  #find(waiter: Waiter): UpstreamSession | undefined {
    if (!waiter.http1 && this.#shared.length > 0) {
      const shared = this.#shared.find((one) => roomIn(one) > 0 && !this.#spent(one))
      if (shared !== undefined) return shared
    }
    return waiter.pipelined && this.#lanes.used ? this.#freeLane() : this.#free()
  }

  /** One of HTTP/1.1 for one request alone. */
  #free(): UpstreamSession | undefined {
    for (let session = this.#idle.pop(); session !== undefined; session = this.#idle.pop()) {
      if (session.usable) return session
    }
    return this.#lanes.takeOut(this.#fresh)
  }

  /** One of HTTP/1.1 that carries requests one behind the other. Who has waited longer for any goes first. */
  #freeLane(): UpstreamSession | undefined {
    if (this.#waiting.uncovered) return undefined
    const lane = this.#lanes.next(this.#fresh)
    if (lane !== undefined || this.#lanes.full) return lane
    const session = this.#free()
    if (session !== undefined) this.#lanes.add(session)
    return session
  }

  /** It has carried as many requests as it may. */
  #spent(session: UpstreamSession): boolean {
    const { maxRequestsPerConnection } = this.#rules
    return maxRequestsPerConnection > 0 && session.requests + session.reserved >= maxRequestsPerConnection
  }

  readonly #fresh = (session: UpstreamSession): boolean => !this.#spent(session)

  #wait(waiter: Waiter, scope: PoolScope): void {
    if (this.#closed) return waiter.refused(new XpsError('XPS_CLOSED', 'the listener has closed'))
    if (waiter.http1 && this.#rules.http2 === 'prior-knowledge') {
      const message = `${this.address} speaks HTTP/2 only, and a connection cannot be switched there`
      return waiter.refused(new XpsError('XPS_CONNECT', message, { origin: 'upstream', address: this.address }))
    }
    this.#scope = scope
    const lanesFull = waiter.pipelined && this.#lanes.used && this.#whole.#speaks === 'http1' && this.#lanes.full
    const mayDial = !lanesFull && this.#mayDial(false)
    // Nobody can wait for a connection that is another client's.
    const mayWait = this.#waiting.length < this.#rules.maxQueue && (this.#client === undefined || this.#count > 0)
    if (!mayDial && !mayWait) {
      const message = `too many requests wait for ${this.address} (${this.#waiting.length})`
      const about = { origin: 'upstream', address: this.address, status: 503 } as const
      return waiter.refused(new XpsError('XPS_BUSY', message, about))
    }
    this.#waiting.add(waiter)
    if (mayDial) this.#dialForWaiting()
  }

  /** Gives it to those who wait, in their order: one that wants it alone holds up those behind until it is empty. */
  #serve(session: UpstreamSession): void {
    if (session.multiplexed) {
      while (roomIn(session) > 0 && !this.#spent(session)) {
        const waiter = this.#waiting.firstSharing
        if (waiter === undefined) return
        this.#waiting.remove(waiter)
        give(waiter, session)
      }
      return
    }
    const lanes = this.#lanes
    for (let waiter = this.#waiting.first; waiter !== undefined && session.canSend; waiter = this.#waiting.first) {
      const shares = waiter.pipelined && lanes.used
      const lane = lanes.has(session)
      if (session.busy >= (shares && lane ? lanes.depth : 1) || this.#spent(session)) return
      if (shares && !lane) lanes.add(session)
      else if (!shares && lane) lanes.remove(session)
      this.#waiting.remove(waiter)
      give(waiter, session)
    }
  }

  // Connections come and go.

  /** Connections that there are, or will be. */
  get #count(): number {
    return this.#all.size + this.#dials.size
  }

  /** Whether there may be another connection; with `make`, one of another client that has no work makes room. */
  #mayDial(make: boolean): boolean {
    const { maxConnections } = this.#rules
    if (this.#client === undefined) return this.#count < maxConnections
    const { whole } = this.#client
    if (whole.#open < maxConnections) return true
    return make ? whole.#clients?.endIdle() === true : whole.stats.idle > 0
  }

  /** Dials for those whom no connection covers that is being dialled already. */
  #dialForWaiting(): void {
    while (!this.#closed) {
      const waiter = this.#waiting.nextUncovered()
      if (waiter === undefined || this.#scope === undefined || !this.#mayDial(true)) return
      this.#dial(waiter, this.#scope)
    }
  }

  #dial(waiter: Waiter, scope: PoolScope): void {
    const { http2, maxStreams } = this.#rules
    const speaks = waiter.http1 ? 'http1' : this.#whole.#speaks
    // Nobody knows yet how many a connection will do for: the first that is asked says so.
    const covers = speaks === 'http1' ? 1 : speaks === 'http2' ? maxStreams : anyNumber
    const { clock, connectTimeout } = scope
    const alpn = offered(http2, waiter.http1, this.upstream)
    const connection = this.upstream.connect({ clock, connectTimeout, alpn, source: this.#client?.source })
    const whole = this.#client?.whole
    if (whole !== undefined) {
      whole.#open++
      connection.on('close', () => whole.#open--)
    }
    const dial = new Dial(this, connection, waiter, covers, waiter.pipelined && this.#lanes.used)
    this.#dials.add(dial)
    this.#waiting.cover(covers, waiter.http1)
    if (dial.lane) this.#lanes.dialling(1)
  }

  #dialOver(dial: Dial): void {
    dial.end()
    this.#dials.delete(dial)
    this.#waiting.uncover(dial.covers, dial.waiter.http1)
    if (dial.lane) this.#lanes.dialling(-1)
  }

  /** @internal */
  dialConnected(dial: Dial): void {
    const { connection } = dial
    const connectTimeout = this.#scope?.connectTimeout ?? defaultTimeouts.connectTimeout
    try {
      dial.session = sessionOn(connection, this, this.#limits, this.#rules, connectTimeout)
    } catch (error) {
      return connection.abort(error)
    }
    if (dial.session.phase === 'open') this.#ready(dial, dial.session)
  }

  /** @internal */
  upstreamOpen(session: UpstreamSession): void {
    for (const dial of this.#dials) if (dial.session === session) return this.#ready(dial, session)
  }

  #ready(dial: Dial, session: UpstreamSession): void {
    this.#dialOver(dial)
    this.#whole.#downUntil = 0
    this.#all.add(session)
    if (this.#closed) return session.abort()
    if (!dial.waiter.http1) this.#whole.#speaks = session.multiplexed ? 'http2' : 'http1'
    if (session.multiplexed) this.#shared.push(session)
    else if (dial.lane) this.#lanes.add(session)
    this.upstreamFree(session)
    // It may do for fewer than was hoped.
    this.#dialForWaiting()
  }

  /** @internal */
  dialFailed(dial: Dial, error: XpsError | undefined): void {
    this.#dialOver(dial)
    if (this.#closed) return
    this.#whole.#downUntil = (this.#scope?.clock.now() ?? 0) + this.#rules.downTime
    const failure =
      error ?? new XpsError('XPS_CONNECT', `cannot connect to ${this.address}`, { origin: 'upstream', retryable: true })
    // As many as hoped for it; those first who came last if others are covered still. They may ask again meanwhile.
    for (const waiter of this.#losersOf(dial)) if (this.#waiting.remove(waiter)) waiter.refused(failure)
    this.#dialForWaiting()
  }

  #losersOf(dial: Dial): Waiter[] {
    // Somebody who waited longer may have been given a connection that became free; then this one still waits.
    if (dial.covers === 1 && this.#waiting.has(dial.waiter)) return [dial.waiter]
    return this.#waiting.uncoveredOnes(dial.waiter.http1).slice(0, dial.covers)
  }

  /** @internal */
  upstreamFree(session: UpstreamSession): void {
    if (this.#spent(session)) {
      if (isIdle(session)) end(session)
      else if (session.multiplexed) this.#leave(session)
      return
    }
    if (!session.usable) return this.#leave(session)
    if (this.#waiting.length > 0) {
      this.#serve(session)
      // Somebody gave it back in the same call.
      if (this.#idle.includes(session)) return
    }
    if (!isIdle(session) || !session.usable) return
    // Whoever had the route before it went is served.
    if (this.#retired) return end(session)
    if (session.multiplexed) {
      if (this.#idle.length + this.#shared.filter(isIdle).length > this.#rules.maxIdle) return end(session)
    } else if (!this.#lanes.has(session)) {
      this.#idle.push(session)
      if (this.#idle.length > this.#rules.maxIdle) this.#idle.shift()?.abort()
    }
    if (!this.#idleWatch.set && this.#scope !== undefined && !this.#closed) {
      this.#idleWatch.look(this.#scope.clock, this.#maybeIdle, () => this.#all.size)
    }
  }

  /** It takes no other request: another may be connected in its place. */
  #leave(session: UpstreamSession): void {
    if (!session.multiplexed || !this.#all.delete(session)) return
    this.#leaving.add(session)
    remove(this.#shared, session)
    this.#dialForWaiting()
  }

  /** @internal */
  upstreamWantsHttp1(): boolean {
    if (this.#rules.http2 === 'prior-knowledge') return false
    this.#whole.#http1Until = (this.#scope?.clock.now() ?? 0) + http1Time
    return true
  }

  /** @internal */
  upstreamClosed(session: UpstreamSession, error: XpsError | undefined): void {
    this.#all.delete(session)
    this.#leaving.delete(session)
    remove(this.#idle, session)
    remove(this.#shared, session)
    this.#lanes.remove(session)
    for (const dial of this.#dials) if (dial.session === session) return this.dialFailed(dial, error)
    // Whoever waits because there were as many connections as there may be has a chance now.
    this.#dialForWaiting()
  }
}

/** For how long an upstream is spoken to by HTTP/1.1 that has asked for it, in milliseconds. */
const http1Time = 300_000
/** More than ever wait. */
const anyNumber = 1e9

/** How many more requests it takes. */
function roomIn(session: UpstreamSession): number {
  return session.usable ? session.capacity - session.busy - session.reserved : 0
}

/** It is the waiter's until that has sent something, or gives it back: a hook may hold it for long. */
function give(waiter: Waiter, session: UpstreamSession): void {
  session.reserved++
  waiter.given(session)
}

function remove<T>(list: T[], item: T): void {
  const index = list.indexOf(item)
  if (index >= 0) list.splice(index, 1)
}
