import { invalidOption } from '../options.ts'

/** Where requests go, in parts, as `url.parse` names them. */
export interface ProxyTargetDetailed {
  protocol?: string | null | undefined
  /** A name or address; with a port behind it, that counts unless there is a `port`. */
  host?: string | null | undefined
  /** Counts before `host`. */
  hostname?: string | null | undefined
  port?: number | string | null | undefined
  /** A Unix-domain socket, in place of host and port. */
  socketPath?: string | undefined
  /** Path and query. */
  path?: string | null | undefined
  pathname?: string | null | undefined
  search?: string | null | undefined
  /** `user:password`. */
  auth?: string | null | undefined
  /** What only matters for TLS. */
  readonly [tls: string]: unknown
}

/** Where requests go: a URL, as text or parsed, or its parts. A Unix-domain socket is `'unix:/run/app.sock'`. */
export type ProxyTarget = string | URL | ProxyTargetDetailed

/** A target that was read. */
export interface Target {
  /** As events tell it: a URL, or the parts that were given. */
  readonly url: URL | ProxyTargetDetailed
  /** As `Upstream` reads it: `127.0.0.1:3000`, `unix:/run/app.sock`. */
  readonly address: string
  /** It speaks TLS. */
  readonly secure: boolean
  /** What it is called in a `Host` field, without a default port. */
  readonly host: string
  readonly path: string
  /** With its question mark, or ''. */
  readonly query: string
  readonly auth: string | undefined
}

/** How many targets are remembered. */
const mostRemembered = 1_000
const remembered = new Map<string, Target>()

/** Reads a target. Throws `XPS_INVALID_OPTION` with the name of the option. */
export function readTarget(name: string, given: ProxyTarget): Target {
  if (typeof given !== 'string') return parse(name, given)
  let target = remembered.get(given)
  if (target === undefined) {
    target = parse(name, given)
    if (remembered.size >= mostRemembered) remembered.clear()
    remembered.set(given, target)
  }
  return target
}

const shape = "a URL such as 'http://127.0.0.1:3000'"

function parse(name: string, given: ProxyTarget): Target {
  if (typeof given === 'string') {
    if (/^unix:\/./.test(given)) return ofParts(name, { socketPath: given.slice(5) })
    let url: URL
    try {
      url = new URL(given)
    } catch {
      throw invalidOption(name, given, shape)
    }
    return ofUrl(name, url)
  }
  if (typeof given !== 'object' || given === null) throw invalidOption(name, given, shape)
  return given instanceof URL ? ofUrl(name, given) : ofParts(name, given)
}

function ofUrl(name: string, url: URL): Target {
  const secure = isSecure(name, url.protocol)
  if (url.hostname === '') throw invalidOption(name, url.href, shape)
  const { username, password } = url
  return {
    url,
    address: `${url.hostname}:${url.port === '' ? portOf(secure) : url.port}`,
    secure,
    host: url.host,
    path: url.pathname,
    query: url.search,
    auth: username === '' ? undefined : `${decodeURIComponent(username)}:${decodeURIComponent(password)}`,
  }
}

function ofParts(name: string, parts: ProxyTargetDetailed): Target {
  const secure = isSecure(name, parts.protocol ?? 'http:')
  const whole = parts.path ?? `${parts.pathname ?? '/'}${parts.search ?? ''}`
  const mark = whole.indexOf('?')
  const path = mark < 0 ? whole : whole.slice(0, mark)
  const query = mark < 0 ? '' : whole.slice(mark)
  const auth = parts.auth ?? undefined
  if (typeof parts.socketPath === 'string' && parts.socketPath !== '') {
    return { url: parts, address: `unix:${parts.socketPath}`, secure, host: 'localhost', path, query, auth }
  }
  const named = /^(\[[^\]]+\]|[^:]*)(?::(\d+))?$/.exec(parts.hostname ?? parts.host ?? '')
  // An IPv6 address may come without brackets where it is a hostname.
  const bare = named === null ? (parts.hostname ?? parts.host ?? '') : (named[1] as string)
  const hostname = bare.includes(':') && !bare.startsWith('[') ? `[${bare}]` : bare
  const port = Number(parts.port ?? named?.[2] ?? portOf(secure))
  if (hostname === '' || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw invalidOption(name, `${hostname}:${parts.port ?? ''}`, 'an object with a host and a port, or a socketPath')
  }
  const host = port === portOf(secure) ? hostname : `${hostname}:${port}`
  return { url: parts, address: `${hostname}:${port}`, secure, host, path, query, auth }
}

function isSecure(name: string, protocol: string): boolean {
  // `ws:` is what a target is called that is for WebSockets too.
  if (/^(?:http|ws):?$/.test(protocol)) return false
  if (/^(?:https|wss):?$/.test(protocol)) return true
  throw invalidOption(name, protocol, shape)
}

function portOf(secure: boolean): number {
  return secure ? 443 : 80
}
