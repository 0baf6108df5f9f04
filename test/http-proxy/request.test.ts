import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import type { ProxyServerOptions } from '../../src/http-proxy/index.ts'
import { TestServer } from '../support/net.ts'
import { echo, Front, mirror, TestHttp, text, valuesOf } from './support.ts'

describe('the path', () => {
  // What http-proxy documents and does, as data: base of the target, options, what is asked for, what arrives.
  const paths: [base: string, options: ProxyServerOptions, asked: string, arrives: string][] = [
    ['', {}, '/', '/'],
    ['', {}, '/a/b?c=d', '/a/b?c=d'],
    ['/', {}, '/a', '/a'],
    ['/base', {}, '/', '/base/'],
    ['/base', {}, '/a', '/base/a'],
    ['/base/', {}, '/a', '/base/a'],
    ['/base', {}, '/?q=1', '/base/?q=1'],
    ['/base', { prependPath: true }, '/a', '/base/a'],
    ['/base', { prependPath: false }, '/a', '/a'],
    ['/base', { ignorePath: true }, '/a?b=c', '/base'],
    ['/base?x=1', { ignorePath: true }, '/a?b=c', '/base?x=1'],
    ['/base', { ignorePath: true, prependPath: false }, '/a', '/'],
    ['/base?x=1', {}, '/a?y=2', '/base/a?x=1&y=2'],
    ['', {}, '/a?b=c?d=e', '/a?b=c?d=e'],
    ['', {}, '/a?url=http://x.test/y', '/a?url=http://x.test/y'],
    ['', {}, '/a%2fb/%20', '/a%2fb/%20'],
    ['', {}, 'http://other.test:8080/a?b', '/a?b'],
    ['', {}, 'http://other.test', '/'],
    ['', { toProxy: true }, 'http://other.test:8080/a?b', 'http://other.test:8080/a?b'],
    ['', { toProxy: true }, '/a', '/a'],
  ]
  it.each(paths)('of a target %j with %j: %s becomes %s', async (base, options, asked, arrives) => {
    await using upstream = await echo()
    await using front = await Front.start({ target: `${upstream.url}${base}`, ...options })
    expect((await front.seen(asked)).url).toBe(arrives)
  })

  it('keeps two slashes, which http-proxy makes one of', async () => {
    await using upstream = await echo()
    await using front = await Front.start({ target: upstream.url })
    expect((await front.seen('//a//b')).url).toBe('//a//b')
  })

  it('is the one that a program has put in req.url, as the mount of Express does', async () => {
    await using upstream = await echo()
    await using front = await Front.start({ target: upstream.url }, (proxy) => (req, res) => {
      req.url = '/rewritten/ü€ x#y'
      void proxy.web(req, res)
    })
    expect((await front.seen('/a')).url).toBe('/rewritten/%FC%E2%82%AC%20x')
  })

  it('is `*` for OPTIONS of a whole server', async () => {
    await using upstream = await TestServer.start()
    await using front = await Front.start({ target: `http://${upstream.address}` })
    const client = await front.dial()
    await client.write('OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n')
    expect(await (await upstream.accept()).read('\r\n')).toBe('OPTIONS * HTTP/1.1\r\n')
    client.reset()
  })
})

describe('the target', () => {
  const forms: [name: string, make: (upstream: TestHttp) => ProxyServerOptions['target']][] = [
    ['a text', (upstream) => upstream.url],
    ['a URL', (upstream) => new URL(upstream.url)],
    ['host and port', (upstream) => ({ host: '127.0.0.1', port: upstream.port })],
    ['a port that is a text', (upstream) => ({ host: 'localhost', port: `${upstream.port}`, protocol: 'http:' })],
    ['a host with a port', (upstream) => ({ host: upstream.host })],
    [
      'what url.parse returns',
      (upstream) => ({
        hostname: '127.0.0.1',
        host: upstream.host,
        port: `${upstream.port}`,
        path: '/',
        protocol: 'http:',
      }),
    ],
    ['a URL for WebSockets', (upstream) => upstream.url.replace('http', 'ws')],
  ]
  it.each(forms)('may be %s', async (_, make) => {
    await using upstream = await echo()
    await using front = await Front.start({ target: make(upstream) })
    expect((await front.seen('/x')).url).toBe('/x')
  })

  it('may be a Unix-domain socket', async () => {
    const path = join(tmpdir(), `xps-http-proxy-${process.pid}.sock`)
    const server = createServer((_, res) => res.end('by socket'))
    await new Promise<void>((resolve) => server.listen(path, resolve))
    await using byText = await Front.start({ target: `unix:${path}` })
    await using byObject = await Front.start({ target: { socketPath: path } })
    expect((await byText.ask()).body).toBe('by socket')
    expect((await byObject.ask()).body).toBe('by socket')
    await byText.proxy.close()
    await byObject.proxy.close()
    await new Promise((resolve) => server.close(resolve))
  })

  it('of a call counts before that of the proxy, and undefined does not count', async () => {
    await using one = await echo()
    await using two = await echo()
    await using front = await Front.start(
      { target: one.url, headers: { 'x-from': 'proxy' } },
      (proxy) => (req, res) => {
        void proxy.web(req, res, req.url === '/two' ? { target: two.url, headers: undefined } : { target: undefined })
      },
    )
    expect((await front.seen('/one')).headers['host']).toBe(`127.0.0.1:${front.port}`)
    const seen = await front.seen('/two')
    expect(seen.headers['x-from']).toBe('proxy')
    expect(Object.keys(front.proxy.stats().targets).sort()).toEqual([one.host, two.host].sort())
  })
})

describe('the request', () => {
  it('keeps its fields as they were spelled and repeated', async () => {
    await using upstream = await echo()
    await using front = await Front.start({ target: upstream.url })
    const { raw } = await front.seen('/', { headers: { 'X-Two': ['a', 'b'], 'x-LOUD': '1', Cookie: 'a=b; c=d' } })
    expect(valuesOf(raw, 'x-two')).toEqual(['a', 'b'])
    expect(raw).toContain('x-LOUD')
    expect(valuesOf(raw, 'cookie')).toEqual(['a=b; c=d'])
    expect(raw).not.toContain('Via')
  })

  it('has the changes that a program has made in req.headers', async () => {
    await using upstream = await echo()
    await using front = await Front.start({ target: upstream.url }, (proxy) => (req, res) => {
      req.headers['x-added'] = 'yes'
      req.headers['x-changed'] = 'new'
      delete req.headers['x-gone']
      void proxy.web(req, res)
    })
    const { headers } = await front.seen('/', { headers: { 'x-changed': 'old', 'x-gone': '1', 'x-kept': '1' } })
    expect(headers).toMatchObject({ 'x-added': 'yes', 'x-changed': 'new', 'x-kept': '1' })
    expect(headers).not.toHaveProperty('x-gone')
  })

  it('has not what is for one hop, nor what Connection names', async () => {
    await using upstream = await TestServer.start()
    await using front = await Front.start({ target: `http://${upstream.address}` })
    const client = await front.dial()
    await client.write(
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\n' +
        'Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\nTE: gzip\r\nUpgrade: h2c\r\nX-Kept: 1\r\n\r\n',
    )
    const head = await (await upstream.accept()).read('\r\n\r\n')
    expect(head).toBe('GET / HTTP/1.1\r\nHost: a\r\nX-Kept: 1\r\n\r\n')
    client.reset()
  })

  it('has the Host of the client, or with changeOrigin that of the target', async () => {
    await using upstream = await echo()
    await using keeps = await Front.start({ target: upstream.url })
    await using changes = await Front.start({ target: upstream.url, changeOrigin: true })
    const options = { headers: { Host: 'app.test' } }
    expect((await keeps.seen('/', options)).headers['host']).toBe('app.test')
    expect((await changes.seen('/', options)).headers['host']).toBe(upstream.host)
  })

  it('has a Host without the default port with changeOrigin', async () => {
    const { readTarget } = await import('../../src/http-proxy/target.ts')
    expect(readTarget('target', 'http://app.test').host).toBe('app.test')
    expect(readTarget('target', 'http://app.test:80/').host).toBe('app.test')
    expect(readTarget('target', { host: 'app.test', port: 80 }).host).toBe('app.test')
    expect(readTarget('target', { hostname: '::1', port: 8080 })).toMatchObject({
      host: '[::1]:8080',
      address: '[::1]:8080',
    })
  })

  it('has the fields of `headers` in place of those of the client', async () => {
    await using upstream = await echo()
    await using front = await Front.start({
      target: upstream.url,
      headers: { 'X-Over': 'ours', 'x-list': ['1', '2'], 'x-none': undefined, 'x-number': 7 },
    })
    const seen = await front.seen('/', { headers: { 'x-over': 'theirs', 'x-none': '1' } })
    expect(valuesOf(seen.raw, 'x-over')).toEqual(['ours'])
    expect(valuesOf(seen.raw, 'x-list')).toEqual(['1', '2'])
    expect(valuesOf(seen.raw, 'x-number')).toEqual(['7'])
    expect(seen.headers).not.toHaveProperty('x-none')
  })

  it('has the method of `method`', async () => {
    await using upstream = await echo()
    await using front = await Front.start({ target: upstream.url, method: 'PUT' })
    expect(await front.seen('/', { body: 'x' })).toMatchObject({ method: 'PUT', body: 'x' })
  })

  it('is authorized by `auth`, or by the target, unless it is already', async () => {
    await using upstream = await echo()
    await using byOption = await Front.start({ target: upstream.url, auth: 'user:pass' })
    await using byTarget = await Front.start({ target: upstream.url.replace('//', '//us%65r:pass@') })
    const basic = `Basic ${Buffer.from('user:pass').toString('base64')}`
    expect((await byOption.seen()).headers['authorization']).toBe(basic)
    expect((await byTarget.seen()).headers['authorization']).toBe(basic)
    const seen = await byOption.seen('/', { headers: { authorization: 'Bearer x' } })
    expect(seen.headers['authorization']).toBe('Bearer x')
  })

  it('says nothing of where it comes from, and leaves what others have said, without xfwd', async () => {
    await using upstream = await echo()
    await using front = await Front.start({ target: upstream.url })
    const plain = await front.seen()
    expect(Object.keys(plain.headers).filter((name) => name.startsWith('x-forwarded'))).toEqual([])
    const { headers } = await front.seen('/', { headers: { 'x-forwarded-for': '10.0.0.1' } })
    expect(headers['x-forwarded-for']).toBe('10.0.0.1')
  })

  it('says where it comes from with xfwd, behind what others have said', async () => {
    await using upstream = await echo()
    await using front = await Front.start({ target: upstream.url, xfwd: true, changeOrigin: true })
    const first = (await front.seen('/', { headers: { Host: 'app.test:8080' } })).headers
    expect(first).toMatchObject({
      host: upstream.host,
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-port': '8080',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'app.test:8080',
    })
    const behind = (
      await front.seen('/', {
        headers: {
          Host: 'app.test',
          'X-Forwarded-For': '10.0.0.1',
          'X-Forwarded-Proto': 'https',
          'X-Forwarded-Port': '443',
          'X-Forwarded-Host': 'public.test',
        },
      })
    ).headers
    expect(behind).toMatchObject({
      'x-forwarded-for': '10.0.0.1,127.0.0.1',
      'x-forwarded-port': '443,80',
      'x-forwarded-proto': 'https,http',
      'x-forwarded-host': 'public.test',
    })
  })

  it('comes from `localAddress`, that of the proxy or that of the call', async () => {
    await using target = await TestHttp.start((req, res) => void res.end(req.socket.remoteAddress))
    target.server.on(
      'upgrade',
      (req, socket) => void socket.end(`HTTP/1.1 418 Teapot\r\nX-From: ${req.socket.remoteAddress}\r\n\r\n`),
    )
    await using front = await Front.start({ target: target.url, localAddress: '127.0.0.2' }, (proxy) => (req, res) => {
      void proxy.web(req, res, req.url === '/call' ? { localAddress: '127.0.0.3' } : {})
    })
    front.http.server.on('upgrade', (req, socket, head) => void front.proxy.ws(req, socket, head))
    for (const path of ['/', '/call', '/']) {
      expect((await front.ask(path)).body).toBe(path === '/' ? '127.0.0.2' : '127.0.0.3')
    }
    const headers = { connection: 'upgrade', upgrade: 'websocket' }
    expect((await front.ask('/', { headers })).headers['x-from']).toBe('127.0.0.2')
    expect(front.proxy.stats().targets[target.host]?.connections).toBeLessThanOrEqual(3)
  })

  it('has a Via with `via`, and so has the response', async () => {
    await using upstream = await echo()
    await using front = await Front.start({ target: upstream.url, via: 'edge' })
    const answer = await front.ask()
    expect((JSON.parse(answer.body) as { headers: Record<string, string> }).headers['via']).toBe('1.1 edge')
    expect(answer.headers['via']).toBe('1.1 edge')
  })

  it('of HTTP/1.0 without a Host is sent on with that of the target', async () => {
    await using upstream = await echo()
    await using front = await Front.start({ target: upstream.url })
    const client = await front.dial()
    await client.write('GET /old HTTP/1.0\r\n\r\n')
    const answer = await client.text()
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK/)
    expect(answer).toContain(`"host":"${upstream.host}"`)
    expect(answer.toLowerCase()).not.toContain('chunked')
  })
})

describe('the body', () => {
  it('is sent on as it was framed', async () => {
    await using upstream = await TestServer.start()
    await using front = await Front.start({ target: `http://${upstream.address}` })
    for (const method of ['POST', 'DELETE', 'OPTIONS', 'GET', 'PATCH']) {
      const client = await front.dial()
      await client.write(
        `${method} / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n`,
      )
      const peer = await upstream.accept()
      const head = await peer.read('\r\n\r\n')
      expect(head.toLowerCase()).toContain('transfer-encoding: chunked')
      expect(head.toLowerCase()).not.toContain('content-length')
      const body = await peer.read('0\r\n\r\n')
      expect(body.replace(/[\da-f]+\r\n([a-e]*)\r\n/g, '$1')).toBe('abcde')
      await peer.write('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n')
      expect(await client.read('\r\n')).toContain('204')
      client.end()
      peer.end()
    }
  })

  it('has the length that the client has said, also if that is 0', async () => {
    await using upstream = await echo()
    await using front = await Front.start({ target: upstream.url })
    expect(valuesOf((await front.seen('/', { body: 'hello' })).raw, 'content-length')).toEqual(['5'])
    const none = await front.seen('/', { method: 'POST', headers: { 'content-length': '0' } })
    expect(valuesOf(none.raw, 'content-length')).toEqual(['0'])
    expect(valuesOf((await front.seen('/', { method: 'DELETE' })).raw, 'content-length')).toEqual([])
  })

  it('arrives whole when it is long, and the response too', async () => {
    await using upstream = await mirror()
    await using front = await Front.start({ target: upstream.url })
    const body = 'x'.repeat(3_000_000)
    expect((await front.ask('/', { body })).body.length).toBe(body.length)
  })

  it('has its trailers', async () => {
    await using upstream = await TestServer.start()
    await using front = await Front.start({ target: `http://${upstream.address}` })
    const client = await front.dial()
    await client.write(
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n1\r\na\r\n0\r\nX-Sum: 7\r\n\r\n',
    )
    const peer = await upstream.accept()
    expect(await peer.read('X-Sum: 7\r\n\r\n')).toContain('0\r\nX-Sum: 7')
    client.reset()
  })

  it('is the one of `buffer` where a parser has read the client’s', async () => {
    await using upstream = await echo()
    await using front = await Front.start({ target: upstream.url }, (proxy) => async (req, res) => {
      const body = await text(req)
      const kinds = { '/bytes': Buffer.from(`${body}!`), '/text': `${body}?`, '/stream': Readable.from([body]) }
      void proxy.web(req, res, { buffer: kinds[req.url as keyof typeof kinds] })
    })
    expect(await front.seen('/bytes', { body: 'hello' })).toMatchObject({
      body: 'hello!',
      headers: { 'content-length': '6' },
    })
    expect(await front.seen('/text', { body: 'hello' })).toMatchObject({ body: 'hello?' })
    expect(await front.seen('/stream', { body: 'hello' })).toMatchObject({
      body: 'hello',
      headers: { 'content-length': '5' },
    })
  })

  it('that was read before, and is not given again, is an error and not a wait', async () => {
    await using upstream = await echo()
    await using front = await Front.start({ target: upstream.url }, (proxy) => async (req, res) => {
      await text(req)
      void proxy.web(req, res)
    })
    const answer = await front.ask('/', { body: 'hello' })
    expect(answer.status).toBe(500)
    expect(front.proxy.stats().active).toBe(0)
  })
})
