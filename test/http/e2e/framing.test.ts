import { describe, expect, it } from 'vitest'
import { PipeSource } from '../../../src/pipe/source.ts'
import { TestServer } from '../../support/net.ts'
import { Random } from '../../support/random.ts'
import { Backend, gate, get, ok, pong, post, proxy, Served, turns, until } from './support.ts'

const chunkedBody = (pieces: readonly string[], trailers = ''): string =>
  `${pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join('')}0\r\n${trailers}\r\n`

const chunkedPost = (pieces: readonly string[], trailers = '', method = 'POST', fields = ''): string =>
  `${method} /chunked HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n${fields}\r\n${chunkedBody(pieces, trailers)}`

const chunkedOk = (pieces: readonly string[], trailers = '', fields = ''): string =>
  `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n${fields}\r\n${chunkedBody(pieces, trailers)}`

describe('Requests', () => {
  it('E14: a POST of no length and a GET in one write are two requests', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(post('', '/first') + get('/second'))
    await client.response()
    await client.response()
    expect(backend.requests.map(({ method, target, body }) => `${method} ${target} ${body}`)).toEqual([
      'POST /first ',
      'GET /second ',
    ])
    expect(backend.requests[0]?.header('content-length') ?? '0').toBe('0')
    client.peer.end()
  })

  it('A.2: that are pipelined are answered in order, each after the one before', async () => {
    let busy = 0
    let most = 0
    await using backend = await Backend.start(async (request) => {
      most = Math.max(most, ++busy)
      await turns(3)
      busy--
      return ok(request.target)
    })
    await using served = await proxy(backend)
    const client = await served.dial()
    const targets = Array.from({ length: 30 }, (_, index) => `/${index}`)
    await client.send(targets.map((target) => get(target)).join(''))
    for (const target of targets) expect((await client.response()).body).toBe(target)
    expect(most).toBe(1)
    client.peer.end()
  })

  it.each([
    'GET',
    'DELETE',
    'OPTIONS',
    'PATCH',
    'PUT',
    'X-METHOD',
  ])('A.2: %s with a chunked body stays one, in chunks', async (method) => {
    await using backend = await Backend.start()
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(chunkedPost(['GET /smuggled HTTP/1.1\r\nHost: b\r\n\r\n', 'more'], '', method) + get('/after'))
    await client.response()
    await client.response()
    const [first, second] = backend.requests
    expect([first?.method, first?.body]).toEqual([method, 'GET /smuggled HTTP/1.1\r\nHost: b\r\n\r\nmore'])
    expect([first?.header('transfer-encoding'), first?.header('content-length')]).toEqual(['chunked', undefined])
    expect(second?.target).toBe('/after')
    expect(backend.requests).toHaveLength(2)
    client.peer.end()
  })

  it.each(['GET', 'DELETE', 'HEAD'])('%s with a body of a length keeps it', async (method) => {
    await using backend = await Backend.start()
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(post('a body').replace('POST', method))
    await client.response(method)
    expect([backend.requests[0]?.body, backend.requests[0]?.header('content-length')]).toEqual(['a body', '6'])
    client.peer.end()
  })

  it('A.2: with trailers bring them to the upstream', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(chunkedPost(['hello'], 'X-Checksum: abc\r\n', 'POST', 'Trailer: X-Checksum\r\n'))
    await client.response()
    expect(backend.requests[0]?.trailers).toEqual([['X-Checksum', 'abc']])
    client.peer.end()
  })

  it('with trailers bring them though the body comes late, in pieces', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend)
    const client = await served.dial()
    const text = chunkedPost(
      ['x'.repeat(3000), 'y'.repeat(20)],
      'X-Checksum: abc\r\n',
      'POST',
      'Trailer: X-Checksum\r\n',
    )
    for (let at = 0; at < text.length; at += 700) {
      await client.send(text.slice(at, at + 700))
      await turns(4)
    }
    await client.response()
    expect(backend.requests[0]?.trailers).toEqual([['X-Checksum', 'abc']])
    expect(backend.requests[0]?.body).toBe('x'.repeat(3000) + 'y'.repeat(20))
    client.peer.end()
  })

  it('of any size arrive whole, by length and in chunks', async () => {
    await using backend = await Backend.start((request) => ok(`${request.body.length}`))
    await using served = await proxy(backend)
    const client = await served.dial()
    for (const size of [1, 8191, 8192, 8193, 65_536, 1_000_000]) {
      await client.send(post('z'.repeat(size)))
      expect((await client.response()).body).toBe(`${size}`)
      await client.send(chunkedPost(['z'.repeat(size), 'end']))
      expect((await client.response()).body).toBe(`${size + 3}`)
    }
    client.peer.end()
  })
})

describe('Bodies both ways', () => {
  it('E75: arrive as they were sent: 1 MiB each way, in rounds, of four clients to four upstreams at a time', async () => {
    const backends = await Promise.all(Array.from({ length: 4 }, () => Backend.start((request) => ok(request.body))))
    await using served = await Served.start({
      routes: backends.map((backend, index) => ({ path: `/${index}`, upstream: backend.address })),
    })
    await Promise.all(
      backends.map(async (_, index) => {
        const client = await served.dial()
        for (let round = 0; round < 5; round++) {
          const body = `${index}${round}abcdef`.repeat(131_072)
          await client.send(post(body, `/${index}`))
          expect((await client.response()).body === body).toBe(true)
        }
        client.peer.end()
      }),
    )
    expect(backends.map((backend) => [backend.accepted, backend.requests.length])).toEqual(Array(4).fill([1, 5]))
    await served.settled()
    for (const backend of backends) await backend[Symbol.asyncDispose]()
  })
})

describe('Expect: 100-continue', () => {
  it('A.2: is passed on, and so is the 100 of the upstream', async () => {
    const asked = gate<string>()
    await using backend = await TestServer.start((_, socket) => {
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk
        if (text.endsWith('\r\n\r\n')) {
          asked.open(text)
          socket.write('HTTP/1.1 100 Continue\r\n\r\n')
        } else if (text.endsWith('hello')) socket.write(ok('got it'))
      })
    })
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(post('hello', '/', 'Expect: 100-continue\r\n').slice(0, -5))
    expect(await asked.promise).toMatch(/\r\nExpect: 100-continue\r\n/i)
    expect(await client.peer.read('\r\n\r\n')).toMatch(/^HTTP\/1\.1 100 Continue\r\n/)
    await client.send('hello')
    const answer = await client.response()
    expect([answer.body, answer.interim]).toEqual(['got it', []])
    client.peer.end()
  })

  it('A.2: is answered by the upstream with its verdict, and the body never asked for', async () => {
    await using server = await TestServer.start((_, socket) => {
      socket.once('data', () => socket.write('HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno'))
    })
    await using served = await proxy(server)
    const client = await served.dial()
    await client.send(post('x'.repeat(100), '/', 'Expect: 100-continue\r\n').slice(0, -100))
    const answer = await client.response()
    expect([answer.status, answer.body, answer.interim]).toEqual([417, 'no', []])
    // The body may still come, or not: nobody can tell, so the connection is over.
    expect(answer.header('connection')).toBe('close')
    await client.peer.over()
    client.peer.end()
    await served.settled()
  })

  it('is answered here when a handler of this program reads the body', async () => {
    await using served = await Served.start({
      routes: [{ fetch: async (request) => new Response(`got ${await request.text()}`) }],
    })
    const client = await served.dial()
    await client.send(post('hello', '/', 'Expect: 100-continue\r\n').slice(0, -5))
    await client.peer.read('HTTP/1.1 100 Continue\r\n\r\n')
    await client.send('hello')
    expect((await client.response()).body).toBe('got hello')
    client.peer.end()
  })

  it('is not answered when nobody wants the body', async () => {
    await using served = await Served.start({ routes: [{ reply: 403 }] })
    const client = await served.dial()
    await client.send(post('hello', '/', 'Expect: 100-continue\r\n').slice(0, -5))
    const answer = await client.response()
    expect([answer.status, answer.interim.length, answer.header('connection')]).toEqual([403, 0, 'close'])
    await client.peer.over()
    client.peer.end()
  })

  it('is no matter when the body has come already', async () => {
    await using served = await Served.start({
      routes: [{ fetch: async (request) => new Response(`got ${await request.text()}`) }],
    })
    const client = await served.dial()
    await client.send(post('hello', '/', 'Expect: 100-continue\r\n'))
    expect((await client.response()).body).toBe('got hello')
    client.peer.end()
  })

  it('is told 417 for any other expectation', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend)
    expect((await served.ask(post('hello', '/', 'Expect: a-miracle\r\n'))).status).toBe(417)
    expect(backend.bytes).toBe(0)
  })
})

describe('Responses', () => {
  it('E17: to HEAD have no body, whatever their length says, and the connection goes on', async () => {
    await using backend = await Backend.start(() => 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n')
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(get().replace('GET', 'HEAD') + get().replace('GET', 'HEAD'))
    for (let round = 0; round < 2; round++) {
      const answer = await client.response('HEAD')
      expect([answer.status, answer.header('content-length')]).toEqual([200, '4'])
    }
    expect(client.peer.unread).toHaveLength(0)
    expect(backend.accepted).toBe(1)
    client.peer.end()
  })

  it.each([204, 304])('of status %i have no body, and the connection goes on', async (status) => {
    await using backend = await Backend.start(() => `HTTP/1.1 ${status} X\r\nETag: "a"\r\n\r\n`)
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(get() + get())
    expect((await client.response()).status).toBe(status)
    expect((await client.response()).header('etag')).toBe('"a"')
    expect(backend.accepted).toBe(1)
    client.peer.end()
  })

  it('E18: without a length last until the upstream closes; HTTP/1.1 clients get chunks and an end', async () => {
    await using backend = await Backend.start((_, peer) => {
      peer.end('HTTP/1.1 200 OK\r\n\r\nall of it')
      return undefined
    })
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(get())
    const answer = await client.response()
    expect([answer.body, answer.header('transfer-encoding')]).toEqual(['all of it', 'chunked'])
    await client.send(get())
    expect((await client.response()).body).toBe('all of it')
    expect(backend.accepted).toBe(2)
    client.peer.end()
    await served.settled()
  })

  it('E18, A.2: a chunked body that is cut short never gets a proper end', async () => {
    await using backend = await Backend.start((_, peer) => {
      peer.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n')
      return undefined
    })
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(get())
    await client.peer.over()
    const text = client.peer.unread.toString()
    expect(text).not.toContain('0\r\n\r\n')
    client.peer.end()
    await served.settled()
    expect(served.http.stats().faults).toEqual({ XPS_TRUNCATED: 1 })
  })

  it.each([
    'end',
    'reset',
  ] as const)('A.2: a body that is shorter than its length is seen to be cut (%s)', async (way) => {
    const cut = gate()
    await using backend = await Backend.start((_, peer) => {
      void peer.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf').then(async () => {
        await cut.promise
        peer[way]()
      })
      return undefined
    })
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(get())
    await client.peer.read('half')
    cut.open()
    await client.peer.over()
    expect(client.peer.unread).toHaveLength(0)
    client.peer.end()
    await served.settled()
    expect(backend.accepted).toBe(1)
  })

  it('E18, A.2: bring their trailers', async () => {
    await using backend = await Backend.start(() =>
      chunkedOk(['some', 'body'], 'X-Checksum: abc\r\nX-More: d\r\n', 'Trailer: X-Checksum, X-More\r\n'),
    )
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(get('/', 'TE: trailers\r\n'))
    const answer = await client.response()
    expect(answer.body).toBe('somebody')
    expect(answer.trailers).toEqual([
      ['X-Checksum', 'abc'],
      ['X-More', 'd'],
    ])
    client.peer.end()
  })

  it('A.2: 103 goes through, as often as it comes, and before the answer does', async () => {
    const hinted = gate()
    await using backend = await Backend.start(async (_, peer) => {
      await peer.write(
        'HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\n',
      )
      await hinted.promise
      return pong
    })
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(get())
    for (const hint of ['a.css', 'b.css']) {
      expect(await client.peer.read('\r\n\r\n')).toMatch(new RegExp(`^HTTP/1.1 103 Early Hints.*${hint}`, 's'))
    }
    hinted.open()
    expect((await client.response()).body).toBe('pong')
    client.peer.end()
  })

  it('102 and 103 are not for HTTP/1.0', async () => {
    await using backend = await Backend.start(() => `HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n${pong}`)
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send('GET / HTTP/1.0\r\nHost: a.test\r\n\r\n')
    expect(await client.peer.text()).not.toContain('103')
    client.peer.end()
  })

  it('A.2: that come early, before the body has, are given to the client', async () => {
    await using backend = await TestServer.start((_, socket) => {
      socket.once('data', () =>
        socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig'),
      )
    })
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(`POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10000000\r\n\r\n${'x'.repeat(50_000)}`)
    const answer = await client.response()
    expect([answer.status, answer.body]).toEqual([413, 'big'])
    await client.peer.over()
    client.peer.end()
    await served.settled()
  })

  it('of this program are framed: by length, in chunks, or by the end for HTTP/1.0', async () => {
    await using served = await Served.start({
      routes: [
        { path: '/text', reply: { status: 200, body: 'text' } },
        { path: '/none', reply: { status: 200 } },
        { path: '/empty', reply: 204 },
      ],
      hooks: {
        request: (transaction) => {
          const { target } = transaction.request
          if (target === '/source') transaction.reply({ status: 200, body: PipeSource.from(['a', 'b']) })
          if (target === '/sized') transaction.reply({ status: 200, body: PipeSource.from(['a', 'b']), length: 2 })
        },
      },
    })
    const client = await served.dial()
    await client.send(['/text', '/none', '/empty', '/source', '/sized'].map((target) => get(target)).join(''))
    const seen: unknown[] = []
    for (let round = 0; round < 5; round++) {
      const answer = await client.response()
      seen.push([answer.status, answer.header('content-length'), answer.header('transfer-encoding'), answer.body])
    }
    expect(seen).toEqual([
      [200, '4', undefined, 'text'],
      [200, '0', undefined, ''],
      [204, undefined, undefined, ''],
      [200, undefined, 'chunked', 'ab'],
      [200, '2', undefined, 'ab'],
    ])
    client.peer.end()
    const old = await served.dial()
    await old.send('GET /source HTTP/1.0\r\n\r\n')
    const text = await old.peer.text()
    expect(text).not.toContain('chunked')
    expect(text.endsWith('\r\n\r\nab')).toBe(true)
    old.peer.end()
  })

  it('of this program that are longer or shorter than they say are cut, never wrong', async () => {
    await using served = await Served.start({
      hooks: {
        request: (transaction) => {
          const length = transaction.request.target === '/short' ? 3 : 10
          transaction.reply({ status: 200, body: PipeSource.from(['12345']), length })
        },
      },
    })
    for (const target of ['/short', '/long']) {
      const client = await served.dial()
      await client.send(get(target) + get(target))
      await client.peer.over()
      const text = client.peer.unread.toString()
      expect(text.match(/HTTP\/1\.1/g)?.length ?? 0).toBeLessThanOrEqual(1)
      expect(text.slice(text.indexOf('\r\n\r\n') + 4).length).toBeLessThanOrEqual(target === '/short' ? 3 : 5)
      client.peer.end()
    }
    await served.settled()
  })
})

describe('HTTP/1.0', () => {
  it('A.2: gets what comes in chunks without them, and then an end', async () => {
    await using backend = await Backend.start(() =>
      chunkedOk(['some', 'body'], 'X-Checksum: a\r\n', 'Trailer: X-Checksum\r\n'),
    )
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send('GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n')
    const text = await client.peer.text()
    expect(text).not.toMatch(/transfer-encoding|chunked/i)
    expect(text).toMatch(/\r\nconnection: close\r\n/i)
    expect(text.endsWith('\r\n\r\nsomebody')).toBe(true)
    client.peer.end()
    await served.settled()
  })

  it('A.2: without a Host is served', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send('GET /old HTTP/1.0\r\n\r\n')
    expect(await client.peer.text()).toMatch(/^HTTP\/1\.1 200 OK\r\n.*pong$/s)
    expect(backend.requests[0]?.start).toBe('GET /old HTTP/1.1')
    expect(backend.requests[0]?.header('host')).toBeDefined()
    client.peer.end()
  })

  it('may keep its connection when it asks for that', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend)
    const client = await served.dial()
    for (let round = 0; round < 2; round++) {
      await client.send('GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n')
      const answer = await client.response()
      expect([answer.body, answer.header('connection')]).toEqual(['pong', 'keep-alive'])
    }
    client.peer.end()
  })

  it('of an upstream ends with it, unless it says otherwise', async () => {
    await using backend = await Backend.start((request, peer) => {
      if (request.target === '/keep')
        return 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\npong'
      peer.end('HTTP/1.0 200 OK\r\n\r\nold')
      return undefined
    })
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(get('/keep') + get('/keep') + get('/old') + get('/old'))
    for (const body of ['pong', 'pong', 'old', 'old']) expect((await client.response()).body).toBe(body)
    expect(backend.accepted).toBe(2)
    client.peer.end()
    await served.settled()
  })
})

describe('Any segmentation', () => {
  const random = new Random()
  it(`of pipelined requests is read the same (SEED=${random.seed})`, async () => {
    await using backend = await Backend.start((request) => ok(`${request.method} ${request.target} ${request.body}`))
    await using served = await proxy(backend)
    for (let round = 0; round < 25; round++) {
      const expected: string[] = []
      let text = ''
      const count = 1 + random.below(8)
      for (let index = 0; index < count; index++) {
        const body = 'b'.repeat(random.below(4) === 0 ? random.below(20_000) : random.below(30))
        const target = `/${round}/${index}`
        const kind = random.below(3)
        if (kind === 0) text += get(target)
        else if (kind === 1) text += post(body, target)
        else {
          const cut = random.below(body.length + 1)
          text += chunkedPost([body.slice(0, cut), body.slice(cut)].filter((piece) => piece !== '')).replace(
            '/chunked',
            target,
          )
        }
        expected.push(`${kind === 0 ? 'GET' : 'POST'} ${target} ${kind === 0 ? '' : body}`)
      }
      const client = await served.dial()
      const writing = (async () => {
        for (let at = 0; at < text.length; ) {
          const size = 1 + random.below(random.pick([3, 50, 1000, 30_000]))
          await client.send(text.slice(at, at + size))
          at += size
          if (random.below(3) === 0) await turns(1)
        }
      })()
      for (const one of expected) expect((await client.response()).body).toBe(one)
      await writing
      client.peer.end()
    }
    await served.settled()
  })

  it(`of responses is read the same (SEED=${random.seed})`, async () => {
    await using backend = await Backend.start(async (request, peer) => {
      const size = Number(request.target.slice(1))
      const body = 'r'.repeat(size)
      const text =
        size % 2 === 0
          ? ok(body)
          : chunkedOk([body.slice(0, size >> 1), body.slice(size >> 1)].filter((piece) => piece !== ''))
      for (let at = 0; at < text.length; ) {
        const length = 1 + random.below(random.pick([3, 50, 1000, 30_000]))
        await peer.write(text.slice(at, at + length))
        at += length
        if (random.below(3) === 0) await turns(1)
      }
      return undefined
    })
    await using served = await proxy(backend)
    const client = await served.dial()
    for (let round = 0; round < 60; round++) {
      const size = random.below(round % 4 === 0 ? 20_000 : 200)
      await client.send(get(`/${size}`))
      expect((await client.response()).body).toBe('r'.repeat(size))
    }
    expect(backend.accepted).toBe(1)
    client.peer.end()
    await until(() => expect(served.http.stats().served).toBe(60))
  })
})
