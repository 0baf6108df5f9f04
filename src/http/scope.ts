import type { Clock } from '../clock.ts'
import type { ClientSession } from '../core/client-session.ts'
import type { Upstream, UpstreamOptions, UpstreamTarget } from '../core/upstream.ts'
import { XpsError } from '../errors.ts'
import { Lifetime } from '../lifetime/lifetime.ts'
import { type AccessEntry, entryOf, entryOfFault, reasonOf } from './access-log.ts'
import { checkAnswer } from './answers.ts'
import { type ErrorPages, faultAnswer, plainFaultAnswer } from './faults.ts'
import { checkFields } from './fields.ts'
import type { HookScope } from './hooks.ts'
import type { HeadLimits } from './http1/head-reader.ts'
import type { Flood } from './http2/options.ts'
import type { Answer, RequestHead } from './messages.ts'
import type { HealthRules } from './pool/health-check.ts'
import { Origin, type OriginStats, together } from './pool/origin.ts'
import { type PoolOptions, poolRules } from './pool/pool-options.ts'
import type { PreparedRoute } from './routes.ts'
import type { RouteFound } from './routing/route-found.ts'
import type { RouteMatch } from './routing/route-match.ts'
import { RouteTable } from './routing/route-table.ts'
import type { HttpSession } from './session.ts'
import type { HttpTimeouts } from './timeouts.ts'
import type { Transaction } from './transaction.ts'

/** Where the origins of all routes are kept, so that two routes to one address share its connections. */
export interface OriginBook {
  origin(plan: OriginPlan): Origin
  /** The same for an address that a hook has chosen; those that no route names are kept for a while. */
  chosenOrigin?(plan: OriginPlan): Origin
}

/** An upstream's address, and how connections to it are made and kept. */
export interface OriginPlan {
  readonly target: UpstreamTarget | Upstream
  readonly dial: UpstreamOptions
  readonly pool: PoolOptions
  readonly health?: HealthRules | undefined
}

/** The numbers of an HTTP server. */
export interface HttpStats {
  /** Sessions and transactions that there are now. */
  readonly sessions: number
  readonly transactions: number
  /** How many of the transactions are tunnels: upgraded connections, and CONNECT. */
  readonly tunnels: number
  /** How many transactions have closed, and how many of them because the client left. */
  readonly served: number
  readonly left: number
  /** How many responses there were, by the first digit of their status: `'2xx'`. */
  readonly statuses: Readonly<Record<'2xx' | '3xx' | '4xx' | '5xx', number>>
  /** What went wrong, by code. */
  readonly faults: Readonly<Record<string, number>>
  /** HTTP/2 connections that were ended because their client sent too much, by what that was. */
  readonly floods: Readonly<Record<Flood, number>>
  /** The connections to each upstream. */
  readonly upstreams: Readonly<Record<string, OriginStats>>
}

/** What a scope is made of. */
export interface HttpScopeParts {
  readonly hooks: HookScope
  readonly limits: HeadLimits
  readonly timeouts: HttpTimeouts
  readonly errorPages: ErrorPages
  readonly halfOpen: boolean
  readonly maxRequestsPerSession: number
  readonly maxTunnels: number
  readonly log: ((entry: AccessEntry) => void) | undefined
}

/** What all sessions of one HTTP protocol share: routes, hooks, limits, and the connections to upstreams. */
export class HttpScope implements OriginBook {
  readonly hooks: HookScope
  readonly limits: HeadLimits
  readonly timeouts: HttpTimeouts
  readonly errorPages: ErrorPages
  readonly halfOpen: boolean
  readonly maxRequestsPerSession: number
  /** Tunnels at the moment. */
  tunnels = 0
  readonly #maxTunnels: number
  /** The timeouts that may begin at any moment, for the look at the clock. */
  readonly looks: readonly number[]
  readonly #log: ((entry: AccessEntry) => void) | undefined
  readonly #origins = new Map<string, Origin>()
  readonly #servers: Origin[] = []
  /** A number for each object with options of TLS. */
  readonly #encryptions = new WeakMap<object, number>()
  #lastEncryption = 0
  /** Listeners, or sessions without one, that use it. */
  readonly #users = new Set<Lifetime>()
  /** Of whoever came last; undefined while nobody uses it. */
  #clock: Clock | undefined
  #table: RouteTable<HeldRoute> | undefined
  #routes: readonly PreparedRoute[] = []
  /** Of a route that hooks choose by its name: one table for the paths that fit it, one for all others. */
  readonly #named = new WeakMap<PreparedRoute, OwnTables>()
  #sessions = 0
  #begun = 0
  #served = 0
  #left = 0
  /** By the first digit of the status. */
  readonly #statuses = [0, 0, 0, 0, 0, 0]
  readonly #faults: Record<string, number> = {}
  readonly #floods: Record<Flood, number> = { resets: 0, pings: 0, settings: 0, priorities: 0, frames: 0 }

  constructor(parts: HttpScopeParts) {
    this.hooks = parts.hooks
    this.limits = parts.limits
    this.timeouts = parts.timeouts
    this.errorPages = parts.errorPages
    this.halfOpen = parts.halfOpen
    this.maxRequestsPerSession = parts.maxRequestsPerSession
    this.#maxTunnels = parts.maxTunnels
    this.#log = parts.log
    this.looks = Object.values(parts.timeouts)
  }

  /** Uses these routes from now on. Transactions that have theirs keep it. */
  use(routes: readonly PreparedRoute[], table: RouteTable<HeldRoute>): void {
    for (const route of this.#routes) route.close()
    this.#routes = routes
    this.#table = table
    // Connections to addresses that no route names any more end when they have no work.
    for (const [key, origin] of this.#origins) {
      if (routes.some((route) => route.uses(origin))) continue
      this.#origins.delete(key)
      origin.retire()
    }
    for (const origin of this.#servers.slice()) {
      if (routes.some((route) => route.uses(origin))) continue
      this.#servers.splice(this.#servers.indexOf(origin), 1)
      origin.retire()
    }
    this.#openAll()
  }

  #openAll(): void {
    if (this.#clock !== undefined) for (const origin of this.#all) origin.open(this.#clock)
  }

  /** The route of a request. Throws `XPS_METHOD` if there is one for other methods only. */
  find(port: number, request: RequestHead): RouteFound<HeldRoute> | undefined {
    const found = this.#table?.find(port, request)
    if (found !== undefined) return found
    if (request.method === 'CONNECT') {
      throw new XpsError('XPS_METHOD', 'CONNECT is not allowed here', { origin: 'client' })
    }
    const allowed = this.#table?.allowed(port, request) ?? []
    if (allowed.length === 0) return undefined
    throw new XpsError('XPS_METHOD', `${request.method} is not allowed here, but ${allowed.join(', ')} would be`, {
      origin: 'client',
      headers: { allow: allowed.join(', ') },
    })
  }

  /**
   * The route of that name, for a request that it need not match: with the prefix that it has of the request's path, if
   * any, and the path without dot segments. Undefined if there is none of that name.
   */
  named(name: string, port: number, request: RequestHead): RouteFound<HeldRoute> | undefined {
    const prepared = this.#routes.find((route) => route.given.name === name)
    if (prepared === undefined) return undefined
    const tables = this.#tablesOf(prepared)
    return tables.fitting.find(port, request) ?? tables.any.find(port, request)
  }

  #tablesOf(prepared: PreparedRoute): OwnTables {
    const known = this.#named.get(prepared)
    if (known !== undefined) return known
    const { given } = prepared
    const path = 'connect' in given ? undefined : given.path
    const any: HeldRoute = 'connect' in given ? { prepared, method: 'CONNECT' } : { prepared }
    const made: OwnTables = {
      fitting: new RouteTable<HeldRoute>(path === undefined ? [] : [{ path, prepared }]),
      any: new RouteTable<HeldRoute>([any]),
    }
    this.#named.set(prepared, made)
    return made
  }

  origin({ target, dial, pool, health }: OriginPlan): Origin {
    const rules = poolRules(pool)
    if (typeof target !== 'string') {
      const origin = new Origin(target, dial, rules, this.limits, health)
      this.#servers.push(origin)
      return origin
    }
    const { tls, ...others } = dial
    const key = `${target} ${JSON.stringify([others, rules, health])} ${this.#encryptionOf(tls)}`
    let origin = this.#origins.get(key)
    if (origin === undefined) {
      origin = new Origin(target, dial, rules, this.limits, health)
      this.#origins.set(key, origin)
    }
    return origin
  }

  /** Only who was given the very same object has the same connections: another may show another certificate. */
  #encryptionOf(tls: UpstreamOptions['tls']): string {
    if (typeof tls !== 'object') return String(tls ?? false)
    let number = this.#encryptions.get(tls)
    if (number === undefined) {
      number = ++this.#lastEncryption
      this.#encryptions.set(tls, number)
    }
    return `tls ${number}`
  }

  /**
   * The origin of an address that a hook names, which may be any: of those that no route names and nobody uses at the
   * moment the oldest goes when there are too many.
   */
  chosenOrigin(plan: OriginPlan): Origin {
    const origin = this.origin(plan)
    if (this.#clock !== undefined) origin.open(this.#clock)
    if (this.#origins.size > mostOrigins) this.#forgetOne(origin)
    return origin
  }

  #forgetOne(kept: Origin): void {
    for (const [key, origin] of this.#origins) {
      const { connections, idle, queued } = origin.stats
      if (origin === kept || connections > idle || queued > 0 || this.#routes.some((route) => route.uses(origin)))
        continue
      this.#origins.delete(key)
      origin.close()
      return
    }
  }

  /** A session has opened: as long as its listener lives, connections to upstreams are kept for the next. */
  join(session: ClientSession): void {
    this.#sessions++
    const { entrance } = session.client
    const user = entrance instanceof Lifetime ? entrance : session
    if (this.#users.has(user)) return
    this.#users.add(user)
    this.#clock = session.client.clock
    this.#openAll()
    user.own(() => {
      this.#users.delete(user)
      if (this.#users.size > 0) return
      this.#clock = undefined
      for (const origin of this.#all) origin.close()
      for (const route of this.#routes) route.close()
    })
  }

  /** What a client is told of an error. A page of the host's that fails is told as a fault, and left out. */
  faultAnswer(error: XpsError, fault: (error: unknown) => void): Answer {
    try {
      const answer = checkAnswer(faultAnswer(error, this.errorPages))
      checkFields(answer.headers)
      return answer
    } catch (failure) {
      fault(failure)
      return plainFaultAnswer(error)
    }
  }

  /** Times are wanted to the millisecond, and not as they are cheapest. */
  get precise(): boolean {
    return this.#log !== undefined
  }

  /** A session has closed. */
  leave(): void {
    this.#sessions--
  }

  /** A transaction has begun. */
  begin(): void {
    this.#begun++
  }

  /** Throws if there are as many tunnels as there may be. */
  mayTunnel(): void {
    if (this.#maxTunnels === 0 || this.tunnels < this.#maxTunnels) return
    throw new XpsError('XPS_BUSY', `there are too many tunnels (${this.tunnels})`, { status: 503 })
  }

  /** A transaction has closed. */
  counted(transaction: Transaction): void {
    this.#served++
    const { status, failure } = transaction
    if (status >= 200) this.#countStatus(status)
    if (failure !== undefined) this.#countFault(failure)
    if (transaction.left) this.#left++
    this.#log?.(entryOf(transaction))
  }

  /** Something came that was no request, and was answered with the status. */
  refused(session: HttpSession, error: XpsError, status: number): void {
    this.#countStatus(status)
    this.#countFault(error)
    this.#log?.(entryOfFault(session, error, status))
  }

  /** A client was sent away because it sent too much of something. */
  flooded(what: Flood): void {
    this.#floods[what]++
  }

  #countStatus(status: number): void {
    const first = Math.min(5, Math.trunc(status / 100))
    this.#statuses[first] = (this.#statuses[first] as number) + 1
  }

  #countFault(error: XpsError): void {
    const name = reasonOf(error)
    this.#faults[name] = (this.#faults[name] ?? 0) + 1
  }

  stats(): HttpStats {
    const upstreams: Record<string, OriginStats> = {}
    for (const { address, stats } of this.#all) {
      const others = upstreams[address]
      upstreams[address] = others === undefined ? stats : together(others, stats)
    }
    const [, , twos, threes, fours, fives] = this.#statuses as [number, number, number, number, number, number]
    return {
      sessions: this.#sessions,
      transactions: this.#begun - this.#served,
      tunnels: this.tunnels,
      served: this.#served,
      left: this.#left,
      statuses: { '2xx': twos, '3xx': threes, '4xx': fours, '5xx': fives },
      faults: { ...this.#faults },
      floods: { ...this.#floods },
      upstreams,
    }
  }

  get #all(): Origin[] {
    return [...this.#origins.values(), ...this.#servers]
  }
}

/** Tables with one route only: for the paths that fit it, and for any. */
interface OwnTables {
  readonly fitting: RouteTable<HeldRoute>
  readonly any: RouteTable<HeldRoute>
}

/** How many addresses of upstreams are remembered. */
const mostOrigins = 1_000

/** A route as the table has it: what it matches, and what was prepared for it. */
export interface HeldRoute extends RouteMatch {
  readonly prepared: PreparedRoute
}
