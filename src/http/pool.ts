import type { Alarm, Clock } from '../clock.ts'
import { Upstream, type UpstreamOptions, type UpstreamTarget } from '../core/upstream.ts'
import { XpsError } from '../errors.ts'
import { durationOption, integerOption } from '../options.ts'
import { ClientOrigins, type PoolClient } from './client-origins.ts'
import type { HeadLimits } from './http1/head-reader.ts'
import { Http1UpstreamSession } from './http1/upstream-session.ts'
import type { UpstreamOwner, UpstreamSession } from './upstream-session.ts'

/** How the connections to each address of an upstream are kept. */
export interface PoolOptions {
  /** Connections to one address at most. @default 1024 */
  maxConnections?: number
  /** Connections that may wait for their next request; the longest idle ones are closed. @default 128 */
  maxIdle?: number
  /** How long a connection waits for its next request, in milliseconds. @default 60000 */
  idleTimeout?: number
  /** After how many requests a connection is closed; 0 for never. @default 0 */
  maxRequestsPerConnection?: number
  /** Requests that wait for a connection when there are as many as there may be; more are answered with 503. @default 1024 */
  maxQueue?: number
  /**
   * How many requests may be under way on one connection, one behind the other. For upstreams that are known to bear
   * it; only requests that may be repeated and have no body are sent so. @default 1
   */
  pipeline?: number
  /** How many connections carry requests one behind the other, where that is allowed. @default 4 */
  pipelineConnections?: number
  /** How long an address that cannot be connected to is passed over, in milliseconds; 0 for not at all. @default 10000 */
  downTime?: number
}

/** The names of the options of a pool. */
export const poolNames: readonly (keyof PoolOptions)[] = [
  'maxConnections',
  'maxIdle',
  'idleTimeout',
  'maxRequestsPerConnection',
  'maxQueue',
  'pipeline',
  'pipelineConnections',
  'downTime',
]

/** The options of a pool, checked and complete. Throws `XPS_INVALID_OPTION`. */
export function poolRules(given: PoolOptions): Required<PoolOptions> {
  const most = { min: 1, max: 1_000_000 }
  return {
    maxConnections: integerOption('maxConnections', given.maxConnections, 1024, most),
    maxIdle: integerOption('maxIdle', given.maxIdle, 128, { min: 0, max: most.max }),
    idleTimeout: durationOption('idleTimeout', given.idleTimeout, 60_000),
    maxRequestsPerConnection: integerOption('maxRequestsPerConnection', given.maxRequestsPerConnection, 0, {
      min: 0,
      max: Number.MAX_SAFE_INTEGER,
    }),
    maxQueue: integerOption('maxQueue', given.maxQueue, 1024, { min: 0, max: most.max }),
    pipeline: integerOption('pipeline', given.pipeline, 1, { min: 1, max: 1024 }),
    pipelineConnections: integerOption('pipelineConnections', given.pipelineConnections, 4, most),
    downTime: durationOption('downTime', given.downTime, 10_000, true),
  }
}

/** Somebody who wants to send a request. */
export interface Waiter {
  /** The request may be sent behind others that are not answered yet. */
  readonly pipelined: boolean
  /** The connection is to be switched to something else: it must speak HTTP/1.1, and is not shared or used again. */
  readonly http1: boolean
  /** Here is a connection: use it now. */
  given(session: UpstreamSession): void
  /** There is none, and why. */
  refused(error: XpsError): void
}

/** What the connections of an origin need to know of those who use them. */
export interface PoolScope {
  readonly clock: Clock
  readonly connectTimeout: number
  /** For whom it is, if a server could be told. */
  readonly poolClient: PoolClient | undefined
}

/** One address that requests are sent to, and the connections to it. */
export class Origin implements UpstreamOwner {
  readonly upstream: Upstream
  /** What `Host` says of it: its address, or `localhost` for what has none that is a host. */
  readonly host: string
  readonly #rules: Required<PoolOptions>
  readonly #limits: HeadLimits
  /** Of an address that is told who the clients are: the connections of each. */
  readonly #clients: ClientOrigins | undefined
  /** Whose connections they are, and of what they are a part; undefined if they are for all. */
  readonly #client: (PoolClient & { readonly whole: Origin }) | undefined
  /** Connections of all clients. */
  #open = 0
  readonly #all = new Set<UpstreamSession>()
  /** Connections without work, the one that had some last at the end. */
  readonly #idle: UpstreamSession[] = []
  /** Connections that carry requests one behind the other. */
  readonly #lanes: UpstreamSession[] = []
  readonly #queue: Waiter[] = []
  /** For whom a connection is being dialled. */
  readonly #dialled = new Map<UpstreamSession, Waiter>()
  #lane = 0
  /** Of whoever asked last. */
  #scope: PoolScope | undefined
  #alarm: Alarm | undefined
  #downUntil = 0
  #closed = false
  #retired = false

  constructor(
    target: UpstreamTarget | Upstream,
    options: UpstreamOptions,
    rules: Required<PoolOptions>,
    limits: HeadLimits,
    client?: PoolClient & { readonly whole: Origin },
  ) {
    this.upstream = target instanceof Upstream ? target : new Upstream(target, options)
    const { address } = this.upstream
    const isHost = /^[^,\s]+:\d+$/.test(address) && !/^(?:unix|in-process):/.test(address)
    this.host = isHost ? address : 'localhost'
    this.#rules = rules
    this.#limits = limits
    this.#client = client
    if (this.upstream.introduces && client === undefined) {
      this.#clients = new ClientOrigins(
        ({ source, closed }) => new Origin(this.upstream, {}, rules, limits, { source, closed, whole: this }),
      )
    }
  }

  get address(): string {
    return this.upstream.address
  }

  /** Whether requests may be sent one behind the other. */
  get pipelines(): boolean {
    return this.#rules.pipeline > 1
  }

  /** Connections that there are, and how many of them have no work; requests that wait. */
  get stats(): { connections: number; idle: number; queued: number } {
    const stats = {
      connections: this.#all.size,
      idle: this.#idle.length + this.#lanes.filter((lane) => lane.busy === 0 && !lane.reserved).length,
      queued: this.#queue.length,
    }
    for (const origin of this.#clients ?? []) {
      const { connections, idle, queued } = origin.stats
      stats.connections += connections
      stats.idle += idle
      stats.queued += queued
    }
    return stats
  }

  /** It could not be connected to a short while ago. */
  down(now: number): boolean {
    return this.#downUntil > now
  }

  /** What has the connections that are for the client: its own, where the address is told who it is. */
  of({ poolClient }: PoolScope): Origin {
    return poolClient === undefined ? this : (this.#clients?.of(poolClient) ?? this)
  }

  /** Ends a connection without work; false if all have some. */
  endIdle(): boolean {
    const session = this.#idle.shift()
    session?.abort()
    return session !== undefined
  }

  /** Gives the waiter a connection, now or later. The newest idle one is used first, so that the others can go. */
  acquire(waiter: Waiter, scope: PoolScope): void {
    const lane = waiter.pipelined && this.#rules.pipeline > 1
    const session = lane ? this.#freeLane() : this.#free()
    if (session === undefined) this.#wait(waiter, scope)
    else give(waiter, session)
  }

  /** The waiter does not want a connection any more. */
  forget(waiter: Waiter): void {
    const index = this.#queue.indexOf(waiter)
    if (index >= 0) this.#queue.splice(index, 1)
  }

  /** Takes a connection back that was given to somebody who has no use for it any more. */
  giveBack(session: UpstreamSession): void {
    session.reserved = false
    if (session.usable) this.upstreamFree(session)
  }

  /** Ends all connections; waiters are refused. */
  close(): void {
    this.#closed = true
    this.#alarm?.cancel()
    this.#alarm = undefined
    const error = new XpsError('XPS_CLOSED', 'the listener has closed')
    for (const waiter of this.#queue.splice(0)) waiter.refused(error)
    for (const session of [...this.#all]) session.abort(error)
    for (const origin of this.#clients ?? []) origin.close()
  }

  /** Nobody will ask for it any more: idle connections end now, the others when they come free. */
  retire(): void {
    this.#retired = true
    for (const session of this.#idle.splice(0)) session.abort()
    for (const lane of this.#lanes.slice()) if (lane.busy === 0 && !lane.reserved) lane.abort()
    for (const origin of this.#clients ?? []) origin.retire()
  }

  /** It may be used again, by a listener that has opened since. */
  reopen(): void {
    this.#closed = false
    for (const origin of this.#clients ?? []) origin.reopen()
  }

  /** A connection for one request alone. */
  #free(): UpstreamSession | undefined {
    for (let session = this.#idle.pop(); session !== undefined; session = this.#idle.pop()) {
      if (session.usable) return session
    }
    const lane = this.#lanes.find((one) => one.busy === 0 && one.canSend)
    if (lane !== undefined) remove(this.#lanes, lane)
    return lane
  }

  /** A connection that carries requests one behind the other. Who has waited longer for any goes first. */
  #freeLane(): UpstreamSession | undefined {
    if (this.#queue.length > this.#dialled.size) return undefined
    const lanes = this.#lanes
    for (let count = 0; count < lanes.length; count++) {
      this.#lane = (this.#lane + 1) % lanes.length
      const lane = lanes[this.#lane] as UpstreamSession
      if (lane.canSend && lane.busy < this.#rules.pipeline) return lane
    }
    if (lanes.length >= this.#rules.pipelineConnections) return undefined
    const session = this.#free()
    if (session !== undefined) lanes.push(session)
    return session
  }

  #wait(waiter: Waiter, scope: PoolScope): void {
    if (this.#closed) return waiter.refused(new XpsError('XPS_CLOSED', 'the listener has closed'))
    const fullOfLanes =
      waiter.pipelined && this.#rules.pipeline > 1 && this.#lanes.length >= this.#rules.pipelineConnections
    if (!fullOfLanes && this.#makeRoom()) {
      this.#queue.push(waiter)
      this.#dial(waiter, scope)
      // Nobody can wait for a connection that is another client's.
    } else if (this.#queue.length < this.#rules.maxQueue && (this.#client === undefined || this.#all.size > 0))
      this.#queue.push(waiter)
    else {
      const message = `too many requests wait for ${this.address} (${this.#queue.length})`
      waiter.refused(new XpsError('XPS_BUSY', message, { origin: 'upstream', address: this.address, status: 503 }))
    }
  }

  /** Whether there may be another connection; one of another client that has no work makes room. */
  #makeRoom(): boolean {
    const { maxConnections } = this.#rules
    const whole = this.#client?.whole
    if (whole === undefined) return this.#all.size < maxConnections
    return whole.#open < maxConnections || whole.#clients?.endIdle() === true
  }

  #dial(waiter: Waiter, scope: PoolScope): void {
    this.#scope = scope
    const { clock, connectTimeout } = scope
    const connection = this.upstream.connect({ clock, connectTimeout, source: this.#client?.source })
    const whole = this.#client?.whole
    if (whole !== undefined) {
      whole.#open++
      connection.on('close', () => whole.#open--)
    }
    const session = new Http1UpstreamSession(connection, this.#limits, this)
    this.#all.add(session)
    this.#dialled.set(session, waiter)
    if (waiter.pipelined && this.#rules.pipeline > 1) this.#lanes.push(session)
  }

  #markDown(until: number): void {
    const origin = this.#client?.whole ?? this
    origin.#downUntil = until
  }

  /** @internal */
  upstreamOpen(session: UpstreamSession): void {
    this.#dialled.delete(session)
    this.#markDown(0)
    if (this.#closed) session.abort()
    else this.upstreamFree(session)
  }

  /** @internal */
  upstreamFree(session: UpstreamSession): void {
    const { maxRequestsPerConnection, maxIdle } = this.#rules
    if (maxRequestsPerConnection > 0 && session.requests >= maxRequestsPerConnection) {
      if (session.busy === 0) session.abort()
      return
    }
    if (this.#queue.length > 0) {
      this.#serveQueue(session)
      // Somebody gave it back in the same call.
      if (this.#idle.includes(session)) return
    }
    if (session.busy > 0 || session.reserved || !session.usable) return
    // Whoever had the route before it went is served.
    if (this.#retired) return session.abort()
    if (!this.#lanes.includes(session)) {
      this.#idle.push(session)
      if (this.#idle.length > maxIdle) this.#idle.shift()?.abort()
    }
    if (this.#alarm === undefined) this.#watchIdle()
  }

  /** Gives it to those who wait, in their order: one that wants it alone holds up those behind until it is empty. */
  #serveQueue(session: UpstreamSession): void {
    const { pipeline } = this.#rules
    for (let waiter = this.#queue[0]; waiter !== undefined && session.canSend; waiter = this.#queue[0]) {
      const shares = waiter.pipelined && pipeline > 1
      const lane = this.#lanes.includes(session)
      if (session.busy >= (shares && lane ? pipeline : 1)) return
      if (shares && !lane) this.#lanes.push(session)
      else if (!shares && lane) remove(this.#lanes, session)
      this.#queue.shift()
      give(waiter, session)
    }
  }

  /** @internal */
  upstreamClosed(session: UpstreamSession, error: XpsError | undefined): void {
    this.#all.delete(session)
    remove(this.#idle, session)
    remove(this.#lanes, session)
    const waiter = this.#dialled.get(session)
    if (waiter !== undefined) {
      // It was never connected.
      this.#dialled.delete(session)
      if (!this.#closed) this.#markDown((this.#scope?.clock.now() ?? 0) + this.#rules.downTime)
      // Somebody who waited longer may have been given a connection that became free; then this one still waits.
      const refused = this.#queue.includes(waiter) ? waiter : this.#queue[0]
      if (refused !== undefined) {
        remove(this.#queue, refused)
        refused.refused(
          error ?? new XpsError('XPS_CONNECT', `cannot connect to ${this.address}`, { origin: 'upstream' }),
        )
      }
    }
    this.#dialForQueue()
  }

  /** Whoever waits because there were as many connections as there may be has a chance now. */
  #dialForQueue(): void {
    const scope = this.#scope
    if (this.#closed || scope === undefined) return
    while (this.#queue.length > this.#dialled.size && this.#makeRoom()) {
      const waiter = this.#queue.find((one) => ![...this.#dialled.values()].includes(one))
      if (waiter === undefined) return
      this.#dial(waiter, scope)
    }
  }

  /** One alarm for all that are idle, set for the one that has been so longest. */
  #watchIdle(): void {
    this.#alarm?.cancel()
    this.#alarm = undefined
    const clock = this.#scope?.clock
    if (clock === undefined || this.#closed) return
    const { idleTimeout } = this.#rules
    const now = clock.now()
    let oldest = Number.POSITIVE_INFINITY
    for (const session of [...this.#idle, ...this.#lanes]) {
      if (session.busy > 0 || !session.usable) continue
      if (session.idleSince + idleTimeout <= now) session.abort()
      else oldest = Math.min(oldest, session.idleSince)
    }
    if (oldest !== Number.POSITIVE_INFINITY) {
      this.#alarm = clock.after(oldest + idleTimeout - now, () => this.#watchIdle())
    }
  }
}

/** It is the waiter's until that has sent something, or gives it back: a hook may hold it for long. */
function give(waiter: Waiter, session: UpstreamSession): void {
  session.reserved = true
  waiter.given(session)
}

function remove<T>(list: T[], item: T): void {
  const index = list.indexOf(item)
  if (index >= 0) list.splice(index, 1)
}
