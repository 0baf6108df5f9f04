import { Transform } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/testing/index.ts'
import { Backend, gate, get, ok, post, proxy, Served, turns, until } from './support.ts'

// Defects that a second reader found in the way to an upstream and back, and what must stay as it was beside them.

const interim = `HTTP/1.1 103 Early Hints\r\nX-Hint: ${'h'.repeat(1_000)}\r\n\r\n`

/** Two responses at once: the one that was asked for, and one that nobody wanted. */
const surplus = {
  short: ok('one') + ok('stolen'),
  long: ok('1'.repeat(10_000)) + ok('stolen'),
  chunked: `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n${ok('stolen')}`,
}

function passing(): Transform {
  return new Transform({ transform: (chunk, _, done) => done(null, chunk) })
}

describe('A request to an upstream', () => {
  it('that is tried again on an idle connection has a responseTimeout there too', async () => {
    const clock = new ManualClock()
    const held: ((answer: string) => void)[] = []
    let tries = 0
    await using backend = await Backend.start((request, peer) => {
      if (request.target === '/fill') return new Promise<string>((resolve) => held.push(resolve))
      if (++tries === 1) peer.reset()
      return undefined
    })
    await using served = await proxy(backend, { responseTimeout: 2_000 }, { clock })
    const clients = [await served.dial(), await served.dial()] as const
    for (const client of clients) await client.send(get('/fill'))
    await until(() => expect(held).toHaveLength(2))
    for (const answer of held) answer(ok('filled'))
    for (const client of clients) expect((await client.response()).body).toBe('filled')
    const [client] = clients
    await client.send(get('/silent'))
    await until(() => expect(tries).toBe(2))
    clock.advance(1_900)
    await turns()
    expect(client.peer.unread).toHaveLength(0)
    clock.advance(500)
    expect((await client.response()).status).toBe(504)
    expect(backend.accepted).toBe(2)
    for (const { peer } of clients) peer.end()
    await served.settled()
    await until(() => expect(backend.open).toBe(0))
  })

  it('whose route is exchanged while a hook holds it is sent where that led, and the connection ends then', async () => {
    const held = gate()
    let holds = 0
    await using backend = await Backend.start(() => ok('before'))
    await using served = await proxy(backend, {
      queueTimeout: 1_000,
      hooks: {
        upstream: () => {
          holds++
          return held.promise
        },
      },
    })
    const client = await served.dial()
    await client.send(get())
    await until(() => expect(holds).toBe(1))
    served.http.route([{ reply: 404 }])
    held.open()
    expect((await client.response()).body).toBe('before')
    await client.send(get())
    expect((await client.response()).status).toBe(404)
    expect(backend.accepted).toBe(1)
    await until(() => expect(backend.open).toBe(0))
    client.peer.end()
    await served.settled()
  })

  it('has no body, though there are stages for one, where it is sent behind others', async () => {
    await using backend = await Backend.start((request) => ok(`${request.target} ${request.body}`))
    await using served = await Served.start({
      routes: [{ upstream: backend.address, pipeline: 4 }],
      hooks: { requestBody: passing },
    })
    const client = await served.dial()
    await client.send(get('/1') + get('/2'))
    for (const target of ['/1', '/2']) expect((await client.response()).body).toBe(`${target} `)
    for (const request of backend.requests) {
      expect([request.header('transfer-encoding'), request.header('content-length')]).toEqual([undefined, undefined])
    }
    await client.send(post('hello', '/3'))
    expect((await client.response()).body).toBe('/3 hello')
    await client.send(get('/4'))
    expect((await client.response()).body).toBe('/4 ')
    client.peer.end()
    await served.settled()
  })

  it('reaches its own upstream when a hook names another too late, and leaves no connection with that', async () => {
    await using one = await Backend.start(() => ok('one'))
    await using other = await Backend.start(() => ok('other'))
    const codes: unknown[] = []
    await using served = await Served.start({
      routes: [{ path: '/other', upstream: other.address }, { upstream: one.address }],
      hooks: {
        requestSend: (transaction) => {
          if (transaction.request.path !== '/late') return
          try {
            transaction.upstream = other.address
          } catch (error) {
            codes.push((error as { code: string }).code)
          }
          transaction.reply(403)
        },
      },
    })
    const client = await served.dial()
    await client.send(get('/late'))
    expect((await client.response()).status).toBe(403)
    expect(codes).toEqual(['XPS_CLOSED'])
    await client.send(get('/other'))
    expect((await client.response()).body).toBe('other')
    await client.send(get('/one'))
    expect((await client.response()).body).toBe('one')
    expect([one.accepted, other.accepted]).toEqual([1, 1])
    expect([one.requests.length, other.requests.length]).toEqual([1, 1])
    client.peer.end()
    await served.settled()
  })

  it('reaches the first of more addresses than are remembered', async () => {
    await using backend = await Backend.start(() => ok('first'))
    const others = Array.from({ length: 1_200 }, (_, index) => ({
      path: `/${index}`,
      upstream: `127.0.0.2:${index + 1}`,
    }))
    await using served = await Served.start({ routes: [{ path: '/first', upstream: backend.address }, ...others] })
    const client = await served.dial()
    for (let time = 0; time < 2; time++) {
      await client.send(get('/first'))
      expect((await client.response()).body).toBe('first')
    }
    expect(backend.accepted).toBe(1)
    client.peer.end()
    await served.settled()
  })
})

describe('A connection to an upstream', () => {
  it.each([
    'short',
    'long',
    'chunked',
  ] as const)('does not bring what follows a %s response to who waits for that connection', async (kind) => {
    const held = gate<string>()
    await using backend = await Backend.start((request) => (request.target === '/first' ? held.promise : ok('own')))
    await using served = await proxy(backend, { routes: [{ upstream: backend.address, maxConnections: 1 }] })
    const [first, waiter] = [await served.dial(), await served.dial()]
    await first.send(get('/first'))
    await until(() => expect(backend.requests).toHaveLength(1))
    await waiter.send(get('/second'))
    await until(() => expect(served.http.stats().upstreams[backend.address]?.queued).toBe(1))
    held.open(surplus[kind])
    expect((await first.response()).body).toMatch(/^(?:one|1{10000})$/)
    expect((await waiter.response()).body).toBe('own')
    expect(backend.accepted).toBe(2)
    first.peer.end()
    waiter.peer.end()
    await served.settled()
  })

  it('whose request a hook answered itself is not lent to two at a time', async () => {
    const held = gate<string>()
    await using backend = await Backend.start(() => held.promise)
    await using served = await proxy(backend, {
      hooks: {
        requestSend: (transaction) => {
          if (transaction.request.path === '/forbidden') transaction.reply(403)
        },
      },
    })
    const clients = [await served.dial(), await served.dial()] as const
    await clients[0].send(get('/forbidden'))
    expect((await clients[0].response()).status).toBe(403)
    expect(served.http.stats().upstreams[backend.address]).toEqual({ connections: 1, idle: 1, queued: 0 })
    for (const client of clients) await client.send(post('once'))
    await until(() => expect(backend.requests).toHaveLength(2))
    expect(backend.accepted).toBe(2)
    held.open(ok('done'))
    for (const client of clients) {
      expect((await client.response()).body).toBe('done')
      client.peer.end()
    }
    await served.settled()
  })

  it('is used again after a body that was delivered late', async () => {
    await using backend = await Backend.start(() => ok('x'.repeat(20_000)))
    await using served = await proxy(backend, {
      hooks: {
        responseBody: () =>
          new Transform({
            writableHighWaterMark: 1,
            transform: (chunk, _, done) => void turns(5).then(() => done(null, chunk)),
          }),
      },
    })
    const client = await served.dial()
    for (let time = 0; time < 3; time++) {
      await client.send(get())
      expect((await client.response()).body).toHaveLength(20_000)
    }
    expect(backend.accepted).toBe(1)
    client.peer.end()
    await served.settled()
  })

  it('that carried requests one behind the other, and is the only one, takes one that must go alone', async () => {
    await using backend = await Backend.start((request) => ok(request.method))
    await using served = await Served.start({
      queueTimeout: 1_000,
      routes: [{ upstream: backend.address, pipeline: 2, maxConnections: 1 }],
    })
    const client = await served.dial()
    for (const request of [get(), post('body'), get()]) {
      await client.send(request)
      expect((await client.response()).body).toBe(request.slice(0, request.indexOf(' ')))
    }
    expect(backend.accepted).toBe(1)
    client.peer.end()
    await served.settled()
  })
})

describe('Interim responses', () => {
  it('of each request come to its client, and are counted for it alone', async () => {
    await using backend = await Backend.start(() => interim.repeat(20) + ok('final'))
    await using served = await proxy(backend)
    const client = await served.dial()
    for (let time = 0; time < 3; time++) {
      await client.send(get())
      const answer = await client.response()
      expect([answer.body, answer.interim.length]).toEqual(['final', 20])
    }
    expect(backend.accepted).toBe(1)
    client.peer.end()
    await served.settled()
  })

  it('without end are a 502, also for a client that does not read, and their connection closes', async () => {
    // 12 MB of them, of which the client takes none.
    await using backend = await Backend.start((_, peer) => {
      void peer.write(interim.repeat(12_000))
      return undefined
    })
    await using served = await proxy(backend)
    const client = await served.dial()
    client.peer.pause()
    await client.send(get())
    await until(() => expect([served.http.stats().served, backend.open]).toEqual([1, 0]))
    expect(served.http.stats()).toMatchObject({ statuses: { '5xx': 1 }, faults: { XPS_BAD_RESPONSE: 1 } })
    client.peer.resume()
    const answer = await client.response()
    expect(answer.status).toBe(502)
    expect(answer.interim.length).toBeLessThan(100)
    client.peer.end()
    await served.settled()
  })
})
