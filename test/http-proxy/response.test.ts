import { describe, expect, it } from 'vitest'
import type { ProxyServerOptions } from '../../src/http-proxy/index.ts'
import { TestServer } from '../support/net.ts'
import { ask, echo, Front, TestHttp, text, told, until, valuesOf } from './support.ts'

describe('redirects', () => {
  const back = 'back.test'
  // `TARGET` is the target's host and port.
  async function locationOf(
    status: number,
    location: string,
    options: ProxyServerOptions,
  ): Promise<string | undefined> {
    await using target = await TestHttp.start((_, res) => {
      res.writeHead(status, { location: location.replaceAll('TARGET', target.host) }).end()
    })
    await using front = await Front.start({ target: target.url, ...options })
    const answer = await front.ask('/', { headers: { host: 'asked.test' } })
    return answer.headers.location?.replaceAll(target.host, 'TARGET')
  }

  // As http-proxy documents them, and 303 besides.
  const statuses = [201, 301, 302, 303, 307, 308]
  it.each(statuses)('of %i are to the given host, the client’s or another scheme', async (status) => {
    expect(await locationOf(status, 'http://TARGET/x?y', { hostRewrite: 'given.test' })).toBe('http://given.test/x?y')
    expect(await locationOf(status, 'http://TARGET/x', { autoRewrite: true })).toBe('http://asked.test/x')
    expect(await locationOf(status, 'http://TARGET/x', { protocolRewrite: 'https' })).toBe('https://TARGET/x')
  })

  const cases: [claim: string, location: string, options: ProxyServerOptions, becomes: string, status?: number][] = [
    ['nothing is asked for', 'http://TARGET/', {}, 'http://TARGET/'],
    [
      'hostRewrite comes before autoRewrite',
      'http://TARGET/',
      { hostRewrite: 'given.test', autoRewrite: true },
      'http://given.test/',
    ],
    [
      'host and scheme',
      'http://TARGET/a',
      { hostRewrite: 'given.test', protocolRewrite: 'https' },
      'https://given.test/a',
    ],
    [
      'client’s host and scheme',
      'http://TARGET/a',
      { autoRewrite: true, protocolRewrite: 'https' },
      'https://asked.test/a',
    ],
    ['it names another host', `http://${back}/`, { hostRewrite: 'given.test' }, `http://${back}/`],
    ['it names another port', 'http://127.0.0.1:1/', { hostRewrite: 'given.test' }, 'http://127.0.0.1:1/'],
    ['it is a path', '/x', { hostRewrite: 'given.test', protocolRewrite: 'https' }, '/x'],
    ['it has no scheme', '//TARGET/x', { hostRewrite: 'given.test' }, '//given.test/x'],
    ['it has no scheme and is to have one', '//TARGET/x', { protocolRewrite: 'https' }, 'https://TARGET/x'],
    ['it has no path', 'http://TARGET', { hostRewrite: 'given.test' }, 'http://given.test/'],
    ['the status is no redirect', 'http://TARGET/', { hostRewrite: 'given.test' }, 'http://TARGET/', 200],
  ]
  it.each(cases)('%s: %s', async (_, location, options, becomes, status = 302) => {
    expect(await locationOf(status, location, options)).toBe(becomes)
  })
})

describe('cookies', () => {
  const cookies = [
    'a=1; Domain=old.test; Path=/old/; HttpOnly',
    'b=2; domain=kept.test; path=/kept/',
    'c=3; DOMAIN=other.test; PATH=/other',
    'd=4; Secure',
  ]
  async function rewritten(options: ProxyServerOptions): Promise<string[] | undefined> {
    await using upstream = await TestHttp.start((_, res) => res.setHeader('Set-Cookie', cookies).end())
    await using front = await Front.start({ target: upstream.url, ...options })
    return (await front.ask()).headers['set-cookie']
  }

  it('stay as they are', async () => {
    expect(await rewritten({})).toEqual(cookies)
    expect(await rewritten({ cookieDomainRewrite: false, cookiePathRewrite: false })).toEqual(cookies)
  })

  it('have one other domain or path', async () => {
    expect(await rewritten({ cookieDomainRewrite: 'new.test' })).toEqual([
      'a=1; Domain=new.test; Path=/old/; HttpOnly',
      'b=2; domain=new.test; path=/kept/',
      'c=3; DOMAIN=new.test; PATH=/other',
      'd=4; Secure',
    ])
    expect(await rewritten({ cookiePathRewrite: '/' })).toEqual([
      'a=1; Domain=old.test; Path=/; HttpOnly',
      'b=2; domain=kept.test; path=/',
      'c=3; DOMAIN=other.test; PATH=/',
      'd=4; Secure',
    ])
  })

  it('have none, where it is empty', async () => {
    expect(await rewritten({ cookieDomainRewrite: '', cookiePathRewrite: '' })).toEqual([
      'a=1; HttpOnly',
      'b=2',
      'c=3',
      'd=4; Secure',
    ])
  })

  it('have others by the one that they have', async () => {
    expect(
      await rewritten({
        cookieDomainRewrite: { 'old.test': 'new.test', 'kept.test': 'kept.test', '*': null },
        cookiePathRewrite: { '/old/': '/new/' },
      }),
    ).toEqual([
      'a=1; Domain=new.test; Path=/new/; HttpOnly',
      'b=2; domain=kept.test; path=/kept/',
      'c=3; PATH=/other',
      'd=4; Secure',
    ])
  })
})

describe('the head', () => {
  it('has the status, its phrase, and the fields as they were spelled', async () => {
    await using upstream = await TestHttp.start((_, res) => {
      res.writeHead(299, 'Quite Well', [
        ...['X-CaSe', '1', 'X-Two', 'a', 'X-Two', 'b', 'Date', 'long ago'],
        'Set-Cookie',
        'a=1',
        'Set-Cookie',
        'b=2',
      ])
      res.end('ok')
    })
    await using front = await Front.start({ target: upstream.url })
    const answer = await front.ask()
    expect(answer).toMatchObject({ status: 299, message: 'Quite Well', body: 'ok' })
    expect(answer.raw).toContain('X-CaSe')
    expect(valuesOf(answer.raw, 'x-two')).toEqual(['a', 'b'])
    expect(valuesOf(answer.raw, 'set-cookie')).toEqual(['a=1', 'b=2'])
    expect(valuesOf(answer.raw, 'date')).toEqual(['long ago'])
  })

  it('has names in lower case where preserveHeaderKeyCase is false', async () => {
    await using upstream = await TestHttp.start((_, res) => res.setHeader('X-CaSe', '1').end())
    await using front = await Front.start({ target: upstream.url, preserveHeaderKeyCase: false })
    expect((await front.ask()).raw).toContain('x-case')
  })

  it('has not what is for one hop, nor what Connection names', async () => {
    await using upstream = await TestServer.start()
    await using front = await Front.start({ target: `http://${upstream.address}` })
    const answer = front.ask()
    const peer = await upstream.accept()
    await peer.read('\r\n\r\n')
    await peer.write(
      'HTTP/1.1 200 OK\r\nConnection: close, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\n' +
        'Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nok',
    )
    const { headers, body } = await answer
    expect(body).toBe('ok')
    expect(headers['x-kept']).toBe('1')
    expect(headers).not.toHaveProperty('x-secret')
    expect(headers).not.toHaveProperty('proxy-authenticate')
    expect(headers).not.toHaveProperty('upgrade')
  })

  it('keeps what a program has set before, unless the target says otherwise', async () => {
    await using upstream = await TestHttp.start((_, res) => res.setHeader('X-Both', 'target').end())
    await using front = await Front.start({ target: upstream.url }, (proxy) => (req, res) => {
      res.setHeader('X-Mine', '1')
      res.setHeader('X-Both', 'program')
      void proxy.web(req, res)
    })
    expect((await front.ask()).headers).toMatchObject({ 'x-mine': '1', 'x-both': 'target' })
  })

  it('of HEAD and 304 has the length of the body that there is not', async () => {
    await using upstream = await TestHttp.start((req, res) => {
      res.writeHead(req.url === '/304' ? 304 : 200, { 'content-length': 1234, etag: '"a"' }).end()
    })
    await using front = await Front.start({ target: upstream.url })
    expect(await front.ask('/', { method: 'HEAD' })).toMatchObject({
      status: 200,
      headers: { 'content-length': '1234' },
    })
    expect(await front.ask('/304')).toMatchObject({ status: 304, headers: { etag: '"a"' }, body: '' })
    expect((await front.ask('/304')).headers).not.toHaveProperty('transfer-encoding')
  })

  it('comes before its body, for events that are long in coming', async () => {
    await using upstream = await TestHttp.start((_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
    })
    await using front = await Front.start({ target: upstream.url })
    const client = await front.dial()
    await client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    expect(await client.read('\r\n\r\n')).toContain('text/event-stream')
    client.reset()
  })
})

describe('what follows and what comes before', () => {
  it('has its trailers', async () => {
    await using upstream = await TestHttp.start((_, res) => {
      res.writeHead(200, { trailer: 'X-Sum' })
      res.write('body')
      res.addTrailers({ 'X-Sum': '7' })
      res.end()
    })
    await using front = await Front.start({ target: upstream.url })
    const answer = await front.ask()
    expect(answer.body).toBe('body')
    expect(answer.trailers).toEqual({ 'x-sum': '7' })
    // A program that reads the response too changes nothing of it.
    front.proxy.on('proxyRes', (proxyRes) => proxyRes.on('data', () => {}))
    expect((await front.ask()).trailers).toEqual({ 'x-sum': '7' })
  })

  it('of HTTP/1.0 has no trailers, no chunks, and ends no process', async () => {
    await using upstream = await TestHttp.start((_, res) => {
      res.writeHead(200, { trailer: 'X-Sum' })
      res.write('bo')
      res.addTrailers({ 'X-Sum': '7' })
      res.end('dy')
    })
    await using front = await Front.start({ target: upstream.url })
    for (const head of ['GET / HTTP/1.0\r\n\r\n', 'GET / HTTP/1.0\r\nTE: chunked, trailers\r\n\r\n']) {
      const client = await front.dial()
      await client.write(head)
      const [fields = '', body] = (await client.text()).split('\r\n\r\n')
      expect(body).toBe('body')
      expect(fields.toLowerCase()).not.toContain('trailer')
      expect(fields.toLowerCase()).not.toContain('chunked')
    }
  })

  it('announces no trailers where Node would throw: behind HEAD, and behind a body whose length is known', async () => {
    await using upstream = await TestServer.start()
    await using front = await Front.start({ target: `http://${upstream.address}` })
    const lines = 'Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n'
    const cases = [
      ['HEAD', lines],
      ['GET', `${lines}2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n`],
      ['GET', 'Trailer: X-Sum\r\nContent-Length: 2\r\n\r\nok'],
    ] as const
    const peers: { end(): void }[] = []
    for (const [method, rest] of cases) {
      const answer = front.ask('/', { method, headers: { connection: 'close' } })
      const peer =
        peers.length === 0 ? await upstream.accept() : (peers[0] as Awaited<ReturnType<typeof upstream.accept>>)
      peers.push(peer)
      await peer.read('\r\n\r\n')
      await peer.write(`HTTP/1.1 200 OK\r\n${rest}`)
      const { status, headers } = await answer
      expect(status).toBe(200)
      if (!rest.includes('ok') || rest.includes('Content-Length')) expect(headers).not.toHaveProperty('trailer')
      else expect(headers['trailer']).toBe('X-Sum')
    }
  })

  it('has 103 in front of it, and 102', async () => {
    await using upstream = await TestHttp.start((_, res) => {
      res.writeProcessing()
      res.writeEarlyHints(
        { link: ['</a.css>; rel=preload; as=style', '</b.js>; rel=preload; as=script'], 'x-hint': '1' },
        () => {
          res.end('ok')
        },
      )
    })
    await using front = await Front.start({ target: upstream.url })
    const { interim, status } = await front.ask()
    expect(status).toBe(200)
    expect(interim.map((one) => one.status)).toEqual([102, 103])
    expect(interim[1]?.headers).toMatchObject({
      link: '</a.css>; rel=preload; as=style, </b.js>; rel=preload; as=script',
      'x-hint': '1',
    })
  })

  it('has one 100 for a client that waits for it, whoever says it', async () => {
    await using upstream = await echo()
    await using front = await Front.start({ target: upstream.url })
    const client = await front.dial()
    await client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n')
    expect(await client.read('\r\n\r\n')).toBe('HTTP/1.1 100 Continue\r\n\r\n')
    await client.write('hi')
    expect(await client.read('"hi"}')).toMatch(/^HTTP\/1\.1 200/)
    client.end()
    await client.text()
  })

  it('has the 100 of the target where a program takes `checkContinue` over', async () => {
    await using upstream = await TestServer.start()
    await using front = await Front.start({ target: `http://${upstream.address}` })
    front.http.server.on('checkContinue', (req, res) => void front.proxy.web(req, res))
    const client = await front.dial()
    await client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n')
    const peer = await upstream.accept()
    expect((await peer.read('\r\n\r\n')).toLowerCase()).toContain('expect: 100-continue')
    expect(client.unread.length).toBe(0)
    await peer.write('HTTP/1.1 100 Continue\r\n\r\n')
    expect(await client.read('\r\n\r\n')).toBe('HTTP/1.1 100 Continue\r\n\r\n')
    await client.write('hi')
    expect(await peer.read('hi')).toBe('hi')
    await peer.write('HTTP/1.1 204 No Content\r\n\r\n')
    expect(await client.read('\r\n')).toContain('204')
    client.reset()
  })

  it('may come before the request has been read, and closes the connection then', async () => {
    await using upstream = await TestServer.start()
    await using front = await Front.start({ target: `http://${upstream.address}` })
    const client = await front.dial()
    await client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(1000)}`)
    const peer = await upstream.accept()
    await peer.read('x')
    await peer.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nlong')
    const answer = await client.read('long')
    expect(answer).toMatch(/^HTTP\/1\.1 413/)
    expect(answer.toLowerCase()).toContain('connection: close')
    await client.over()
  })
})

describe('a listener to proxyRes', () => {
  it('may edit the status and the fields that the client gets', async () => {
    await using upstream = await TestHttp.start((_, res) => {
      res
        .writeHead(200, { 'X-Old': '1', 'X-Same': '2', 'Content-Type': 'text/plain', 'Set-Cookie': ['a=1', 'b=2'] })
        .end('ok')
    })
    await using front = await Front.start({ target: upstream.url })
    front.proxy.on('proxyRes', (proxyRes, _, res) => {
      proxyRes.statusCode = 203
      proxyRes.statusMessage = 'Changed'
      delete proxyRes.headers['x-old']
      proxyRes.headers['content-type'] = 'text/html'
      proxyRes.headers['x-new'] = ['3', '4']
      res.setHeader('X-Own', '5')
    })
    const answer = await front.ask()
    expect(answer).toMatchObject({ status: 203, message: 'Changed', body: 'ok' })
    expect(answer.headers).not.toHaveProperty('x-old')
    expect(answer.headers).toMatchObject({ 'x-same': '2', 'content-type': 'text/html', 'x-new': '3, 4', 'x-own': '5' })
    expect(answer.headers['set-cookie']).toEqual(['a=1', 'b=2'])
  })

  it('sees the head as it came, and may read the body that the client gets too', async () => {
    await using upstream = await TestHttp.start((_, res) => {
      res.writeHead(200, { 'X-CaSe': '1' })
      res.end('x'.repeat(300_000))
    })
    await using front = await Front.start({ target: upstream.url })
    let read = 0
    let ended = false
    front.proxy.on('proxyRes', (proxyRes, req) => {
      expect(req.url).toBe('/here')
      expect(proxyRes.httpVersion).toBe('1.1')
      expect(proxyRes.rawHeaders).toContain('X-CaSe')
      proxyRes.on('data', (chunk: Buffer) => {
        read += chunk.length
      })
      proxyRes.on('end', () => {
        ended = proxyRes.complete
      })
    })
    expect((await front.ask('/here')).body.length).toBe(300_000)
    expect(read).toBe(300_000)
    expect(ended).toBe(true)
  })

  it('may wait for the end without reading', async () => {
    await using upstream = await TestHttp.start((_, res) => res.end('x'.repeat(300_000)))
    await using front = await Front.start({ target: upstream.url })
    const ends: string[] = []
    front.proxy.on('proxyRes', (proxyRes) => proxyRes.once('end', () => ends.push('response')))
    front.proxy.on('end', (req, _, proxyRes) => ends.push(`proxy ${req.url} ${proxyRes.statusCode}`))
    await front.ask('/x')
    await until(() => expect(ends).toEqual(['proxy /x 200', 'response']))
  })

  it('may answer in its place', async () => {
    await using upstream = await TestHttp.start((_, res) => res.end('x'.repeat(300_000)))
    await using front = await Front.start({ target: upstream.url })
    front.proxy.on('proxyRes', (_, __, res) => res.writeHead(404).end('not this'))
    expect(await front.ask()).toMatchObject({ status: 404, body: 'not this' })
    await until(() => expect(front.proxy.stats().active).toBe(0))
  })

  it('may put its own write and end in place, with another length', async () => {
    await using upstream = await TestHttp.start((_, res) => res.setHeader('content-length', 5).end('hello'))
    await using front = await Front.start({ target: upstream.url })
    front.proxy.on('proxyRes', (proxyRes, _, res) => {
      delete proxyRes.headers['content-length']
      const end = res.end.bind(res)
      res.end = ((chunk?: Buffer) =>
        end(chunk === undefined ? '' : `${chunk.toString().toUpperCase()}, WORLD`)) as never
    })
    expect((await front.ask()).body).toBe('HELLO, WORLD')
  })

  it('that throws makes the request fail, and nothing else', async () => {
    await using upstream = await echo()
    await using front = await Front.start({ target: upstream.url })
    front.proxy.once('proxyRes', () => {
      throw new Error('mine')
    })
    const first = await front.ask()
    expect(first).toMatchObject({ status: 500 })
    expect(first.headers['content-type']).toBe('text/plain; charset=utf-8')
    expect(await front.ask()).toMatchObject({ status: 200 })
  })
})

describe('selfHandleResponse', () => {
  it('leaves the answer to the listener', async () => {
    await using upstream = await TestHttp.start((_, res) => res.writeHead(201, { 'x-a': '1' }).end('hello'))
    await using front = await Front.start({ target: upstream.url, selfHandleResponse: true })
    front.proxy.on('proxyRes', (proxyRes, _, res) => {
      void text(proxyRes).then((body) => {
        res.setHeader('x-was', String(proxyRes.statusCode))
        res.end(body.toUpperCase())
      })
    })
    const answer = await front.ask()
    expect(answer).toMatchObject({ status: 200, body: 'HELLO' })
    expect(answer.headers).toMatchObject({ 'x-was': '201' })
    expect(answer.headers).not.toHaveProperty('x-a')
  })

  it('gives the body later, and no faster than it is read', async () => {
    let sent = 0
    await using upstream = await TestHttp.start((_, res) => {
      const more = (): void => {
        while (sent < 64_000_000) {
          sent += 65_536
          if (!res.write(Buffer.alloc(65_536))) return void res.once('drain', more)
        }
        res.end()
      }
      more()
    })
    await using front = await Front.start({ target: upstream.url, selfHandleResponse: true })
    const answer = ask(front.port)
    const [proxyRes, , res] = (await told(front.proxy, 'proxyRes')) as [
      AsyncIterable<Buffer>,
      unknown,
      import('node:http').ServerResponse,
    ]
    let before = -1
    await until(() => {
      const stands = before === sent
      before = sent
      expect(stands).toBe(true)
    })
    expect(sent).toBeLessThan(32_000_000)
    let read = 0
    for await (const chunk of proxyRes) read += chunk.length
    res.end(`${read}`)
    expect((await answer).body).toBe(`${sent}`)
  })

  it('lets the listener answer without reading, and keeps nothing then', async () => {
    await using upstream = await TestHttp.start((_, res) => void res.write('x'.repeat(300_000)))
    await using front = await Front.start({ target: upstream.url, selfHandleResponse: true })
    const left: unknown[] = []
    front.proxy.on('econnreset', (error) => left.push(error))
    front.proxy.on('proxyRes', (_, __, res) => void res.end('mine'))
    expect((await front.ask()).body).toBe('mine')
    await until(() => expect(front.proxy.stats()).toMatchObject({ active: 0 }))
    expect(left).toEqual([])
  })
})

describe('followRedirects', () => {
  it('is for as many as it says, and the last is for the client', async () => {
    await using upstream = await TestHttp.start((req, res) => {
      const left = Number((req.url ?? '').slice(1))
      if (left > 0) res.writeHead(302, { location: `/${left - 1}` }).end('x'.repeat(100_000))
      else res.end(`there with ${req.method}`)
    })
    await using all = await Front.start({ target: upstream.url, followRedirects: true })
    expect(await all.ask('/5')).toMatchObject({ status: 200, body: 'there with GET' })
    expect((await all.ask('/6')).status).toBe(302)
    await using two = await Front.start({ target: upstream.url, followRedirects: 2 })
    expect((await two.ask('/2')).status).toBe(200)
    expect(await two.ask('/3')).toMatchObject({ status: 302, headers: { location: '/0' } })
  })

  it('goes to another host without what is for the first', async () => {
    await using other = await echo()
    await using upstream = await TestHttp.start((_, res) => res.writeHead(301, { location: `${other.url}/x` }).end())
    await using front = await Front.start({ target: upstream.url, followRedirects: true })
    const { headers, url } = await front.seen('/', {
      headers: { authorization: 'Bearer x', cookie: 'a=b', 'x-kept': '1' },
    })
    expect(url).toBe('/x')
    expect(headers).toMatchObject({ host: other.host, 'x-kept': '1' })
    expect(headers).not.toHaveProperty('authorization')
    expect(headers).not.toHaveProperty('cookie')
  })

  it('makes GET of POST where HTTP says so, and else sends the body again, if it has it', async () => {
    await using upstream = await TestHttp.start((req, res) => {
      if (req.url === '/there') return void text(req).then((body) => res.end(`${req.method} ${body}`))
      req.resume()
      res.writeHead(Number((req.url ?? '').slice(1)), { location: '/there' }).end()
    })
    await using front = await Front.start(
      { target: upstream.url, followRedirects: true },
      (proxy) => async (req, res) => {
        void proxy.web(req, res, req.headers['x-buffer'] === undefined ? {} : { buffer: Buffer.from(await text(req)) })
      },
    )
    expect((await front.ask('/303', { body: 'hello' })).body).toBe('GET ')
    expect((await front.ask('/302', { body: 'hello' })).body).toBe('GET ')
    expect((await front.ask('/307', { body: 'hello', headers: { 'x-buffer': '1' } })).body).toBe('POST hello')
    // What is gone cannot be sent again: the client is told to.
    expect((await front.ask('/307', { body: 'hello' })).status).toBe(307)
  })
})
