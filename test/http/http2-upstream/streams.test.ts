import type { ServerHttp2Stream } from 'node:http2'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/testing/index.ts'
import { answerAll, Http2Server } from '../../support/http2-server.ts'
import { Backend2, gate, get, post, proxy2, Served, stands, turns, until } from './support.ts'

/** An upstream that answers when it is told to. */
async function slow(limit?: number) {
  const waiting: ServerHttp2Stream[] = []
  const backend = await Backend2.start(
    (stream) => void waiting.push(stream),
    limit === undefined ? {} : { settings: { maxConcurrentStreams: limit } },
  )
  const answer = (count = waiting.length): void => {
    for (const stream of waiting.splice(0, count)) {
      stream.respond({ ':status': 200, 'content-length': 4 })
      stream.end('pong')
    }
  }
  return { backend, waiting, answer }
}

describe('Streams to an upstream', () => {
  it.each([
    ['the upstream wants', 3, {}],
    ['maxStreams says', undefined, { maxStreams: 3 }],
  ] as const)('are as many on a connection as %s; for more there is another', async (_, limit, route) => {
    const { backend, waiting, answer } = await slow(limit)
    await using _backend = backend
    await using served = await proxy2(backend, route)
    const first = served.ask(get())
    await until(() => expect(waiting).toHaveLength(1))
    const answers = [first, ...Array.from({ length: 6 }, () => served.ask(get()))]
    await until(() => expect(waiting).toHaveLength(7))
    expect(backend.accepted).toBe(3)
    answer()
    for (const one of await Promise.all(answers)) expect(one.body).toBe('pong')
    await served.settled()
  })

  it('wait for a place where there may be no other connection, in their order', async () => {
    const { backend, waiting, answer } = await slow(2)
    await using _backend = backend
    await using served = await proxy2(backend, { maxConnections: 1 })
    const answers = Array.from({ length: 5 }, () => served.ask(get()))
    await until(() => expect(served.http.stats().upstreams[backend.address]?.queued).toBe(3))
    expect(waiting).toHaveLength(2)
    answer(1)
    await until(() => expect(waiting).toHaveLength(2))
    expect(served.http.stats().upstreams[backend.address]?.queued).toBe(2)
    await until(() => {
      answer()
      expect(served.http.stats().transactions).toBe(0)
    })
    for (const one of await Promise.all(answers)) expect(one.body).toBe('pong')
    expect(backend.accepted).toBe(1)
    await served.settled()
  })

  it('are refused when too many wait', async () => {
    const { backend, waiting, answer } = await slow(1)
    await using _backend = backend
    await using served = await proxy2(backend, { maxConnections: 1, maxQueue: 1 })
    const answers = [served.ask(get())]
    await until(() => expect(waiting).toHaveLength(1))
    answers.push(served.ask(get()))
    await until(() => expect(served.http.stats().upstreams[backend.address]?.queued).toBe(1))
    expect((await served.ask(get())).status).toBe(503)
    await until(() => {
      answer()
      expect(served.http.stats().transactions).toBe(0)
    })
    for (const one of await Promise.all(answers)) expect(one.status).toBe(200)
  })

  it('may become more, when the upstream says so later', async () => {
    await using backend = await Http2Server.start(undefined, { settings: { MAX_CONCURRENT_STREAMS: 1 } })
    await using served = await proxy2(backend, { maxConnections: 1 })
    const answers = [served.ask(get()), served.ask(get())]
    const wire = await backend.accept()
    await wire.request()
    await turns()
    expect(wire.streams.size).toBe(1)
    wire.settings({ MAX_CONCURRENT_STREAMS: 5 })
    await wire.request()
    for (const stream of [1, 3]) wire.respond(stream, 200, 'pong')
    for (const one of await Promise.all(answers)) expect(one.body).toBe('pong')
    await served.settled()
  })

  it('are reset (CANCEL) when the client leaves, before and in the middle of the response; others go on', async () => {
    await using backend = await Http2Server.start()
    await using served = await proxy2(backend)
    const stays = await served.dial()
    await stays.send(get('/stays'))
    const wire = await backend.accept()
    await wire.request()
    const early = await served.dial()
    await early.send(get('/early'))
    await wire.request()
    early.peer.reset()
    await wire.until('a reset', () => wire.stream(3).reset !== undefined)
    expect(wire.stream(3).reset).toBe('CANCEL')
    const late = await served.dial()
    await late.send(get('/late'))
    await wire.request()
    wire.headers(5, [[':status', '200']])
    wire.data(5, 'part')
    await late.peer.read('part')
    late.peer.reset()
    await wire.until('a reset', () => wire.stream(5).reset !== undefined)
    expect(wire.stream(5).reset).toBe('CANCEL')
    wire.respond(1, 200, 'pong')
    expect((await stays.response()).body).toBe('pong')
    stays.peer.end()
    await served.settled()
    expect(served.http.stats().left).toBe(2)
    expect(backend.wires).toHaveLength(1)
  })

  it('whose client does not read are held up, and no other', async () => {
    let sent = 0
    await using backend = await Backend2.start((stream, headers) => {
      stream.respond({ ':status': 200 })
      if (headers[':path'] === '/quick') return void stream.end('pong')
      const chunk = Buffer.alloc(64 * 1024, 'x')
      const write = (): void => {
        while (sent < 100_000_000 && !stream.destroyed) {
          sent += chunk.length
          if (!stream.write(chunk)) return void stream.once('drain', write)
        }
      }
      write()
    })
    await using served = await proxy2(backend)
    const stalled = connect(served.port, '127.0.0.1')
    stalled.pause()
    stalled.write(get('/big'))
    await stands(() => sent, 0)
    expect(sent).toBeLessThan(20_000_000)
    for (let count = 0; count < 20; count++) expect((await served.ask(get('/quick'))).body).toBe('pong')
    expect(backend.accepted).toBe(1)
    stalled.resetAndDestroy()
    await served.settled()
  })

  it('whose upstream does not read hold their client up, and no other', async () => {
    await using backend = await Backend2.start((stream, headers) => {
      if (headers[':path'] !== '/quick') return
      stream.respond({ ':status': 200 })
      stream.end('pong')
    })
    await using served = await proxy2(backend)
    const stalled = connect(served.port, '127.0.0.1')
    stalled.write('POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 50000000\r\n\r\n')
    stalled.on('error', () => {})
    const chunk = Buffer.alloc(100_000, 'x')
    let taken = 0
    const write = (): void => {
      if (taken < 50_000_000) stalled.write(chunk, write)
      taken += chunk.length
    }
    write()
    await stands(() => taken, 0)
    expect(taken).toBeLessThan(30_000_000)
    for (let count = 0; count < 20; count++) expect((await served.ask(get('/quick'))).body).toBe('pong')
    expect(backend.accepted).toBe(1)
    stalled.destroy()
  })

  it('that are answered before the request is whole are reset, and the client is told the answer', async () => {
    await using backend = await Http2Server.start((wire) =>
      answerAll(wire, (one, stream) => one.respond(stream, 413, 'no', [['content-length', '2']])),
    )
    await using served = await proxy2(backend)
    const client = await served.dial()
    await client.send('POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000\r\n\r\nabc')
    const answer = await client.response()
    expect([answer.status, answer.body]).toEqual([413, 'no'])
    const wire = backend.wires[0]
    await wire?.until('a reset', () => wire.stream(1).reset !== undefined)
    expect(wire?.stream(1).ended).toBe(false)
    client.peer.end()
    // The connection goes on.
    expect((await served.ask(get())).status).toBe(413)
    await served.settled()
    expect(backend.wires).toHaveLength(1)
  })

  it('are not ended when the client breaks off in its body', async () => {
    await using backend = await Http2Server.start()
    await using served = await proxy2(backend)
    const client = await served.dial()
    await client.send('POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n')
    const wire = await backend.accept()
    const stream = await wire.request()
    await wire.until('the body', () => stream.body === 'abc')
    client.peer.reset()
    await wire.until('a reset', () => stream.reset !== undefined)
    expect([stream.ended, stream.reset]).toEqual([false, 'CANCEL'])
    await served.settled()
  })

  it('are counted: a connection has its last with maxRequestsPerConnection', async () => {
    await using backend = await Backend2.start()
    await using served = await proxy2(backend, { maxRequestsPerConnection: 2 })
    for (let count = 0; count < 5; count++) expect((await served.ask(get())).status).toBe(200)
    await served.settled()
    expect(backend.accepted).toBe(3)
  })

  it('leave an idle connection that ends after its time with a farewell', async () => {
    const clock = new ManualClock()
    await using backend = await Http2Server.start((wire) =>
      answerAll(wire, (one, stream) => one.respond(stream, 200, 'x')),
    )
    await using served = await Served.start(
      { routes: [{ upstream: `h2c://${backend.address}`, idleTimeout: 5_000 }] },
      { clock },
    )
    expect((await served.ask(get())).status).toBe(200)
    await served.settled()
    const wire = backend.wires[0]
    expect(wire?.ended).toBe(false)
    await until(() => {
      clock.advance(1_000)
      expect(wire?.ended || wire?.closed).toBe(true)
    })
    expect(wire?.goneAway).toMatchObject({ code: 'NO_ERROR' })
    await until(() => {
      clock.advance(1_000)
      expect(served.http.stats().upstreams[backend.address]).toEqual({ connections: 0, idle: 0, queued: 0 })
    })
  })

  it('may wait in a requestSend hook without a place being lost', async () => {
    const held = gate()
    const { backend, waiting, answer } = await slow(2)
    await using _backend = backend
    await using served = await Served.start({
      routes: [{ upstream: backend.h2c, maxConnections: 1 }],
      hooks: { requestSend: ({ request }) => (request.path === '/held' ? held.promise : undefined) },
    })
    const one = served.ask(get('/held'))
    await until(() =>
      expect(served.http.stats().upstreams[backend.address]).toEqual({ connections: 1, idle: 0, queued: 0 }),
    )
    const gone = await served.dial()
    await gone.send(get('/held'))
    await until(() => expect(served.http.stats().transactions).toBe(2))
    const third = served.ask(get())
    await until(() => expect(served.http.stats().upstreams[backend.address]?.queued).toBe(1))
    gone.peer.reset()
    await turns(100)
    held.open()
    await until(() => expect(waiting).toHaveLength(2))
    answer()
    expect([(await one).status, (await third).status]).toEqual([200, 200])
    await served.settled()
  })

  it('are all told of it when the server ends', async () => {
    const { backend, waiting } = await slow()
    await using _backend = backend
    const served = await proxy2(backend)
    const asked = served.ask(post('x')).catch(() => undefined)
    await until(() => expect(waiting).toHaveLength(1))
    await served[Symbol.asyncDispose]()
    await asked
    await until(() => expect(backend.sessions.size).toBe(0))
  })
})
