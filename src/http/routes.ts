import { createServer, type RequestListener, type Server } from 'node:http'
import type { ProxyHeaderOptions } from '../core/proxy-protocol/write-proxy-header.ts'
import type { UpstreamTlsOptions } from '../core/tls/upstream-tls.ts'
import type { Upstream, UpstreamOptions, UpstreamTarget } from '../core/upstream.ts'
import { type ErrorCode, XpsError } from '../errors.ts'
import { bytesOption, durationOption, invalidOption, knownOptions } from '../options.ts'
import { PipeSource } from '../pipe/source.ts'
import { checkAnswer, statusAnswer } from './answers.ts'
import { ConnectForward } from './connect/connect-forward.ts'
import { type ConnectOptions, ConnectRules } from './connect/connect-rules.ts'
import { answerByFetch, type FetchHandler } from './fetch-handler.ts'
import { checkFields, Fields } from './fields.ts'
import { Forward, type ForwardRules } from './forward.ts'
import type { Forwarder, TunnelTimes } from './forwarder.ts'
import { Forwarding, type ForwardingOptions, forwardingNames } from './forwarding/forwarding.ts'
import type { Answer } from './messages.ts'
import { ClientLimit, type ClientLimitOptions, clientLimitNames } from './pool/client-limit.ts'
import { type HealthCheckOptions, healthRules } from './pool/health-check.ts'
import type { Origin } from './pool/origin.ts'
import { type PoolOptions, poolNames } from './pool/pool-options.ts'
import { Sticky, type StickyOptions } from './pool/sticky.ts'
import { type Balance, UpstreamGroup } from './pool/upstream-group.ts'
import { upstreamPlace } from './pool/upstream-url.ts'
import { type RedirectOptions, redirector } from './redirect.ts'
import { Access, type AccessOptions, accessNames } from './routing/access.ts'
import { type RouteMatch, routeMatchNames } from './routing/route-match.ts'
import type { OriginBook, OriginPlan } from './scope.ts'
import { StaticFiles } from './static/static-files.ts'
import { type StaticOptions, staticOptionNames as staticNames } from './static/static-options.ts'
import type { Transaction } from './transaction.ts'
import { type UpgradeOption, UpgradeRule } from './upgrade.ts'

/** What every route may have. */
export interface RouteOptions extends RouteMatch, AccessOptions {
  /** What hooks call it; see `Transaction.useRoute`. @default none */
  name?: string
  /** The longest body of a request; a longer one is answered 413. A number, or text such as `'10 MB'`; 0 for any. */
  bodyLimit?: number | string
}

/** Forwards to an upstream. */
export interface ForwardRoute extends RouteOptions, ForwardingOptions, PoolOptions, ClientLimitOptions, UpgradeOptions {
  /**
   * Addresses or URLs (`http://host`, `https://host`, `h2c://host`), servers of this process, or an `Upstream`; of several,
   * one is chosen for each request.
   */
  upstream: UpstreamTarget | Upstream | readonly (UpstreamTarget | Upstream)[]
  /** How one of several is chosen. @default 'round-robin' */
  balance?: Balance
  /** How long connecting may take, in milliseconds. @default that of the listener */
  connectTimeout?: number
  /** The address of this machine that connections come from. @default the system chooses */
  localAddress?: string
  /** Begins each connection by saying who the client is; see `docs/proxy-protocol.md`. @default nothing is said */
  proxyProtocol?: 1 | 2 | ProxyHeaderOptions
  /** A client goes on to the address that it has gone to before, by a cookie of ours. @default false */
  sticky?: boolean | StickyOptions
  /** Asks each address again and again whether it is well; who is not is passed over as long as another is. @default never */
  healthCheck?: HealthCheckOptions
  /** Encrypts; `https://` asks for it too. @default plain text */
  tls?: boolean | UpstreamTlsOptions
}

/** How connections are passed on that clients want to be switched to another protocol. */
export interface UpgradeOptions {
  /**
   * Which upgrades are passed on to the upstream, such as that of WebSockets: all, none, or those of the named protocols
   * (`['websocket']`). What is not passed on is an ordinary request; `h2c`, `HTTP/2.0` and `TLS/1.0` never are.
   * @default true
   */
  upgrade?: UpgradeOption
  /**
   * How long a tunnel may be silent in both directions, in milliseconds; 0 for ever.
   * @default that of the listener, which is 600000 if nothing is said there
   */
  tunnelIdleTimeout?: number
  /** All of a tunnel, busy or not; 0 for ever. @default that of all routes */
  tunnelTimeout?: number
}

/** Serves the files of a folder. */
export interface FilesRoute extends RouteOptions, StaticOptions {
  files: string
}

/** Gives the same answer always. */
export interface ReplyRoute extends RouteOptions {
  reply: Answer | number
}

/** Sends the client elsewhere. */
export interface RedirectRoute extends RouteOptions {
  redirect: string | RedirectOptions
}

/** Calls a handler of web standards. */
export interface FetchRoute extends RouteOptions {
  fetch: FetchHandler
}

/** Calls a handler of Node's, or a server of this process that need not listen. */
export interface NodeRoute extends RouteOptions, ForwardingOptions, UpgradeOptions {
  node: RequestListener | Server
}

/** Connects clients that ask for it by CONNECT to where they want to be, within limits. */
export interface ConnectRoute extends Omit<RouteOptions, 'method' | 'path' | 'bodyLimit'> {
  connect: ConnectOptions
  /** See {@link UpgradeOptions}. @default that of the listener */
  tunnelIdleTimeout?: number
  /** All of a tunnel, busy or not; 0 for ever. @default that of all routes */
  tunnelTimeout?: number
}

/** Which requests, and what answers them. */
export type HttpRoute = ForwardRoute | FilesRoute | ReplyRoute | RedirectRoute | FetchRoute | NodeRoute | ConnectRoute

const common = ['name', ...routeMatchNames, ...accessNames, 'bodyLimit']
const tunnelNames = ['tunnelIdleTimeout', 'tunnelTimeout'] as const
const notForConnect = ['path', 'method', 'bodyLimit']

/** The ways to answer, by the property that names them. */
const kinds = {
  upstream: [
    'balance',
    'sticky',
    'healthCheck',
    'connectTimeout',
    'localAddress',
    'proxyProtocol',
    'tls',
    'upgrade',
    ...tunnelNames,
    ...clientLimitNames,
    ...forwardingNames,
    ...poolNames,
  ],
  files: staticNames,
  reply: [],
  redirect: [],
  fetch: [],
  node: ['upgrade', ...tunnelNames, ...forwardingNames],
  connect: tunnelNames,
} as const satisfies Record<string, readonly string[]>

/** A route that was checked, and what it needs to answer. */
export class PreparedRoute {
  /** As it was given. */
  readonly given: HttpRoute
  readonly #access: Access | undefined
  readonly #bodyLimit: number
  readonly #forward: Forwards | undefined
  readonly #connect: { readonly rules: ConnectRules; readonly tunnelTimes: Partial<TunnelTimes> } | undefined
  readonly #answer: ((transaction: Transaction) => Answer | Promise<Answer>) | undefined
  readonly #files: StaticFiles | undefined
  /** Methods that it cannot answer. */
  readonly #refuses: readonly string[] = []

  /** Throws `XPS_INVALID_OPTION`, with the name of the route in front. */
  constructor(name: string, given: HttpRoute, book: OriginBook, bodyLimit: number) {
    this.given = given
    if (given.name !== undefined && typeof given.name !== 'string')
      throw invalidOption(`${name}.name`, given.name, 'a text')
    const kind = (Object.keys(kinds) as (keyof typeof kinds)[]).filter((one) => one in given)
    if (kind.length !== 1) {
      const shape = `an object with exactly one of ${Object.keys(kinds).join(', ')}`
      throw invalidOption(name, `{ ${Object.keys(given).join(', ')} }`, shape)
    }
    const [only] = kind as [keyof typeof kinds]
    const names = only === 'connect' ? common.filter((one) => !notForConnect.includes(one)) : common
    knownOptions(name, given, [...names, only, ...kinds[only]])
    if (given.allow !== undefined || given.deny !== undefined) this.#access = new Access(given, name)
    const own = 'connect' in given ? 0 : given.bodyLimit
    this.#bodyLimit = own === undefined ? bodyLimit : bodyLimitOption(`${name}.bodyLimit`, own)
    if ('upstream' in given) this.#forward = forwardOf(name, given, book)
    else if ('node' in given) {
      const { node, ...rest } = given
      const server = typeof node === 'function' ? createServer(node) : node
      this.#forward = forwardOf(name, { ...rest, upstream: server }, book)
    } else if ('connect' in given) {
      this.#connect = {
        rules: new ConnectRules(`${name}.connect`, given.connect),
        tunnelTimes: tunnelTimesOf(name, given),
      }
    } else if ('files' in given) {
      const files = new StaticFiles(given.files, pick(given, staticNames))
      this.#files = files
      this.#answer = (transaction) => {
        const answer = files.answer(transaction.request, transaction.rest, transaction.prefix)
        return answer instanceof Promise ? answer.then(asFault) : asFault(answer)
      }
    } else if ('reply' in given) {
      const answer = replyOf(`${name}.reply`, given.reply)
      this.#answer = () => answer
    } else if ('redirect' in given) {
      const redirect = redirector(given.redirect)
      this.#answer = (transaction) => redirect(transaction.request)
    } else {
      const handler = given.fetch
      if (typeof handler !== 'function') throw invalidOption(`${name}.fetch`, handler, 'a function')
      this.#answer = (transaction) => answerByFetch(handler, transaction)
      this.#refuses = ['TRACE', 'TRACK']
    }
  }

  /** Throws what keeps the request from being answered by it. */
  admit(transaction: Transaction): void {
    const { session, stream, request } = transaction
    if (this.#access !== undefined && !this.#access.allows(session.remoteAddress)) {
      throw new XpsError('XPS_FORBIDDEN', 'the client is not let in here', { origin: 'client' })
    }
    if (this.#bodyLimit > 0 && stream.requestLength > this.#bodyLimit) {
      throw new XpsError('XPS_TOO_LARGE', 'the body of the request is too long', { origin: 'client', status: 413 })
    }
    const connects = stream.upgrade === 'connect'
    if (
      connects !== (this.#connect !== undefined) ||
      (request.method === 'CONNECT' && !connects) ||
      this.#refuses.includes(request.method)
    ) {
      throw new XpsError('XPS_METHOD', `${request.method} is not allowed here`, { origin: 'client' })
    }
  }

  /** The longest body; 0 for any. */
  get bodyLimit(): number {
    return this.#bodyLimit
  }

  /** What forwards the request; undefined if it is answered here. */
  forward(transaction: Transaction): Forwarder | undefined {
    const forward = this.#forward
    if (forward !== undefined) return new Forward(transaction, forward.group, forward.rules)
    const connect = this.#connect
    return connect === undefined ? undefined : new ConnectForward(transaction, connect.rules, connect.tunnelTimes)
  }

  /** Requests may go to the origin. */
  uses(origin: Origin): boolean {
    return this.#forward?.group.origins.includes(origin) ?? false
  }

  /** The answer of this program. */
  answer(transaction: Transaction): Answer | Promise<Answer> {
    return (this.#answer as (transaction: Transaction) => Answer | Promise<Answer>)(transaction)
  }

  /** Lets go of what it keeps. */
  close(): void {
    this.#files?.close()
  }
}

/** What files answer with 405, 412 or 416 is told by the pages of errors, as everything else that goes wrong. */
function asFault(answer: Answer): Answer {
  const code = faultCodes[answer.status]
  if (code === undefined) return answer
  const headers = Object.fromEntries(new Fields(answer.headers))
  throw new XpsError(code, `the file cannot be had so (${answer.status})`, { origin: 'client', headers })
}

const faultCodes: Readonly<Record<number, ErrorCode | undefined>> = {
  405: 'XPS_METHOD',
  412: 'XPS_PRECONDITION',
  416: 'XPS_RANGE',
}

/** A fixed answer, checked before anybody asks for it. */
function replyOf(name: string, given: Answer | number): Answer {
  try {
    if (typeof given === 'number') return Object.freeze(statusAnswer(given))
    const { body } = checkAnswer(given)
    if (body instanceof PipeSource) throw new XpsError('XPS_FAULT', 'a source can be sent once only')
    checkFields(given.headers)
    return Object.freeze({ ...given })
  } catch (error) {
    throw new XpsError('XPS_INVALID_OPTION', `${name} cannot be sent: ${(error as Error).message}`)
  }
}

/** Reads a limit of bytes for which 0 is none. */
export function bodyLimitOption(name: string, given: number | string): number {
  return given === 0 ? 0 : bytesOption(name, given)
}

function forwardOf(name: string, given: ForwardRoute, book: OriginBook): Forwards {
  const listed = (Array.isArray(given.upstream) ? given.upstream : [given.upstream]) as readonly (
    | UpstreamTarget
    | Upstream
  )[]
  if (listed.length === 0) throw invalidOption(`${name}.upstream`, given.upstream, 'at least one address')
  const health = given.healthCheck === undefined ? undefined : healthRules(`${name}.healthCheck`, given.healthCheck)
  const limit = new ClientLimit(name, pick(given, clientLimitNames))
  const plan = (one: UpstreamTarget | Upstream): OriginPlan => {
    const { target, tls, http2 } = upstreamPlace(name, one, given.tls, given.http2)
    const dial: UpstreamOptions = pick(given, ['connectTimeout', 'localAddress', 'proxyProtocol'])
    if (tls !== undefined) dial.tls = tls
    const pool: PoolOptions = pick(given, poolNames)
    if (http2 !== undefined) pool.http2 = http2
    return { target, dial, pool, health }
  }
  const origins = listed.map((target) => book.origin(plan(target)))
  const find = (address: string): Origin => book.chosenOrigin?.(plan(address)) ?? book.origin(plan(address))
  const { sticky = false, balance = 'round-robin' } = given
  const group = new UpstreamGroup(origins, {
    balance,
    sticky: sticky === false ? undefined : new Sticky(`${name}.sticky`, sticky, origins),
    limit: limit.none ? undefined : limit,
    find,
  })
  return {
    group,
    rules: {
      forwarding: new Forwarding(pick(given, forwardingNames), name),
      upgrade: new UpgradeRule(`${name}.upgrade`, given.upgrade),
      tunnelTimes: tunnelTimesOf(name, given),
    },
  }
}

function tunnelTimesOf(name: string, given: Partial<TunnelTimes>): Partial<TunnelTimes> {
  const times: Partial<Record<keyof TunnelTimes, number>> = {}
  for (const one of tunnelNames) {
    if (given[one] !== undefined) times[one] = durationOption(`${name}.${one}`, given[one], 0, true)
  }
  return times
}

/** What forwards the requests of a route. */
interface Forwards {
  readonly group: UpstreamGroup
  readonly rules: ForwardRules
}

function pick<O extends object>(given: object, names: readonly (keyof O)[]): O {
  const picked: Record<string, unknown> = {}
  for (const name of names as readonly string[]) {
    const value = (given as Record<string, unknown>)[name]
    if (value !== undefined) picked[name] = value
  }
  return picked as O
}
