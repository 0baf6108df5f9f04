import { defaultTimeouts } from '../../admission/timeouts.ts'
import type { Clock } from '../../clock.ts'
import { Upstream, type UpstreamOptions, type UpstreamTarget } from '../../core/upstream.ts'
import { XpsError } from '../../errors.ts'
import type { HeadLimits } from '../http1/head-reader.ts'
import type { UpstreamOwner, UpstreamSession } from '../upstream-session.ts'
import { ClientOrigins, type PoolClient } from './client-origins.ts'
import { Connections } from './connections.ts'
import { Dial, type DialOwner } from './dial.ts'
import { allHealth, HealthCheck, type HealthRules, type HealthStats } from './health-check.ts'
import { end, isIdle } from './idle-watch.ts'
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

/** The numbers of an address that is reached in two ways: routes differ in their options. */
export function together(one: OriginStats, other: OriginStats): OriginStats {
  const health =
    one.health !== undefined && other.health !== undefined
      ? allHealth(one.health, other.health)
      : (one.health ?? other.health)
  return {
    connections: one.connections + other.connections,
    idle: one.idle + other.idle,
    queued: one.queued + other.queued,
    ...(health === undefined ? {} : { health }),
  }
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
  readonly #connections: Connections
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
    this.#connections = new Connections(rules)
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
    return this.#connections.lanes.used
  }

  get stats(): OriginStats {
    const stats = {
      connections: this.#connections.size + this.#dials.size,
      idle: this.#connections.idle,
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
    return this.#connections.endIdle()
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
    this.#connections.stop()
    const error = new XpsError('XPS_CLOSED', 'the listener has closed')
    for (const waiter of this.#waiting.clear()) waiter.refused(error)
    this.#connections.abort(error)
    for (const dial of [...this.#dials]) dial.connection.abort(error)
    for (const origin of this.#clients ?? []) origin.close()
  }

  /** Nobody will ask for it any more: idle connections end now, the others when they come free. */
  retire(): void {
    this.#retired = true
    this.#health?.stop()
    this.#connections.endAllIdle()
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
    const connections = this.#connections
    const shared = waiter.http1 ? undefined : connections.shared()
    if (shared !== undefined) return shared
    // The waiter first: it asks the hooks of the request's body, which come at the same place whatever connections there are.
    if (!waiter.mayPipeline() || !connections.lanes.used) return connections.alone()
    // Who has waited longer for any goes first.
    return this.#waiting.uncovered ? undefined : connections.lane()
  }

  #wait(waiter: Waiter, scope: PoolScope): void {
    if (this.#closed) return waiter.refused(new XpsError('XPS_CLOSED', 'the listener has closed'))
    if (waiter.http1 && this.#rules.http2 === 'prior-knowledge') {
      const message = `${this.address} speaks HTTP/2 only, and a connection cannot be switched there`
      return waiter.refused(new XpsError('XPS_CONNECT', message, { origin: 'upstream', address: this.address }))
    }
    this.#scope = scope
    const { lanes } = this.#connections
    const lanesFull = waiter.mayPipeline() && lanes.used && this.#whole.#speaks === 'http1' && lanes.full
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
    const connections = this.#connections
    if (session.multiplexed) {
      while (connections.roomIn(session) > 0) {
        const waiter = this.#waiting.firstSharing
        if (waiter === undefined) return
        this.#waiting.remove(waiter)
        give(waiter, session)
      }
      return
    }
    const { lanes } = connections
    for (let waiter = this.#waiting.first; waiter !== undefined && session.canSend; waiter = this.#waiting.first) {
      const shares = waiter.mayPipeline() && lanes.used
      const lane = lanes.has(session)
      if (session.busy >= (shares && lane ? lanes.depth : 1) || connections.spent(session)) return
      if (shares && !lane) lanes.add(session)
      else if (!shares && lane) lanes.remove(session)
      this.#waiting.remove(waiter)
      give(waiter, session)
    }
  }

  // Connections come and go.

  /** Connections that there are, or will be. */
  get #count(): number {
    return this.#connections.inUse + this.#dials.size
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
    const dial = new Dial(this, connection, waiter, covers, waiter.mayPipeline() && this.#connections.lanes.used)
    this.#dials.add(dial)
    this.#waiting.cover(covers, waiter.http1)
    if (dial.lane) this.#connections.lanes.dialling(1)
  }

  #dialOver(dial: Dial): void {
    dial.end()
    this.#dials.delete(dial)
    this.#waiting.uncover(dial.covers, dial.waiter.http1)
    if (dial.lane) this.#connections.lanes.dialling(-1)
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
    this.#connections.add(session)
    if (this.#closed) return session.abort()
    if (!dial.waiter.http1) this.#whole.#speaks = session.multiplexed ? 'http2' : 'http1'
    this.#connections.open(session, dial.lane)
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
    const connections = this.#connections
    if (connections.spent(session)) {
      if (isIdle(session)) end(session)
      else if (session.multiplexed) this.#leave(session)
      return
    }
    if (!session.usable) return this.#leave(session)
    if (this.#waiting.length > 0) {
      this.#serve(session)
      // Somebody gave it back in the same call.
      if (connections.rests(session)) return
    }
    if (!isIdle(session) || !session.usable) return
    // Whoever had the route before it went is served.
    if (this.#retired) return end(session)
    if (connections.keep(session) && this.#scope !== undefined && !this.#closed) connections.watch(this.#scope.clock)
  }

  #leave(session: UpstreamSession): void {
    if (this.#connections.leave(session)) this.#dialForWaiting()
  }

  /** @internal */
  upstreamWantsHttp1(): boolean {
    if (this.#rules.http2 === 'prior-knowledge') return false
    this.#whole.#http1Until = (this.#scope?.clock.now() ?? 0) + http1Time
    return true
  }

  /** @internal */
  upstreamClosed(session: UpstreamSession, error: XpsError | undefined): void {
    this.#connections.remove(session)
    for (const dial of this.#dials) if (dial.session === session) return this.dialFailed(dial, error)
    // Whoever waits because there were as many connections as there may be has a chance now.
    this.#dialForWaiting()
  }
}

/** For how long an upstream is spoken to by HTTP/1.1 that has asked for it, in milliseconds. */
const http1Time = 300_000
/** More than ever wait. */
const anyNumber = 1e9

/** It is the waiter's until that has sent something, or gives it back: a hook may hold it for long. */
function give(waiter: Waiter, session: UpstreamSession): void {
  session.reserved++
  waiter.given(session)
}
