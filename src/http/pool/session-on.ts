import type { Connection } from '../../core/connection.ts'
import type { Upstream } from '../../core/upstream.ts'
import type { HeadLimits } from '../http1/head-reader.ts'
import { Http1UpstreamSession } from '../http1/upstream-session.ts'
import { Http2UpstreamSession } from '../http2/upstream-session.ts'
import type { UpstreamOwner, UpstreamSession } from '../upstream-session.ts'
import type { PoolRules } from './pool-options.ts'

/** What is offered by ALPN; in plain text, whoever speaks HTTP/2 says only that he takes the socket. */
export function offered(
  http2: PoolRules['http2'],
  http1: boolean,
  { secure }: Upstream,
): readonly string[] | undefined {
  if (http2 === 'prior-knowledge') return ['h2']
  if (!secure || !http2) return undefined
  return http1 ? ['http/1.1'] : ['h2', 'http/1.1']
}

/**
 * The session of a connection that has opened: of HTTP/2 if that was chosen, or is known. It may be `opening`; the owner is
 * told when it is open then, and not otherwise. Throws if the connection has broken already.
 */
export function sessionOn(
  connection: Connection,
  owner: UpstreamOwner,
  limits: HeadLimits,
  rules: PoolRules,
  settingsTimeout: number,
): UpstreamSession {
  const { http2, maxStreams, pingInterval } = rules
  if (http2 !== 'prior-knowledge' && connection.tls?.alpn !== 'h2') {
    return new Http1UpstreamSession(connection, limits, owner)
  }
  return new Http2UpstreamSession(connection, owner, { limits, maxStreams, pingInterval, settingsTimeout })
}
