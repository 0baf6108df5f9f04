import { constants, createSecureServer } from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { afterAll, describe, expect, it } from 'vitest'
import type { AccessEntry } from '../../../src/http/access-log.ts'
import { TestAuthority } from '../../support/certificates.ts'
import { Backend2, get, pong2, post, Served, until } from './support.ts'

const authority = new TestAuthority()
const { pem } = authority.issue('127.0.0.1', 'up.test')
const ca = authority.ca.pem.cert
afterAll(() => authority[Symbol.dispose]())

/** An upstream that speaks HTTP/1.1 over TLS. */
async function https1(options: object = {}) {
  const sockets = new Set<TLSSocket>()
  let accepted = 0
  const server = createHttpsServer({ ...pem, ...options }, (request, response) => {
    response.end(`${request.httpVersion} ${request.headers.host} ${request.headers['x-forwarded-proto']}`)
  })
  server.on('secureConnection', (socket) => {
    accepted++
    sockets.add(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    port,
    get accepted() {
      return accepted
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

describe('An upstream that speaks TLS', () => {
  it('is spoken to by HTTP/2 if it chooses that', async () => {
    await using backend = await Backend2.start(pong2, { tls: pem })
    await using served = await Served.start({
      routes: [{ upstream: `https://127.0.0.1:${backend.port}`, tls: { ca } }],
    })
    const answers = await Promise.all(Array.from({ length: 20 }, () => served.ask(get())))
    for (const one of answers) expect([one.status, one.body]).toEqual([200, 'pong'])
    // Nobody knew what it speaks: the first connection was asked before there were more.
    expect(backend.accepted).toBe(1)
    expect(backend.requests[0]).toMatchObject({
      ':scheme': 'https',
      ':authority': 'a.test',
      'x-forwarded-proto': 'http',
    })
    await served.settled()
  })

  it('is spoken to by HTTP/1.1 if it knows nothing else', async () => {
    await using backend = await https1()
    await using served = await Served.start({
      routes: [{ upstream: `https://127.0.0.1:${backend.port}`, tls: { ca } }],
    })
    const answers = await Promise.all(Array.from({ length: 5 }, () => served.ask(get())))
    for (const one of answers) expect(one.body).toBe('1.1 a.test http')
    expect((await served.ask(post('x'))).body).toBe('1.1 a.test http')
    await served.settled()
  })

  it('is spoken to by HTTP/1.1 where http2 is false, and by HTTP/2 only where that is known before', async () => {
    await using backend = await Backend2.start(pong2, { tls: { ...pem, allowHTTP1: true } })
    const seen: string[] = []
    backend.server.on('secureConnection', (socket: TLSSocket) => seen.push(String(socket.alpnProtocol)))
    const upstream = `https://127.0.0.1:${backend.port}`
    await using served = await Served.start({
      routes: [
        { path: '/1', upstream, tls: { ca }, http2: false },
        { path: '/2', upstream, tls: { ca }, http2: 'prior-knowledge' },
      ],
    })
    backend.server.on('request', (request, response) => {
      if (request.httpVersion === '1.1') response.end('one')
    })
    expect((await served.ask(get('/1'))).body).toBe('one')
    expect((await served.ask(get('/2'))).body).toBe('pong')
    expect(seen).toEqual(['false', 'h2'])
    await served.settled()
  })

  it.each([
    ['nobody trusts', {}, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    ['is for another name', { tls: { ca, servername: 'other.test' } }, 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ] as const)('with a certificate that %s is a 502, and the log says why', async (_, route, reason) => {
    const log: AccessEntry[] = []
    await using backend = await Backend2.start(pong2, { tls: pem })
    await using served = await Served.start({
      routes: [{ upstream: `https://127.0.0.1:${backend.port}`, ...route }],
      log: (entry) => log.push(entry),
    })
    expect((await served.ask(get())).status).toBe(502)
    expect((await served.ask(post('x'))).status).toBe(502)
    await until(() => expect(log).toHaveLength(2))
    expect(log.map((entry) => entry.reason)).toEqual([`XPS_TLS ${reason}`, `XPS_TLS ${reason}`])
    expect(served.http.stats().faults).toEqual({ [`XPS_TLS ${reason}`]: 2 })
    expect(backend.requests).toEqual([])
    await served.settled()
  })

  it('with a certificate that does not fit is passed over for another address', async () => {
    const other = new TestAuthority('another')
    await using wrong = await Backend2.start(pong2, { tls: other.issue('127.0.0.1').pem })
    await using right = await Backend2.start(pong2, { tls: pem })
    other[Symbol.dispose]()
    await using served = await Served.start({
      routes: [{ upstream: [wrong, right].map(({ port }) => `https://127.0.0.1:${port}`), tls: { ca } }],
    })
    for (let count = 0; count < 4; count++) expect((await served.ask(post('x'))).status).toBe(200)
    expect(wrong.requests).toEqual([])
    await served.settled()
  })

  it('may be taken on trust, asked for by name, and shown a certificate', async () => {
    const mine = authority.issue('proxy.test').pem
    const names: (string | undefined)[] = []
    await using backend = await Backend2.start(
      (stream) => {
        const socket = stream.session?.socket as TLSSocket
        names.push(socket.servername === false ? undefined : (socket.servername as string | undefined))
        const { subject } = socket.getPeerCertificate()
        stream.respond({ ':status': 200 })
        stream.end(subject?.CN ?? 'nobody')
      },
      { tls: { ...pem, ca, requestCert: true, rejectUnauthorized: false } },
    )
    const upstream = `127.0.0.1:${backend.port}`
    await using served = await Served.start({
      routes: [
        { path: '/trust', upstream, tls: { verify: false } },
        { path: '/name', upstream, tls: { ca, servername: 'up.test', cert: mine.cert, key: mine.key } },
      ],
    })
    expect((await served.ask(get('/trust'))).body).toBe('nobody')
    expect((await served.ask(get('/name'))).body).toBe('proxy.test')
    expect((await served.ask(get('/trust'))).body).toBe('nobody')
    expect(names).toEqual([undefined, 'up.test', undefined])
    // Who shows a certificate shares no connection with who shows none.
    expect(backend.accepted).toBe(2)
    await served.settled()
  })
})

describe('What a route says of its upstream', () => {
  it.each([
    [{ upstream: 'https://a.test/path' }, 'routes[0].upstream'],
    [{ upstream: 'https://user@a.test' }, 'routes[0].upstream'],
    [{ upstream: 'h2c://' }, 'routes[0].upstream'],
    [{ upstream: 'https://a.test', tls: false }, 'routes[0].tls'],
    [{ upstream: 'http://a.test', tls: true }, 'routes[0].tls'],
    [{ upstream: 'h2c://a.test', tls: {} }, 'routes[0].tls'],
    [{ upstream: 'h2c://a.test', http2: false }, 'routes[0].http2'],
    [{ upstream: 'a.test:1', http2: 'yes' }, 'http2'],
    [{ upstream: 'a.test:1', maxStreams: 0 }, 'maxStreams'],
    [{ upstream: 'a.test:1', tls: 'yes' }, 'tls'],
    [{ upstream: 'https://a.test', tls: { verify: 1 } }, 'tls.verify'],
  ])('is refused where it cannot be: %j', async (route, name) => {
    await expect(Served.start({ routes: [route as never] })).rejects.toThrow(name)
  })

  it.each([
    ['http://a.test', 'a.test:80'],
    ['https://a.test', 'a.test:443'],
    ['https://a.test:80/', 'a.test:80'],
    ['HTTPS://A.test:8443', 'a.test:8443'],
    ['h2c://a.test', 'a.test:80'],
    ['https://[::1]', '[::1]:443'],
  ])('%s is %s', async (upstream, address) => {
    await using served = await Served.start({ routes: [{ upstream }] })
    expect(Object.keys(served.http.stats().upstreams)).toEqual([address])
  })

  it('names the upstream without a default port', async () => {
    await using backend = await https1()
    await using served = await Served.start({
      routes: [{ upstream: `https://127.0.0.1:${backend.port}`, tls: { ca }, hostHeader: 'upstream' }],
    })
    expect((await served.ask(get())).body).toBe(`1.1 127.0.0.1:${backend.port} http`)
  })
})

/** An upstream that chooses HTTP/2, and then wants HTTP/1.1 after all. */
async function wantsHttp1(how: 'reset' | 'goaway') {
  const asked: string[] = []
  const server = createSecureServer({ ...pem, allowHTTP1: true }, (request, response) => {
    if (request.httpVersion === '2.0') {
      asked.push(`${request.method} 2`)
      const { stream } = request
      if (how === 'reset') stream.close(constants.NGHTTP2_HTTP_1_1_REQUIRED)
      else stream.session?.goaway(constants.NGHTTP2_HTTP_1_1_REQUIRED, 0)
      return
    }
    asked.push(`${request.method} 1.1`)
    request.pipe(response)
  })
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => sockets.add(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    upstream: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

describe('An upstream that says HTTP_1_1_REQUIRED', () => {
  it.each(['reset', 'goaway'] as const)('by %s is asked again by HTTP/1.1, and from then on', async (how) => {
    await using backend = await wantsHttp1(how)
    await using served = await Served.start({ routes: [{ upstream: backend.upstream, tls: { ca } }] })
    expect((await served.ask(get())).status).toBe(200)
    expect((await served.ask(post('body'))).body).toBe('body')
    expect(backend.asked).toEqual(['GET 2', 'GET 1.1', 'POST 1.1'])
    await served.settled()
  })

  it('of a request whose body is on its way is not asked again: 502', async () => {
    await using backend = await wantsHttp1('reset')
    await using served = await Served.start({ routes: [{ upstream: backend.upstream, tls: { ca } }] })
    const long = 'x'.repeat(200_000)
    expect((await served.ask(post(long))).status).toBe(502)
    expect((await served.ask(post(long))).body).toBe(long)
    expect(backend.asked).toEqual(['POST 2', 'POST 1.1'])
    await served.settled()
  })

  it('though it was known to speak HTTP/2 is a 502', async () => {
    await using backend = await Backend2.start((stream) => stream.close(constants.NGHTTP2_HTTP_1_1_REQUIRED))
    await using served = await Served.start({ routes: [{ upstream: backend.h2c }] })
    expect((await served.ask(get())).status).toBe(502)
    await served.settled()
    expect(backend.requests).toHaveLength(1)
  })
})
