import type { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/testing/index.ts'
import { closedPort, TestServer } from '../../support/net.ts'
import { Backend, gate, get, ok, pong, post, proxy, Served, turns, until } from './support.ts'

describe('Connections to upstreams', () => {
  it('A.2: are used again, by the same client and by others', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend)
    for (let round = 0; round < 3; round++) {
      const client = await served.dial()
      await client.send(get() + get())
      await client.response()
      await client.response()
      client.peer.end()
      await client.peer.over()
    }
    expect(backend.accepted).toBe(1)
    expect(served.http.stats().upstreams[backend.address]).toEqual({ connections: 1, idle: 1, queued: 0 })
  })

  const closing = { close: 'Connection: close\r\n', keep: '' }
  it.each([
    ['close', 'keep'],
    ['keep', 'keep'],
    ['keep', 'close'],
    ['close', 'close'],
  ] as const)('E48: of a client that says %s to an upstream that says %s', async (client, upstream) => {
    await using backend = await Backend.start(() => ok('pong', closing[upstream]))
    await using served = await proxy(backend)
    const one = await served.dial()
    await one.send(get('/', closing[client]))
    const answer = await one.response()
    expect(answer.body).toBe('pong')
    expect(answer.header('connection')).toBe(client === 'close' ? 'close' : undefined)
    if (client === 'close') await one.peer.over()
    else {
      await one.send(get())
      expect((await one.response()).body).toBe('pong')
    }
    // Whether the client stays is no business of the upstream's, and the other way round: the pool keeps its own.
    expect(backend.accepted).toBe(client === 'keep' && upstream === 'close' ? 2 : 1)
    await until(() => expect(backend.open).toBe(upstream === 'keep' ? 1 : 0))
    one.peer.end()
    await served.settled()
  })

  it('E53: are shared by clients that come one after the other, though each closes', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend)
    for (let round = 0; round < 3; round++)
      expect((await served.ask(get('/', 'Connection: close\r\n'))).status).toBe(200)
    expect(backend.accepted).toBe(1)
  })

  it('E53: are shared by routes to one address, and not by pools with other rules', async () => {
    await using backend = await Backend.start()
    await using served = await Served.start({
      routes: [
        { path: '/a', upstream: backend.address },
        { path: '/b', upstream: backend.address },
        { path: '/c', upstream: backend.address, maxIdle: 7 },
      ],
    })
    for (const target of ['/a', '/b', '/a']) expect((await served.ask(get(target))).status).toBe(200)
    expect(backend.accepted).toBe(1)
    expect((await served.ask(get('/c'))).status).toBe(200)
    expect(backend.accepted).toBe(2)
  })

  it('are used newest first, so that the others can go', async () => {
    const answers: (() => void)[] = []
    await using backend = await Backend.start(
      (request) =>
        new Promise<string>((resolve) => {
          if (request.target === '/now') resolve(pong)
          else answers.push(() => resolve(pong))
        }),
    )
    await using served = await proxy(backend)
    const one = await served.dial()
    const two = await served.dial()
    await one.send(get())
    await until(() => expect(answers).toHaveLength(1))
    await two.send(get())
    await until(() => expect(answers).toHaveLength(2))
    answers[0]?.()
    await one.response()
    answers[1]?.()
    await two.response()
    const before = backend.peers[1]
    await one.send(get('/now'))
    await one.response()
    // The second of the two was free last.
    expect(backend.peers).toHaveLength(2)
    before?.end()
    await until(() => expect(served.http.stats().upstreams[backend.address]?.connections).toBe(1))
    one.peer.end()
    two.peer.end()
  })

  it('E55: that the upstream closed while idle are not used: the next request has a new one', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend)
    for (const way of ['end', 'reset'] as const) {
      expect((await served.ask(get())).status).toBe(200)
      const { accepted } = backend
      backend.peers.at(-1)?.[way]()
      await until(() => expect(served.http.stats().upstreams[backend.address]?.connections).toBe(0))
      expect((await served.ask(post('x'))).status).toBe(200)
      expect(backend.accepted).toBe(accepted + 1)
    }
  })

  it('E55: that close as the request arrives: one that may be repeated is, on a new one', async () => {
    let drop = false
    await using backend = await Backend.start((_, peer) => {
      if (!drop) return pong
      drop = false
      peer.end()
      return undefined
    })
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(get())
    await client.response()
    drop = true
    await client.send(get('/again'))
    expect((await client.response()).status).toBe(200)
    expect(backend.requests.map((request) => request.target)).toEqual(['/', '/again', '/again'])
    expect(backend.accepted).toBe(2)
    // One that may have been seen, and must not be repeated, is not.
    drop = true
    await client.send(post('once', '/once'))
    expect((await client.response()).status).toBe(502)
    expect(backend.requests.filter((request) => request.target === '/once')).toHaveLength(1)
    client.peer.end()
    await served.settled()
  })

  it('E55: of which a part of a response came are not tried again', async () => {
    let drop = false
    await using backend = await Backend.start((_, peer) => {
      if (!drop) return pong
      peer.end('HTTP/1.1 200 OK\r\nContent-')
      return undefined
    })
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(get())
    await client.response()
    drop = true
    await client.send(get('/half'))
    expect((await client.response()).status).toBe(502)
    expect(backend.requests.filter((request) => request.target === '/half')).toHaveLength(1)
    client.peer.end()
    await served.settled()
  })

  it('A.2: that are reset before the response make it a 502, and the next request is served', async () => {
    await using backend = await Backend.start((request, peer) => {
      if (request.target !== '/reset') return pong
      peer.reset()
      return undefined
    })
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(get('/reset'))
    expect((await client.response()).status).toBe(502)
    await client.send(get('/fine'))
    expect((await client.response()).status).toBe(200)
    client.peer.end()
    await served.settled()
  })

  it('on which comes what nobody asked for are not used again', async () => {
    await using backend = await Backend.start(
      (request) => `${ok(request.target)}${request.target === '/extra' ? pong : ''}`,
    )
    await using served = await proxy(backend)
    const client = await served.dial()
    for (const target of ['/1', '/extra', '/2', '/3']) {
      await client.send(get(target))
      expect((await client.response()).body).toBe(target)
    }
    expect(backend.accepted).toBe(2)
    // The same, some time later.
    await backend.peers.at(-1)?.write(pong)
    await until(() => expect(served.http.stats().upstreams[backend.address]?.connections).toBe(0))
    await client.send(get('/4'))
    expect((await client.response()).body).toBe('/4')
    client.peer.end()
    await served.settled()
  })

  it('whose request was answered before it was sent whole are not used again', async () => {
    await using backend = await TestServer.start((_, socket) => {
      let answered = false
      socket.on('data', () => {
        if (!answered) socket.write(ok('early'))
        answered = true
      })
    })
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(post('x'.repeat(30_000)).slice(0, 20_000))
    expect((await client.response()).body).toBe('early')
    await client.send('x'.repeat(10_096 + 200))
    await turns()
    client.peer.reset()
    const other = await served.dial()
    await other.send(get())
    expect((await other.response()).body).toBe('early')
    expect(backend.accepted).toBe(2)
    other.peer.end()
    await served.settled()
  })

  it('are ended with the listener, and reopen with another', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend)
    expect((await served.ask(get())).status).toBe(200)
    expect(backend.open).toBe(1)
    await served.listener.close()
    await until(() => expect(backend.open).toBe(0))
    const again = await served.core.listen({ port: 0, host: '127.0.0.1' }, { protocol: served.http })
    const { dial } = await import('../../support/net.ts')
    const peer = await dial(again.port)
    await peer.write(get())
    expect(await peer.read('pong')).toContain('200')
    peer.end()
  })

  it('wait for a slow start of many requests at once, and are no more than needed', async () => {
    await using backend = await Backend.start()
    await using served = await Served.start({ routes: [{ upstream: backend.address, maxConnections: 4 }] })
    const answers = await Promise.all(Array.from({ length: 60 }, () => served.ask(get())))
    expect(answers.map((answer) => answer.status)).toEqual(Array(60).fill(200))
    expect(backend.accepted).toBeLessThanOrEqual(4)
    await served.settled()
  })
})

describe('Errors', () => {
  it('E49: have a status each, and those that are the fault of the bytes close the client', async () => {
    const refused = await closedPort()
    await using backend = await Backend.start((request, peer) => {
      if (request.target === '/garbage') return 'TEST\r\n\r\n'
      if (request.target === '/closes') {
        peer.end()
        return undefined
      }
      if (request.target === '/no-length') {
        peer.end('HTTP/1.1 200 OK\r\n\r\nno length')
        return undefined
      }
      return pong
    })
    await using served = await Served.start({
      routes: [
        { path: '/refused', upstream: `127.0.0.1:${refused}` },
        { path: '/b', upstream: backend.address },
        { path: '/garbage', upstream: backend.address },
        { path: '/no-length', upstream: backend.address },
        { path: '/closes', upstream: backend.address },
      ],
    })
    const of = async (text: string): Promise<number> => (await served.ask(text)).status
    expect(await of(get('/nowhere'))).toBe(404)
    expect(await of(get('/refused'))).toBe(502)
    expect(await of('garbage\r\n\r\n')).toBe(400)
    expect(await of(get('/garbage'))).toBe(502)
    expect(await of(get('/b'))).toBe(200)
    expect(await of(get('/no-length'))).toBe(200)
    expect(await of(get('/closes'))).toBe(502)
    await served.settled()
    expect(served.http.stats().statuses).toEqual({ '2xx': 2, '3xx': 0, '4xx': 2, '5xx': 3 })
  })

  it('E49: leave the connection of a client usable where its framing is sound', async () => {
    await using backend = await Backend.start((request) => (request.target === '/bad' ? 'TEST\r\n\r\n' : pong))
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(get('/bad') + get('/fine'))
    expect((await client.response()).status).toBe(502)
    expect((await client.response()).status).toBe(200)
    client.peer.end()
  })

  it('E63: are counted as what they are, and no gauge goes below zero', async () => {
    const clock = new ManualClock()
    const refused = await closedPort()
    await using served = await Served.start(
      { routes: [{ upstream: `127.0.0.1:${refused}` }] },
      { clock, firstByteTimeout: 1_000 },
    )
    const idle = await Promise.all(Array.from({ length: 5 }, () => served.dial()))
    await until(() => expect(served.http.stats().sessions).toBe(5))
    clock.advance(1_300)
    for (const client of idle) {
      await client.peer.over()
      client.peer.end()
    }
    for (let round = 0; round < 5; round++) expect((await served.ask('garbage\r\n\r\n')).status).toBe(400)
    for (let round = 0; round < 5; round++) expect((await served.ask(get())).status).toBe(502)
    await served.settled()
    expect(served.http.stats()).toMatchObject({ served: 5, faults: { XPS_BAD_REQUEST: 5, XPS_CONNECT: 5 } })
    expect(served.core.stats().timedOut['first-byte']).toBe(5)
  })

  it('tell nothing of what is inside, and may look as the host likes', async () => {
    const refused = await closedPort()
    await using served = await Served.start({
      routes: [{ upstream: `127.0.0.1:${refused}` }],
      errorPages: {
        502: '<h1>{status} {reason} {code}</h1>',
        400: (error, status) => ({ status, body: `own ${error.code}` }),
      },
    })
    const bad = await served.ask(get())
    expect([bad.body, bad.header('content-type')]).toEqual([
      '<h1>502 Bad Gateway XPS_CONNECT</h1>',
      'text/html; charset=utf-8',
    ])
    expect((await served.ask('x\r\n\r\n')).body).toBe('own XPS_BAD_REQUEST')
  })

  it('of a function that makes pages do not end anything', async () => {
    await using served = await Served.start({
      errorPages: {
        default: () => {
          throw new Error('no page')
        },
      },
    })
    expect((await served.ask(get())).status).toBe(404)
    expect((await served.ask('x\r\n\r\n')).status).toBe(400)
    await served.settled()
  })
})

describe('Of several addresses', () => {
  it('each has its turn', async () => {
    await using one = await Backend.start(() => ok('one'))
    await using two = await Backend.start(() => ok('two'))
    await using served = await Served.start({ routes: [{ upstream: [one.address, two.address] }] })
    const bodies: string[] = []
    for (let round = 0; round < 4; round++) bodies.push((await served.ask(get())).body)
    expect(bodies).toEqual(['one', 'two', 'one', 'two'])
  })

  it('client-address keeps a client with its own', async () => {
    await using one = await Backend.start(() => ok('one'))
    await using two = await Backend.start(() => ok('two'))
    await using served = await Served.start({
      routes: [{ upstream: [one.address, two.address], balance: 'client-address' }],
    })
    const bodies = new Set<string>()
    for (let round = 0; round < 6; round++) bodies.add((await served.ask(get())).body)
    expect(bodies.size).toBe(1)
  })

  it('E57: a dead one is no matter: the other answers, also to what must not be repeated', async () => {
    const dead = await closedPort()
    await using alive = await Backend.start()
    await using served = await Served.start({ routes: [{ upstream: [`127.0.0.1:${dead}`, alive.address] }] })
    for (let round = 0; round < 4; round++) {
      expect((await served.ask(get())).status).toBe(200)
      expect((await served.ask(post('large'.repeat(10_000)))).status).toBe(200)
    }
    expect(alive.requests.filter((request) => request.body.length === 50_000)).toHaveLength(4)
    await served.settled()
  })

  it('E56: one that could not be connected to is passed over for downTime, then tried again', async () => {
    const clock = new ManualClock()
    await using alive = await Backend.start(() => ok('alive'))
    let accepted = 0
    await using flaky = await TestServer.start()
    const { address, port } = flaky
    await flaky[Symbol.asyncDispose]()
    await using served = await Served.start(
      { routes: [{ upstream: [address, alive.address], downTime: 10_000 }] },
      { clock },
    )
    // Its first turn finds it dead.
    expect((await served.ask(get())).body).toBe('alive')
    await using revived = await Backend.start(() => {
      accepted++
      return ok('revived')
    })
    await new Promise<void>((resolve) => revived.server.server.close(() => resolve()))
    await new Promise<void>((resolve) => revived.server.server.listen(port, '127.0.0.1', resolve))
    for (let round = 0; round < 4; round++) expect((await served.ask(get())).body).toBe('alive')
    expect(accepted).toBe(0)
    clock.advance(10_100)
    const bodies = new Set<string>()
    for (let round = 0; round < 4; round++) bodies.add((await served.ask(get())).body)
    expect([...bodies].sort()).toEqual(['alive', 'revived'])
  })

  it('E56: silence, or a POST that broke, is not being down', async () => {
    const clock = new ManualClock()
    await using one = await Backend.start((request, peer) => {
      if (request.target === '/silent') return undefined
      if (request.target === '/break') {
        peer.reset()
        return undefined
      }
      return ok('one')
    })
    await using two = await Backend.start(() => ok('two'))
    await using served = await Served.start(
      { routes: [{ upstream: [one.address, two.address] }], responseTimeout: 1_000 },
      { clock },
    )
    const client = await served.dial()
    await client.send(get('/silent'))
    await until(() => expect(one.requests).toHaveLength(1))
    clock.advance(1_300)
    expect((await client.response()).status).toBe(504)
    expect((await served.ask(get())).body).toBe('two')
    expect((await served.ask(post('x', '/break'))).status).toBe(502)
    expect((await served.ask(get())).body).toBe('two')
    expect((await served.ask(get())).body).toBe('one')
    client.peer.end()
  })

  it('E58: when all are down they are tried all the same', async () => {
    const clock = new ManualClock()
    const ports = [await closedPort(), await closedPort()]
    await using served = await Served.start(
      { routes: [{ upstream: ports.map((port) => `127.0.0.1:${port}`) }] },
      { clock },
    )
    expect((await served.ask(get())).status).toBe(502)
    await using revived = await Backend.start(() => ok('revived'))
    await new Promise<void>((resolve) => revived.server.server.close(() => resolve()))
    await new Promise<void>((resolve) => revived.server.server.listen(ports[1], '127.0.0.1', resolve))
    expect((await served.ask(get())).body).toBe('revived')
  })

  it('one that breaks before it answers leaves what may be repeated to the other', async () => {
    await using one = await Backend.start((_, peer) => {
      peer.reset()
      return undefined
    })
    await using two = await Backend.start(() => ok('two'))
    await using served = await Served.start({ routes: [{ upstream: [one.address, two.address] }] })
    for (let round = 0; round < 4; round++) expect((await served.ask(get())).body).toBe('two')
    await served.settled()
  })
})

describe('Requests one behind the other on an upstream connection', () => {
  it('are sent so where it is allowed, answered in order, and only if they may be repeated', async () => {
    await using backend = await TestServer.start((_, socket) => {
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk
        const heads = text.split('\r\n\r\n')
        text = heads.pop() ?? ''
        for (const head of heads) socket.write(ok(head.split(' ')[1] ?? ''))
      })
    })
    await using served = await Served.start({
      routes: [{ upstream: backend.address, pipeline: 8, pipelineConnections: 1 }],
    })
    const bodies = await Promise.all(
      Array.from({ length: 40 }, async (_, index) => {
        const client = await served.dial()
        await client.send(get(`/${index}`))
        const { body } = await client.response()
        client.peer.end()
        return body
      }),
    )
    expect(bodies).toEqual(Array.from({ length: 40 }, (_, index) => `/${index}`))
    expect(backend.accepted).toBe(1)
    await served.settled()
  })

  it('go to the same connection, some at a time, if they come at the same time', async () => {
    const counts = new Map<Socket, number>()
    await using backend = await TestServer.start((_, socket) => {
      socket.on('data', (chunk) => {
        const heads = chunk.toString().split('\r\n\r\n').length - 1
        counts.set(socket, (counts.get(socket) ?? 0) + heads)
        socket.write(pong.repeat(heads))
      })
    })
    let hold = gate()
    let held = 0
    await using served = await Served.start({
      routes: [{ upstream: backend.address, pipeline: 32, pipelineConnections: 4 }],
      hooks: {
        async request() {
          held++
          await hold.promise
        },
      },
    })
    const ask = async (count: number) => {
      counts.clear()
      held = 0
      hold = gate()
      const clients = await Promise.all(Array.from({ length: count }, () => served.dial()))
      for (const client of clients) await client.send(get())
      await until(() => expect(held).toBe(count))
      hold.open()
      for (const client of clients) {
        expect((await client.response()).body).toBe('pong')
        client.peer.end()
      }
      await served.settled()
      return [...counts.values()].sort((a, b) => b - a)
    }
    // A connection is dialled for each.
    await ask(4)
    await until(() => expect(served.http.stats().upstreams[backend.address]?.idle).toBe(4))
    expect(await ask(20)).toEqual([16, 4])
    expect(backend.accepted).toBe(4)
  })

  it('are tried again when the connection breaks before their turn', async () => {
    let first = true
    await using backend = await TestServer.start((_, socket) => {
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk
        const heads = text.split('\r\n\r\n')
        text = heads.pop() ?? ''
        for (const head of heads) {
          if (first) {
            first = false
            socket.end(`${ok(head.split(' ')[1] ?? '', 'Connection: close\r\n')}`)
            return
          }
          if (socket.writable) socket.write(ok(head.split(' ')[1] ?? ''))
        }
      })
    })
    await using served = await Served.start({
      routes: [{ upstream: backend.address, pipeline: 8, pipelineConnections: 1 }],
    })
    const clients = await Promise.all(Array.from({ length: 6 }, () => served.dial()))
    const bodies = await Promise.all(
      clients.map(async (client, index) => {
        await client.send(get(`/${index}`))
        const { body } = await client.response()
        client.peer.end()
        return body
      }),
    )
    expect(bodies).toEqual(clients.map((_, index) => `/${index}`))
    await served.settled()
  })

  it('a client that leaves does not take the others of the connection with it', async () => {
    const release = gate()
    await using backend = await TestServer.start((_, socket) => {
      socket.on('error', () => {})
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk
        const heads = text.split('\r\n\r\n')
        text = heads.pop() ?? ''
        void release.promise.then(() => {
          for (const head of heads) if (socket.writable) socket.write(ok(head.split(' ')[1] ?? ''))
        })
      })
    })
    await using served = await Served.start({
      routes: [{ upstream: backend.address, pipeline: 8, pipelineConnections: 1 }],
    })
    const clients = await Promise.all(Array.from({ length: 4 }, () => served.dial()))
    for (const [index, client] of clients.entries()) await client.send(get(`/${index}`))
    await until(() => expect(served.http.stats().transactions).toBe(4))
    await turns()
    clients[1]?.peer.reset()
    await until(() => expect(served.http.stats().left).toBe(1))
    release.open()
    for (const index of [0, 2, 3]) expect((await clients[index]?.response())?.body).toBe(`/${index}`)
    for (const client of clients) client.peer.reset()
    await served.settled()
  })
})
