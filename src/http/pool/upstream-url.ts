import type { UpstreamTlsOptions } from '../../core/tls/upstream-tls.ts'
import type { Upstream, UpstreamTarget } from '../../core/upstream.ts'
import { invalidOption } from '../../options.ts'
import type { PoolOptions } from './pool-options.ts'

/** An upstream as a route names it: where it is, and how it is spoken to. */
export interface UpstreamPlace {
  readonly target: UpstreamTarget | Upstream
  readonly tls: boolean | UpstreamTlsOptions | undefined
  readonly http2: PoolOptions['http2']
}

/**
 * Reads what a route says of one of its upstreams: text may be a URL without a path. `http:` (port 80) and `h2c:` (port
 * 80, HTTP/2 only) are plain text, `https:` (port 443) is TLS. Throws `XPS_INVALID_OPTION`; `name` is the route's.
 */
export function upstreamPlace(
  name: string,
  target: UpstreamTarget | Upstream,
  tls: boolean | UpstreamTlsOptions | undefined,
  http2: PoolOptions['http2'],
): UpstreamPlace {
  const scheme = typeof target === 'string' ? /^(https?|h2c):\/\//i.exec(target)?.[1]?.toLowerCase() : undefined
  if (scheme === undefined) return { target, tls, http2 }
  const text = target as string
  const encrypted = scheme === 'https'
  if (encrypted && tls === false) throw invalidOption(`${name}.tls`, tls, 'true for https://')
  if (!encrypted && tls !== undefined && tls !== false) {
    throw invalidOption(`${name}.tls`, tls, `left out for ${scheme}://, which is plain text`)
  }
  if (scheme === 'h2c' && http2 === false) throw invalidOption(`${name}.http2`, http2, 'left out for h2c://')
  return {
    target: hostAndPort(name, text, encrypted ? 443 : 80),
    tls: encrypted ? (tls ?? true) : undefined,
    http2: scheme === 'h2c' ? 'prior-knowledge' : http2,
  }
}

function hostAndPort(name: string, text: string, port: number): string {
  // A URL of a scheme that it does not know is read otherwise; what comes behind is the same for all.
  const url = text.replace(/^\w+:/, 'http:')
  const read = URL.canParse(url) ? new URL(url) : undefined
  if (
    read === undefined ||
    read.pathname !== '/' ||
    read.search !== '' ||
    read.hash !== '' ||
    read.username !== '' ||
    read.password !== ''
  ) {
    const shape = `'http://host:port' (or https, h2c) without a path (see the option prefix), or 'host:port'`
    throw invalidOption(`${name}.upstream`, text, shape)
  }
  // Port 80 is left out by `URL`, whichever scheme was meant.
  const given = /:(\d+)\/?$/.exec(text)?.[1]
  return `${read.hostname}:${given === undefined ? port : Number(given)}`
}
