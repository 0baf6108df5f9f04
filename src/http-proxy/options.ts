import type { ServerOptions } from 'node:https'
import type { Readable } from 'node:stream'
import { defaultTimeouts } from '../admission/timeouts.ts'
import type { Pem } from '../core/tls/pem.ts'
import { Upstream } from '../core/upstream.ts'
import { Provenance } from '../http/forwarding/provenance.ts'
import { type PoolOptions, poolRules } from '../http/pool/pool-options.ts'
import { durationOption, invalidOption } from '../options.ts'
import { redirectsOption } from './redirect-hop.ts'
import { cookieAttribute } from './response-rewrites.ts'
import { type ProxyTarget, readTarget } from './target.ts'
import { targetTls } from './target-tls.ts'

/** What becomes of an attribute of cookies: one value for all, or by the one that there is (`'*'` for all others). */
export type ProxyCookieRewrite = false | string | Readonly<Record<string, string | null>>

/**
 * Options of a {@link ProxyServer}, and of one request, where they count before those of the server. The names are those
 * of http-proxy and httpxy; `connectTimeout`, `pool` and `via` are ours.
 */
export interface ProxyServerOptions {
  /** Where requests go. There must be this or `forward`. */
  target?: ProxyTarget | undefined
  /** Where a copy of each request goes; what comes back is dropped. Without `target`, the client is answered 200. */
  forward?: ProxyTarget | undefined
  /** Puts the target's path in front of the request's. @default true */
  prependPath?: boolean | undefined
  /** Leaves the request's path out. @default false */
  ignorePath?: boolean | undefined
  /** Keeps a target in absolute form (`GET http://…`), for targets that are proxies. @default false */
  toProxy?: boolean | undefined
  /** Names the target in `Host`, in place of what the client asked for. @default false */
  changeOrigin?: boolean | undefined
  /** The method of the request to the target. @default the client's */
  method?: string | undefined
  /** Fields for the request to the target, in place of the client's of the same name. */
  headers?: Readonly<Record<string, string | number | readonly string[] | undefined>> | undefined
  /** `user:password` for requests that have no `Authorization`. */
  auth?: string | undefined
  /** Adds to `X-Forwarded-For`, `-Port` and `-Proto`, and sets `-Host` where there is none. @default false */
  xfwd?: boolean | undefined
  /** The body of the request, in place of the client's: for bodies that were read before. */
  buffer?: Readable | AsyncIterable<Uint8Array | string> | Uint8Array | string | undefined
  /** The host for redirects in which the target names itself. */
  hostRewrite?: string | undefined
  /** Such redirects are to the host that the client asked for. @default false */
  autoRewrite?: boolean | undefined
  /** The scheme for such redirects. */
  protocolRewrite?: string | null | undefined
  /** Rewrites `Domain` in `Set-Cookie`; `''` takes it away. @default false */
  cookieDomainRewrite?: ProxyCookieRewrite | undefined
  /** Rewrites `Path` in `Set-Cookie`; `''` takes it away. @default false */
  cookiePathRewrite?: ProxyCookieRewrite | undefined
  /** Whether names of response fields stay as the target spelled them; if not, they are in lower case. @default true */
  preserveHeaderKeyCase?: boolean | undefined
  /** The response is not sent: a listener to `proxyRes` answers. @default false */
  selfHandleResponse?: boolean | undefined
  /** Follows redirects of the target: 5, or as many as it says. @default false */
  followRedirects?: boolean | number | undefined
  /** How long the target may take to begin its response, or may be silent within it, in milliseconds; 0 for ever. @default 120000 */
  proxyTimeout?: number | undefined
  /**
   * How long the client may neither send nor take what is waited for, in milliseconds; 0 for ever. If given, it is the
   * timeout of the client's socket too, as with http-proxy.
   * @default 120000
   */
  timeout?: number | undefined
  /** How long connecting to the target may take, in milliseconds. @default 3000 */
  connectTimeout?: number | undefined
  /** How connections to each target are kept. */
  pool?: PoolOptions | undefined
  /** Connections are kept and used again, whatever agent there is; `false` closes each after its request. */
  agent?: unknown
  /** What stands for this proxy in `Via`, both ways. @default false, for none */
  via?: string | false | undefined
  /** For `listen`: what `https.createServer` is given. */
  ssl?: ServerOptions | undefined
  /** For `listen`, with `ssl`: speaks HTTP/2 too. @default false */
  http2?: boolean | undefined
  /** For `listen`: passes WebSockets, and other upgrades, on. @default false */
  ws?: boolean | undefined
  /** For `ws`: how long the target may take to agree, in milliseconds; 0 for ever. @default that of `proxyTimeout` */
  upgradeTimeout?: number | undefined
  /** For `ws`: how long a tunnel may be silent in both directions, in milliseconds; 0 for ever. @default 600000 */
  tunnelIdleTimeout?: number | undefined
  /** Whether the certificate of a target that speaks TLS must be trusted, and be for its host. @default true */
  secure?: boolean | undefined
  /** Whose signature on the certificates of targets is trusted. @default the authorities that Node knows */
  ca?: Pem | readonly Pem[] | undefined
  /** The address of this machine that connections to targets come from. @default the system chooses */
  localAddress?: string | undefined
}

const names: ReadonlySet<string> = new Set([
  'target',
  'forward',
  'prependPath',
  'ignorePath',
  'toProxy',
  'changeOrigin',
  'method',
  'headers',
  'auth',
  'xfwd',
  'buffer',
  'hostRewrite',
  'autoRewrite',
  'protocolRewrite',
  'cookieDomainRewrite',
  'cookiePathRewrite',
  'preserveHeaderKeyCase',
  'selfHandleResponse',
  'followRedirects',
  'proxyTimeout',
  'timeout',
  'connectTimeout',
  'pool',
  'agent',
  'via',
  'ssl',
  'http2',
  'ws',
  'upgradeTimeout',
  'tunnelIdleTimeout',
  'secure',
  'ca',
  'localAddress',
] satisfies (keyof ProxyServerOptions)[])

/** Both a target's silence and a client's, where nothing else was said. */
const defaultSilence = 120_000

/** The timeouts of a request, in milliseconds. */
export interface Times {
  readonly proxy: number
  readonly client: number
  readonly connect: number
  /** Silence in a tunnel. */
  readonly tunnel: number
}

/**
 * Refuses what cannot be (`XPS_INVALID_OPTION`), and warns, once for each name, of what has no effect. Options of a
 * server and of single requests are checked alike.
 */
export function checkOptions(options: ProxyServerOptions): void {
  if (typeof options !== 'object' || options === null) throw invalidOption('options', options, 'an object')
  for (const name of Object.keys(options)) {
    if (!names.has(name)) warnOnce(name, `option '${name}' is unknown and has no effect`)
  }
  for (const name of ['target', 'forward'] as const) {
    const given = options[name]
    if (given === undefined || given === null) continue
    const tls = targetTls(readTarget(name, given), options)
    if (tls !== undefined) new Upstream('localhost:443', { tls })
  }
  const { localAddress } = options
  if (localAddress !== undefined && localAddress !== null) new Upstream('localhost:80', { localAddress })
  if (typeof options.agent === 'object' && options.agent !== null) {
    warnOnce('agent', "option 'agent' has no effect: connections are kept by the proxy itself, see 'pool'")
  }
  durationOption('upgradeTimeout', options.upgradeTimeout, 0, true)
  redirectsOption(options.followRedirects)
  if (options.via !== undefined) new Provenance({ via: options.via })
  cookieAttribute('domain', options.cookieDomainRewrite)
  cookieAttribute('path', options.cookiePathRewrite)
  if (options.pool !== undefined) poolRules(options.pool)
  timesOf(options)
}

/** The timeouts of a request. Throws `XPS_INVALID_OPTION`. */
export function timesOf(options: ProxyServerOptions): Times {
  return {
    proxy: durationOption('proxyTimeout', options.proxyTimeout ?? undefined, defaultSilence, true),
    client: durationOption('timeout', options.timeout ?? undefined, defaultSilence, true),
    connect: durationOption('connectTimeout', options.connectTimeout, defaultTimeouts.connectTimeout),
    tunnel: durationOption('tunnelIdleTimeout', options.tunnelIdleTimeout, defaultTimeouts.tunnelIdleTimeout, true),
  }
}

/** The options of a server with those of one request over them; what is undefined there does not count. */
export function mergeOptions(base: ProxyServerOptions, over: ProxyServerOptions | undefined): ProxyServerOptions {
  if (over === undefined) return base
  const merged: Record<string, unknown> = { ...base }
  for (const [name, value] of Object.entries(over)) if (value !== undefined) merged[name] = value
  return merged
}

const warned = new Set<string>()

function warnOnce(name: string, message: string): void {
  // Names come from programs, not from clients; a program that makes them up is warned no more after a while.
  if (warned.has(name) || warned.size >= 100) return
  warned.add(name)
  process.emitWarning(`xps/http-proxy: ${message}`, { code: 'XPS_HTTP_PROXY_OPTION' })
}
