import { expect } from 'vitest'
import type { HttpOptions } from '../../../src/http/http.ts'
import type { Http2Options } from '../../../src/http/http2/options.ts'
import type { CoreOptions } from '../../../src/index.ts'
import type { ManualClock } from '../../../src/testing/index.ts'
import { Http2Wire, type WireOptions } from '../../support/http2-wire.ts'
import { type Backend, proxy, type Served, turns, until } from '../e2e/support.ts'

/** A proxy that speaks HTTP/2 with prior knowledge. */
export function proxy2(
  upstream: { address: string },
  http2: Http2Options = {},
  options: HttpOptions = {},
  core: CoreOptions = {},
): Promise<Served> {
  return proxy(upstream, { http2: { cleartext: true, ...http2 }, ...options }, core)
}

/** Everything of a test's own: an upstream, a proxy before it, and a client of that. */
export async function connected(served: Served, options: WireOptions = {}): Promise<Http2Wire> {
  return Http2Wire.connect(served.port, options)
}

/** Sends again and again, a thousand at most at a time, until the other side has had enough. */
export async function flood(
  wire: Http2Wire,
  most: number,
  send: (at: number) => void | Promise<void>,
  batch = 100,
): Promise<number> {
  let sent = 0
  while (sent < most && !wire.dead) {
    wire.socket.cork()
    for (let at = 0; at < batch && sent < most; at++) await send(sent++)
    wire.socket.uncork()
    // What was sent is read, and answered, before more is.
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
  return sent
}

/** The connection was ended with ENHANCE_YOUR_CALM, and a flood of that kind counted, once. */
export async function calmed(served: Served, wire: Http2Wire, kind: string): Promise<void> {
  const ending = await wire.over()
  expect(ending, wire.transcript()).toMatchObject({ kind: 'goaway', code: 'ENHANCE_YOUR_CALM' })
  expect(served.http.stats().floods).toMatchObject({ [kind]: 1 })
  await served.settled()
}

/**
 * Nobody is left on either side. With a clock, time passes meanwhile: Node 20 does not tell that a connection has ended for an
 * error, and xps looks for such ones each second.
 */
export async function quiet(served: Served, backend: Backend, clock?: ManualClock): Promise<void> {
  for (let at = 0; clock !== undefined && at < 20 && served.http.stats().sessions > 0; at++) {
    clock.advance(1_000)
    await turns(5)
  }
  await served.settled()
  await until(() => {
    const { connections = 0, idle = 0 } = Object.values(served.http.stats().upstreams)[0] ?? {}
    expect(backend.open).toBe(connections)
    expect(idle).toBe(connections)
  })
}
