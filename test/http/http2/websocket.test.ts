import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import type { Field } from '../../support/hpack.ts'
import { settingNumbers } from '../../support/http2-frames.ts'
import type { Http2Wire } from '../../support/http2-wire.ts'
import { client, ok, played, proxying, serving, until } from './support.ts'

/** The head of an extended CONNECT (RFC 8441). */
function opening(path = '/chat', fields: readonly Field[] = []): Field[] {
  return [
    [':method', 'CONNECT'],
    [':protocol', 'websocket'],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'a.test'],
    ['sec-websocket-version', '13'],
    ...fields,
  ]
}

const yes =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n'

/** A short message of a client, masked with zeros. */
function text(message: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, 0x80 + message.length, 0, 0, 0, 0]), Buffer.from(message)])
}

/** A stream that was switched. */
async function opened(wire: Http2Wire, stream: number): Promise<void> {
  wire.headers(stream, opening())
  expect((await wire.head(stream)).status).toBe(200)
}

describe('A WebSocket over HTTP/2', () => {
  it('is offered, and reaches an upstream of HTTP/1.1 as an upgrade', async () => {
    let head = ''
    await using backend = await played(async (peer) => {
      head = await peer.read('\r\n\r\n')
      await peer.write(Buffer.from(`${yes}Sec-WebSocket-Protocol: chat\r\n\r\nearly`))
    })
    await using served = await proxying(backend)
    await using wire = await client(served)
    expect(wire.peerSettings.get(settingNumbers.ENABLE_CONNECT_PROTOCOL)).toBe(1)
    wire.headers(1, opening('/chat?room=1', [['sec-websocket-protocol', 'chat']]))
    const stream = await wire.head(1)
    expect([stream.status, stream.header('sec-websocket-protocol')]).toEqual([200, 'chat'])
    for (const name of ['sec-websocket-accept', 'upgrade', 'connection']) expect(stream.header(name)).toBeUndefined()
    await wire.until('what came early', () => wire.stream(1).body === 'early')
    expect(head).toMatch(/^GET \/chat\?room=1 HTTP\/1\.1\r\n/)
    expect(head.toLowerCase()).toMatch(/\r\nconnection: upgrade\r\n/)
    expect(head.toLowerCase()).toMatch(/\r\nupgrade: websocket\r\n/)
    expect(head.toLowerCase()).toMatch(/\r\nsec-websocket-key: [a-z\d+/]{22}==\r\n/)
    expect(head.toLowerCase()).toMatch(/\r\nsec-websocket-version: 13\r\n/)
    expect(served.http.stats()).toMatchObject({ tunnels: 1 })
  })

  it('carries messages both ways, beside requests on the same connection', async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    await once(server, 'listening')
    server.on('connection', (socket) => socket.on('message', (data) => socket.send(`echo ${String(data)}`)))
    const { port } = server.address() as { port: number }
    await using served = await serving({
      routes: [{ path: '/chat', upstream: `127.0.0.1:${port}` }, { reply: { status: 200, body: 'beside' } }],
    })
    await using wire = await client(served)
    await opened(wire, 1)
    for (const word of ['one', 'two', 'three']) {
      const before = wire.stream(1).received
      wire.data(1, text(word))
      await wire.until(word, () => wire.stream(1).received === before + 2 + 5 + word.length)
      expect(wire.stream(1).body.endsWith(`echo ${word}`)).toBe(true)
    }
    wire.get(3)
    expect((await wire.response(3)).body).toBe('beside')
    // A close frame, which is answered; then the ends of both directions.
    wire.data(1, Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]))
    await wire.until('the end', () => wire.stream(1).ended)
    wire.data(1, '', { endStream: true })
    await until(() => expect(served.http.stats()).toMatchObject({ tunnels: 0, transactions: 0 }))
    expect(wire.stream(1).reset).toBeUndefined()
    expect(await wire.alive()).toBe(true)
    server.close()
  })

  it('that is refused brings the refusal and its body', async () => {
    await using backend = await played(async (peer) => {
      await peer.read('\r\n\r\n')
      await peer.write(Buffer.from('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno'))
    })
    await using served = await proxying(backend)
    await using wire = await client(served)
    wire.headers(1, opening())
    expect(await wire.response(1)).toMatchObject({ status: 403, body: 'no' })
  })

  it('that is answered as if it were a request is no success', async () => {
    await using backend = await played(async (peer) => {
      await peer.read('\r\n\r\n')
      await peer.write(Buffer.from(ok('a page')))
    })
    await using served = await serving({
      routes: [
        { path: '/chat', upstream: backend.address },
        { path: '/page', reply: 200 },
      ],
    })
    await using wire = await client(served)
    wire.headers(1, opening('/chat'))
    expect((await wire.response(1)).status).toBe(502)
    wire.headers(3, opening('/page'))
    expect((await wire.response(3)).status).toBe(502)
    expect(await wire.alive()).toBe(true)
  })

  it('passes on the end of each direction, and what breaks it', async () => {
    const ends: string[] = []
    await using backend = await played(async (peer, socket) => {
      const head = await peer.read('\r\n\r\n')
      await peer.write(Buffer.from(`${yes}\r\n`))
      if (head.includes('/break')) {
        await peer.read(2)
        return peer.reset()
      }
      socket.on('close', () => ends.push('closed'))
      ends.push(await peer.text())
      await peer.write(Buffer.from('last words'))
      peer.end()
    })
    await using served = await proxying(backend)
    await using wire = await client(served)
    await opened(wire, 1)
    wire.data(1, 'all I say', { endStream: true })
    expect((await wire.response(1)).body).toBe('last words')
    expect(ends[0]).toBe('all I say')
    await opened(wire, 3)
    wire.rst(3)
    await until(() => expect(served.http.stats()).toMatchObject({ tunnels: 0, transactions: 0 }))
    wire.headers(5, opening('/break'))
    expect((await wire.head(5)).status).toBe(200)
    wire.data(5, 'go')
    expect((await wire.ending(5)).kind).toBe('reset')
    expect(await wire.alive()).toBe(true)
    await until(() => expect(served.http.stats()).toMatchObject({ tunnels: 0, transactions: 0 }))
  })

  it('stalls with its client, and no other stream does', async () => {
    let sent = 0
    await using backend = await played(async (peer, socket) => {
      await peer.read('\r\n\r\n')
      socket.write(`${yes}\r\n`)
      const chunk = Buffer.alloc(50_000)
      const more = (): void => {
        while (sent < 8_000_000 && socket.write(chunk)) sent += chunk.length
      }
      socket.on('drain', more)
      more()
    })
    await using served = await serving({ routes: [{ path: '/chat', upstream: backend.address }, { reply: 200 }] })
    await using wire = await client(served, { credit: false })
    wire.windowUpdate(0, 10_000_000)
    await opened(wire, 1)
    await wire.until('a window', () => wire.stream(1).received === 65_535)
    wire.get(3)
    expect((await wire.response(3)).status).toBe(200)
    expect(wire.stream(1).received).toBe(65_535)
    expect(sent).toBeLessThan(8_000_000)
  })

  it('ends when the core does', async () => {
    await using backend = await played(async (peer) => {
      await peer.read('\r\n\r\n')
      await peer.write(Buffer.from(`${yes}\r\n`))
      await peer.text()
    })
    await using served = await proxying(backend)
    await using wire = await client(served)
    await opened(wire, 1)
    const closed = served.core.close({ deadline: 50 })
    await wire.over()
    wire.end()
    await closed
    expect(served.http.stats()).toMatchObject({ tunnels: 0, transactions: 0, sessions: 0 })
  })

  it('is all that can be asked for so', async () => {
    await using backend = await played(async () => {})
    await using served = await proxying(backend)
    await using wire = await client(served)
    const other = opening().map((field): Field => (field[0] === ':protocol' ? [':protocol', 'connect-udp'] : field))
    wire.headers(1, other)
    expect((await wire.head(1)).status).toBe(501)
    wire.headers(3, [
      [':method', 'CONNECT'],
      [':authority', 'a.test:80'],
    ])
    expect((await wire.head(3)).status).toBe(405)
    expect(backend.accepted).toBe(0)
  })
})

describe('CONNECT over HTTP/2', () => {
  it('becomes a tunnel where a route allows its target', async () => {
    await using target = await played(async (peer) => {
      await peer.write(Buffer.from(`said ${await peer.read(5)}`))
    })
    await using served = await serving({ routes: [{ connect: { allow: [target.address] } }] })
    await using wire = await client(served)
    wire.headers(1, [
      [':method', 'CONNECT'],
      [':authority', target.address],
    ])
    expect((await wire.head(1)).status).toBe(200)
    wire.data(1, 'hello')
    await wire.until('an answer', () => wire.stream(1).body === 'said hello')
  })
})
