import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/testing/index.ts'
import { Backend, gate, get, ok, pong, post, proxy, Served, turns, until, type Wire } from './support.ts'

describe('Limits of connections', () => {
  it('E39: at maxConnections the late ones wait unread; below 90 % the newest of them are served', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend, {}, { maxConnections: 15 })
    const round = async (client: Wire, fields = ''): Promise<void> => {
      await client.send(get('/', fields))
      expect((await client.response()).status).toBe(200)
    }
    const first: Wire[] = []
    for (let index = 0; index < 15; index++) {
      const client = await served.dial()
      await round(client)
      first.push(client)
    }
    const late: Wire[] = []
    for (let index = 0; index < 5; index++) {
      const client = await served.dial()
      await client.send(get('/late'))
      late.push(client)
      await until(() => expect(served.core.stats().queued).toBe(index + 1))
    }
    for (const client of first) await round(client)
    expect(backend.requests).toHaveLength(30)
    const answered = (): number[] => late.flatMap((client, index) => (client.peer.unread.length > 0 ? [index] : []))
    for (let index = 0; index < 2; index++) {
      await round(first[index] as Wire, 'Connection: close\r\n')
      first[index]?.peer.end()
      await until(() => expect(served.core.stats().active).toBe(14 - index))
    }
    await turns()
    expect(answered()).toEqual([])
    await round(first[2] as Wire, 'Connection: close\r\n')
    first[2]?.peer.end()
    // Of 12 that are left there is room for three, the newest.
    await until(() => expect(answered()).toEqual([2, 3, 4]))
    for (let index = 3; index < 5; index++) {
      await round(first[index] as Wire, 'Connection: close\r\n')
      first[index]?.peer.end()
      await until(() => expect(served.core.stats().active).toBe(17 - index))
    }
    await turns()
    expect(answered()).toEqual([2, 3, 4])
    expect(backend.requests).toHaveLength(15 + 15 + 5 + 3)
    first[5]?.peer.end()
    await until(() => expect(answered()).toEqual([0, 1, 2, 3, 4]))
    for (const client of [...first, ...late]) client.peer.reset()
    await served.settled()
  })

  it('E41: with eviction, who is silent the longest makes room; without, the new one waits', async () => {
    for (const evict of ['idle', 'none'] as const) {
      const clock = new ManualClock()
      await using backend = await Backend.start()
      await using served = await proxy(backend, {}, { clock, maxConnections: 2, evict })
      const one = await served.dial()
      await one.send('GET / HTTP/1.1\r\n')
      await until(() => expect(served.core.stats().bytesIn).toBe(16))
      clock.advance(1_000)
      const two = await served.dial()
      await two.send('GET / HTTP/1.1\r\n')
      await until(() => expect(served.core.stats().bytesIn).toBe(32))
      clock.advance(1_000)
      await one.send('Host: a\r\n')
      await until(() => expect(served.core.stats().bytesIn).toBe(41))
      clock.advance(1_000)
      const three = await served.dial()
      await three.send(get())
      if (evict === 'idle') {
        expect((await three.response()).status).toBe(200)
        await two.peer.over()
        expect(one.peer.ended).toBe(false)
        expect(served.core.stats().evicted).toBe(1)
      } else {
        await until(() => expect(served.core.stats().queued).toBe(1))
        clock.advance(600)
        await turns()
        expect(backend.bytes).toBe(0)
      }
      for (const client of [one, two, three]) client.peer.reset()
    }
  })

  it('E42: who waits longer than queueTimeout is closed, and never reaches the upstream', async () => {
    const clock = new ManualClock()
    const answer = gate()
    await using backend = await Backend.start(async () => {
      await answer.promise
      return pong
    })
    await using served = await proxy(backend, {}, { clock, maxConnections: 1, queueTimeout: 1_000 })
    const one = await served.dial()
    await one.send(get())
    await until(() => expect(backend.requests).toHaveLength(1))
    const two = await served.dial()
    await two.send(get())
    await until(() => expect(served.core.stats().queued).toBe(1))
    clock.advance(1_300)
    await two.peer.over()
    expect(served.core.stats().refused['queue-timeout']).toBe(1)
    answer.open()
    expect((await one.response()).status).toBe(200)
    expect(backend.requests).toHaveLength(1)
    one.peer.reset()
    two.peer.reset()
  })

  it.each(['newest', 'oldest'] as const)('E43: of those who wait the %s is served first', async (order) => {
    await using backend = await Backend.start()
    await using served = await proxy(backend, {}, { maxConnections: 1, order })
    const holder = await served.dial()
    await holder.send(get('/holder'))
    await holder.response()
    const waiting: Wire[] = []
    for (const name of ['/a', '/b', '/c']) {
      const client = await served.dial()
      await client.send(get(name, 'Connection: close\r\n'))
      waiting.push(client)
      await until(() => expect(served.core.stats().queued).toBe(waiting.length))
    }
    holder.peer.end()
    for (const client of waiting) void client.peer.over().then(() => client.peer.end())
    await until(() => expect(backend.requests).toHaveLength(4))
    const served_ = backend.requests.slice(1).map((request) => request.target)
    expect(served_).toEqual(order === 'newest' ? ['/c', '/b', '/a'] : ['/a', '/b', '/c'])
    await served.settled()
  })

  it('E44: more than maxConnectionsPerIp of one address are closed without a byte; exempt ones are not', async () => {
    for (const exempt of [[], ['127.0.0.0/8']]) {
      const answer = gate()
      await using backend = await Backend.start(async () => {
        await answer.promise
        return pong
      })
      await using served = await proxy(backend, {}, { maxConnectionsPerIp: 3, exempt })
      const clients: Wire[] = []
      for (let index = 0; index < 3; index++) {
        const client = await served.dial()
        await client.send(get('/', 'Connection: close\r\n'))
        clients.push(client)
      }
      await until(() => expect(backend.requests).toHaveLength(3))
      const fourth = await served.dial()
      void fourth.send(get('/', 'Connection: close\r\n'))
      if (exempt.length === 0) {
        await fourth.peer.over()
        expect(fourth.peer.unread).toHaveLength(0)
        expect(served.core.stats().refused['per-ip']).toBe(1)
      } else await until(() => expect(backend.requests).toHaveLength(4))
      answer.open()
      for (const client of clients) {
        expect((await client.response()).status).toBe(200)
        client.peer.end()
      }
      if (exempt.length > 0) expect((await fourth.response()).status).toBe(200)
      fourth.peer.end()
      await served.settled()
      expect((await served.ask(get())).status).toBe(200)
      expect(served.core.stats().refused['per-ip']).toBe(exempt.length === 0 ? 1 : 0)
    }
  })

  it('E47: maxRequestsPerSession says so in its last response, and closes', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend, { maxRequestsPerSession: 3 })
    const client = await served.dial()
    await client.send(get('/1') + get('/2') + get('/3') + get('/4'))
    const connections: (string | undefined)[] = []
    for (let round = 0; round < 3; round++) connections.push((await client.response()).header('connection'))
    expect(connections).toEqual([undefined, undefined, 'close'])
    await client.peer.over()
    expect(client.peer.unread).toHaveLength(0)
    client.peer.end()
    expect((await served.ask(get())).status).toBe(200)
    expect(backend.requests.map((request) => request.target)).toEqual(['/1', '/2', '/3', '/'])
  })
})

describe('Limits of upstreams', () => {
  it('E46: with no place to wait, more than maxConnections at a time are 503 at once', async () => {
    const answer = gate()
    await using backend = await Backend.start(async () => {
      await answer.promise
      return pong
    })
    await using served = await Served.start({ routes: [{ upstream: backend.address, maxConnections: 3, maxQueue: 0 }] })
    const busy: Wire[] = []
    for (let index = 0; index < 3; index++) {
      const client = await served.dial()
      await client.send(get())
      busy.push(client)
    }
    await until(() => expect(backend.requests).toHaveLength(3))
    expect((await served.ask(get())).status).toBe(503)
    answer.open()
    for (const client of busy) {
      expect((await client.response()).status).toBe(200)
      client.peer.end()
    }
    expect((await served.ask(get())).status).toBe(200)
    expect(served.http.stats()).toMatchObject({ served: 5, statuses: { '2xx': 4, '5xx': 1 }, faults: { XPS_BUSY: 1 } })
    expect(backend.accepted).toBe(3)
  })

  it('maxQueue requests wait for a connection, in turn', async () => {
    let answer = gate()
    await using backend = await Backend.start(async (request) => {
      await answer.promise
      return ok(request.target)
    })
    await using served = await Served.start({ routes: [{ upstream: backend.address, maxConnections: 1, maxQueue: 2 }] })
    const clients: Wire[] = []
    for (const target of ['/1', '/2', '/3']) {
      const client = await served.dial()
      await client.send(get(target))
      clients.push(client)
      const queued = clients.length - 1
      await until(() =>
        expect([backend.requests.length, served.http.stats().upstreams[backend.address]?.queued]).toEqual([1, queued]),
      )
    }
    expect((await served.ask(get('/4'))).status).toBe(503)
    answer.open()
    for (const [index, client] of clients.entries()) expect((await client.response()).body).toBe(`/${index + 1}`)
    expect(backend.requests.map((request) => request.target)).toEqual(['/1', '/2', '/3'])
    expect(backend.accepted).toBe(1)
    answer = gate()
    for (const client of clients) client.peer.end()
    await served.settled()
  })

  it('a client that leaves while it waits is not waited for', async () => {
    const answer = gate()
    await using backend = await Backend.start(async (request) => {
      await answer.promise
      return ok(request.target)
    })
    await using served = await Served.start({ routes: [{ upstream: backend.address, maxConnections: 1 }] })
    const one = await served.dial()
    await one.send(get('/1'))
    await until(() => expect(backend.requests).toHaveLength(1))
    const two = await served.dial()
    await two.send(get('/2'))
    await until(() => expect(served.http.stats().upstreams[backend.address]?.queued).toBe(1))
    two.peer.reset()
    await until(() => expect(served.http.stats().upstreams[backend.address]?.queued).toBe(0))
    answer.open()
    expect((await one.response()).body).toBe('/1')
    one.peer.end()
    await served.settled()
    expect(backend.requests).toHaveLength(1)
  })

  it('maxRequestsPerConnection retires a connection, maxIdle keeps few', async () => {
    await using backend = await Backend.start()
    await using served = await Served.start({
      routes: [{ upstream: backend.address, maxRequestsPerConnection: 2, maxIdle: 1 }],
    })
    const client = await served.dial()
    for (let round = 0; round < 6; round++) {
      await client.send(get())
      expect((await client.response()).status).toBe(200)
    }
    expect(backend.accepted).toBe(3)
    await Promise.all(
      Array.from({ length: 5 }, async () => {
        const other = await served.dial()
        await other.send(get())
        await other.response()
        other.peer.end()
      }),
    )
    await until(() => expect(backend.open).toBeLessThanOrEqual(1))
    client.peer.end()
    await served.settled()
  })
})

describe('Limits of requests', () => {
  it('of the head, the target, the fields and the body have a status each, and nothing reaches the upstream', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend, { headLimit: 2_000, targetLimit: 500, fieldLimit: 10, bodyLimit: 1_000 })
    const cases: [string, number][] = [
      [get(`/${'t'.repeat(600)}`), 414],
      [get('/', `X: ${'v'.repeat(2_000)}\r\n`), 431],
      [get('/', 'X: v\r\n'.repeat(12)), 431],
      [post('x'.repeat(1_001)), 413],
      [`GET /${'x'.repeat(3_000)}`, 414],
      [`GET / HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(3_000)}`, 431],
    ]
    for (const [request, status] of cases) {
      const client = await served.dial()
      await client.send(request)
      const answer = await client.response()
      expect([request.slice(0, 20), answer.status]).toEqual([request.slice(0, 20), status])
      client.peer.end()
    }
    expect(backend.requests).toHaveLength(0)
    expect((await served.ask(post('x'.repeat(1_000)))).status).toBe(200)
    await served.settled()
  })

  it('of a body in chunks is told 413 when it is passed, and the upstream request is given up', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend, { bodyLimit: 1_000 })
    const client = await served.dial()
    await client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
    for (let piece = 0; piece < 11; piece++) await client.send(`64\r\n${'x'.repeat(100)}\r\n`)
    const answer = await client.response()
    expect([answer.status, answer.header('connection')]).toEqual([413, 'close'])
    await client.peer.over()
    client.peer.end()
    await until(() => expect(backend.open).toBe(0))
    expect(backend.requests).toHaveLength(0)
    await served.settled()
  })

  it('of a route hold for that route', async () => {
    await using backend = await Backend.start()
    await using served = await Served.start({
      bodyLimit: 100,
      routes: [
        { path: '/big', upstream: backend.address, bodyLimit: '1 KB' },
        { path: '/any', upstream: backend.address, bodyLimit: 0 },
        { upstream: backend.address },
      ],
    })
    const statuses: number[] = []
    for (const target of ['/big', '/any', '/']) {
      for (const size of [90, 900, 90_000]) {
        const client = await served.dial()
        void client.send(post('x'.repeat(size), target))
        statuses.push((await client.response()).status)
        client.peer.end()
      }
    }
    expect(statuses).toEqual([200, 200, 413, 200, 200, 200, 200, 413, 413])
    await served.settled()
  })

  it('a body that nobody wants is read if it is short, and otherwise the connection closes', async () => {
    await using served = await Served.start({ routes: [{ reply: { status: 200, body: 'no, thanks' } }] })
    const short = await served.dial()
    const text = post('x'.repeat(30_000))
    await short.send(text.slice(0, 200))
    expect((await short.response()).body).toBe('no, thanks')
    await short.send(text.slice(200) + get())
    expect((await short.response()).body).toBe('no, thanks')
    short.peer.end()
    const long = await served.dial()
    void long.send(post('x'.repeat(10_000_000)))
    const answer = await long.response()
    expect([answer.body, answer.header('connection')]).toEqual(['no, thanks', 'close'])
    await long.peer.over()
    long.peer.reset()
    await served.settled()
  })
})
