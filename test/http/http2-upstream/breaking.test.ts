import { createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/testing/index.ts'
import { answerAll, Http2Server } from '../../support/http2-server.ts'
import type { Http2Wire } from '../../support/http2-wire.ts'
import { Backend, gate, get, post, proxy2, Served, turns, until } from './support.ts'

/** An upstream by frames: `answer` is called for each request. */
async function scripted(answer: (wire: Http2Wire, stream: number, number: number) => void | Promise<void>) {
  let number = 0
  return Http2Server.start((wire) => answerAll(wire, (one, stream) => answer(one, stream, ++number)))
}

const whole = 'content-length: 4'

describe('An upstream that speaks HTTP/2 and breaks off', () => {
  it('by a reset before its response is a 502, and is not asked again', async () => {
    for (const code of ['INTERNAL_ERROR', 'CANCEL', 'NO_ERROR', 'PROTOCOL_ERROR'] as const) {
      await using backend = await scripted((wire, stream, number) =>
        number === 1 ? wire.respond(stream, 200, 'pong') : wire.rst(stream, code),
      )
      await using served = await proxy2(backend)
      expect((await served.ask(get())).status).toBe(200)
      // The connection was used before, and the method may be repeated: but this is no connection that broke.
      expect((await served.ask(get())).status).toBe(502)
      await served.settled()
      expect(backend.wires).toHaveLength(1)
      expect([...(backend.wires[0]?.streams.keys() ?? [])]).toEqual([1, 3])
    }
  })

  it('by REFUSED_STREAM is asked again, whatever the method', async () => {
    await using backend = await scripted((wire, stream, number) =>
      number === 1 ? wire.rst(stream, 'REFUSED_STREAM') : wire.respond(stream, 200, 'pong'),
    )
    await using served = await proxy2(backend)
    expect((await served.ask(post('x'))).body).toBe('pong')
    await served.settled()
  })

  it('by REFUSED_STREAM again and again is a 502 in the end', async () => {
    await using backend = await scripted((wire, stream) => wire.rst(stream, 'REFUSED_STREAM'))
    await using served = await proxy2(backend)
    expect((await served.ask(get())).status).toBe(502)
    await served.settled()
    expect(backend.wires[0]?.streams.size).toBe(3)
  })

  it.each([
    'CANCEL',
    'NO_ERROR',
    'INTERNAL_ERROR',
  ] as const)('in the middle of a body by %s is cut short for the client', async (code) => {
    await using backend = await scripted(async (wire, stream) => {
      wire.headers(stream, [[':status', '200']])
      wire.data(stream, 'part')
      await wire.until('more time', () => true)
      wire.rst(stream, code)
    })
    await using served = await proxy2(backend)
    const client = await served.dial()
    await client.send(get())
    const text = await client.peer.text()
    expect(text).toContain('200 OK')
    expect(text.endsWith('0\r\n\r\n')).toBe(false)
    await served.settled()
    expect(served.http.stats().faults).toMatchObject({ XPS_TRUNCATED: 1 })
  })

  it('with a body that is shorter or longer than it said is cut short', async () => {
    for (const body of ['pon', 'pongs']) {
      await using backend = await scripted((wire, stream) => wire.respond(stream, 200, body, [['content-length', '4']]))
      await using served = await proxy2(backend)
      const client = await served.dial()
      await client.send(get())
      const text = await client.peer.text()
      expect(text.endsWith('pong'), body).toBe(false)
      expect(text.includes(whole) || text.includes('502'), text).toBe(true)
      await served.settled()
    }
  })

  it.each([
    [[['connection', 'close']]],
    [[['keep-alive', 'timeout=5']]],
    [[['transfer-encoding', 'chunked']]],
    [[['upgrade', 'h2c']]],
    [[['proxy-connection', 'close']]],
    [[['content-length', 'x']]],
    [
      [
        ['content-length', '4'],
        ['content-length', '5'],
      ],
    ],
    [[['X-Upper', '1']]],
    [[[':path', '/']]],
  ] as const)('that sends %j is a 502, and sees its stream reset', async (fields) => {
    await using backend = await scripted((wire, stream) =>
      wire.headers(stream, [[':status', '200'], ...fields], { endStream: false }),
    )
    await using served = await proxy2(backend)
    expect((await served.ask(get())).status).toBe(502)
    await served.settled()
    const wire = backend.wires[0] as Http2Wire
    await wire.until('a reset', () => wire.stream(1).reset !== undefined || wire.closed)
  })

  it('that sends what can be no field is passed on without it', async () => {
    const fields = [
      ['a b', '1'],
      ['x', 'a\r\nb: c'],
      ['y', 'a\0b'],
      ['z', 'fine'],
    ] as const
    await using backend = await scripted((wire, stream) =>
      wire.headers(stream, [[':status', '200'], ...fields], { endStream: true }),
    )
    await using served = await proxy2(backend)
    const answer = await served.ask(get())
    expect(answer.fields.map(([name]) => name)).toEqual(['z', 'Via', 'content-length'])
    await served.settled()
  })

  it.each(['', '20', '1000', '099', 'abc'])('that says the status %j is a 502', async (status) => {
    await using backend = await scripted((wire, stream) =>
      wire.headers(stream, [[':status', status]], { endStream: true }),
    )
    await using served = await proxy2(backend)
    expect((await served.ask(get())).status).toBe(502)
    await served.settled()
  })

  it('with a head that is too long, or has too many fields, is a 502', async () => {
    for (const fields of [
      Array.from({ length: 200 }, (_, at) => [`x-${at}`, '1'] as [string, string]),
      [['x-long', 'x'.repeat(40_000)] as [string, string]],
    ]) {
      await using backend = await scripted((wire, stream) => {
        wire.headers(stream, [[':status', '200'], ...fields], { endStream: true, pieces: [16_000, 16_000] })
      })
      await using served = await proxy2(backend)
      expect((await served.ask(get())).status).toBe(502)
      await served.settled()
    }
  })

  it('with interim responses without end, or a 101, is a 502', async () => {
    for (const [status, count] of [
      ['103', 40],
      ['101', 1],
    ] as const) {
      await using backend = await scripted((wire, stream) => {
        for (let at = 0; at < count; at++) wire.headers(stream, [[':status', status]])
      })
      await using served = await proxy2(backend)
      expect((await served.ask(get())).status).toBe(502)
      await served.settled()
    }
  })

  it('by GOAWAY finishes what it has seen; what it has not is sent on another connection', async () => {
    const goes = gate()
    await using backend = await Http2Server.start(async (wire, number) => {
      if (number > 1) return answerAll(wire, (one, stream) => one.respond(stream, 200, 'new'))
      await wire.until('two requests', () => wire.streams.size === 2)
      wire.goAway(1)
      await goes.promise
      wire.respond(1, 200, 'old')
    })
    await using served = await proxy2(backend)
    const old = served.ask(post('a'))
    await until(() => expect(backend.wires[0]?.streams.size).toBe(1))
    expect((await served.ask(post('b'))).body).toBe('new')
    // And those that come later, too.
    expect((await served.ask(get())).body).toBe('new')
    goes.open()
    expect((await old).body).toBe('old')
    await served.settled()
    await until(() => expect(backend.wires[0]?.closed).toBe(true))
    expect(backend.wires).toHaveLength(2)
  })

  it('by GOAWAY makes room for another connection, though only one is allowed', async () => {
    const goes = gate()
    await using backend = await Http2Server.start(async (wire, number) => {
      if (number > 1) return answerAll(wire, (one, stream) => one.respond(stream, 200, 'new'))
      await wire.until('a request', () => wire.streams.size === 1)
      wire.goAway(1)
      await goes.promise
      wire.respond(1, 200, 'old')
    })
    await using served = await proxy2(backend, { maxConnections: 1 })
    const old = served.ask(get())
    await until(() => expect(backend.wires[0]?.streams.size).toBe(1))
    await turns()
    expect((await served.ask(get())).body).toBe('new')
    goes.open()
    expect((await old).body).toBe('old')
    await served.settled()
  })

  it('by GOAWAY with an error fails what it has seen, and nothing else', async () => {
    await using backend = await Http2Server.start(async (wire, number) => {
      if (number > 1) return answerAll(wire, (one, stream) => one.respond(stream, 200, 'new'))
      await wire.until('two requests', () => wire.streams.size === 2)
      wire.goAway(1, 'INTERNAL_ERROR')
    })
    await using served = await proxy2(backend)
    const seen = served.ask(post('a'))
    await until(() => expect(backend.wires[0]?.streams.size).toBe(1))
    expect((await served.ask(post('b'))).body).toBe('new')
    expect((await seen).status).toBe(502)
    await served.settled()
  })

  it('by cutting the connection: what may be repeated is, on a new one', async () => {
    await using backend = await Http2Server.start(async (wire, number) => {
      if (number > 1) return answerAll(wire, (one, stream) => one.respond(stream, 200, 'new'))
      await wire.request()
      wire.respond(1, 200, 'old')
      await wire.until('two requests more', () => wire.streams.size === 3)
      wire.cut()
    })
    await using served = await proxy2(backend)
    expect((await served.ask(get())).body).toBe('old')
    const answers = await Promise.all([served.ask(get()), served.ask(post('x'))])
    expect(answers.map((one) => one.status)).toEqual([200, 502])
    await served.settled()
  })

  it('in a body cuts every response short that is under way', async () => {
    await using backend = await Http2Server.start(async (wire) => {
      for (const stream of [1, 3]) {
        await wire.until('a request', () => wire.streams.has(stream))
        wire.headers(stream, [[':status', '200']])
        wire.data(stream, 'part')
      }
      await wire.until('time', () => true)
      wire.cut()
    })
    await using served = await proxy2(backend)
    const clients = [await served.dial(), await served.dial()]
    for (const client of clients) await client.send(get())
    for (const client of clients) expect((await client.peer.text()).endsWith('0\r\n\r\n')).toBe(false)
    await served.settled()
  })

  it('that speaks HTTP/1.1 only is a 502, and passed over', async () => {
    await using backend = await Backend.start(() => 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')
    await using served = await proxy2(backend)
    const answers = await Promise.all([served.ask(get()), served.ask(get()), served.ask(get())])
    expect(answers.map((one) => one.status)).toEqual([502, 502, 502])
    await served.settled()
    expect(served.http.stats().faults).toMatchObject({ XPS_CONNECT: 3 })
  })

  it('that never sends its settings is given up after the time for connecting', async () => {
    const clock = new ManualClock()
    await using backend = await Http2Server.start(undefined, { greet: false, polite: false })
    await using served = await Served.start({ routes: [{ upstream: `h2c://${backend.address}` }] }, { clock })
    const answer = served.ask(get())
    await backend.accept()
    await until(() => {
      clock.advance(500)
      expect(served.http.stats().transactions).toBe(0)
    })
    expect((await answer).status).toBe(504)
    await served.settled()
  })

  it('that does not answer a PING is gone', async () => {
    const clock = new ManualClock()
    await using backend = await Http2Server.start(undefined, { polite: false })
    await using served = await Served.start(
      { routes: [{ upstream: `h2c://${backend.address}`, pingInterval: 1_000 }] },
      { clock },
    )
    const answer = served.ask(get())
    const wire = await backend.accept()
    await wire.request()
    await until(() => {
      clock.advance(300)
      expect(wire.frames.some(({ type }) => type === 6)).toBe(true)
    })
    await until(() => {
      clock.advance(300)
      expect(served.http.stats().transactions).toBe(0)
    })
    expect((await answer).status).toBe(504)
    await served.settled()
  })

  it('that breaks the rules is given up, and the next request has a new connection', async () => {
    const clock = new ManualClock()
    await using backend = await Http2Server.start(async (wire, number) => {
      if (number > 1) return answerAll(wire, (one, stream) => one.respond(stream, 200, 'new'))
      await wire.request()
      wire.frame('DATA', 0, 0, 'nobody asked')
    })
    await using served = await Served.start({ routes: [{ upstream: `h2c://${backend.address}` }] }, { clock })
    const answer = served.ask(post('x'))
    await until(() => expect(backend.wires[0]?.streams.size).toBe(1))
    // Node 20 does not tell.
    await until(() => {
      clock.advance(1_000)
      expect(served.http.stats().transactions).toBe(0)
    })
    expect([502, 504]).toContain((await answer).status)
    expect((await served.ask(get())).body).toBe('new')
    await served.settled()
  })

  it('that answers PINGs may take its time', async () => {
    const clock = new ManualClock()
    await using backend = await Http2Server.start()
    await using served = await Served.start(
      { routes: [{ upstream: `h2c://${backend.address}`, pingInterval: 1_000 }] },
      { clock },
    )
    const answer = served.ask(get())
    const wire = await backend.accept()
    await wire.request()
    const asked = (): number => wire.frames.filter(({ type }) => type === 6).length
    await until(() => {
      clock.advance(200)
      expect(asked()).toBe(1)
    })
    // Once is enough: some servers take it amiss.
    for (let count = 0; count < 30; count++) {
      await turns(5)
      clock.advance(200)
    }
    expect(asked()).toBe(1)
    wire.respond(1, 200, 'slow')
    expect((await answer).body).toBe('slow')
    await served.settled()
  })

  it('before it is connected is passed over for another address', async () => {
    const refusing = createServer((socket) => socket.destroy())
    await new Promise<void>((resolve) => refusing.listen(0, '127.0.0.1', resolve))
    const { port } = refusing.address() as { port: number }
    await using backend = await scripted((wire, stream) => wire.respond(stream, 200, 'here'))
    await using served = await Served.start({
      routes: [{ upstream: [`h2c://127.0.0.1:${port}`, `h2c://${backend.address}`] }],
    })
    expect((await served.ask(post('x'))).body).toBe('here')
    await served.settled()
    refusing.close()
  })
})
