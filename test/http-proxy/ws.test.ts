import { createServer, type IncomingMessage } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { type RawData, WebSocket, WebSocketServer } from 'ws'
import {
  createProxyServer,
  type ProxyError,
  type ProxyRequest,
  type ProxyServer,
  type ProxyServerOptions,
  type ProxySocket,
} from '../../src/http-proxy/index.ts'
import type { TestPeer } from '../../src/testing/index.ts'
import { refusal, upgrade, yes } from '../http/tunnel/support.ts'
import { TestAuthority } from '../support/certificates.ts'
import { openSockets } from '../support/descriptors.ts'
import { closedPort, dial, TestServer } from '../support/net.ts'
import { TestHttp, told, until } from './support.ts'

/** A server of Node's whose upgrades a proxy passes on. */
class WsFront implements AsyncDisposable {
  readonly proxy: ProxyServer
  readonly http: TestHttp
  /** What became of each call. */
  readonly calls: Promise<unknown>[] = []

  private constructor(proxy: ProxyServer, http: TestHttp) {
    this.proxy = proxy
    this.http = http
  }

  static async start(options: ProxyServerOptions, call?: ProxyServerOptions): Promise<WsFront> {
    const proxy = createProxyServer(options)
    const http = await TestHttp.start((_req, res) => void res.end('plain'))
    const front = new WsFront(proxy, http)
    http.server.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => {
      front.calls.push(
        proxy.ws(req, socket, head, call).then(
          () => 'over',
          (error: unknown) => error,
        ),
      )
    })
    return front
  }

  get port(): number {
    return this.http.port
  }

  /** A client and its other side, between which there is a tunnel. */
  async open(
    upstream: TestServer,
    request = upgrade(),
    early = '',
  ): Promise<{ client: TestPeer; far: TestPeer; head: string }> {
    const client = await dial(this.port)
    await client.write(request)
    const far = await upstream.accept()
    const head = await far.read('\r\n\r\n')
    await far.write(`${yes()}${early}`)
    expect(await client.read('\r\n\r\n')).toMatch(/^HTTP\/1\.1 101 /)
    return { client, far, head }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy.close()
    await this.http[Symbol.asyncDispose]()
  }
}

/** A server of the ws package that sends back what it gets. */
async function echo(server = createServer()): Promise<AsyncDisposable & { port: number }> {
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket) => socket.on('message', (data: RawData) => socket.send(data as Buffer)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets.clients) socket.terminate()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

/** What a WebSocket gets back for a message. */
async function talk(url: string, message: string, options: object = {}): Promise<string> {
  const socket = new WebSocket(url, options)
  await new Promise((resolve, reject) => {
    socket.once('open', resolve)
    socket.once('error', reject)
  })
  const got = new Promise<Buffer>((resolve) => socket.once('message', (data: RawData) => resolve(data as Buffer)))
  socket.send(message)
  const answer = (await got).toString()
  const over = new Promise((resolve) => socket.once('close', resolve))
  socket.close()
  await over
  return answer
}

describe('ws()', () => {
  it.each(['http', 'ws'])('passes WebSockets on to a target of %s:', async (scheme) => {
    await using target = await echo()
    await using front = await WsFront.start({ target: `${scheme}://127.0.0.1:${target.port}` })
    expect(await talk(`ws://127.0.0.1:${front.port}/`, 'hello'.repeat(50_000))).toBe('hello'.repeat(50_000))
    await until(() => expect(front.proxy.stats()).toMatchObject({ active: 0, tunnels: 0 }))
    expect(await front.calls[0]).toBe('over')
  })

  it('passes them on to a target that speaks TLS, whose certificate counts', async () => {
    using authority = new TestAuthority()
    const { pem } = authority.issue('127.0.0.1')
    await using target = await echo(createHttpsServer(pem))
    const at = { host: '127.0.0.1', port: target.port, protocol: 'wss:' }
    await using trusting = await WsFront.start({ target: { ...at, ca: authority.ca.pem.cert } })
    expect(await talk(`ws://127.0.0.1:${trusting.port}/`, 'hello')).toBe('hello')
    await using careless = await WsFront.start({ target: `wss://127.0.0.1:${target.port}`, secure: false })
    expect(await talk(`ws://127.0.0.1:${careless.port}/`, 'hello')).toBe('hello')
    await using careful = await WsFront.start({ target: `wss://127.0.0.1:${target.port}` })
    const error = told(careful.proxy, 'error')
    await expect(talk(`ws://127.0.0.1:${careful.port}/`, 'hello')).rejects.toThrow()
    expect((await error)[0]).toMatchObject({ statusCode: 502 })
  })

  it('serves as `listen` does it, with `ws: true`', async () => {
    await using target = await echo()
    await using proxy = createProxyServer({ target: `http://127.0.0.1:${target.port}`, ws: true })
    await new Promise<void>((resolve) => void proxy.listen(0, '127.0.0.1', resolve))
    const { port } = proxy.server?.address() as AddressInfo
    expect(await talk(`ws://127.0.0.1:${port}/`, 'hello')).toBe('hello')
  })

  it('sends what the options say, as web() does', async () => {
    await using upstream = await TestServer.start()
    await using front = await WsFront.start(
      { target: `http://${upstream.address}/base`, xfwd: true, changeOrigin: true },
      { headers: { 'X-Own': '1' }, auth: 'me:secret' },
    )
    const { client, far, head } = await front.open(upstream, upgrade('/chat?x=1', 'Cookie: a=b\r\n'))
    expect(head).toMatch(/^GET \/base\/chat\?x=1 HTTP\/1\.1\r\n/)
    for (const line of [
      `Host: ${upstream.address}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Cookie: a=b',
      'X-Own: 1',
      'X-Forwarded-Proto: ws',
      'X-Forwarded-For: 127.0.0.1',
      'Authorization: Basic bWU6c2VjcmV0',
    ]) {
      expect(head).toContain(`\r\n${line}\r\n`)
    }
    client.end()
    far.end()
  })

  it('takes the options before the head, as httpxy has it, and a callback last', async () => {
    await using upstream = await TestServer.start()
    await using front = await WsFront.start({})
    front.http.server.removeAllListeners('upgrade')
    front.http.server.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => {
      void front.proxy.ws(req, socket, { target: `http://${upstream.address}` }, head, () => {})
    })
    const { client, far } = await front.open(upstream, `${upgrade()}early`)
    expect(await far.read(5)).toBe('early')
    client.end()
    far.end()
  })

  it('loses no bytes that come early, and passes half-closes on', async () => {
    await using upstream = await TestServer.start()
    await using front = await WsFront.start({ target: `http://${upstream.address}` })
    const { client, far } = await front.open(upstream, `${upgrade()}early from the client`, 'early from the server')
    expect(await client.read(21)).toBe('early from the server')
    client.end(' and late')
    expect(await far.text()).toBe('early from the client and late')
    far.end(' and late')
    expect(await client.text()).toBe(' and late')
    await until(() => expect(front.proxy.stats().active).toBe(0))
  })

  it('passes a refusal on with its body, and then ends the connection', async () => {
    await using upstream = await TestServer.start()
    await using front = await WsFront.start({ target: `http://${upstream.address}` })
    for (const [answer, body] of [
      [refusal(401, 'who are you?', 'X-A: 1\r\nX-A: 2\r\n'), 'who are you?'],
      ['HTTP/1.1 401 No\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nwho\r\n0\r\n\r\n', 'who'],
      [refusal(401, '', 'X-A: 1\r\n'), ''],
    ] as const) {
      const client = await dial(front.port)
      await client.write(upgrade())
      const far = await upstream.accept()
      await far.read('\r\n\r\n')
      await far.write(answer)
      const head = await client.read('\r\n\r\n')
      expect(head).toMatch(/^HTTP\/1\.1 401 No\r\nX-A: 1\r\n/)
      expect(head).toMatch(/\r\nconnection: close\r\n/)
      expect(await client.text()).toBe(body)
      client.end()
    }
    await until(() => expect(front.proxy.stats().active).toBe(0))
  })

  it('does not upgrade to h2c, and passes the plain answer on', async () => {
    await using upstream = await TestHttp.start((req, res) => void res.end(String(req.headers.upgrade)))
    await using front = await WsFront.start({ target: upstream.url })
    const client = await dial(front.port)
    await client.write(upgrade('/', 'HTTP2-Settings: AAMAAABk\r\n', 'h2c'))
    expect(await client.text()).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nundefined$/)
    client.end()
  })
})

describe('events of ws()', () => {
  it('show the request before it is sent: proxyReqWs', async () => {
    await using upstream = await TestServer.start()
    await using front = await WsFront.start({ target: `http://${upstream.address}` })
    front.proxy.on('proxyReqWs', (proxyReq: ProxyRequest, req, socket, options, head) => {
      proxyReq.setHeader('X-Seen', [req.url, typeof socket.write, String(options.target), head.length].join(' '))
    })
    const { client, far, head } = await front.open(upstream, `${upgrade('/chat')}early`)
    expect(head).toContain(`\r\nX-Seen: /chat function http://${upstream.address}/ 5\r\n`)
    client.end()
    far.end()
  })

  it('tell that it is open, show the bytes of the target, and tell that it is over: open, close', async () => {
    const seen: string[] = []
    await using upstream = await TestServer.start()
    await using front = await WsFront.start({ target: `http://${upstream.address}` })
    front.proxy.on('open', (socket: ProxySocket) => {
      seen.push(`open ${front.proxy.stats().tunnels}`)
      socket.on('data', (chunk) => seen.push(chunk.toString()))
      socket.on('close', () => seen.push('closed'))
    })
    front.proxy.on('close', (proxyRes, socket, head) => {
      seen.push(
        `close ${proxyRes.statusCode} ${proxyRes.headers['x-who']} ${socket.bytesRead} ${socket.bytesWritten} ${head.length}`,
      )
    })
    const client = await dial(front.port)
    await client.write(upgrade())
    const far = await upstream.accept()
    await far.read('\r\n\r\n')
    await far.write(`${yes('X-Who: me\r\n')}early`)
    await client.read('\r\n\r\n')
    await client.read(5)
    await client.write('question')
    await far.read(8)
    await far.write('answer')
    expect(await client.read(6)).toBe('answer')
    client.end()
    far.end()
    await until(() => expect(seen.at(-1)).toMatch(/^close/))
    expect(seen).toEqual(['open 1', 'early', 'answer', 'closed', 'close 101 me 11 8 0'])
  })

  it('may end it: destroy()', async () => {
    await using upstream = await TestServer.start()
    await using front = await WsFront.start({ target: `http://${upstream.address}` })
    const opened = told(front.proxy, 'open')
    const { client, far } = await front.open(upstream)
    const [socket] = (await opened) as [ProxySocket]
    socket.destroy()
    await client.over()
    await far.over()
    expect(socket.destroyed).toBe(true)
    client.end()
    far.end()
    expect(await front.calls[0]).toBe('over')
  })

  it('tell an error once, to listeners, who may answer', async () => {
    const port = await closedPort()
    await using front = await WsFront.start({ target: `http://127.0.0.1:${port}` })
    const errors: unknown[] = []
    front.proxy.on('error', (error, req, socket, target) => {
      errors.push([error.code, req?.url, String(target)])
      ;(socket as Duplex).end('HTTP/1.1 503 Later\r\n\r\n')
    })
    const client = await dial(front.port)
    await client.write(upgrade('/chat'))
    expect(await client.text()).toBe('HTTP/1.1 503 Later\r\n\r\n')
    client.end()
    expect(await front.calls[0]).toBe('over')
    expect(errors).toEqual([['ECONNREFUSED', '/chat', `http://127.0.0.1:${port}/`]])
  })

  it('are not needed: without a listener the client is answered, and the promise tells', async () => {
    const port = await closedPort()
    await using front = await WsFront.start({ target: `http://127.0.0.1:${port}` })
    const client = await dial(front.port)
    await client.write(upgrade())
    expect(await client.text()).toMatch(/^HTTP\/1\.1 502 [\s\S]*\r\n\r\n502 Bad Gateway\n$/)
    client.end()
    expect(await front.calls[0]).toMatchObject({ code: 'ECONNREFUSED' } satisfies Partial<ProxyError>)
  })

  it('tell a target that breaks off, and no client that does', async () => {
    await using upstream = await TestServer.start()
    await using front = await WsFront.start({ target: `http://${upstream.address}` })
    const errors: string[] = []
    front.proxy.on('error', (error) => errors.push(error.code))
    const one = await front.open(upstream)
    one.client.reset()
    await one.far.over()
    one.far.end()
    expect(await front.calls[0]).toBe('over')
    expect(errors).toEqual([])
    const two = await front.open(upstream)
    two.far.reset()
    await two.client.over()
    two.client.end()
    expect(await front.calls[1]).toBe('over')
    expect(errors).toEqual(['ECONNRESET'])
  })

  it.each([
    ['no target', {}, 500],
    ['a target that is none', { target: 'ftp://x' }, 500],
  ])('tell of options that cannot be: %s', async (_, options, status) => {
    await using front = await WsFront.start({}, options as never)
    const client = await dial(front.port)
    await client.write(upgrade())
    expect(await client.text()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    client.end()
    expect(await front.calls[0]).toMatchObject({ code: 'XPS_INVALID_OPTION' })
  })
})

describe('ends of ws()', () => {
  it('lets go of the target when the client leaves before it has answered', async () => {
    await using upstream = await TestServer.start()
    await using front = await WsFront.start({ target: `http://${upstream.address}` })
    const client = await dial(front.port)
    await client.write(upgrade())
    const far = await upstream.accept()
    await far.read('\r\n\r\n')
    client.reset()
    await far.over()
    far.end()
    expect(await front.calls[0]).toBe('over')
    expect(front.proxy.stats()).toMatchObject({ active: 0, tunnels: 0 })
  })

  it('gives a target up that does not answer within upgradeTimeout', async () => {
    await using upstream = await TestServer.start()
    await using front = await WsFront.start({ target: `http://${upstream.address}`, upgradeTimeout: 50 })
    const client = await dial(front.port)
    await client.write(upgrade())
    expect(await client.text()).toMatch(/^HTTP\/1\.1 504 /)
    client.end()
    expect(await front.calls[0]).toMatchObject({ code: 'ETIMEDOUT' })
  })

  it('ends tunnels that are silent for longer than tunnelIdleTimeout', async () => {
    await using upstream = await TestServer.start()
    await using front = await WsFront.start({ target: `http://${upstream.address}`, tunnelIdleTimeout: 50 })
    const { client, far } = await front.open(upstream)
    await client.over()
    await far.over()
    client.end()
    expect(await front.calls[0]).toMatchObject({ code: 'ETIMEDOUT' })
  })

  it('ends tunnels when the proxy closes', async () => {
    await using upstream = await TestServer.start()
    await using front = await WsFront.start({ target: `http://${upstream.address}` })
    const { client, far } = await front.open(upstream)
    await front.proxy.close()
    await client.over()
    await far.over()
    client.end()
    expect(await front.calls[0]).toBe('over')
    expect(front.proxy.stats()).toMatchObject({ active: 0, tunnels: 0 })
  })

  it('leaves no descriptor of 500 tunnels, however they ended', async () => {
    const before = openSockets()
    {
      await using upstream = await TestServer.start()
      await using front = await WsFront.start({ target: `http://${upstream.address}` })
      for (let number = 0; number < 500; number++) {
        const { client, far } = await front.open(upstream)
        const [first, second] = number % 2 === 0 ? [client, far] : [far, client]
        if (number % 4 < 2) first.reset()
        else first.end()
        await second.over()
        second.end()
        await Promise.all([client.gone(), far.gone()])
      }
      await until(() => expect(front.proxy.stats()).toMatchObject({ active: 0, tunnels: 0 }))
    }
    await until(() => expect(openSockets()).toBeLessThanOrEqual(before))
  })
})
