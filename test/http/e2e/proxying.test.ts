import { createServer } from 'node:http'
import { describe, expect, it } from 'vitest'
import type { ForwardRoute } from '../../../src/http/routes.ts'
import { Backend, get, ok, pong, post, proxy, Served } from './support.ts'

const to = (backend: Backend, route: Partial<ForwardRoute> = {}): Promise<Served> =>
  Served.start({ routes: [{ ...route, upstream: backend.address }] })

describe('What is for one hop', () => {
  it('A.2: of a request does not reach the upstream, nor what Connection names', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend)
    const fields =
      'Connection: close, X-Secret, X-Gone\r\nX-Secret: 1\r\nx-gone: 2\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\n' +
      'Proxy-Authorization: Basic abc\r\nUpgrade: h2c\r\nX-Kept: 3\r\n'
    expect((await served.ask(get('/', fields))).status).toBe(200)
    const [request] = backend.requests
    const names = request?.fields.map(([name]) => name.toLowerCase()) ?? []
    for (const name of [
      'x-secret',
      'x-gone',
      'keep-alive',
      'proxy-connection',
      'te',
      'proxy-authorization',
      'upgrade',
      'connection',
    ])
      expect(names).not.toContain(name)
    expect(request?.header('x-kept')).toBe('3')
  })

  it('A.2: of a response does not reach the client, nor what Connection names', async () => {
    await using backend = await Backend.start(() =>
      ok(
        'x',
        'Connection: X-Secret\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nProxy-Connection: keep-alive\r\nX-Kept: 2\r\n',
      ),
    )
    await using served = await proxy(backend)
    const answer = await served.ask(get())
    for (const name of ['x-secret', 'keep-alive', 'proxy-authenticate', 'proxy-connection', 'connection'])
      expect(answer.header(name)).toBeUndefined()
    expect(answer.header('x-kept')).toBe('2')
  })

  it('is not what frames the body, or says where it goes: Connection cannot name that', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend)
    const answer = await served.ask(post('body', '/', 'Connection: content-length, host, x-forwarded-for\r\n'))
    // Either it is refused, or it arrives whole.
    if (answer.status === 200) {
      expect(backend.requests[0]?.body).toBe('body')
      expect(backend.requests[0]?.header('host')).toBeDefined()
      expect(backend.requests[0]?.header('x-forwarded-for')).toBe('127.0.0.1')
    } else expect(backend.requests).toHaveLength(0)
  })
})

describe('Fields', () => {
  it('A.2: come twice if they came twice, and as they were spelled, both ways', async () => {
    await using backend = await Backend.start(() =>
      ok('x', 'Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-MiXed-Case: v\r\nx-TWICE: 1\r\nX-twice: 2\r\n'),
    )
    await using served = await proxy(backend)
    const answer = await served.ask(get('/', 'X-One: 1\r\nx-oNE: 2\r\nCookie: c=3\r\nX-Empty:\r\nX-Latin: \xe9\r\n'))
    expect(answer.fields.filter(([name]) => /^(set-cookie|x-)/i.test(name))).toEqual([
      ['Set-Cookie', 'a=1'],
      ['Set-Cookie', 'b=2'],
      ['X-MiXed-Case', 'v'],
      ['x-TWICE', '1'],
      ['X-twice', '2'],
    ])
    const fields = backend.requests[0]?.fields.filter(([name]) => /^x-(one|empty|latin)$/i.test(name))
    expect(fields?.map(([name, value]) => `${name}=${value}`).slice(0, 3)).toEqual(['X-One=1', 'x-oNE=2', 'X-Empty='])
    expect(backend.requests[0]?.header('cookie')).toBe('c=3')
  })

  it('tell the upstream of the client, and nobody else does', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend)
    await served.ask(
      get(
        '/',
        'X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nForwarded: for=1.2.3.4\r\n',
      ),
    )
    const [request] = backend.requests
    expect(request?.header('x-forwarded-for')).toBe('127.0.0.1')
    expect(request?.header('x-forwarded-proto')).toBe('http')
    expect(request?.header('x-forwarded-host')).toBe('a.test')
    expect(request?.header('forwarded')).toBeUndefined()
    expect(request?.header('via')).toBe('1.1 xps')
  })

  it('of a trusted peer are appended to', async () => {
    await using backend = await Backend.start()
    await using served = await to(backend, { trusted: ['loopback'], forwarded: 'append' })
    await served.ask(get('/', 'X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nForwarded: for=1.2.3.4\r\n'))
    const [request] = backend.requests
    expect(request?.header('x-forwarded-for')).toBe('1.2.3.4, 127.0.0.1')
    expect(request?.header('x-forwarded-proto')).toBe('https')
    expect(request?.header('forwarded')).toMatch(/^for=1\.2\.3\.4, .*for="?127\.0\.0\.1/)
  })

  it('Host is kept, or is that of the upstream, or a given one', async () => {
    for (const [hostHeader, expected] of [
      ['keep', () => 'a.test'],
      ['upstream', (backend: Backend) => backend.address],
      ['app.internal:8080', () => 'app.internal:8080'],
    ] as const) {
      await using backend = await Backend.start()
      await using served = await to(backend, { hostHeader })
      await served.ask(get())
      expect(backend.requests[0]?.header('host')).toBe(expected(backend))
    }
  })

  it('Via goes both ways, and a loop is found', async () => {
    await using backend = await Backend.start()
    await using served = await to(backend, { maxLoops: 2 })
    const answer = await served.ask(get())
    expect(answer.header('via')).toBe('1.1 xps')
    const { Core } = await import('../../../src/index.ts')
    const { http } = await import('../../../src/http/http.ts')
    const { closedPort, dial } = await import('../../support/net.ts')
    const port = await closedPort()
    const core = new Core()
    const protocol = http({ routes: [{ upstream: `127.0.0.1:${port}`, maxLoops: 3 }] })
    await core.listen({ port, host: '127.0.0.1' }, { protocol })
    const client = await dial(port)
    await client.write(get())
    expect(await client.read('\r\n\r\n')).toMatch(/^HTTP\/1\.1 508 /)
    client.end()
    core.abort()
    await core.closed
  })
})

describe('Paths', () => {
  it('are rewritten: the prefix of the route taken away, another put in front', async () => {
    await using backend = await Backend.start()
    await using served = await to(backend, { path: '/api', stripPrefix: true, prefix: '/v2' })
    await served.ask(get('/api/users/1?x=%20y'))
    await served.ask(get('/api'))
    expect(backend.requests.map((request) => request.target)).toEqual([
      '/v2/users/1?x=%20y',
      expect.stringMatching(/^\/v2\/?$/),
    ])
  })

  it('redirects of the upstream come back with the prefix', async () => {
    await using backend = await Backend.start(
      () => 'HTTP/1.1 302 Found\r\nLocation: /login?a=b\r\nContent-Length: 0\r\n\r\n',
    )
    await using served = await to(backend, { path: '/api', stripPrefix: true })
    expect((await served.ask(get('/api/x'))).header('location')).toBe('/api/login?a=b')
  })

  it('of an absolute target are those of its path, and the host is its own', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend)
    const answer = await served.ask('GET http://a.test/path?q HTTP/1.1\r\nHost: a.test\r\n\r\n')
    expect(answer.status).toBe(200)
    expect(backend.requests[0]?.start).toBe('GET /path?q HTTP/1.1')
    expect(backend.requests[0]?.header('host')).toBe('a.test')
  })

  it('with dots do not lead out of the route', async () => {
    await using backend = await Backend.start((request) => ok(request.target))
    await using secret = await Backend.start(() => ok('secret'))
    await using served = await Served.start({
      routes: [
        { path: '/public', upstream: backend.address },
        { path: '/secret', upstream: secret.address },
      ],
    })
    for (const target of ['/public/../secret', '/public/%2e%2e/secret', '/public/.%2E/secret']) {
      const answer = await served.ask(get(target))
      // Whoever is asked, it is asked for what the router took it to be.
      if (answer.body !== 'secret' && answer.status === 200) expect(answer.body).not.toContain('..')
    }
    expect(backend.requests.every((request) => !/\.\.|%2e/i.test(request.target))).toBe(true)
  })
})

describe('Other ways to an upstream', () => {
  it('a server of this process, that need not listen', async () => {
    const server = createServer((request, response) => response.end(`hello from ${request.url}`))
    await using served = await Served.start({ routes: [{ upstream: server }] })
    const client = await served.dial()
    for (const target of ['/1', '/2']) {
      await client.send(get(target))
      expect((await client.response()).body).toBe(`hello from ${target}`)
    }
    client.peer.end()
    await served.settled()
  })

  it('a Unix-domain socket', async () => {
    const { mkdtemp, rm } = await import('node:fs/promises')
    const { tmpdir } = await import('node:os')
    const { join } = await import('node:path')
    const folder = await mkdtemp(join(tmpdir(), 'xps-'))
    const path = join(folder, 'app.sock')
    const server = createServer((request, response) => response.end(request.headers.host))
    await new Promise<void>((resolve) => server.listen(path, resolve))
    await using served = await Served.start({ routes: [{ upstream: `unix:${path}` }] })
    expect((await served.ask(get())).body).toBe('a.test')
    await served[Symbol.asyncDispose]()
    await new Promise((resolve) => server.close(resolve))
    await rm(folder, { recursive: true })
  })

  it('CONNECT is told 405, and OPTIONS * reaches the upstream as it came', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend)
    expect((await served.ask('CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n')).status).toBe(405)
    const answer = await served.ask('OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n')
    if (answer.status === 200) expect(backend.requests[0]?.start).toBe('OPTIONS * HTTP/1.1')
    else expect(answer.status).toBe(404)
  })

  it('a 101 that nobody asked for is a 502', async () => {
    await using backend = await Backend.start(
      () => `HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n${pong}`,
    )
    await using served = await proxy(backend)
    expect((await served.ask(get())).status).toBe(502)
    await served.settled()
  })
})
