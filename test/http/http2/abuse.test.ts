import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/testing/index.ts'
import { encodeFields, type Field, indexed, literal, tableSize } from '../../support/hpack.ts'
import { END_HEADERS, END_STREAM, words } from '../../support/http2-frames.ts'
import { request } from '../../support/http2-wire.ts'
import { Backend, ok, stands, until } from '../e2e/support.ts'
import { calmed, connected, flood, proxy2, quiet } from './proxied.ts'

const get = encodeFields(request())
const most = 2 ** 31 - 1

/** An upstream that answers nothing of /hold. */
function holding(): Promise<Backend> {
  return Backend.start(({ target }) => (target === '/hold' ? undefined : ok('fine')))
}

describe('A flood is ended with ENHANCE_YOUR_CALM and counted:', () => {
  it('requests that are taken back at once (rapid reset)', async () => {
    await using backend = await holding()
    await using served = await proxy2(backend, { maxResets: 50 })
    await using wire = await connected(served)
    const sent = await flood(wire, 2_000, (at) => {
      wire.get(1 + at * 2, '/hold')
      wire.rst(1 + at * 2)
    })
    expect(sent).toBeLessThan(500)
    await calmed(served, wire, 'resets')
    expect(backend.accepted).toBeLessThan(101)
    await quiet(served, backend)
  })

  it('requests that are taken back when the upstream has them', async () => {
    await using backend = await holding()
    await using served = await proxy2(backend, { maxResets: 20 })
    await using wire = await connected(served)
    for (let at = 0; at < 30 && !wire.dead; at++) {
      wire.get(1 + at * 2, '/hold')
      await until(() => expect(wire.dead || backend.requests.length > at).toBe(true))
      wire.rst(1 + at * 2)
      await wire.alive()
    }
    await calmed(served, wire, 'resets')
    expect(backend.requests.length).toBeLessThan(23)
    await quiet(served, backend)
  })

  it('resets that a client brings the server to (made you reset), by windows that are too large', async () => {
    await using backend = await holding()
    await using served = await proxy2(backend, { maxResets: 50 })
    await using wire = await connected(served)
    await flood(
      wire,
      1_000,
      (at) => {
        const stream = 1 + at * 2
        wire.get(stream, '/hold')
        wire.windowUpdate(stream, most)
        wire.windowUpdate(stream, most)
      },
      10,
    )
    const ending = await wire.over()
    expect(ending.kind === 'goaway' ? ending.code : ending.kind).toMatch(
      /ENHANCE_YOUR_CALM|FLOW_CONTROL_ERROR|PROTOCOL_ERROR/,
    )
    expect(backend.requests.length).toBeLessThan(101)
    await quiet(served, backend)
  })

  it.each([
    ['DATA after the end', (wire: Wire, id: number) => wire.data(id, 'x')],
    ['HEADERS after the end', (wire: Wire, id: number) => wire.headers(id, get, { endStream: true })],
    ['WINDOW_UPDATE of 0', (wire: Wire, id: number) => wire.windowUpdate(id, 0)],
    ['PRIORITY of a wrong length', (wire: Wire, id: number) => wire.frame('PRIORITY', 0, id, 'xxx')],
    ['PRIORITY that depends on itself', (wire: Wire, id: number) => wire.priority(id, id)],
  ])('resets that a client brings the server to: by %s', async (what, break_) => {
    const clock = new ManualClock()
    await using backend = await holding()
    await using served = await proxy2(backend, { maxResets: 50 }, {}, { clock })
    await using wire = await connected(served)
    const sent = await flood(
      wire,
      500,
      (at) => {
        wire.get(1 + at * 2, '/hold')
        break_(wire, 1 + at * 2)
      },
      10,
    )
    // Newer versions of Node do not read PRIORITY: those are requests like others, until there are too many of them.
    if (wire.dead || !(await wire.alive())) {
      expect(sent).toBeLessThan(500)
      expect(wire.goneAway?.code, wire.transcript()).toMatch(
        /^(ENHANCE_YOUR_CALM|STREAM_CLOSED|PROTOCOL_ERROR|FRAME_SIZE_ERROR)$/,
      )
    } else expect(what).toMatch(/^PRIORITY/)
    expect(backend.requests.length, `after ${sent}`).toBeLessThan(102)
    wire.cut()
    await quiet(served, backend, clock)
  })

  it('malformed requests', async () => {
    await using backend = await holding()
    await using served = await proxy2(backend, { maxResets: 50, maxInvalidFrames: 50 })
    await using wire = await connected(served)
    const sent = await flood(wire, 3_000, (at) => {
      wire.headers(1 + at * 2, [...request(), ['Upper', 'case']], { endStream: true })
    })
    expect(sent).toBeLessThan(1_000)
    await wire.over()
    expect(wire.goneAway?.code).toBe('ENHANCE_YOUR_CALM')
    expect(backend.bytes).toBe(0)
    await quiet(served, backend)
  })

  it('requests that xps refuses with a 400', async () => {
    await using backend = await holding()
    await using served = await proxy2(backend, { maxResets: 50 })
    await using wire = await connected(served)
    const sent = await flood(wire, 3_000, (at) => {
      wire.headers(1 + at * 2, [...request(), ['host', 'other.test']])
      wire.rst(1 + at * 2)
    })
    expect(sent).toBeLessThan(1_000)
    await calmed(served, wire, 'resets')
    expect(backend.bytes).toBe(0)
  })

  it('PING', async () => {
    await using backend = await holding()
    await using served = await proxy2(backend, { maxPings: 200 })
    await using wire = await connected(served)
    expect(await flood(wire, 5_000, () => wire.ping())).toBeLessThan(1_000)
    await calmed(served, wire, 'pings')
  })

  it('SETTINGS', async () => {
    await using backend = await holding()
    await using served = await proxy2(backend, { maxSettings: 50 })
    await using wire = await connected(served)
    expect(await flood(wire, 5_000, (at) => wire.settings({ INITIAL_WINDOW_SIZE: 65_535 + (at % 2) }))).toBeLessThan(
      1_000,
    )
    await calmed(served, wire, 'settings')
  })

  it('empty SETTINGS', async () => {
    await using backend = await holding()
    await using served = await proxy2(backend, { maxSettings: 50 })
    await using wire = await connected(served)
    expect(await flood(wire, 5_000, () => wire.settings({}))).toBeLessThan(1_000)
    await calmed(served, wire, 'settings')
  })

  it('empty DATA', async () => {
    await using backend = await holding()
    await using served = await proxy2(backend)
    await using wire = await connected(served)
    wire.headers(1, request('POST', '/hold'))
    expect(await flood(wire, 20_000, () => wire.data(1, ''))).toBeLessThan(2_000)
    await calmed(served, wire, 'frames')
    await quiet(served, backend)
  })

  it('DATA of nothing but padding does not harm', async () => {
    await using backend = await holding()
    await using served = await proxy2(backend)
    await using wire = await connected(served)
    wire.headers(1, request('POST', '/fine'))
    for (let at = 0; at < 2_000 && !wire.dead; at++) {
      await wire.until('a window', () => wire.dead || wire.room(1) > 10)
      wire.data(1, '', { padding: 3 })
    }
    if (wire.dead) return calmed(served, wire, 'frames')
    wire.data(1, '', { endStream: true })
    expect((await wire.response(1)).body).toBe('fine')
    await served[Symbol.asyncDispose]()
  })

  it('CONTINUATION without an end', async () => {
    await using backend = await holding()
    await using served = await proxy2(backend)
    await using wire = await connected(served)
    wire.headers(1, get, { endStream: true, endHeaders: false })
    const sent = await flood(wire, 20_000, (at) => wire.continuation(1, [['x', `value ${at}`]], false), 10)
    expect(sent).toBeLessThan(2_000)
    await calmed(served, wire, 'frames')
    expect(backend.bytes).toBe(0)
  })

  it('empty CONTINUATION', async () => {
    await using backend = await holding()
    await using served = await proxy2(backend)
    await using wire = await connected(served)
    wire.headers(1, get, { endStream: true, endHeaders: false })
    const sent = await flood(wire, 20_000, () => wire.frame('CONTINUATION', 0, 1), 10)
    expect(sent).toBeLessThan(2_000)
    await calmed(served, wire, 'frames')
    expect(backend.bytes).toBe(0)
  })

  it('answers that nobody reads', async () => {
    await using backend = await holding()
    await using served = await proxy2(backend, { maxPings: 1_000_000 })
    await using wire = await connected(served)
    wire.socket.pause()
    let sent = 0
    const ping = Buffer.alloc(17 * 5_000)
    for (let at = 0; at < 5_000; at++) ping.set([0, 0, 8, 6, 0, 0, 0, 0, 0], at * 17)
    while (sent < 400 && served.http.stats().floods.frames === 0 && !wire.closed) {
      wire.raw(ping)
      sent++
      await new Promise((resolve) => setImmediate(resolve))
    }
    await until(() => expect(served.http.stats()).toMatchObject({ sessions: 0 }))
    expect(served.http.stats().floods.frames).toBe(1)
    wire.socket.resume()
    await wire.until('the end', () => wire.closed || wire.ended)
  })
})

type Wire = Awaited<ReturnType<typeof connected>>

describe('A head that is too much never reaches the upstream, and ends no more than its connection:', () => {
  const large = (count: number, size: number): Field[] =>
    Array.from({ length: count }, (_, at) => [`x-${at}`, 'v'.repeat(size)] as const)

  /** Refused by an answer or a reset, or the connection was ended. */
  async function refused(wire: Wire, stream: number): Promise<string> {
    const ending = await wire.ending(stream)
    if (ending.kind === 'message') return String(wire.stream(stream).status)
    return ending.kind === 'closed' ? 'closed' : ending.code
  }

  it.each([
    ['one field of 100,000 bytes', [['x', 'v'.repeat(100_000)]] as Field[]],
    ['a thousand fields', large(1_000, 1)],
    ['many large fields', large(40, 3_000)],
    ['a path of 60,000 bytes', undefined],
  ])('%s', async (_what, fields) => {
    const clock = new ManualClock()
    await using backend = await holding()
    await using served = await proxy2(backend, {}, {}, { clock })
    await using wire = await connected(served)
    const block = encodeFields(
      fields === undefined ? request('GET', `/${'p'.repeat(60_000)}`) : request('GET', '/', fields),
    )
    wire.headers(1, block, {
      endStream: true,
      pieces: Array.from({ length: Math.floor(block.length / 16_000) }, () => 16_000),
    })
    expect(await refused(wire, 1)).toMatch(
      /^431$|^414$|ENHANCE_YOUR_CALM|CANCEL|REFUSED_STREAM|PROTOCOL_ERROR|INTERNAL_ERROR|COMPRESSION_ERROR/,
    )
    expect(backend.bytes).toBe(0)
    wire.end()
    await quiet(served, backend, clock)
  })

  it('a bomb of HPACK: one entry, named thousands of times', async () => {
    await using backend = await holding()
    await using served = await proxy2(backend)
    await using wire = await connected(served)
    const before = process.memoryUsage().rss
    const first = Buffer.concat([
      encodeFields(request('GET', '/fine')),
      literal('bomb', 'x'.repeat(4_000), 'incremental'),
    ])
    wire.headers(1, first, { endStream: true })
    await wire.response(1)
    const bytes = backend.bytes
    for (let at = 1; at < 30 && !wire.dead; at++) {
      const bomb = Buffer.concat([get, Buffer.alloc(16_000, indexed(62))])
      wire.headers(1 + at * 2, bomb, { endStream: true })
      await refused(wire, 1 + at * 2)
    }
    expect(backend.bytes).toBe(bytes)
    expect(process.memoryUsage().rss - before).toBeLessThan(150_000_000)
    wire.end()
    await quiet(served, backend)
  })

  it('a bomb of cookies: thousands of crumbs', async () => {
    await using backend = await holding()
    await using served = await proxy2(backend)
    await using wire = await connected(served)
    const crumbs = Buffer.concat([get, literal(32, 'a=b', 'incremental'), Buffer.alloc(15_000, indexed(62))])
    wire.headers(1, crumbs, { endStream: true })
    expect(await refused(wire, 1)).not.toBe('200')
    expect(backend.bytes).toBe(0)
  })

  it('trailers that are too much', async () => {
    await using backend = await holding()
    await using served = await proxy2(backend)
    await using wire = await connected(served)
    wire.headers(1, request('POST', '/fine'))
    wire.data(1, 'body')
    const block = encodeFields(large(1_500, 1))
    wire.headers(1, block, { endStream: true })
    expect(await refused(wire, 1)).not.toBe('200')
    expect(backend.requests).toHaveLength(0)
    wire.end()
    await quiet(served, backend)
  })
})

describe('Games with a table of header fields', () => {
  it('that grows and shrinks leave the answers readable', async () => {
    await using backend = await Backend.start((_request, _peer, at) =>
      ok('fine', `X-Number: ${at}\r\nX-Same: same\r\n`),
    )
    await using served = await proxy2(backend)
    await using wire = await connected(served)
    const sizes = [0, 4_096, 1, 65_536, 33, 0xffff_ffff, 0, 4_096]
    for (let at = 0; at < 40; at++) {
      const size = sizes[at % sizes.length] as number
      wire.decoder.limit = Math.max(wire.decoder.limit, size)
      wire.settings({ HEADER_TABLE_SIZE: size })
      await wire.alive()
      wire.decoder.limit = size
      wire.get(1 + at * 2)
      const answer = await wire.response(1 + at * 2)
      expect([answer.header('x-number'), answer.header('x-same')]).toEqual([String(at + 1), 'same'])
    }
  })

  it('of the client, resized in each request, are followed', async () => {
    await using backend = await holding()
    await using served = await proxy2(backend)
    await using wire = await connected(served)
    for (let at = 0; at < 50; at++) {
      wire.headers(
        1 + at * 2,
        Buffer.concat([tableSize(0), tableSize((at * 97) % 4_097), get, literal('a', 'b', 'incremental')]),
        {
          endStream: true,
        },
      )
      expect((await wire.response(1 + at * 2)).status).toBe(200)
    }
  })
})

describe('Priorities', () => {
  it('in loops, on idle streams and by the thousand, change nothing, or are a flood', async () => {
    await using backend = await holding()
    await using served = await proxy2(backend)
    await using wire = await connected(served)
    wire.get(1, '/hold')
    wire.get(3, '/hold')
    await flood(wire, 6_000, (at) => {
      wire.priority(1, 3, 256, true)
      wire.priority(3, 1, 1, true)
      wire.priority(5 + at * 2, at % 2 === 0 ? 1 : 5 + (at + 1) * 2, 16, true)
    })
    if (await wire.alive()) {
      wire.get(20_001, '/fine')
      expect((await wire.response(20_001)).body).toBe('fine')
    } else expect(wire.goneAway?.code).toBe('ENHANCE_YOUR_CALM')
    wire.cut()
    await quiet(served, backend)
  })
})

describe('Streams', () => {
  it('E82: beyond the limit never reach the upstream', async () => {
    await using backend = await holding()
    await using served = await proxy2(backend, { maxStreams: 10 })
    await using wire = await connected(served)
    expect(wire.peerSettings.get(3)).toBe(10)
    wire.together(() => {
      for (let at = 0; at < 40; at++) wire.get(1 + at * 2, '/hold')
    })
    await wire.ending(21)
    await until(() => expect(served.http.stats().transactions).toBeLessThan(11))
    expect(backend.requests.length).toBeLessThan(11)
    wire.cut()
    await quiet(served, backend)
  })

  it('E82: beyond the limit, before the client has seen the limit, are refused alone', async () => {
    await using backend = await holding()
    await using served = await proxy2(backend, { maxStreams: 10 })
    await using wire = await connected(served, { greet: false, polite: false })
    const { clientPreface, frame } = await import('../../support/http2-frames.ts')
    wire.raw(
      Buffer.concat([
        clientPreface,
        frame('SETTINGS', 0, 0),
        ...Array.from({ length: 15 }, (_, at) => frame('HEADERS', END_HEADERS | END_STREAM, 1 + at * 2, get)),
      ]),
    )
    for (let at = 0; at < 15; at++) {
      const ending = await wire.ending(1 + at * 2)
      expect(ending, wire.transcript()).toEqual(
        at < 10 ? { kind: 'message' } : { kind: 'reset', code: 'REFUSED_STREAM' },
      )
    }
    wire.frame('SETTINGS', 1, 0)
    wire.get(101, '/fine')
    expect((await wire.response(101)).body).toBe('fine')
    expect(wire.goneAway).toBeUndefined()
  })

  it('E79: that a client resets during the answer leave the others alone', async () => {
    const big = 'x'.repeat(3_000_000)
    await using backend = await Backend.start(({ target }) => ok(target === '/big' ? big : 'fine'))
    await using served = await proxy2(backend)
    await using wire = await connected(served)
    wire.get(1, '/big')
    await wire.until('some of it', () => wire.stream(1).received > 100_000)
    wire.rst(1)
    wire.get(3, '/fine')
    expect((await wire.response(3)).body).toBe('fine')
    wire.get(5, '/big')
    expect((await wire.response(5)).received).toBe(3_000_000)
    wire.end()
    await quiet(served, backend)
  })

  it('whose client takes nothing hold up their upstreams, and nobody else', async () => {
    const clock = new ManualClock()
    let written = 0
    await using backend = await Backend.start(({ target }, peer) => {
      if (target === '/fine') return ok('fine')
      const piece = 'x'.repeat(1_000_000)
      const pump = async (): Promise<void> => {
        await peer.write(`HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n`)
        for (let at = 0; at < 100 && !peer.closed; at++) {
          await peer.write(piece)
          written += piece.length
        }
      }
      void pump()
      return undefined
    })
    await using served = await proxy2(backend, {}, {}, { clock, clientIdleTimeout: 5_000 })
    await using wire = await connected(served, { settings: { INITIAL_WINDOW_SIZE: 0 }, credit: false })
    for (let at = 0; at < 5; at++) wire.get(1 + at * 2, '/endless')
    for (let at = 0; at < 5; at++) await wire.head(1 + at * 2)
    await stands(() => written)
    // What kernels hold of each, and no more.
    expect(written).toBeLessThan(60_000_000)
    wire.get(101, '/fine')
    await wire.head(101)
    wire.windowUpdate(101, 100)
    expect((await wire.response(101)).body).toBe('fine')
    // A dribble of single bytes goes on.
    for (let at = 0; at < 20; at++) wire.windowUpdate(1, 1)
    await wire.until('20 bytes', () => wire.stream(1).received === 20)
    for (let at = 0; at < 8; at++) {
      clock.advance(1_000)
      await wire.alive()
    }
    for (let at = 0; at < 5; at++) expect(await wire.ending(1 + at * 2)).toEqual({ kind: 'reset', code: 'CANCEL' })
    await until(() => expect(served.http.stats().transactions).toBe(0))
    wire.cut()
    await quiet(served, backend)
  })

  it('whose body never comes end by bodyTimeout, and free their upstream', async () => {
    const clock = new ManualClock()
    await using backend = await holding()
    await using served = await proxy2(backend, {}, { bodyTimeout: 5_000 }, { clock })
    await using wire = await connected(served)
    wire.headers(1, request('POST', '/hold'))
    wire.data(1, 'some of it')
    wire.get(3, '/hold')
    await until(() => expect(backend.accepted).toBe(2))
    for (let at = 0; at < 8; at++) {
      clock.advance(1_000)
      await wire.alive()
    }
    const ending = await wire.ending(1)
    expect([ending.kind, wire.stream(1).status]).toEqual(['message', 408])
    expect(wire.stream(3).reset).toBeUndefined()
    await until(() => expect(served.http.stats().transactions).toBe(1))
    wire.cut()
    await quiet(served, backend)
  })

  it('are answered though their body still comes; the client is told to stop', async () => {
    await using backend = await Backend.start()
    await using served = await proxy2(backend, {}, { routes: [{ reply: { status: 403, body: 'no' } }] })
    await using wire = await connected(served)
    wire.headers(1, request('POST', '/'))
    wire.data(1, Buffer.alloc(10_000))
    const answer = await wire.response(1)
    expect([answer.status, answer.body]).toEqual([403, 'no'])
    await wire.until('a reset', () => answer.reset !== undefined)
    expect(answer.reset).toBe('NO_ERROR')
    // Much more than any window, on streams of that kind: the connection's window comes back.
    for (let at = 1; at < 20; at++) {
      wire.headers(1 + at * 2, request('POST', '/'))
      await wire.until('a window', () => wire.window >= 10_000)
      wire.data(1 + at * 2, Buffer.alloc(10_000))
      expect((await wire.response(1 + at * 2)).status).toBe(403)
    }
  })
})

describe('The end', () => {
  it('GOAWAY of a client: what it began is answered, nothing is begun, and the connection closes', async () => {
    await using backend = await Backend.start(({ target }) => (target === '/hold' ? undefined : ok('fine')))
    await using served = await proxy2(backend)
    await using wire = await connected(served)
    wire.get(1, '/hold')
    wire.get(3)
    wire.goAway(0)
    expect((await wire.response(3)).body).toBe('fine')
    await until(() => expect(backend.peers).toHaveLength(2))
    await backend.peers[0]?.write(ok('late'))
    await backend.peers[1]?.write('').catch(() => {})
    expect((await wire.response(1)).body).toBe('late')
    wire.end()
    await wire.over()
    await quiet(served, backend)
  })

  it.each([
    ['cut', (wire: Wire) => wire.cut()],
    ['half-closed', (wire: Wire) => wire.end()],
    ['ended by an error', (wire: Wire) => wire.goAway(0, 'INTERNAL_ERROR')],
    [
      'cut in the middle of a frame',
      (wire: Wire) => {
        wire.raw(Buffer.from([0, 0, 100, 0, 0, 0, 0, 0, 5, 1, 2]))
        wire.end()
      },
    ],
    [
      'cut in the middle of a block',
      (wire: Wire) => {
        wire.headers(99, get, { endHeaders: false })
        wire.end()
      },
    ],
  ])('of the connection, %s with requests in every state: all transactions close, and no upstream is left', async (_how, end) => {
    const big = 'x'.repeat(3_000_000)
    await using backend = await Backend.start(({ target }) =>
      target === '/hold' ? undefined : ok(target === '/big' ? big : 'fine'),
    )
    let closed = 0
    await using served = await proxy2(backend, {}, { hooks: { transactionClose: () => void closed++ } })
    await using wire = await connected(served, { credit: false })
    wire.windowUpdate(0, 1_000_000)
    wire.get(1, '/hold')
    wire.get(3, '/big')
    wire.headers(5, request('POST', '/hold'))
    wire.data(5, 'some')
    wire.headers(7, request('POST', '/fine', [['content-length', '100']]))
    wire.data(7, 'some')
    wire.get(9, '/fine')
    await wire.response(9)
    await wire.until('some of it', () => wire.stream(3).received > 10_000)
    await until(() => expect(served.http.stats().transactions).toBe(4))
    end(wire)
    await until(() => expect(served.http.stats()).toMatchObject({ sessions: 0, transactions: 0 }))
    expect(closed).toBe(5)
    await quiet(served, backend)
  })

  it('E80: a block of fields without its end does not hold a connection for ever', async () => {
    const clock = new ManualClock()
    await using backend = await holding()
    await using served = await proxy2(backend, {}, { headTimeout: 5_000, keepAliveTimeout: 60_000 }, { clock })
    await using wire = await connected(served)
    wire.headers(1, get, { endHeaders: false })
    await until(() => expect(served.core.stats().bytesIn).toBeGreaterThan(60))
    for (let at = 0; at < 70 && !wire.ended && !wire.closed; at++) {
      clock.advance(1_000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await wire.over()
    expect(backend.bytes).toBe(0)
    await quiet(served, backend)
  })

  it('a preface without more does not hold a connection for ever', async () => {
    const clock = new ManualClock()
    await using backend = await holding()
    await using served = await proxy2(backend, {}, {}, { clock, firstByteTimeout: 2_000 })
    await using wire = await connected(served, { greet: false, polite: false })
    wire.raw(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'))
    await until(() => expect(served.http.stats().sessions).toBe(1))
    for (let at = 0; at < 5; at++) {
      clock.advance(1_000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await wire.over()
    await served.settled()
  })

  it('a connection with an error in it does not live on: it ends, or is idle for no longer than others', async () => {
    const clock = new ManualClock()
    await using backend = await holding()
    await using served = await proxy2(backend, {}, { keepAliveTimeout: 5_000, responseTimeout: 20_000 }, { clock })
    await using wire = await connected(served)
    wire.get(1, '/hold')
    await until(() => expect(backend.requests).toHaveLength(1))
    // nghttp2 says GOAWAY by itself; the client stays.
    wire.data(0, 'data')
    await wire.until('GOAWAY', () => wire.dead)
    for (let at = 0; at < 60 && served.http.stats().sessions > 0; at++) {
      clock.advance(1_000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await until(() => expect(served.http.stats()).toMatchObject({ sessions: 0, transactions: 0 }))
    await quiet(served, backend)
  })

  it('WINDOW_UPDATE by the thousand is no harm', async () => {
    await using backend = await holding()
    await using served = await proxy2(backend)
    await using wire = await connected(served)
    wire.get(1, '/hold')
    const update = Buffer.concat([Buffer.from([0, 0, 4, 8, 0, 0, 0, 0, 1]), words(1)])
    const many = Buffer.concat(Array.from({ length: 1_000 }, () => update))
    for (let at = 0; at < 20; at++) {
      wire.raw(many)
      expect(await wire.alive()).toBe(true)
    }
    wire.cut()
    await quiet(served, backend)
  })
})
