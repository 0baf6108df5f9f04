import type { Socket } from 'node:net'
import type { HttpOptions } from '../../../src/http/http.ts'
import type { CoreOptions, ListenerOptions } from '../../../src/index.ts'
import type { TestPeer } from '../../../src/testing/index.ts'
import type { Field } from '../../support/hpack.ts'
import { Http2Wire, request, type WireOptions } from '../../support/http2-wire.ts'
import { TestServer } from '../../support/net.ts'
import { proxy, Served } from '../e2e/support.ts'

export { Backend, gate, ok, pong, turns, until } from '../e2e/support.ts'

/** Options of a server that speaks HTTP/2 without TLS. */
export function clear(options: HttpOptions = {}): HttpOptions {
  return { ...options, http2: { cleartext: true, ...options.http2 } }
}

/** A server that speaks HTTP/2 without TLS. */
export function serving(
  options: HttpOptions,
  core: CoreOptions = {},
  listening: Partial<ListenerOptions> = {},
): Promise<Served> {
  return Served.start(clear(options), core, listening)
}

/** A reverse proxy that speaks HTTP/2 without TLS, to an upstream of HTTP/1.1. */
export function proxying(
  backend: { readonly address: string },
  options: HttpOptions = {},
  core: CoreOptions = {},
  listening: Partial<ListenerOptions> = {},
): Promise<Served> {
  return proxy(backend, clear(options), core, listening)
}

/** A client of frames. */
export function client(served: Served, options: WireOptions = {}): Promise<Http2Wire> {
  return Http2Wire.connect(served.port, options)
}

/** The head of a POST. */
export function posting(path = '/', fields: readonly Field[] = []): Field[] {
  return request('POST', path, fields)
}

/** An upstream that a test plays connection by connection. */
export function played(play: (peer: TestPeer, socket: Socket) => Promise<void>): Promise<TestServer> {
  return TestServer.start((peer, socket) => {
    // What is left of it when the test ends rejects.
    play(peer, socket).catch(() => {})
  })
}
