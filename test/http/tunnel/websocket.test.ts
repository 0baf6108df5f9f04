import { type ClientRequest, createServer, type IncomingMessage, type Server } from 'node:http'
import { createSecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { type RawData, WebSocket, WebSocketServer } from 'ws'
import type { TestPeer } from '../../../src/testing/index.ts'
import { TestAuthority } from '../../support/certificates.ts'
import { openSockets } from '../../support/descriptors.ts'
import { dial, TestServer } from '../../support/net.ts'
import { proxy, Served, until } from '../e2e/support.ts'
import { open, TunnelBackend, upgrade, yes } from './support.ts'

/** A WebSocket server that sends back what it gets. */
class Echo implements AsyncDisposable {
  readonly server: Server
  readonly sockets: WebSocketServer

  private constructor(server: Server, options: object) {
    this.server = server
    this.sockets = new WebSocketServer({ server, ...options })
    this.sockets.on('connection', (socket) => {
      socket.on('message', (data: RawData, isBinary) => socket.send(data as Buffer, { binary: isBinary }))
    })
  }

  static async start(options: object = {}): Promise<Echo> {
    const echo = new Echo(
      createServer((_req, res) => void res.end('plain')),
      options,
    )
    await new Promise<void>((resolve) => echo.server.listen(0, '127.0.0.1', resolve))
    return echo
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets.clients) socket.terminate()
    this.server.closeAllConnections()
    await new Promise<void>((resolve) => this.server.close(() => resolve()))
  }
}

/** A client that is connected. */
async function connected(url: string, options: object = {}): Promise<WebSocket> {
  const socket = new WebSocket(url, 'chat', options)
  await new Promise((resolve, reject) => {
    socket.once('open', resolve)
    socket.once('error', reject)
  })
  return socket
}

function message(socket: WebSocket): Promise<Buffer> {
  return new Promise((resolve) => socket.once('message', (data: RawData) => resolve(data as Buffer)))
}

function closed(socket: WebSocket): Promise<[code: number, reason: string]> {
  return new Promise((resolve) => socket.once('close', (code, reason) => resolve([code, reason.toString()])))
}

describe('a WebSocket of the ws package', () => {
  test.each([
    ['without', false],
    ['with', true],
  ])('is proxied %s permessage-deflate, small messages and large ones', async (_, perMessageDeflate) => {
    await using echo = await Echo.start({ perMessageDeflate })
    await using served = await proxy({ address: echo.address })
    const socket = await connected(`ws://127.0.0.1:${served.port}/chat`, { perMessageDeflate })
    expect([socket.protocol, socket.extensions]).toEqual(['chat', perMessageDeflate ? 'permessage-deflate' : ''])
    for (const size of [0, 1, 125, 126, 65_535, 65_536, 3_000_000]) {
      const sent = Buffer.alloc(size, 'message ')
      const got = message(socket)
      socket.send(sent)
      expect(sent.equals(await got)).toBe(true)
    }
    const over = closed(socket)
    socket.close(4_001, 'done')
    expect(await over).toEqual([4_001, 'done'])
    await served.settled()
  })

  test('is refused as its server says', async () => {
    await using echo = await Echo.start({
      verifyClient: (_: unknown, done: (...args: unknown[]) => void) =>
        done(false, 418, 'no tea', { 'x-why': 'coffee' }),
    })
    await using served = await proxy({ address: echo.address })
    const socket = new WebSocket(`ws://127.0.0.1:${served.port}/`)
    const [request, response] = await new Promise<[ClientRequest, IncomingMessage]>((resolve) =>
      socket.once('unexpected-response', (...args) => resolve(args)),
    )
    let body = ''
    for await (const chunk of response) body += String(chunk)
    expect([response.statusCode, response.headers['x-why'], body]).toEqual([418, 'coffee', 'no tea'])
    request.socket?.destroy()
    await served.settled()
  })

  test('that is terminated takes its other side with it', async () => {
    await using echo = await Echo.start()
    await using served = await proxy({ address: echo.address })
    const socket = await connected(`ws://127.0.0.1:${served.port}/`)
    socket.terminate()
    await until(() => expect(echo.sockets.clients.size).toBe(0))
    const other = await connected(`ws://127.0.0.1:${served.port}/`)
    for (const one of echo.sockets.clients) one.terminate()
    expect(await closed(other)).toEqual([1006, ''])
    await served.settled()
  })
})

describe('an upstream that speaks TLS', () => {
  test('is asked for HTTP/1.1 for a WebSocket, also if it speaks HTTP/2 with all others', async () => {
    using authority = new TestAuthority()
    const { pem } = authority.issue('127.0.0.1')
    const seen: (string | false | null)[] = []
    const server = createSecureServer({ ...pem, allowHTTP1: true }, (req, res) => void res.end(req.httpVersion))
    server.on('secureConnection', (socket) => seen.push(socket.alpnProtocol))
    const sockets = new WebSocketServer({ noServer: true })
    sockets.on('connection', (socket) => socket.on('message', (data: RawData) => socket.send(data as Buffer)))
    server.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => {
      sockets.handleUpgrade(req, socket, head, (ws) => sockets.emit('connection', ws))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const upstream = `https://127.0.0.1:${port}`
    await using served = await Served.start({ routes: [{ upstream, tls: { ca: authority.ca.pem.cert } }] })
    expect((await served.ask('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n')).body).toBe('2.0')
    const socket = await connected(`ws://127.0.0.1:${served.port}/`)
    const got = message(socket)
    socket.send('hello')
    expect((await got).toString()).toBe('hello')
    const over = closed(socket)
    socket.close(1000)
    await over
    await served.settled()
    expect(seen).toEqual(['h2', 'http/1.1'])
    await served.core.close()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  })
})

test('A client comes back to the upstream that its WebSocket went to, if the route is sticky', async () => {
  await using one = await TunnelBackend.start()
  await using other = await TunnelBackend.start()
  await using served = await Served.start({ routes: [{ upstream: [one.address, other.address], sticky: true }] })
  const first = await open(served, one)
  const cookie = /\r\nset-cookie: ([^;]+);/i.exec(first.answer)?.[1]
  expect(cookie).toBeDefined()
  for (let time = 0; time < 3; time++) {
    const again = await open(served, one, { request: upgrade('/', `Cookie: ${cookie}\r\n`) })
    again.client.end()
    again.far.end()
  }
  first.client.end()
  first.far.end()
  await served.settled()
})

describe('a route of kind `node`', () => {
  test('answers upgrades by the listeners of its server, which need not listen, as Node does', async () => {
    const server = createServer((_req, res) => void res.end('plain'))
    const sockets = new WebSocketServer({ noServer: true })
    const seen: string[] = []
    server.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => {
      seen.push(`${req.url} ${req.headers.upgrade} ${head.length} ${String(req.headers['x-forwarded-for'])}`)
      sockets.handleUpgrade(req, socket, head, (ws) => {
        ws.on('message', (data: RawData) => ws.send(`echo ${(data as Buffer).toString()}`))
      })
    })
    await using served = await Served.start({ routes: [{ node: server }] })
    const socket = await connected(`ws://127.0.0.1:${served.port}/chat`)
    const got = message(socket)
    socket.send('hello')
    expect((await got).toString()).toBe('echo hello')
    const over = closed(socket)
    socket.close(1000)
    expect((await over)[0]).toBe(1000)
    expect(seen).toEqual(['/chat websocket 0 127.0.0.1'])
    expect((await served.ask('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n')).body).toBe('plain')
    await served.settled()
  })

  test('gives early bytes of both sides on, and half-closes', async () => {
    const server = createServer()
    server.on('upgrade', (_req: IncomingMessage, socket: Duplex, head: Buffer) => {
      let all = head.toString()
      socket.write(`${yes()}welcome `)
      socket.on('data', (chunk: Buffer) => {
        all += chunk.toString()
      })
      socket.on('end', () => socket.end(all))
      socket.on('error', () => {})
    })
    await using served = await Served.start({ routes: [{ node: server }] })
    const client = await dial(served.port)
    await client.write(`${upgrade()}early `)
    await client.read('\r\n\r\n')
    client.end('late')
    expect(await client.text()).toBe('welcome early late')
    await served.settled()
  })

  test('answers requests for upgrades that nobody listens for as ordinary ones', async () => {
    await using served = await Served.start({ routes: [{ node: (_req, res) => void res.end('plain') }] })
    const client = await served.dial()
    await client.send(upgrade())
    expect((await client.response()).body).toBe('plain')
    client.peer.end()
    await served.settled()
  })
})

test('800 tunnels that were opened and closed, however they ended, leave no descriptor', async () => {
  const before = openSockets()
  {
    const backends = new Map<string, (far: TestPeer) => void>()
    const agree = async (far: TestPeer): Promise<void> => {
      const target = (await far.read('\r\n\r\n')).split(' ')[1] ?? ''
      await far.write(yes())
      backends.get(target)?.(far)
    }
    await using backend = await TestServer.start((far) => void agree(far))
    await using served = await proxy(backend)
    const one = async (number: number): Promise<void> => {
      const client = await dial(served.port)
      const target = `/${number}`
      const accepted = new Promise<TestPeer>((resolve) => backends.set(target, resolve))
      await client.write(upgrade(target))
      await client.read('\r\n\r\n')
      const far = await accepted
      if (number % 4 === 0) client.reset()
      else if (number % 4 === 1) far.reset()
      else if (number % 4 === 2) client.end()
      else far.end()
      await (number % 4 === 0 || number % 4 === 2 ? far : client).over()
      client.end()
      far.end()
      await Promise.all([client.gone(), far.gone()])
    }
    for (let round = 0; round < 40; round++) {
      await Promise.all(Array.from({ length: 20 }, (_, index) => one(round * 20 + index)))
    }
    await served.settled()
    expect(served.http.stats()).toMatchObject({ served: 800, tunnels: 0, transactions: 0, sessions: 0 })
    expect(backend.sockets.size).toBe(0)
  }
  await until(() => expect(openSockets()).toBeLessThanOrEqual(before))
})
