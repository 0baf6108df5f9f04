import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/testing/index.ts'
import { settingNumbers } from '../../support/http2-frames.ts'
import { stands } from '../../support/until.ts'
import { Backend, client, gate, ok, played, posting, proxying, serving, until } from './support.ts'

describe('A client that does not read', () => {
  it('stalls the upstream of that stream, and of no other', async () => {
    const size = 8_000_000
    let sent = 0
    await using backend = await played(async (peer, socket) => {
      const head = await peer.read('\r\n\r\n')
      if (head.startsWith('GET /free')) return void peer.write(Buffer.from(ok('x'.repeat(100_000))))
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`)
      const chunk = Buffer.alloc(50_000, 'y')
      const more = (): void => {
        while (sent < size) {
          sent += chunk.length
          if (!socket.write(chunk)) break
        }
      }
      socket.on('drain', more)
      more()
    })
    await using served = await proxying(backend)
    await using wire = await client(served, { credit: false })
    // The connection's window is not what is short.
    wire.windowUpdate(0, 20_000_000)
    wire.get(1, '/stalled')
    await wire.until('as much as the window has room for', () => wire.stream(1).received === 65_535)
    await stands(() => sent, 65_535)
    expect(sent).toBeLessThan(size)
    expect(served.core.stats().bytesOut).toBeLessThan(200_000)
    wire.get(3, '/free')
    await wire.head(3)
    wire.windowUpdate(3, 100_000)
    expect((await wire.response(3)).received).toBe(100_000)
    expect(wire.stream(1).received).toBe(65_535)
    wire.windowUpdate(1, size)
    expect((await wire.response(1)).received).toBe(size)
  })

  it('is cut off after clientIdleTimeout, stream by stream', async () => {
    const clock = new ManualClock()
    await using backend = await Backend.start((message) => ok('x'.repeat(message.target === '/long' ? 1_000_000 : 10)))
    const reasons: (string | undefined)[] = []
    await using served = await proxying(
      backend,
      { hooks: { transactionClose: ({ failure }) => void reasons.push(failure?.reason) } },
      { clock, clientIdleTimeout: 5_000 },
    )
    await using wire = await client(served, { credit: false })
    wire.get(1, '/long')
    await wire.until('some of it', () => wire.stream(1).received === 65_535)
    clock.advance(4_000)
    wire.windowUpdate(1, 1_000)
    wire.windowUpdate(0, 1_000_000)
    await wire.until('a little more', () => wire.stream(1).received === 66_535)
    clock.advance(6_000)
    expect(await wire.ending(1)).toEqual({ kind: 'reset', code: 'CANCEL' })
    wire.get(3, '/short')
    expect((await wire.response(3)).received).toBe(10)
    expect(reasons).toEqual(['client-idle', undefined])
  })

  it('and whose answer was handed over whole is cut off too', async () => {
    const clock = new ManualClock()
    await using served = await serving(
      { routes: [{ reply: { status: 200, body: Buffer.alloc(200_000, 'x') } }] },
      { clock, clientIdleTimeout: 5_000 },
    )
    await using wire = await client(served, { credit: false })
    wire.get(1)
    await wire.until('some of it', () => wire.stream(1).received === 65_535)
    expect(served.http.stats().transactions).toBe(0)
    clock.advance(6_000)
    expect(await wire.ending(1)).toEqual({ kind: 'reset', code: 'CANCEL' })
  })
})

describe('An upload', () => {
  it('is held at the window of its stream until the upstream reads, and others go on', async () => {
    const reading = gate()
    await using backend = await played(async (peer, socket) => {
      const head = await peer.read('\r\n\r\n')
      if (head.startsWith('GET')) return void peer.write(Buffer.from(ok('free')))
      socket.pause()
      await reading.promise
      socket.resume()
      await peer.read(10_000_000)
      await peer.write(Buffer.from(ok('all of it')))
    })
    await using served = await proxying(backend)
    await using wire = await client(served)
    wire.headers(1, posting('/', [['content-length', '10000000']]))
    const uploaded = wire.body(1, Buffer.alloc(10_000_000, 'x'))
    await stands(() => served.core.stats().bytesIn, 65_535)
    expect(served.core.stats().bytesIn).toBeLessThan(9_000_000)
    wire.get(3)
    expect((await wire.response(3)).body).toBe('free')
    reading.open()
    await uploaded
    expect((await wire.response(1)).body).toBe('all of it')
  })

  it('is held at the window while a hook holds it, which is as large as was asked for', async () => {
    const held = gate()
    await using backend = await Backend.start((message) => ok(String(message.body.length)))
    await using served = await proxying(backend, {
      http2: { windowSize: '100 KiB' },
      hooks: { request: () => held.promise },
    })
    await using wire = await client(served)
    expect(wire.peerSettings.get(settingNumbers.INITIAL_WINDOW_SIZE)).toBe(102_400)
    wire.headers(1, posting())
    const uploaded = wire.body(1, Buffer.alloc(300_000, 'x'))
    await stands(() => 102_400 - wire.room(1), 60_000)
    expect(wire.room(1)).toBe(0)
    held.open()
    await uploaded
    expect((await wire.response(1)).body).toBe('300000')
  })
})

describe('The time of HTTP/2', () => {
  it('ends who never begins', async () => {
    const clock = new ManualClock()
    await using served = await serving({ routes: [{ reply: 200 }] }, { clock, firstByteTimeout: 5_000 })
    await using silent = await client(served, { greet: false })
    await using half = await client(served, { greet: false, polite: false })
    half.raw(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'))
    await until(() => expect(served.http.stats().sessions).toBe(1))
    clock.advance(6_000)
    await silent.over()
    await half.over()
    await until(() => expect(served.core.stats().active).toBe(0))
    expect(served.core.stats().timedOut['first-byte']).toBe(2)
  })

  it('ends who has nothing to ask for, gracefully', async () => {
    const clock = new ManualClock()
    await using served = await serving(
      { routes: [{ reply: 200 }], keepAliveTimeout: 5_000 },
      { clock },
      { lingerTimeout: 2_000 },
    )
    await using wire = await client(served)
    wire.get(1)
    await wire.response(1)
    clock.advance(4_000)
    wire.get(3)
    await wire.response(3)
    await until(() => expect(served.http.stats().transactions).toBe(0))
    clock.advance(4_800)
    expect(await wire.alive()).toBe(true)
    clock.advance(500)
    expect(await wire.over()).toEqual({ kind: 'goaway', code: 'NO_ERROR', last: 3 })
    wire.end()
    await served.settled()
    expect(served.core.stats().timedOut['keep-alive']).toBe(1)
  })

  it('answers 408 to who stops in the middle of a body, and the connection goes on', async () => {
    const clock = new ManualClock()
    await using backend = await Backend.start()
    await using served = await proxying(backend, { bodyTimeout: 5_000 }, { clock })
    await using wire = await client(served)
    wire.headers(1, posting())
    wire.data(1, 'some')
    await until(() => expect(backend.bytes).toBeGreaterThan(0))
    clock.advance(6_000)
    expect((await wire.response(1)).status).toBe(408)
    wire.get(3)
    expect((await wire.response(3)).status).toBe(200)
  })

  it('answers 504 where the upstream is silent, and cuts short where it falls silent', async () => {
    const clock = new ManualClock()
    await using backend = await Backend.start((message, peer) => {
      if (message.target === '/half') void peer.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf')
      return message.target === '/whole' ? ok('whole') : undefined
    })
    await using served = await proxying(backend, { responseTimeout: 5_000, responseIdleTimeout: 5_000 }, { clock })
    await using wire = await client(served)
    wire.get(1, '/silent')
    wire.get(3, '/half')
    await wire.until('a half', () => wire.stream(3).received === 4)
    await until(() => expect(backend.requests).toHaveLength(2))
    clock.advance(6_000)
    clock.advance(1_000)
    expect((await wire.response(1)).status).toBe(504)
    expect(await wire.ending(3)).toEqual({ kind: 'reset', code: 'CANCEL' })
    wire.get(5, '/whole')
    expect((await wire.response(5)).body).toBe('whole')
  })

  it('ends a transaction that takes too long, and a session that lasts too long', async () => {
    const clock = new ManualClock()
    await using backend = await Backend.start(() => undefined)
    await using served = await proxying(backend, { transactionTimeout: 5_000 }, { clock, maxSessionAge: 20_000 })
    await using wire = await client(served)
    wire.get(1)
    await until(() => expect(backend.requests).toHaveLength(1))
    clock.advance(6_000)
    expect((await wire.response(1)).status).toBe(408)
    clock.advance(20_000)
    expect((await wire.over()).kind).toBe('goaway')
    wire.end()
    await served.settled()
    expect(served.core.stats().timedOut['session-age']).toBe(1)
  })
})

describe('A core', () => {
  it('knows the bytes of HTTP/2, and which connection was idle the longest', async () => {
    await using served = await serving(
      { routes: [{ reply: { status: 200, body: Buffer.alloc(50_000) } }] },
      { maxConnections: 2, evict: 'idle' },
    )
    await using first = await client(served)
    await using second = await client(served)
    first.get(1)
    await first.response(1)
    const { bytesIn, bytesOut } = served.core.stats()
    expect(bytesOut).toBeGreaterThan(50_000)
    expect(bytesIn).toBeGreaterThan(40)
    await new Promise((resolve) => setTimeout(resolve, 120)) // The clock of bytes ticks ten times a second.
    second.get(1)
    await second.response(1)
    await using third = await client(served)
    third.get(1)
    await third.response(1)
    expect(first.ended || first.closed).toBe(true)
    expect(served.core.stats().evicted).toBe(1)
  })
})
