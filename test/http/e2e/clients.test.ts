import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { Agent, createServer, request as nodeRequest, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import { Hono } from 'hono'
import { Agent as UndiciAgent, Client as UndiciClient, request as undiciRequest } from 'undici'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startNginx } from '../../support/nginx.ts'
import { run } from '../../support/programs.ts'
import { Backend, get, ok, proxy, Served, until } from './support.ts'

let folder: string
let big: Buffer
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xps-'))
  big = Buffer.alloc(3_000_000, 'big ')
  await writeFile(join(folder, 'big.bin'), big)
})
afterAll(() => rm(folder, { recursive: true }))

/** Says what it got. */
const echo: RequestListener = (request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const body = Buffer.concat(chunks)
    if (request.url === '/big') response.end(big)
    else if (request.url === '/back') response.end(body)
    else
      response.end(
        `${request.method} ${request.url} ${body.length} ${request.headers['transfer-encoding'] ?? 'whole'}\n`,
      )
  })
}

/** A server of Node's on a port. */
class NodeServer implements AsyncDisposable {
  readonly server: Server
  accepted = 0
  constructor(handler: RequestListener) {
    this.server = createServer(handler)
    this.server.on('connection', () => this.accepted++)
  }
  static async start(handler: RequestListener = echo): Promise<NodeServer> {
    const it = new NodeServer(handler)
    await new Promise<void>((resolve) => it.server.listen(0, '127.0.0.1', resolve))
    return it
  }
  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections()
    await new Promise((resolve) => this.server.close(resolve))
  }
}

describe('curl', () => {
  it('keeps its connection, uploads, downloads, asks for heads, and speaks HTTP/1.0', async () => {
    await using backend = await NodeServer.start()
    await using served = await proxy(backend)
    const { url } = served
    const curl = (...args: string[]): Promise<Buffer> => run('curl', ['-sS', '--max-time', '10', ...args])
    expect((await curl('-w', '%{num_connects} ', `${url}/1`, `${url}/2`)).toString()).toBe(
      'GET /1 0 whole\n1 GET /2 0 whole\n0 ',
    )
    expect((await curl('--http1.0', `${url}/old`)).toString()).toBe('GET /old 0 whole\n')
    expect((await curl('--data-binary', '@-', `${url}/posted`)).toString()).toBe('POST /posted 0 whole\n')
    const body = `@${join(folder, 'big.bin')}`
    expect((await curl('--data-binary', body, `${url}/posted`)).toString()).toBe('POST /posted 3000000 whole\n')
    expect((await curl('-H', 'Expect: 100-continue', '--data-binary', body, `${url}/expected`)).toString()).toBe(
      'POST /expected 3000000 whole\n',
    )
    expect((await curl('-H', 'Transfer-Encoding: chunked', '--data-binary', body, `${url}/chunked`)).toString()).toBe(
      'POST /chunked 3000000 chunked\n',
    )
    expect((await curl('-T', join(folder, 'big.bin'), `${url}/put`)).toString()).toBe('PUT /put 3000000 whole\n')
    expect((await curl('--data-binary', body, `${url}/back`)).equals(big)).toBe(true)
    expect((await curl(`${url}/big`)).equals(big)).toBe(true)
    expect((await curl('--http1.0', `${url}/big`)).equals(big)).toBe(true)
    const head = (await curl('-I', `${url}/head`)).toString()
    expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect((await curl('-X', 'DELETE', '-d', 'x', `${url}/gone`)).toString()).toBe('DELETE /gone 1 whole\n')
    expect((await curl('--fail-with-body', '-o', '-', `${url}/x`, '--request-target', '/y?z')).toString()).toBe(
      'GET /y?z 0 whole\n',
    )
    await served.settled()
    expect(backend.accepted).toBeLessThanOrEqual(2)
  })

  it('has its connection closed, and a status that says why, when it sends too much', async () => {
    await using backend = await NodeServer.start()
    await using served = await proxy(backend, { bodyLimit: 1_000 })
    const args = [
      '-sS',
      '--max-time',
      '10',
      '-o',
      '/dev/null',
      '-w',
      '%{http_code}',
      '--data-binary',
      `@${join(folder, 'big.bin')}`,
      served.url,
    ]
    expect((await run('curl', args)).toString()).toBe('413')
    await served.settled()
  })
})

describe("Python's http.client", () => {
  it('keeps its connection, and sends bodies of both framings', async () => {
    await using backend = await NodeServer.start()
    await using served = await proxy(backend)
    const program = `
import http.client
c = http.client.HTTPConnection('127.0.0.1', ${served.port}, timeout=10)
def ask(*args, **more):
    c.request(*args, **more)
    r = c.getresponse()
    print(f'{r.status} {r.read().decode()}'.strip())
ask('GET', '/1')
port = c.sock.getsockname()[1]
ask('POST', '/2', body='x' * 100000)
ask('POST', '/3', body=iter([b'a' * 10, b'b' * 20000]), encode_chunked=True)
ask('HEAD', '/4')
ask('DELETE', '/5')
print(c.sock.getsockname()[1] == port)
`
    expect((await run('python3', ['-c', program])).toString().split('\n')).toEqual([
      '200 GET /1 0 whole',
      '200 POST /2 100000 whole',
      '200 POST /3 20010 chunked',
      '200',
      '200 DELETE /5 0 whole',
      'True',
      '',
    ])
    await served.settled()
  })
})

describe('undici', () => {
  it('keeps and pipelines, streams, and sees trailers and early hints', async () => {
    await using backend = await NodeServer.start((request, response) => {
      if (request.url !== '/trailers') return echo(request, response)
      response.writeEarlyHints({ link: '</a.css>; rel=preload' })
      response.writeHead(200, { trailer: 'x-sum' })
      response.write('body')
      response.addTrailers({ 'x-sum': 'abc' })
      response.end()
    })
    await using served = await proxy(backend)
    const dispatcher = new UndiciAgent({ connections: 2, pipelining: 4 })
    const texts = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const { body } = await undiciRequest(`${served.url}/${index}`, { dispatcher })
        return body.text()
      }),
    )
    expect(texts).toEqual(Array.from({ length: 20 }, (_, index) => `GET /${index} 0 whole\n`))
    const upload = await undiciRequest(`${served.url}/up`, { dispatcher, method: 'POST', body: big })
    expect(await upload.body.text()).toBe('POST /up 3000000 whole\n')
    const hints: number[] = []
    const trailed = await undiciRequest(`${served.url}/trailers`, {
      dispatcher,
      headers: { te: 'trailers' },
      onInfo: ({ statusCode }) => void hints.push(statusCode),
    })
    expect(await trailed.body.text()).toBe('body')
    expect(trailed.trailers).toEqual({ 'x-sum': 'abc' })
    expect(hints).toEqual([103])
    await dispatcher.close()
    await served.settled()
  })

  it('that aborts in the middle of a download is no matter for the next', async () => {
    await using backend = await NodeServer.start()
    await using served = await proxy(backend)
    const client = new UndiciClient(served.url)
    for (let round = 0; round < 3; round++) {
      const stop = new AbortController()
      const { body } = await client.request({ path: '/big', method: 'GET', signal: stop.signal })
      body.on('error', () => {})
      await once(body, 'data')
      stop.abort()
      const next = await client.request({ path: '/next', method: 'GET' })
      expect(await next.body.text()).toBe('GET /next 0 whole\n')
    }
    await client.close()
    await served.settled()
  })

  it('as fetch, reads what a handler streams', async () => {
    await using served = await Served.start({ routes: [{ fetch: (request) => new Response(request.body) }] })
    const response = await fetch(`${served.url}/`, { method: 'POST', body: big })
    expect(Buffer.from(await response.arrayBuffer()).equals(big)).toBe(true)
  })
})

describe("node:http's agent", () => {
  it('keeps its connection, also over many requests at once', async () => {
    await using backend = await NodeServer.start()
    await using served = await proxy(backend)
    const agent = new Agent({ keepAlive: true, maxSockets: 3 })
    const ask = (path: string, body?: Buffer): Promise<string> =>
      new Promise((resolve, reject) => {
        const request = nodeRequest({
          agent,
          port: served.port,
          host: '127.0.0.1',
          path,
          method: body === undefined ? 'GET' : 'POST',
        })
        request.on('response', (response) => {
          let text = ''
          response.on('data', (chunk) => {
            text += chunk
          })
          response.on('end', () => resolve(text))
          response.on('error', reject)
        })
        request.on('error', reject)
        request.end(body)
      })
    const texts = await Promise.all(
      Array.from({ length: 30 }, (_, index) =>
        ask(`/${index}`, index % 3 === 0 ? big.subarray(0, 100_000) : undefined),
      ),
    )
    expect(texts.map((text) => text.split(' ')[1])).toEqual(Array.from({ length: 30 }, (_, index) => `/${index}`))
    expect(served.core.stats().accepted).toBe(3)
    agent.destroy()
    await served.settled()
  })
})

describe('Load of ab and wrk', () => {
  it('ab -k, that speaks HTTP/1.0 and keeps its connections, loses nothing', async () => {
    await using backend = await NodeServer.start()
    await using served = await proxy(backend)
    const text = (await run('ab', ['-q', '-k', '-n', '1000', '-c', '20', `${served.url}/x`])).toString()
    expect(text).toMatch(/Complete requests:\s+1000\n/)
    expect(text).toMatch(/Failed requests:\s+0\n/)
    expect(text).toMatch(/Keep-Alive requests:\s+1000\n/)
    await served.settled()
  })

  it('wrk loses nothing', async () => {
    await using served = await Served.start({ routes: [{ reply: { status: 200, body: 'text' } }] })
    const text = (await run('wrk', ['-t1', '-c20', '-d1s', `${served.url}/x`])).toString()
    expect(text).toMatch(/\d+ requests in/)
    expect(text).not.toMatch(/Socket errors|Non-2xx/)
    await served.settled()
  })
})

describe('nginx', () => {
  it('behind, keeps connections, and serves downloads and uploads', async () => {
    await using nginx = await startNginx(
      folder,
      (listen) =>
        `server { listen 127.0.0.1:${listen}; root ${folder}; location /put/ { dav_methods PUT; create_full_put_path on; } }`,
    )
    await using served = await proxy(nginx)
    const client = await served.dial()
    for (let round = 0; round < 3; round++) {
      await client.send(get('/big.bin'))
      expect((await client.response()).body).toHaveLength(3_000_000)
    }
    await client.send(
      get('/big.bin', 'Range: bytes=0-9\r\n') + get('/big.bin').replace('GET', 'HEAD') + get('/nowhere'),
    )
    expect((await client.response()).status).toBe(206)
    expect((await client.response('HEAD')).header('content-length')).toBe('3000000')
    expect((await client.response()).status).toBe(404)
    client.peer.end()
    expect(served.http.stats().upstreams[nginx.address]).toEqual({ connections: 1, idle: 1, queued: 0 })
    const put = await run('curl', [
      '-sS',
      '-o',
      '/dev/null',
      '-w',
      '%{http_code}',
      '-T',
      join(folder, 'big.bin'),
      `${served.url}/put/new.bin`,
    ])
    expect(put.toString()).toBe('201')
    await served.settled()
  })

  it('in front, keeps connections to us, by HTTP/1.0 and 1.1', async () => {
    await using backend = await Backend.start((request) =>
      ok(`${request.method} ${request.target} ${request.body.length} ${request.header('x-forwarded-for')}`),
    )
    await using served = await Served.start({ routes: [{ upstream: backend.address, trusted: ['loopback'] }] })
    for (const version of ['1.0', '1.1']) {
      await using nginx = await startNginx(
        folder,
        (listen) => `
        upstream us { server 127.0.0.1:${served.port}; keepalive 4; }
        server { listen 127.0.0.1:${listen}; location / {
          proxy_pass http://us; proxy_http_version ${version}; proxy_set_header Connection ""; proxy_set_header Host a.test;
          proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_request_buffering off; } }`,
      )
      const { url } = nginx
      const curl = (...args: string[]): Promise<Buffer> => run('curl', ['-sS', '--max-time', '10', ...args])
      expect((await curl(`${url}/one`)).toString()).toBe('GET /one 0 127.0.0.1, 127.0.0.1')
      const upload = await curl('-H', 'Expect:', '--data-binary', `@${join(folder, 'big.bin')}`, `${url}/two`)
      expect(upload.toString()).toBe('POST /two 3000000 127.0.0.1, 127.0.0.1')
      if (version === '1.0') continue
      const chunked = await curl(
        '-H',
        'Transfer-Encoding: chunked',
        '--data-binary',
        `@${join(folder, 'big.bin')}`,
        `${url}/three`,
      )
      expect(chunked.toString()).toBe('POST /three 3000000 127.0.0.1, 127.0.0.1')
    }
  })
})

describe('Express and Hono as upstreams', () => {
  it('Express gets what was sent, and its answers arrive', async () => {
    const app = express()
    app.use(express.json({ limit: '10mb' }))
    app.get(
      '/hello',
      (request, response) =>
        void response
          .cookie('a', '1')
          .cookie('b', '2')
          .json({ ip: request.get('x-forwarded-for') }),
    )
    app.post(
      '/json',
      (request, response) => void response.json({ length: (request.body as { text: string }).text.length }),
    )
    app.get('/redirect', (_request, response) => void response.redirect('/hello'))
    await using backend = await NodeServer.start(app as unknown as RequestListener)
    await using served = await proxy(backend)
    const hello = await fetch(`${served.url}/hello`)
    expect(await hello.json()).toEqual({ ip: '127.0.0.1' })
    expect(hello.headers.getSetCookie()).toHaveLength(2)
    const etag = hello.headers.get('etag') ?? ''
    // Not by fetch: that says no-cache as soon as it is given a condition.
    expect((await served.ask(get('/hello', `If-None-Match: ${etag}\r\n`))).status).toBe(304)
    const body = JSON.stringify({ text: 'x'.repeat(1_000_000) })
    const posted = await fetch(`${served.url}/json`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    })
    expect(await posted.json()).toEqual({ length: 1_000_000 })
    expect((await fetch(`${served.url}/redirect`)).url).toBe(`${served.url}/hello`)
  })

  it('Hono behind node:http streams events', async () => {
    const app = new Hono()
    app.get('/events', () => {
      let count = 0
      return new Response(
        new ReadableStream({
          pull(controller) {
            if (count++ === 5) controller.close()
            else controller.enqueue(Buffer.from(`data: ${count}\n\n`))
          },
        }),
        { headers: { 'content-type': 'text/event-stream' } },
      )
    })
    await using served = await Served.start({ routes: [{ fetch: (request) => app.fetch(request) }] })
    await using front = await proxy({ address: `127.0.0.1:${served.port}` })
    const text = await (await fetch(`${front.url}/events`)).text()
    expect(text).toBe([1, 2, 3, 4, 5].map((count) => `data: ${count}\n\n`).join(''))
    await until(() => expect(front.http.stats().transactions).toBe(0))
  })
})
