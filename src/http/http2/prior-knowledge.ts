import type { Connection } from '../../core/connection.ts'
import { XpsError } from '../../errors.ts'

/** What a client sends first that speaks HTTP/2 (RFC 9113, 3.4). */
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

/**
 * Makes the session of the version that the client has chosen by ALPN; without TLS that of HTTP/1.1, or, with `cleartext`, of
 * HTTP/2 if the client begins with its preface.
 */
export function choosing<S>(
  http1: (client: Connection) => S,
  http2: (client: Connection) => S,
  cleartext: boolean,
): (client: Connection) => S | Promise<S> {
  return (client) => {
    if (client.tls !== undefined) return client.tls.alpn === 'h2' ? http2(client) : http1(client)
    if (!cleartext) return http1(client)
    return client.look(isPreface).then((is) => {
      if (client.phase === 'closed') throw new XpsError('XPS_RESET', 'the client has gone', { origin: 'client' })
      return is === true ? http2(client) : http1(client)
    })
  }
}

/** Whether the first bytes are HTTP/2's; undefined as long as they may be. */
function isPreface(bytes: Uint8Array): boolean | undefined {
  const length = Math.min(bytes.length, preface.length)
  if (preface.compare(bytes, 0, length, 0, length) !== 0) return false
  return length === preface.length ? true : undefined
}
