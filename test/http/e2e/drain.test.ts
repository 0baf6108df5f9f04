import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/testing/index.ts'
import { closedPort, dial } from '../../support/net.ts'
import { Backend, gate, get, ok, pong, post, proxy, until } from './support.ts'

describe('core.abort()', () => {
  it('E66: with a request under way gives the client nothing, and is over at once', async () => {
    await using backend = await Backend.start(() => undefined)
    // At once: the clock does not move.
    await using served = await proxy(backend, {}, { clock: new ManualClock() })
    const client = await served.dial()
    await client.send(get())
    await until(() => expect(backend.requests).toHaveLength(1))
    served.core.abort()
    await served.core.closed
    await client.peer.over()
    expect(client.peer.unread).toHaveLength(0)
    await until(() => expect(backend.open).toBe(0))
    client.peer.end()
    expect(served.http.stats()).toMatchObject({ sessions: 0, transactions: 0 })
  })
})

describe('A hook that never lets go', () => {
  it.each([
    'sessionStart',
    'transactionStart',
    'response',
    'transactionClose',
    'sessionClose',
  ] as const)('at %s does not keep a core from closing when it is told to', async (point) => {
    await using backend = await Backend.start()
    const reached = gate()
    await using served = await proxy(backend, {
      hooks: {
        [point]: () => {
          reached.open()
          return new Promise<void>(() => {})
        },
      },
    })
    const client = await served.dial()
    await client.send(get())
    if (point === 'sessionClose') client.peer.end()
    await reached.promise
    served.core.abort()
    await served.core.closed
    await client.peer.over()
    client.peer.reset()
  })
})

describe('core.close()', () => {
  it('E67: with a request under way lets it finish, tells the client that it was the last, and closes', async () => {
    const answer = gate()
    await using backend = await Backend.start(async () => {
      await answer.promise
      return ok('the whole answer')
    })
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(get('/1') + get('/2'))
    await until(() => expect(backend.requests).toHaveLength(1))
    const closed = served.core.close()
    answer.open()
    const message = await client.response()
    expect([message.body, message.header('connection')]).toEqual(['the whole answer', 'close'])
    expect(await client.peer.text()).toBe('')
    client.peer.end()
    expect(await closed).toBeUndefined()
    expect(backend.requests).toHaveLength(1)
  })

  it('E67: lets an upload finish, too', async () => {
    await using backend = await Backend.start((request) => ok(`${request.body.length}`))
    await using served = await proxy(backend)
    const client = await served.dial()
    const text = post('u'.repeat(50_000))
    await client.send(text.slice(0, 20_000))
    await until(() => expect(backend.bytes).toBeGreaterThan(10_000))
    const closed = served.core.close()
    await client.send(text.slice(20_000))
    expect((await client.response()).body).toBe('50000')
    client.peer.end()
    expect(await closed).toBeUndefined()
  })

  it('E68: with idle connections only closes them, and is over at once', async () => {
    await using backend = await Backend.start()
    // At once: the clock does not move.
    await using served = await proxy(backend, {}, { clock: new ManualClock() })
    const clients = await Promise.all(
      Array.from({ length: 10 }, async (_, index) => {
        const client = await served.dial()
        if (index % 2 === 0) {
          await client.send(get())
          await client.response()
        }
        return client
      }),
    )
    await until(() => expect(served.http.stats().sessions).toBe(10))
    const closed = served.core.close()
    for (const client of clients) {
      expect(await client.peer.text()).toBe('')
      client.peer.end()
    }
    expect(await closed).toBeUndefined()
    await until(() => expect(backend.open).toBe(0))
  })

  it('E70: at its deadline ends what is still under way', async () => {
    const clock = new ManualClock()
    await using backend = await Backend.start((_, peer) => {
      void peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n')
      return undefined
    })
    await using served = await proxy(backend, {}, { clock })
    const client = await served.dial()
    await client.send(get())
    await client.peer.read('no\r\n')
    const closed = served.core.close({ deadline: 3_000 })
    clock.advance(2_900)
    expect(served.http.stats().transactions).toBe(1)
    clock.advance(300)
    await closed
    await client.peer.over()
    expect(client.peer.unread.toString()).not.toContain('0\r\n\r\n')
    client.peer.end()
    expect(served.http.stats()).toMatchObject({ sessions: 0, transactions: 0 })
  })

  it('E72: refuses who comes from then on', async () => {
    const answer = gate()
    await using backend = await Backend.start(async () => {
      await answer.promise
      return pong
    })
    await using served = await proxy(backend)
    const { port } = served
    const client = await served.dial()
    await client.send(get())
    await until(() => expect(backend.requests).toHaveLength(1))
    const closed = served.core.close()
    await expect(dial(port)).rejects.toThrow(/ECONNREFUSED/)
    answer.open()
    expect((await client.response()).status).toBe(200)
    client.peer.end()
    await closed
  })

  it('E69: is over with what was not asked for yet: half a head, half a body', async () => {
    const clock = new ManualClock()
    await using backend = await Backend.start()
    await using served = await proxy(backend, {}, { clock })
    const head = await served.dial()
    await head.send('GET / HTTP/1.1\r\nHos')
    const body = await served.dial()
    await body.send(post('x'.repeat(20_000)).slice(0, 10_000))
    await until(() => expect(served.http.stats()).toMatchObject({ sessions: 2, transactions: 1 }))
    const closed = served.core.close({ deadline: 2_000 })
    clock.advance(2_500)
    await closed
    for (const client of [head, body]) {
      await client.peer.over()
      expect(client.peer.unread.toString()).not.toMatch(/ 200 /)
      client.peer.end()
    }
  })
})

describe('core.drain()', () => {
  it('E71: tells clients to go, goes on to serve them and new ones, and can be taken back', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend)
    const one = await served.dial()
    await one.send(get())
    expect((await one.response()).header('connection')).toBeUndefined()
    served.core.drain()
    await one.send(get())
    const last = await one.response()
    expect([last.status, last.header('connection')]).toEqual([200, 'close'])
    await one.peer.over()
    one.peer.end()
    const during = await served.ask(get())
    expect([during.status, during.header('connection')]).toEqual([200, 'close'])
    served.core.drain(false)
    const two = await served.dial()
    for (let round = 0; round < 2; round++) {
      await two.send(get())
      expect((await two.response()).header('connection')).toBeUndefined()
    }
    two.peer.end()
    await served.settled()
  })
})

describe('Two cores', () => {
  it('E73: hand over: what is under way finishes on the old one, and the new one has the port', async () => {
    const answer = gate()
    await using backend = await Backend.start(async (request) => {
      if (request.target === '/old') await answer.promise
      return ok(request.target)
    })
    const port = await closedPort()
    const { Core } = await import('../../../src/index.ts')
    const { http } = await import('../../../src/http/http.ts')
    const routes = [{ upstream: backend.address }]
    const old = new Core()
    await old.listen({ port, host: '127.0.0.1' }, { protocol: http({ routes }) })
    const client = await dial(port)
    await client.write(get('/old'))
    await until(() => expect(backend.requests).toHaveLength(1))
    const closed = old.close()
    const young = new Core()
    await young.listen({ port, host: '127.0.0.1' }, { protocol: http({ routes }) })
    const other = await dial(port)
    await other.write(get('/new'))
    expect(await other.read('/new')).toContain('200 OK')
    answer.open()
    expect(await client.read('\r\n\r\n/old')).toContain('200 OK')
    client.end()
    expect(await closed).toBeUndefined()
    other.end()
    young.abort()
    await young.closed
  })
})
