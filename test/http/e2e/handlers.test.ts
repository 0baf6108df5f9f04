import { createServer, type RequestListener } from 'node:http'
import express from 'express'
import { Hono } from 'hono'
import { streamSSE } from 'hono/streaming'
import { describe, expect, it } from 'vitest'
import { gate, get, post, Served, turns, until } from './support.ts'

describe('A fetch handler', () => {
  it('gets the request as it is and answers it, as often as one connection asks', async () => {
    await using served = await Served.start({
      routes: [
        {
          fetch: async (request, transaction) => {
            const text = await request.text()
            return new Response(
              `${request.method} ${request.url} ${request.headers.get('x-one')} ${text} ${transaction.number}`,
              {
                status: 201,
                headers: { 'x-answer': 'yes' },
              },
            )
          },
        },
      ],
    })
    const client = await served.dial()
    await client.send(post('a body', '/path?q=1', 'X-One: 1\r\n') + get('/two'))
    const one = await client.response()
    expect([one.status, one.header('x-answer'), one.body]).toEqual([
      201,
      'yes',
      'POST http://a.test/path?q=1 1 a body 1',
    ])
    expect((await client.response()).body).toBe('GET http://a.test/two null  2')
    client.peer.end()
    await served.settled()
  })

  it('reads a body of any size, in any framing, also late', async () => {
    await using served = await Served.start({
      routes: [
        {
          fetch: async (request) => {
            await turns(3)
            return new Response(`${(await request.arrayBuffer()).byteLength}`)
          },
        },
      ],
    })
    const client = await served.dial()
    for (const size of [1, 5_000, 8_193, 200_000, 3_000_000]) {
      await client.send(post('x'.repeat(size)))
      expect((await client.response()).body).toBe(`${size}`)
      await client.send(
        `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${size.toString(16)}\r\n${'x'.repeat(size)}\r\n0\r\n\r\n`,
      )
      expect((await client.response()).body).toBe(`${size}`)
    }
    client.peer.end()
    await served.settled()
  })

  it('that ignores the body leaves a connection that can be used, or closes it', async () => {
    await using served = await Served.start({ routes: [{ fetch: () => new Response('no, thanks') }] })
    const client = await served.dial()
    await client.send(post('short') + get())
    expect((await client.response()).body).toBe('no, thanks')
    expect((await client.response()).body).toBe('no, thanks')
    await client.send(post('x'.repeat(5_000_000)).slice(0, 1_000_000))
    expect((await client.response()).body).toBe('no, thanks')
    void client.send('x'.repeat(1_000_000))
    await client.peer.over()
    client.peer.reset()
    await served.settled()
  })

  it('streams, and waits for who does not read', async () => {
    let pulled = 0
    await using served = await Served.start({
      routes: [
        {
          fetch: () =>
            new Response(
              new ReadableStream({
                pull(controller) {
                  pulled++
                  if (pulled > 1_000) controller.close()
                  else controller.enqueue(new Uint8Array(100_000))
                },
              }),
            ),
        },
      ],
    })
    const client = await served.dial()
    client.peer.pause()
    await client.send(get())
    let before = -1
    await until(() => {
      const same = pulled === before && pulled > 5
      before = pulled
      expect(same).toBe(true)
    })
    await turns(50)
    expect(pulled).toBeLessThan(150)
    client.peer.resume()
    expect((await client.response()).body).toHaveLength(100_000_000)
    client.peer.end()
    await served.settled()
  })

  it('sees by its signal, and by its stream, that the client has gone', async () => {
    const aborted = gate()
    const cancelled = gate()
    const reached = gate()
    await using served = await Served.start({
      routes: [
        {
          path: '/wait',
          fetch: (request) =>
            new Promise<Response>((_, reject) => {
              reached.open()
              request.signal.addEventListener('abort', () => {
                aborted.open()
                reject(new Error('gone'))
              })
            }),
        },
        {
          path: '/stream',
          fetch: () =>
            new Response(
              new ReadableStream({
                start: (controller) => controller.enqueue(Buffer.from('data: 1\n\n')),
                cancel: () => cancelled.open(),
              }),
              { headers: { 'content-type': 'text/event-stream' } },
            ),
        },
      ],
    })
    const wait = await served.dial()
    await wait.send(get('/wait'))
    await reached.promise
    wait.peer.reset()
    await aborted.promise
    const stream = await served.dial()
    await stream.send(get('/stream'))
    await stream.peer.read('data: 1')
    stream.peer.reset()
    await cancelled.promise
    await served.settled()
    expect(served.http.stats()).toMatchObject({ left: 2 })
  })

  it('that throws, rejects or returns nothing is a 500; a stream that breaks is cut', async () => {
    await using served = await Served.start({
      routes: [
        {
          fetch: (request) => {
            const { pathname } = new URL(request.url)
            if (pathname === '/throws') throw new Error('a secret')
            if (pathname === '/rejects') return Promise.reject(new Error('a secret'))
            if (pathname === '/nothing') return undefined as unknown as Response
            if (pathname === '/used') {
              const response = new Response('x')
              void response.text()
              return response
            }
            if (pathname === '/error') return Response.error()
            return new Response(
              new ReadableStream({
                pull(controller) {
                  controller.enqueue(Buffer.from('some'))
                  controller.error(new Error('broken'))
                },
              }),
            )
          },
        },
      ],
    })
    for (const target of ['/throws', '/rejects', '/nothing', '/used', '/error']) {
      const answer = await served.ask(get(target))
      expect([target, answer.status, answer.body.includes('secret')]).toEqual([target, 500, false])
    }
    const client = await served.dial()
    await client.send(get('/breaks'))
    await client.peer.over()
    expect(client.peer.unread.toString()).not.toContain('0\r\n\r\n')
    client.peer.end()
    await served.settled()
  })

  it('answers HEAD, 204 and 304 without a body, and sends each cookie', async () => {
    await using served = await Served.start({
      routes: [
        {
          fetch: (request) => {
            const { pathname } = new URL(request.url)
            if (pathname === '/204') return new Response(null, { status: 204 })
            if (pathname === '/304') return new Response(null, { status: 304, headers: { etag: '"a"' } })
            const headers = new Headers()
            headers.append('set-cookie', 'a=1')
            headers.append('set-cookie', 'b=2')
            return new Response('body', { headers })
          },
        },
      ],
    })
    const client = await served.dial()
    await client.send(get('/').replace('GET', 'HEAD') + get('/204') + get('/304') + get('/'))
    expect((await client.response('HEAD')).status).toBe(200)
    expect((await client.response()).status).toBe(204)
    expect((await client.response()).header('etag')).toBe('"a"')
    const answer = await client.response()
    expect([answer.body, answer.header('set-cookie')]).toEqual(['body', 'a=1, b=2'])
    client.peer.end()
  })

  it('is given requests whose URL cannot be, as well as it can, and never ends the process', async () => {
    await using served = await Served.start({ routes: [{ fetch: (request) => new Response(request.url) }] })
    for (const request of [
      'OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n',
      'TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n',
      'GET // HTTP/1.1\r\nHost: a.test\r\n\r\n',
      'GET //evil.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n',
      'GET / HTTP/1.0\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: 999.999.999.999\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: a.test:99\r\nX-Latin: \xe9\r\n\r\n',
    ]) {
      const answer = await served.ask(request)
      expect([200, 400, 405, 404, 500, 501]).toContain(answer.status)
      if (answer.status === 200) expect(answer.body).not.toMatch(/^http:\/\/evil/)
    }
    await served.settled()
  })
})

describe('Hono', () => {
  it('mounts by its fetch', async () => {
    const app = new Hono()
    app.get('/hello/:name', (context) => context.text(`hello ${context.req.param('name')}`))
    app.post('/json', async (context) => context.json({ got: await context.req.json() }))
    app.get('/events', (context) =>
      streamSSE(context, async (stream) => {
        for (let id = 0; id < 3; id++) await stream.writeSSE({ data: `tick ${id}` })
      }),
    )
    await using served = await Served.start({ routes: [{ fetch: (request) => app.fetch(request) }] })
    const client = await served.dial()
    await client.send(
      get('/hello/ada') +
        post('{"a":1}', '/json', 'Content-Type: application/json\r\n') +
        get('/events') +
        get('/nowhere'),
    )
    expect((await client.response()).body).toBe('hello ada')
    expect((await client.response()).body).toBe('{"got":{"a":1}}')
    expect((await client.response()).body).toContain('data: tick 2')
    expect((await client.response()).status).toBe(404)
    client.peer.end()
    await served.settled()
  })
})

describe('A Node handler', () => {
  it('gets requests and answers them, without a port', async () => {
    const handler: RequestListener = (request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        response.setHeader('X-Method', request.method ?? '')
        response.end(Buffer.concat(chunks).length === 0 ? 'empty' : Buffer.concat(chunks))
      })
    }
    for (const node of [handler, createServer(handler)]) {
      await using served = await Served.start({ routes: [{ node }] })
      const client = await served.dial()
      await client.send(get() + post('x'.repeat(100_000)))
      const one = await client.response()
      expect([one.body, one.header('x-method')]).toEqual(['empty', 'GET'])
      expect((await client.response()).body).toHaveLength(100_000)
      client.peer.end()
      await served.settled()
    }
  })

  it('Express mounts, with its body parser, and its errors are its own', async () => {
    const app = express()
    app.use(express.json())
    app.get('/hello/:name', (request, response) => void response.send(`hello ${request.params['name']}`))
    app.post('/json', (request, response) => void response.json({ got: request.body as unknown }))
    app.get('/breaks', () => {
      throw new Error('broken')
    })
    app.use((_error: Error, _request: express.Request, response: express.Response, _next: express.NextFunction) => {
      response.status(500).send('own error')
    })
    await using served = await Served.start({ routes: [{ node: app as unknown as RequestListener }] })
    const client = await served.dial()
    await client.send(
      get('/hello/ada') +
        post('{"a":1}', '/json', 'Content-Type: application/json\r\n') +
        get('/nowhere') +
        get('/breaks'),
    )
    expect((await client.response()).body).toBe('hello ada')
    expect((await client.response()).body).toBe('{"got":{"a":1}}')
    expect((await client.response()).status).toBe(404)
    expect((await client.response()).body).toBe('own error')
    client.peer.end()
    await served.settled()
  })

  it('sees that the client has gone', async () => {
    const gone = gate()
    const reached = gate()
    await using served = await Served.start({
      routes: [
        {
          node: (_request, response) => {
            response.on('close', () => gone.open())
            response.write('some')
            reached.open()
          },
        },
      ],
    })
    const client = await served.dial()
    await client.send(get())
    await reached.promise
    client.peer.reset()
    await gone.promise
    await served.settled()
  })
})

describe('Fixed answers and redirects', () => {
  it('are the same for all who ask', async () => {
    await using served = await Served.start({
      routes: [
        { path: '/text', reply: { status: 200, headers: { 'content-type': 'text/plain' }, body: 'text' } },
        { path: '/gone', reply: 410 },
        { path: '/old', redirect: 'https://{host}{path}{query}' },
        { path: '/moved', redirect: { to: '/new{query}', status: 308 } },
      ],
    })
    const client = await served.dial()
    for (let round = 0; round < 2; round++) {
      await client.send(
        get('/text') + get('/gone') + get('/old/x?y=z') + get('/moved?a') + get('/text').replace('GET', 'HEAD'),
      )
      const text = await client.response()
      expect([text.status, text.header('content-type'), text.body]).toEqual([200, 'text/plain', 'text'])
      expect(text.header('date')).toBeDefined()
      expect((await client.response()).status).toBe(410)
      const old = await client.response()
      expect([old.status, old.header('location')]).toEqual([302, 'https://a.test/old/x?y=z'])
      const moved = await client.response()
      expect([moved.status, moved.header('location')]).toEqual([308, '/new?a'])
      const head = await client.response('HEAD')
      expect([head.status, head.header('content-length')]).toEqual([200, '4'])
    }
    client.peer.end()
  })

  it('cannot be made to lead elsewhere by the path', async () => {
    await using served = await Served.start({ routes: [{ redirect: '{path}' }] })
    for (const target of ['//evil.test/x', '/\\evil.test', '///evil.test']) {
      const answer = await served.ask(get(target))
      if (answer.status === 302) expect(answer.header('location')).not.toMatch(/^[/\\]{2}/)
    }
  })

  it('routes by method say what is allowed', async () => {
    await using served = await Served.start({ routes: [{ path: '/x', method: ['GET', 'PUT'], reply: 200 }] })
    expect((await served.ask(get('/x'))).status).toBe(200)
    const answer = await served.ask(post('', '/x'))
    expect([answer.status, answer.header('allow')]).toEqual([405, expect.stringMatching(/GET.*PUT/)])
    expect((await served.ask(get('/y'))).status).toBe(404)
  })
})
