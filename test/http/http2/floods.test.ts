import { describe, expect, it } from 'vitest'
import type { Http2Wire } from '../../support/http2-wire.ts'
import { Backend, client, ok, posting, proxying, serving, turns, until } from './support.ts'

/** Small limits, so that a flood is soon one. */
const small = { maxResets: 10, maxPings: 10, maxSettings: 10, maxPriorities: 10, maxInvalidFrames: 10 }

type Sender = (wire: Http2Wire, at: number) => void

describe('A flood', () => {
  const floods: readonly [what: string, counted: string, send: Sender][] = [
    ['PING', 'pings', (wire) => wire.ping()],
    ['SETTINGS', 'settings', (wire) => wire.settings({ INITIAL_WINDOW_SIZE: 65_535 })],
    ['empty DATA', 'frames', (wire) => wire.data(1, '')],
    [
      'requests that are taken back',
      'resets',
      (wire, at) => {
        wire.get(3 + at * 2, '/slow')
        wire.rst(3 + at * 2)
      },
    ],
    [
      'requests that break the protocol after their heads',
      'resets',
      (wire, at) => {
        wire.headers(3 + at * 2, posting('/slow', [['content-length', '5']]))
        wire.data(3 + at * 2, '', { endStream: true })
      },
    ],
  ]
  it.each(floods)('of %s is ended with ENHANCE_YOUR_CALM, and counted', async (_what, counted, send) => {
    await using backend = await Backend.start((message) => (message.target === '/slow' ? undefined : ok('ok')))
    await using served = await proxying(backend, { http2: small })
    await using wire = await client(served)
    wire.headers(1, posting('/slow'))
    for (let at = 0; at < 9; at++) send(wire, at)
    expect(await wire.alive()).toBe(true)
    for (let at = 9; at < 40 && !wire.dead; at++) {
      send(wire, at)
      await turns(2)
    }
    expect(await wire.over()).toMatchObject({ kind: 'goaway', code: 'ENHANCE_YOUR_CALM' })
    await served.settled()
    expect(served.http.stats().floods).toMatchObject({ [counted]: 1 })
    await using other = await client(served)
    other.get(1)
    expect((await other.response(1)).body).toBe('ok')
  })

  it('of CONTINUATION frames is ended, and counted', async () => {
    await using served = await serving({ routes: [{ reply: 200 }] })
    await using wire = await client(served)
    wire.headers(1, [[':method', 'GET']], { endHeaders: false })
    for (let at = 0; at < 50 && !wire.dead; at++) {
      wire.continuation(1, [[`x-${at}`, 'y']], false)
      await turns(2)
    }
    expect(await wire.over()).toMatchObject({ kind: 'goaway', code: 'ENHANCE_YOUR_CALM' })
    expect(served.http.stats().floods.frames).toBe(1)
  })

  it('is none that is spread over a longer time', async () => {
    await using served = await serving({ routes: [{ reply: 200 }], http2: { ...small, floodWindow: 50 } })
    await using wire = await client(served)
    for (let round = 0; round < 4; round++) {
      for (let at = 0; at < 4; at++) wire.ping()
      expect(await wire.alive()).toBe(true)
      const { bytesIn } = served.core.stats()
      expect(bytesIn).toBeGreaterThan(0)
      // The clock of bytes ticks ten times a second.
      await new Promise((resolve) => setTimeout(resolve, 160))
    }
    wire.get(1)
    expect((await wire.response(1)).status).toBe(200)
  })

  it('of requests that were answered when they were taken back is none', async () => {
    await using served = await serving({ routes: [{ reply: 200 }], http2: small })
    await using wire = await client(served)
    for (let stream = 1; stream < 60; stream += 2) {
      wire.get(stream)
      await wire.response(stream)
      wire.rst(stream)
    }
    expect(await wire.alive()).toBe(true)
    expect(served.http.stats().floods.resets).toBe(0)
  })

  it('ends the session with its own error, and lets all transactions close', async () => {
    await using backend = await Backend.start(() => undefined)
    const closed: string[] = []
    await using served = await proxying(backend, {
      http2: small,
      hooks: {
        transactionClose: () => void closed.push('transaction'),
        sessionClose: () => void closed.push('session'),
      },
    })
    const errors: (string | undefined)[] = []
    served.listener.on('session', (session) => session.on('close', (error) => errors.push(error?.code)))
    await using wire = await client(served)
    for (const stream of [1, 3, 5]) wire.get(stream)
    await until(() => expect(backend.requests).toHaveLength(3))
    wire.together(() => {
      for (let at = 0; at < 30; at++) wire.ping()
    })
    await wire.over()
    await served.settled()
    expect(closed).toEqual(['transaction', 'transaction', 'transaction', 'session'])
    expect(errors).toEqual(['XPS_FLOOD'])
    await until(() => expect(backend.open).toBe(0))
  })
})
