import { createServer, type ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import { ProxyError, type ProxyServer } from '../../src/http-proxy/index.ts'
import { isXpsError } from '../../src/index.ts'
import { closedPort, TestServer } from '../support/net.ts'
import { SilentPort } from '../support/silent-port.ts'
import { Front, TestHttp, told, until } from './support.ts'

describe('a target that cannot be connected to', () => {
  it('is told to whoever listens, with the code of Node, and they answer', async () => {
    const target = `http://127.0.0.1:${await closedPort()}`
    await using front = await Front.start({ target })
    front.proxy.on('error', (error, req, res, url) => {
      expect(error).toBeInstanceOf(ProxyError)
      expect(error).toBeInstanceOf(Error)
      expect(isXpsError(error.cause, 'XPS_CONNECT')).toBe(true)
      expect(req?.url).toBe('/x')
      expect(String(url)).toBe(`${target}/`)
      ;(res as ServerResponse).writeHead(503).end(`${error.code} ${error.statusCode}`)
    })
    expect(await front.ask('/x')).toMatchObject({ status: 503, body: 'ECONNREFUSED 502' })
  })

  it('is told to the callback only, if there is one', async () => {
    const target = `http://127.0.0.1:${await closedPort()}`
    await using front = await Front.start({}, (proxy) => (req, res) => {
      void proxy.web(req, res, { target }, (error, _, answer) => answer.writeHead(599).end(error.code))
    })
    front.proxy.on('error', () => expect.unreachable())
    expect(await front.ask()).toMatchObject({ status: 599, body: 'ECONNREFUSED' })
  })

  it('is answered 502 where nobody listens, and the promise may be left alone', async () => {
    await using front = await Front.start({ target: `http://127.0.0.1:${await closedPort()}` })
    const answer = await front.ask()
    expect(answer).toMatchObject({ status: 502, body: '502 Bad Gateway\n' })
    expect((await front.ask('/', { method: 'HEAD' })).status).toBe(502)
    expect((await front.ask('/', { body: 'x'.repeat(1_000_000) }).catch(() => ({ status: 502 }))).status).toBe(502)
  })

  it('rejects the promise where nobody listens, and whoever waits for it may answer first', async () => {
    const target = `http://127.0.0.1:${await closedPort()}`
    await using front = await Front.start({ target }, (proxy) => async (req, res) => {
      try {
        await proxy.web(req, res)
        expect.unreachable()
      } catch (error) {
        res.statusCode = 500
        res.end(`Proxy error: ${(error as ProxyError).code}`)
      }
    })
    expect(await front.ask()).toMatchObject({ status: 500, body: 'Proxy error: ECONNREFUSED' })
  })

  it('is told as ENOTFOUND if its name is of nobody', async () => {
    await using front = await Front.start({ target: 'http://nobody.invalid', connectTimeout: 5_000 })
    const failure = told(front.proxy, 'error')
    answering(front.proxy)
    await front.ask()
    const [error] = await failure
    expect((error as ProxyError).code).toMatch(/^(ENOTFOUND|EAI_AGAIN)$/)
  })

  it('is 504 if it does not answer', async () => {
    await using silent = await SilentPort.open()
    await using front = await Front.start({ target: `http://${silent.address}`, connectTimeout: 100 })
    expect((await front.ask()).status).toBe(504)
  })
})

/** Answers errors, so that nobody waits. */
function answering(proxy: ProxyServer): void {
  proxy.on('error', (error, _, res) => {
    if (res !== undefined && 'writeHead' in res) res.writeHead(error.statusCode).end()
  })
}

describe('a target that misbehaves', () => {
  const faults: [claim: string, bytes: string | undefined, status: number, code: string][] = [
    ['ends without a word', undefined, 502, 'ECONNRESET'],
    ['says what is no response', 'hello\r\n\r\n', 502, 'XPS_BAD_RESPONSE'],
    [
      'says two lengths',
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
      502,
      'XPS_BAD_RESPONSE',
    ],
    [
      'says length and chunks',
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      502,
      'XPS_BAD_RESPONSE',
    ],
    ['breaks off in its head', 'HTTP/1.1 200 OK\r\nContent-Le', 502, 'ECONNRESET'],
  ]
  it.each(faults)('%s', async (_, bytes, status, code) => {
    await using upstream = await TestServer.start((peer) => {
      void peer.read('\r\n\r\n').then(() => (bytes === undefined ? peer.end() : peer.end(bytes)))
    })
    await using front = await Front.start({ target: `http://${upstream.address}` })
    expect((await front.ask('/', { body: 'x' })).status).toBe(status)
    const error = told(front.proxy, 'error')
    answering(front.proxy)
    await front.ask('/', { body: 'x' })
    expect((await error)[0]).toMatchObject({ code, statusCode: status })
  })

  const cuts = [
    'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n',
  ]
  it.each(cuts)('breaks its body off, which the client can see: %j', async (bytes) => {
    await using upstream = await TestServer.start((peer) => {
      void peer.read('\r\n\r\n').then(() => peer.end(bytes))
    })
    await using front = await Front.start({ target: `http://${upstream.address}` })
    const error = told(front.proxy, 'error')
    // As many write it, without a look at what was sent.
    front.proxy.on('error', (_, __, res) => void (res as ServerResponse).writeHead(500).end('failed'))
    await expect(front.ask()).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect((await error)[0]).toMatchObject({ code: 'ECONNRESET' })
    expect(front.proxy.stats().active).toBe(0)
  })

  it('breaks its body off while a listener reads it: that is told too', async () => {
    await using upstream = await TestServer.start((peer) => {
      void peer.read('\r\n\r\n').then(() => peer.end(cuts[0]))
    })
    await using front = await Front.start({ target: `http://${upstream.address}` })
    const events: string[] = []
    front.proxy.on('error', () => {})
    front.proxy.on('proxyRes', (proxyRes) => {
      proxyRes.on('data', () => {})
      for (const event of ['aborted', 'error', 'close', 'end']) proxyRes.on(event, () => events.push(event))
    })
    await expect(front.ask()).rejects.toThrow()
    await until(() => expect(events).toEqual(['aborted', 'error', 'close']))
  })
})

describe('timeouts', () => {
  it('proxyTimeout is for the head of a response: 504', async () => {
    await using upstream = await TestServer.start()
    await using front = await Front.start({ target: `http://${upstream.address}`, proxyTimeout: 100 })
    const error = told(front.proxy, 'error')
    answering(front.proxy)
    expect((await front.ask()).status).toBe(504)
    expect((await error)[0]).toMatchObject({ code: 'ETIMEDOUT', statusCode: 504 })
    await (await upstream.accept()).over()
  })

  it('proxyTimeout is for silence in a body, too: it is cut off', async () => {
    await using upstream = await TestHttp.start((_, res) => void res.writeHead(200).write('half'))
    await using front = await Front.start({ target: upstream.url, proxyTimeout: 100 })
    await expect(front.ask()).rejects.toMatchObject({ code: 'ECONNRESET' })
  })

  it('proxyTimeout of one call is for that alone', async () => {
    await using upstream = await TestServer.start()
    await using front = await Front.start({ target: `http://${upstream.address}` }, (proxy) => (req, res) => {
      void proxy.web(req, res, req.url === '/short' ? { proxyTimeout: 100 } : {})
    })
    const long = front.ask('/long').catch(() => undefined)
    expect((await front.ask('/short')).status).toBe(504)
    expect(front.proxy.stats().active).toBe(1)
    for (const socket of upstream.sockets) socket.destroy()
    await long
  })

  it('timeout is for the socket of the client, and is told as econnreset', async () => {
    await using upstream = await TestServer.start()
    await using front = await Front.start({ target: `http://${upstream.address}`, timeout: 100 })
    const reset = told(front.proxy, 'econnreset')
    front.proxy.on('error', () => expect.unreachable())
    await expect(front.ask()).rejects.toMatchObject({ code: 'ECONNRESET' })
    const [error, req, , target] = (await reset) as [ProxyError, { url: string }, unknown, URL]
    expect(error.code).toBe('ECONNRESET')
    expect(req.url).toBe('/')
    expect(target.host).toBe(upstream.address)
    await (await upstream.accept()).over()
  })

  it('a client that sends no more of its body is answered 408', async () => {
    await using upstream = await TestServer.start()
    await using front = await Front.start({ target: `http://${upstream.address}` }, (proxy) => (req, res) => {
      // Of the timeout in the socket, Node would make an end without an answer.
      const setTimeout = req.socket.setTimeout.bind(req.socket)
      req.socket.setTimeout = ((time: number) => setTimeout(time * 100)) as never
      void proxy.web(req, res, { timeout: 150 })
    })
    const client = await front.dial()
    await client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf')
    expect(await client.read('\r\n')).toContain(' 408 ')
    client.reset()
    await (await upstream.accept()).over()
  })
})

describe('misuse', () => {
  it('of options is refused when the proxy is made, with the name of the option', async () => {
    const { createProxyServer } = await import('../../src/http-proxy/index.ts')
    const wrong: [object, RegExp][] = [
      [{ target: 'nonsense' }, /target/],
      [{ target: 'localhost:8080' }, /target/],
      [{ target: 'gopher://app.test' }, /target/],
      [{ target: 'https://app.test', secure: 'no' }, /secure/],
      [{ target: 'https://app.test', ca: 'nonsense' }, /ca/],
      [{ target: { protocol: 'https:', host: 'app.test', pfx: 'x' } }, /tls.pfx/],
      [{ target: { protocol: 'https:', host: 'app.test', secureProtocol: 'TLSv1_method' } }, /target.secureProtocol/],
      [{ target: 'ftp://app.test' }, /target must be a URL/],
      [{ upgradeTimeout: -1 }, /upgradeTimeout/],
      [{ tunnelIdleTimeout: -1 }, /tunnelIdleTimeout/],
      [{ target: { host: 'app.test', port: 0 } }, /target/],
      [{ forward: 'ftp://x' }, /forward/],
      [{ localAddress: 'nowhere' }, /localAddress must be an address of this machine/],
      [{ proxyTimeout: -1 }, /proxyTimeout/],
      [{ timeout: 1.5 }, /timeout/],
      [{ connectTimeout: 0 }, /connectTimeout/],
      [{ followRedirects: {} }, /followRedirects/],
      [{ pool: { maxConnections: 0 } }, /maxConnections/],
      [{ http2: true }, /http2/],
      [{ via: 'a b' }, /via/],
      [{ cookieDomainRewrite: { '*': 1 } }, /cookieDomainRewrite/],
      [{ cookiePathRewrite: 5 }, /cookiePathRewrite/],
    ]
    for (const [options, message] of wrong) expect(() => createProxyServer(options)).toThrow(message)
  })

  it('of options of one call is told as an error', async () => {
    await using front = await Front.start({}, (proxy) => (req, res) => {
      void proxy.web(req, res, req.url === '/none' ? {} : { target: 'ftp://app.test' })
    })
    expect((await front.ask('/none')).status).toBe(500)
    expect((await front.ask('/ftp')).status).toBe(500)
    const error = told(front.proxy, 'error')
    answering(front.proxy)
    await front.ask('/none')
    expect((await error)[0]).toMatchObject({ code: 'XPS_INVALID_OPTION' })
  })

  it('warns once of options that have no effect', async () => {
    const { createProxyServer } = await import('../../src/http-proxy/index.ts')
    const warnings: string[] = []
    const warned = (warning: Error): void => void warnings.push(warning.message)
    process.on('warning', warned)
    for (let time = 0; time < 2; time++) createProxyServer({ tarpit: 1, agent: {} } as never)
    await until(() => expect(warnings).toHaveLength(2))
    process.off('warning', warned)
    expect(warnings.join('\n')).toMatch(/'tarpit' is unknown.*\n.*'agent' has no effect/)
  })

  it('of passes is said', async () => {
    const { createProxyServer } = await import('../../src/http-proxy/index.ts')
    expect(() => createProxyServer().before()).toThrow(/use the events/)
    expect(() => createProxyServer().after()).toThrow(/use the events/)
  })

  it('of a response that was sent already is told, and harms nothing', async () => {
    await using front = await Front.start({ target: 'http://127.0.0.1:1' }, (proxy) => (req, res) => {
      res.end('mine')
      void proxy.web(req, res)
    })
    const error = told(front.proxy, 'error')
    expect((await front.ask()).body).toBe('mine')
    expect((await error)[0]).toMatchObject({ code: 'XPS_CLOSED' })
  })
})

describe('an error of the server that listen has made', () => {
  it('is told', async () => {
    const { createProxyServer } = await import('../../src/http-proxy/index.ts')
    await using taken = await TestHttp.start(createServer())
    await using proxy = createProxyServer({ target: 'http://127.0.0.1:1' })
    const error = told(proxy, 'error')
    proxy.listen(taken.port, '127.0.0.1')
    expect((await error)[0]).toMatchObject({ code: 'EADDRINUSE' })
  })
})
