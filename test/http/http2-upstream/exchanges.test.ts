import { describe, expect, it } from 'vitest'
import { Backend2, get, post, proxy2, textOf, until } from './support.ts'

describe('Requests to an upstream that speaks HTTP/2', () => {
  it('carry method, authority, path and fields, and bring the response back', async () => {
    await using backend = await Backend2.start((stream) => {
      stream.respond({ ':status': 201, 'content-length': 4, 'x-a': 'b', 'set-cookie': ['a=1', 'b=2'] })
      stream.end('pong')
    })
    await using served = await proxy2(backend)
    const answer = await served.ask(
      get('/p?q', 'X-One: 1\r\nX-One: 2\r\nCookie: a=b\r\nConnection: X-Gone\r\nX-Gone: 1\r\n'),
    )
    expect([answer.status, answer.body, answer.header('x-a')]).toEqual([201, 'pong', 'b'])
    expect(answer.fields.filter(([name]) => name === 'set-cookie').map(([, value]) => value)).toEqual(['a=1', 'b=2'])
    expect(answer.header('via')).toBe('2.0 xps')
    const [request] = backend.requests
    expect(request).toMatchObject({
      ':method': 'GET',
      ':scheme': 'http',
      ':authority': 'a.test',
      ':path': '/p?q',
      'x-one': '1, 2',
      cookie: 'a=b',
      via: '1.1 xps',
      'x-forwarded-proto': 'http',
      'x-forwarded-for': '127.0.0.1',
    })
    for (const name of ['host', 'connection', 'x-gone']) expect(request).not.toHaveProperty(name)
    await served.settled()
  })

  it('carry bodies of any framing, whole', async () => {
    await using backend = await Backend2.start((stream, headers) => {
      void textOf(stream).then((text) => {
        stream.respond({ ':status': 200 })
        stream.end(`${headers['content-length'] ?? 'none'} ${text.length}`)
      })
    })
    await using served = await proxy2(backend)
    expect((await served.ask(post('hello'))).body).toBe('5 5')
    expect((await served.ask(post(''))).body).toBe('0 0')
    const big = 'x'.repeat(1_000_000)
    expect((await served.ask(post(big))).body).toBe('1000000 1000000')
    const client = await served.dial()
    await client.send(
      'POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n',
    )
    expect((await client.response()).body).toBe('none 5')
    client.peer.end()
    await served.settled()
    expect(backend.accepted).toBe(1)
  })

  it('go side by side on one connection', async () => {
    const waiting: (() => void)[] = []
    await using backend = await Backend2.start((stream) => {
      waiting.push(() => {
        stream.respond({ ':status': 200, 'content-length': 4 })
        stream.end('pong')
      })
    })
    await using served = await proxy2(backend)
    const answers = Array.from({ length: 20 }, () => served.ask(get()))
    await until(() => expect(waiting).toHaveLength(20))
    expect(backend.accepted).toBe(1)
    for (const answer of waiting) answer()
    for (const answer of await Promise.all(answers)) expect(answer.body).toBe('pong')
    await served.settled()
    expect(served.http.stats().upstreams[backend.address]).toEqual({ connections: 1, idle: 1, queued: 0 })
  })

  it('bring large bodies back, at the pace of who reads them', async () => {
    const size = 8_000_000
    await using backend = await Backend2.start((stream) => {
      stream.respond({ ':status': 200 })
      stream.end(Buffer.alloc(size, 'x'))
    })
    await using served = await proxy2(backend)
    const answer = await served.ask(get())
    expect(answer.body).toHaveLength(size)
    await served.settled()
  })

  it('carry trailers both ways', async () => {
    const seen: unknown[] = []
    await using backend = await Backend2.start((stream) => {
      stream.on('trailers', (trailers) => seen.push(Object.entries(trailers)))
      void textOf(stream).then((text) => {
        stream.respond({ ':status': 200, trailer: 'x-end' }, { waitForTrailers: true })
        stream.on('wantTrailers', () => stream.sendTrailers({ 'x-end': 'yes' }))
        stream.end(text)
      })
    })
    await using served = await proxy2(backend)
    const client = await served.dial()
    const fields = 'TE: trailers\r\nConnection: TE\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n'
    await client.send(`POST / HTTP/1.1\r\nHost: a.test\r\n${fields}\r\n3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n`)
    const answer = await client.response()
    expect([answer.body, answer.trailers]).toEqual(['abc', [['x-end', 'yes']]])
    expect(seen).toEqual([[['x-sum', '6']]])
    expect(backend.requests[0]).toMatchObject({ te: 'trailers' })
    client.peer.end()
    await served.settled()
  })

  it('bring interim responses back', async () => {
    await using backend = await Backend2.start((stream) => {
      stream.additionalHeaders({ ':status': 103, link: '</a.css>' })
      stream.respond({ ':status': 204 }, { endStream: true })
    })
    await using served = await proxy2(backend)
    const answer = await served.ask(get())
    expect(answer.status).toBe(204)
    expect(answer.interim.map((one) => [one.status, one.header('link')])).toEqual([[103, '</a.css>']])
    await served.settled()
  })

  it('may be HEAD, and answered with 304', async () => {
    await using backend = await Backend2.start((stream, headers) => {
      const status = headers[':method'] === 'HEAD' ? 200 : 304
      stream.respond({ ':status': status, 'content-length': 10, etag: '"a"' }, { endStream: true })
    })
    await using served = await proxy2(backend)
    const head = await served.ask('HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n')
    expect([head.status, head.header('content-length')]).toEqual([200, '10'])
    expect((await served.ask(get())).status).toBe(304)
    await served.settled()
  })

  it('are answered before they are sent whole, in full duplex', async () => {
    await using backend = await Backend2.start((stream) => {
      stream.respond({ ':status': 200 })
      stream.on('data', (chunk: Buffer) => stream.write(chunk.toString().toUpperCase()))
      stream.on('end', () => stream.end('!'))
    })
    await using served = await proxy2(backend)
    const client = await served.dial()
    await client.send('POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n')
    expect(await client.peer.read('ABC')).toContain('200 OK')
    await client.send('2\r\nde\r\n')
    expect(await client.peer.read('DE')).toContain('DE')
    await client.send('0\r\n\r\n')
    expect(await client.peer.read('0\r\n\r\n')).toContain('!')
    client.peer.end()
    await served.settled()
  })
})
