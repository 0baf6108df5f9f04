import type { Clock } from '../clock.ts'
import { XpsError } from '../errors.ts'
import { HookScope } from '../http/hooks.ts'
import { defaultHeadLimits } from '../http/http1/head-reader.ts'
import { Origin } from '../http/pool/origin.ts'
import { type PoolOptions, poolRules } from '../http/pool/pool-options.ts'
import { PreparedRoute } from '../http/routes.ts'
import { HttpScope, type OriginBook, type OriginPlan } from '../http/scope.ts'
import { httpTimeouts } from '../http/timeouts.ts'
import { Transaction } from '../http/transaction.ts'
import { Lifetime } from '../lifetime/lifetime.ts'
import type { Wheel } from '../lifetime/wheel.ts'
import type { ProxyServerOptions, Times } from './options.ts'
import type { Target } from './target.ts'
import { keyOfTls, targetTls } from './target-tls.ts'

/** How many targets have connections that are kept; the one that was not used for longest makes room. */
const mostTargets = 1_000
/** How many combinations of timeouts are remembered. */
const mostScopes = 100
/** How much longer a request may wait for a connection than connecting may take, in milliseconds. */
const queueTime = 5_000

/** A place to send requests to, and the connections to it. */
interface Place {
  readonly route: PreparedRoute
  readonly origin: Origin
}

/**
 * What a proxy has from its first request, or its first after `close`, to the next `close`: exchanges, and connections to
 * targets. It closes when its exchanges have, and ends the connections then.
 */
export class Generation extends Lifetime implements OriginBook {
  readonly #wheel: Wheel
  readonly #places = new Map<string, Place>()
  readonly #scopes = new Map<string, HttpScope>()
  #made: Origin | undefined
  /** Tunnels at the moment. */
  tunnels = 0

  constructor(wheel: Wheel) {
    super()
    this.#wheel = wheel
    this.own(() => {
      for (const { origin } of this.#places.values()) origin.close()
      this.#places.clear()
    })
    this.opened()
  }

  get clock(): Clock {
    return this.#wheel
  }

  /** By the clock, as cheap as it can be had. */
  time(): number {
    // Where no alarm is set the wheel stands still.
    return this.#wheel.size === 0 ? this.#wheel.now() : this.#wheel.time
  }

  /** Connections to each target. */
  get connections(): Readonly<Record<string, { connections: number; idle: number; queued: number }>> {
    const all: Record<string, { connections: number; idle: number; queued: number }> = {}
    for (const { origin } of this.#places.values()) {
      const { connections = 0, idle = 0, queued = 0 } = all[origin.address] ?? {}
      const { stats } = origin
      all[origin.address] = {
        connections: connections + stats.connections,
        idle: idle + stats.idle,
        queued: queued + stats.queued,
      }
    }
    return all
  }

  /** A transaction is a part of it until it has closed. */
  add(transaction: Transaction): void {
    this.adopt(transaction)
  }

  /** What sends requests to an address. Throws `XPS_INVALID_OPTION`. */
  route(target: Target, options: ProxyServerOptions): PreparedRoute {
    const { address } = target
    const { agent, via = false } = options
    const localAddress = options.localAddress ?? undefined
    const tls = targetTls(target, options)
    // Without an agent, Node's client uses a connection once.
    const pool = agent === false ? { ...options.pool, maxRequestsPerConnection: 1 } : (options.pool ?? noPool)
    const plain = pool === noPool && via === false && tls === undefined && localAddress === undefined
    const key = plain
      ? address
      : JSON.stringify([address, pool, via, tls === undefined ? '' : keyOfTls(tls), localAddress])
    const known = this.#places.get(key)
    if (known !== undefined) {
      if (this.#places.size > 1) {
        // The ones that were used last are at the end.
        this.#places.delete(key)
        this.#places.set(key, known)
      }
      return known.route
    }
    const given = {
      upstream: address,
      xForwarded: 'leave',
      forwarded: 'leave',
      redirects: 'leave',
      via,
      // Names of fields stay as they are spelled.
      http2: false,
      ...pool,
      ...(tls === undefined ? {} : { tls }),
      ...(localAddress === undefined ? {} : { localAddress }),
    } as const
    const route = new PreparedRoute('target', given, this, 0)
    this.#places.set(key, { route, origin: this.#made as Origin })
    if (this.#places.size > mostTargets) this.#makeRoom()
    return route
  }

  origin({ target, dial, pool }: OriginPlan): Origin {
    this.#made = new Origin(target, dial, poolRules(pool), defaultHeadLimits)
    return this.#made
  }

  /** What the transactions with these timeouts share. */
  scope(times: Times): HttpScope {
    const key = `${times.proxy} ${times.client} ${times.connect}`
    let scope = this.#scopes.get(key)
    if (scope === undefined) {
      if (this.#scopes.size >= mostScopes) this.#scopes.clear()
      scope = new HttpScope({
        hooks: new HookScope(),
        limits: defaultHeadLimits,
        timeouts: httpTimeouts({
          responseTimeout: times.proxy,
          responseIdleTimeout: times.proxy,
          bodyTimeout: times.client,
          queueTimeout: times.connect + queueTime,
        }),
        errorPages: {},
        halfOpen: false,
        maxRequestsPerSession: 0,
        maxTunnels: 0,
        log: undefined,
      })
      this.#scopes.set(key, scope)
    }
    return scope
  }

  /** Connections without work end at once, the others when they have done theirs. */
  protected override onDrain(): void {
    for (const { origin } of this.#places.values()) origin.retire()
    super.onDrain()
    // They would go on for ever.
    const error = new XpsError('XPS_CLOSED', 'the proxy was closed')
    for (const child of this.children())
      if (child instanceof Transaction && child.state === 'tunnel') child.abort(error)
  }

  /** What goes wrong in an exchange is told by events. */
  protected override onFault(): boolean {
    return true
  }

  #makeRoom(): void {
    for (const [key, { origin }] of this.#places) {
      const { connections, idle, queued } = origin.stats
      if (connections > idle || queued > 0) continue
      origin.close()
      this.#places.delete(key)
      return
    }
  }
}

const noPool: PoolOptions = {}
