import { describe, expect, it } from 'vitest'
import { answerAll, Http2Server } from '../../support/http2-server.ts'
import { Http2Wire } from '../../support/http2-wire.ts'
import { Served } from './support.ts'

/** A proxy that speaks HTTP/2 on both sides. */
function between(backend: Http2Server): Promise<Served> {
  return Served.start({ routes: [{ upstream: `h2c://${backend.address}` }], http2: { cleartext: true } })
}

describe('HTTP/2 on both sides', () => {
  it('passes requests and responses on, many at a time, over one connection', async () => {
    await using backend = await Http2Server.start((wire) =>
      answerAll(wire, async (one, stream) => {
        const body = await one.whole(one.stream(stream))
        one.respond(stream, 200, `${one.stream(stream).header(':path')} ${body.length}`)
      }),
    )
    await using served = await between(backend)
    await using client = await Http2Wire.connect(served.port)
    for (let stream = 1; stream <= 39; stream += 2) void client.post(stream, `/${stream}`, 'x'.repeat(stream * 1_000))
    for (let stream = 1; stream <= 39; stream += 2) {
      const answer = await client.response(stream)
      expect([answer.status, answer.body]).toEqual([200, `/${stream} ${stream * 1_000}`])
    }
    expect(backend.wires).toHaveLength(1)
    expect(backend.wires[0]?.stream(1).header(':authority')).toBe('a.test')
    expect(backend.wires[0]?.stream(1).header('via')).toBe('2.0 xps')
  })

  it('passes trailers on behind a body whose length was said, and such a body without them', async () => {
    await using backend = await Http2Server.start((wire) =>
      answerAll(wire, async (one, stream) => {
        one.headers(stream, [
          [':status', '200'],
          ['content-length', '8'],
        ])
        one.data(stream, 'half')
        await client.until('the beginning', () => client.stream(stream).received === 4)
        if (stream === 1) {
          one.data(stream, 'half')
          one.headers(stream, [['x-sum', 'good']], { endStream: true })
        } else one.data(stream, 'half', { endStream: true })
      }),
    )
    await using served = await between(backend)
    await using client = await Http2Wire.connect(served.port)
    for (const stream of [1, 3]) {
      client.get(stream)
      const answer = await client.response(stream)
      expect([answer.header('content-length'), answer.body]).toEqual(['8', 'halfhalf'])
      expect(answer.trailers).toEqual(stream === 1 ? [['x-sum', 'good']] : [])
    }
  })

  it('puts cookies together that came in crumbs', async () => {
    await using backend = await Http2Server.start((wire) => answerAll(wire, (one, stream) => one.respond(stream, 204)))
    await using served = await between(backend)
    await using client = await Http2Wire.connect(served.port)
    client.get(1, '/', [
      ['cookie', 'a=1'],
      ['cookie', 'b=2'],
    ])
    expect((await client.response(1)).status).toBe(204)
    expect(backend.wires[0]?.stream(1).header('cookie')).toBe('a=1; b=2')
  })

  it.each([
    ['CANCEL', 'CANCEL'],
    ['ENHANCE_YOUR_CALM', 'ENHANCE_YOUR_CALM'],
    ['INTERNAL_ERROR', 'INTERNAL_ERROR'],
    ['NO_ERROR', 'INTERNAL_ERROR'],
    ['REFUSED_STREAM', 'INTERNAL_ERROR'],
  ] as const)('tells a client whose response was reset by %s of %s', async (code, told) => {
    await using backend = await Http2Server.start((wire) =>
      answerAll(wire, async (one, stream) => {
        one.headers(stream, [[':status', '200']])
        one.data(stream, 'part')
        await client.until('the beginning', () => client.stream(1).received === 4)
        one.rst(stream, code)
      }),
    )
    await using served = await between(backend)
    await using client = await Http2Wire.connect(served.port)
    client.get(1)
    expect(await client.ending(1)).toEqual({ kind: 'reset', code: told })
    expect(client.stream(1).body).toBe('part')
    await client.alive()
  })

  it('resets the stream to the upstream, and no other, when the client resets its own', async () => {
    await using backend = await Http2Server.start()
    await using served = await between(backend)
    await using client = await Http2Wire.connect(served.port)
    client.get(1, '/a')
    client.get(3, '/b')
    const up = await backend.accept()
    await up.until('both', () => up.streams.size === 2)
    const [gone, other] = [...up.streams.values()].sort(
      (a, b) => Number(a.header(':path') === '/b') - Number(b.header(':path') === '/b'),
    )
    client.rst(1)
    await up.until('a reset', () => gone?.reset !== undefined)
    expect(gone?.reset).toBe('CANCEL')
    up.respond(other?.id ?? 0, 200, 'pong')
    expect((await client.response(3)).body).toBe('pong')
  })

  it('keeps what a storm of resets leaves behind at nothing', async () => {
    await using backend = await Http2Server.start((wire) =>
      answerAll(wire, (one, stream) => {
        if (stream % 3 === 0) one.rst(stream)
        else if (stream % 5 !== 0) one.respond(stream, 200, 'pong')
      }),
    )
    await using served = await between(backend)
    await using client = await Http2Wire.connect(served.port)
    for (let round = 0; round < 5; round++) {
      for (let at = 0; at < 20; at++) {
        const stream = 1 + 2 * (round * 20 + at)
        client.get(stream)
        if (at % 4 === 0) client.rst(stream)
      }
      await client.alive()
    }
    client.end()
    await served.settled()
  })
})
