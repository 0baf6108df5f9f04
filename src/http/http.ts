import type { ClientSession, Protocol } from '../core/client-session.ts'
import type { Connection } from '../core/connection.ts'
import { mustBeCalled } from '../core/must-be-called.ts'
import { isXpsError, XpsError } from '../errors.ts'
import { bytesOption, integerOption, invalidOption, knownOptions } from '../options.ts'
import type { AccessEntry } from './access-log.ts'
import { checkErrorPages, type ErrorPages } from './faults.ts'
import { type HookPoint, HookScope, type Hooks, hookPoints } from './hooks.ts'
import { defaultHeadLimits } from './http1/head-reader.ts'
import { Http1Session } from './http1/session.ts'
import { type Http2Options, http2Rules } from './http2/options.ts'
import { choosing } from './http2/prior-knowledge.ts'
import { Http2Session } from './http2/session.ts'
import { bodyLimitOption, type HttpRoute, PreparedRoute } from './routes.ts'
import { type RouteMatch, routeMatchNames } from './routing/route-match.ts'
import { RouteTable } from './routing/route-table.ts'
import { type HeldRoute, HttpScope, type HttpStats } from './scope.ts'
import type { HttpSession } from './session.ts'
import { type HttpTimeoutOptions, httpTimeoutNames, httpTimeouts } from './timeouts.ts'

/** Options of {@link http}. */
export interface HttpOptions extends HttpTimeoutOptions {
  /** What answers which requests. Without a route for it, a request is answered 404. @default none */
  routes?: readonly HttpRoute[]
  /** What a host program does at each step; see {@link Hooks}. @default none */
  hooks?: Hooks | readonly Hooks[]
  /** What clients are told of errors. @default a line of text with the status */
  errorPages?: ErrorPages
  /** The longest head of a request, in bytes; a longer one is answered 431. @default 32768 */
  headLimit?: number | string
  /** The longest target of a request, in bytes; a longer one is answered 414. @default 8192 */
  targetLimit?: number | string
  /** How many header fields a request may have; one with more is answered 431. @default 100 */
  fieldLimit?: number
  /** The longest body of a request, for routes without a limit of their own; 0 for any. @default 0 */
  bodyLimit?: number | string
  /** After how many requests a connection is closed; 0 for never. @default 0 */
  maxRequestsPerSession?: number
  /** Tunnels (upgraded connections, and CONNECT) at a time; one more is answered 503. 0 for no limit. @default 10000 */
  maxTunnels?: number
  /**
   * Whether a client that has ended its direction still gets its answer. If not, it is taken to have gone.
   * @default true
   */
  halfOpen?: boolean
  /** HTTP/2: to clients that choose it by ALPN, if it is not false. @default {} */
  http2?: false | Http2Options
  /** Told once of every request, when all of it is over; {@link combinedLogLine} makes a line of it. @default nobody */
  log?: (entry: AccessEntry) => void
}

/** A session of either version. */
type AnyHttpSession = ClientSession & HttpSession

/** The protocol that speaks HTTP/1.1 and HTTP/2, and what can be asked of it while it runs. */
export interface Http extends Protocol {
  (client: Connection): AnyHttpSession | Promise<AnyHttpSession>
  /** Adds hooks for all sessions and transactions from now on. */
  hook(hooks: Hooks): void
  /** Takes other routes for the requests that come from now on. Throws `XPS_INVALID_OPTION`, and changes nothing then. */
  route(routes: readonly HttpRoute[]): void
  stats(): HttpStats
}

const optionNames = [
  'routes',
  'hooks',
  'errorPages',
  'headLimit',
  'targetLimit',
  'fieldLimit',
  'bodyLimit',
  'maxRequestsPerSession',
  'maxTunnels',
  'halfOpen',
  'http2',
  'log',
  ...httpTimeoutNames,
]

/**
 * Makes the protocol of an HTTP server: give it to a listener. All options are checked at once.
 *
 * ```ts
 * await core.listen(8080, { protocol: http({ routes: [{ path: '/api', upstream: '127.0.0.1:3000' }, { files: 'public' }] }) })
 * ```
 */
export function http(options: HttpOptions = {}): Http {
  knownOptions('http options', options, optionNames)
  const { halfOpen = true, log } = options
  if (typeof halfOpen !== 'boolean') throw invalidOption('halfOpen', halfOpen, 'true or false')
  if (log !== undefined && typeof log !== 'function') throw invalidOption('log', log, 'a function')
  const hooks = new HookScope()
  for (const given of Array.isArray(options.hooks) ? options.hooks : [options.hooks ?? {}]) hooks.add(checkHooks(given))
  const bodyLimit = bodyLimitOption('bodyLimit', options.bodyLimit ?? 0)
  const scope = new HttpScope({
    hooks,
    limits: {
      headBytes: bytesOption('headLimit', options.headLimit ?? defaultHeadLimits.headBytes),
      targetBytes: bytesOption('targetLimit', options.targetLimit ?? defaultHeadLimits.targetBytes),
      fields: integerOption('fieldLimit', options.fieldLimit, defaultHeadLimits.fields, { min: 1, max: 10_000 }),
    },
    timeouts: httpTimeouts(options),
    errorPages: checkErrorPages(options.errorPages ?? {}),
    halfOpen,
    log,
    maxRequestsPerSession: integerOption('maxRequestsPerSession', options.maxRequestsPerSession, 0, {
      min: 0,
      max: Number.MAX_SAFE_INTEGER,
    }),
    maxTunnels: integerOption('maxTunnels', options.maxTunnels, 10_000, { min: 0, max: Number.MAX_SAFE_INTEGER }),
  })
  const use = (routes: readonly HttpRoute[]): void => {
    if (!Array.isArray(routes)) throw invalidOption('routes', routes, 'a list of routes')
    const prepared = routes.map((route, index) => prepare(`routes[${index}]`, route, scope, bodyLimit))
    scope.use(prepared, new RouteTable(prepared.map(heldRoute)))
  }
  use(options.routes ?? [])
  const rules = http2Rules(options.http2)
  const http1 = (client: Connection): AnyHttpSession => new Http1Session(client, scope)
  const http2 = (client: Connection): AnyHttpSession =>
    rules === undefined ? http1(client) : new Http2Session(client, scope, rules)
  return Object.assign(choosing(http1, http2, rules?.cleartext === true), {
    alpn: rules === undefined ? ['http/1.1'] : ['h2', 'http/1.1'],
    hook: (given: Hooks) => void hooks.add(checkHooks(given)),
    route: use,
    stats: () => scope.stats(),
  })
}

mustBeCalled('http', http)

/** Prepares a route; what is wrong with it is told with its name. */
function prepare(name: string, route: HttpRoute, scope: HttpScope, bodyLimit: number): PreparedRoute {
  if (typeof route !== 'object' || route === null) throw invalidOption(name, route, 'an object')
  try {
    return new PreparedRoute(name, route, scope, bodyLimit)
  } catch (error) {
    if (!isXpsError(error, 'XPS_INVALID_OPTION') || error.message.startsWith(name)) throw error
    throw new XpsError('XPS_INVALID_OPTION', `${name}: ${error.message}`, { cause: error })
  }
}

/** What the table has to know of a route. */
function heldRoute(prepared: PreparedRoute): HeldRoute {
  const given: RouteMatch = prepared.given
  const match: { -readonly [name in keyof RouteMatch]: unknown } = {}
  for (const name of routeMatchNames) if (given[name] !== undefined) match[name] = given[name]
  if ('connect' in given) match.method = 'CONNECT'
  return { ...(match as RouteMatch), prepared }
}

function checkHooks(hooks: Hooks): Hooks {
  if (typeof hooks !== 'object' || hooks === null) throw invalidOption('hooks', hooks, 'an object with hooks')
  for (const name of Object.keys(hooks)) {
    if (!hookPoints.includes(name as HookPoint)) throw invalidOption('hooks', name, `made of ${hookPoints.join(', ')}`)
    if (typeof hooks[name as HookPoint] !== 'function')
      throw invalidOption(`hooks.${name}`, hooks[name as HookPoint], 'a function')
  }
  return hooks
}
