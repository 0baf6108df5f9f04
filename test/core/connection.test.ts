import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { duplexPair } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { Connection, Pipe, PipeSink, PipeSource, Upstream } from '../../src/index.ts'
import { FakeUpstream, ManualClock, memoryConnections } from '../../src/testing/index.ts'
import { closedPort, TestServer } from '../support/net.ts'
import { SilentPort } from '../support/silent-port.ts'

/** Reads all that a source sends. */
async function all(source: PipeSource): Promise<{ text: string; error: string | undefined }> {
  const chunks: Buffer[] = []
  const error = await new Promise<string | undefined>((resolve) => {
    const sink = new PipeSink({
      write: (chunk) => void chunks.push(Buffer.from(chunk)),
      end: (reason) => resolve(reason?.code),
    })
    new Pipe(source, sink)
  })
  return { text: Buffer.concat(chunks).toString(), error }
}

describe('Connection', () => {
  it('brings what its peer writes, and takes what its peer gets', async () => {
    const [one, other] = memoryConnections()
    new Pipe(PipeSource.from(['over', ' and ', 'out']), one.sink)
    new Pipe(PipeSource.from('back'), other.sink)
    expect(await all(other.source)).toEqual({ text: 'over and out', error: undefined })
    expect(await all(one.source)).toEqual({ text: 'back', error: undefined })
    expect(await one.closed).toBeUndefined()
    expect(await other.closed).toBeUndefined()
  })

  it('wraps any Duplex', async () => {
    const [near, far] = duplexPair()
    const connection = new Connection(near)
    far.end('from a stream')
    expect((await all(connection.source)).text).toBe('from a stream')
    connection.abort()
    expect((await connection.closed)?.code).toBe('XPS_ABORTED')
  })

  it('keeps the order of what an accepted socket reads, however often it is held up', async () => {
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const peer = connect((server.address() as AddressInfo).port, '127.0.0.1')
    const [socket] = (await once(server, 'connection')) as [Socket]
    server.close()
    const connection = new Connection(socket)
    const sent = Buffer.from(Uint8Array.from({ length: 1_000_000 }, (_, index) => (index * 7) % 251))
    const chunks: Buffer[] = []
    const received = new Promise<void>((resolve) => {
      let count = 0
      const sink: PipeSink = new PipeSink({
        write: (chunk) => {
          chunks.push(Buffer.from(chunk))
          // Now at once, now a little later.
          if (++count % 3 === 0) return true
          setImmediate(() => {
            sink.ready = true
          })
          return false
        },
        end: () => resolve(),
      })
      new Pipe(connection.source, sink)
    })
    for (let at = 0; at < sent.length; at += 33_333) {
      peer.write(sent.subarray(at, at + 33_333))
      await new Promise((resolve) => setImmediate(resolve))
    }
    peer.end()
    await received
    expect(Buffer.concat(chunks).equals(sent)).toBe(true)
    expect(connection.bytesIn).toBe(sent.length)
    connection.abort()
    await connection.closed
  })

  it.each([
    ['given', undefined],
    ['accepted by a listener', { port: 1, address: '127.0.0.1:1' }],
  ])('leaves a socket that is taken as it was when it was %s', async (_, entrance) => {
    const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const peer = connect((server.address() as AddressInfo).port, '127.0.0.1')
    const [accepted] = (await once(server, 'connection')) as [Socket]
    server.close()
    const own = Object.keys(accepted)
    const connection = new Connection(accepted, entrance === undefined ? {} : { entrance })
    const socket = connection.takeSocket()
    expect(Object.keys(socket)).toEqual(own)
    peer.write('for the taker')
    expect(String((await once(socket.resume(), 'data'))[0])).toBe('for the taker')
    connection.abort()
    await connection.closed
    peer.destroy()
  })

  it('reads nothing before somebody wants it', async () => {
    await using server = await TestServer.start((peer) => void peer.write('unasked'))
    const connection = new Upstream(server.address).connect()
    await new Promise((resolve) => connection.once('open', () => resolve(undefined)))
    await (await server.accept()).write('more')
    expect(connection.bytesIn === 0 || connection.phase === 'open').toBe(true)
    const read = all(connection.source)
    const [socket] = server.sockets
    socket?.end()
    expect((await read).text).toBe('unaskedmore')
    connection.abort()
    await connection.closed
  })

  it('counts bytes both ways and knows its peer', async () => {
    await using server = await TestServer.start((peer) => void peer.end('12345'))
    const connection = new Upstream(server.address).connect()
    new Pipe(PipeSource.from('123'), connection.sink)
    await all(connection.source)
    await connection.closed
    expect([connection.bytesIn, connection.bytesOut]).toEqual([5, 3])
    expect(connection.address).toBe(server.address)
    expect(connection.side).toBe('upstream')
  })

  it('lingers after close() until the peer ends too, throwing away what it sends', async () => {
    const clock = new ManualClock()
    await using server = await TestServer.start()
    const connection = new Upstream(server.address, { clock }).connect()
    await new Promise((resolve) => connection.once('open', () => resolve(undefined)))
    const peer = await server.accept()
    const closed = connection.close()
    expect(await peer.text()).toBe('')
    expect(connection.phase).toBe('draining')
    await peer.write('too late')
    peer.end()
    expect(await closed).toBeUndefined()
    expect(clock.pending).toBe(0)
  })

  it('lingers no longer than its lingerTimeout', async () => {
    const clock = new ManualClock()
    await using server = await TestServer.start()
    const connection = new Upstream(server.address, { clock, lingerTimeout: 500 }).connect()
    await new Promise((resolve) => connection.once('open', () => resolve(undefined)))
    const peer = await server.accept()
    const closed = connection.close()
    await peer.text()
    clock.advance(499)
    expect(connection.phase).toBe('draining')
    clock.advance(1)
    expect(await closed).toBeUndefined()
    expect(clock.pending).toBe(0)
  })

  it('lingers for no more than 256 KiB', async () => {
    const clock = new ManualClock()
    await using server = await TestServer.start((_peer, socket) => {
      const pour = (): void => {
        while (!socket.destroyed && socket.write(Buffer.alloc(64 * 1024)));
        socket.once('drain', pour)
      }
      pour()
    })
    const connection = new Upstream(server.address, { clock }).connect()
    await new Promise((resolve) => connection.once('open', () => resolve(undefined)))
    expect(await connection.close()).toBeUndefined()
    expect(clock.pending).toBe(0)
  })

  it('says which side broke off', async () => {
    await using server = await TestServer.start()
    const connection = new Upstream(server.address).connect()
    await new Promise((resolve) => connection.once('open', () => resolve(undefined)))
    const read = all(connection.source)
    ;(await server.accept()).reset()
    expect((await read).error).toBe('XPS_RESET')
    expect(await connection.closed).toMatchObject({ code: 'XPS_RESET', origin: 'upstream', address: server.address })
  })

  it('refuses a lingerTimeout that is none', () => {
    const [near] = duplexPair()
    expect(() => new Connection(near, { lingerTimeout: 0 })).toThrow('lingerTimeout must be an integer from 1')
  })
})

describe('Upstream', () => {
  it('gives up after its connectTimeout, and says so', async () => {
    await using silent = await SilentPort.open()
    const clock = new ManualClock()
    const connection = new Upstream(silent.address, { clock, connectTimeout: 1_000 }).connect()
    clock.advance(999)
    expect(connection.phase).toBe('opening')
    clock.advance(1)
    const error = await connection.closed
    expect(error).toMatchObject({ code: 'XPS_TIMEOUT', origin: 'upstream', retryable: true, elapsed: 1_000 })
    expect(error?.message).toBe(`upstream ${silent.address} did not answer within 1000 ms`)
    expect(clock.pending).toBe(0)
  })

  it('does not wait for a target that is silent when there is another', async () => {
    await using silent = await SilentPort.open()
    await using server = await TestServer.start((peer) => void peer.end('second'))
    const clock = new ManualClock()
    const connection = new Upstream([silent.address, server.address], { clock, attemptTimeout: 100 }).connect()
    const read = all(connection.source)
    clock.advance(100)
    expect((await read).text).toBe('second')
    connection.abort()
    await connection.closed
    expect(clock.pending).toBe(0)
  })

  it('tries its targets in order, and connects to the first that answers', async () => {
    await using server = await TestServer.start((peer) => void peer.end('second'))
    const connection = new Upstream([`127.0.0.1:${await closedPort()}`, server.address]).connect()
    expect((await all(connection.source)).text).toBe('second')
    connection.abort()
    await connection.closed
  })

  it('says that it cannot be reached when none answers, with all its addresses', async () => {
    const [one, two] = [await closedPort(), await closedPort()]
    const connection = new Upstream([`127.0.0.1:${one}`, `127.0.0.1:${two}`]).connect()
    const error = await connection.closed
    expect(error).toMatchObject({ code: 'XPS_CONNECT', retryable: true, origin: 'upstream' })
    expect(error?.address).toBe(`127.0.0.1:${one}, 127.0.0.1:${two}`)
  })

  it('reaches a host name by whichever of its addresses answers', async () => {
    await using server = await TestServer.start((peer) => void peer.end('by name'))
    const connection = new Upstream(`localhost:${server.port}`).connect()
    expect((await all(connection.source)).text).toBe('by name')
    connection.abort()
    await connection.closed
  })

  it('says that a host name is unknown', async () => {
    const connection = new Upstream('no-such-host.invalid:80').connect()
    const error = await connection.closed
    expect(error?.code).toBe('XPS_CONNECT')
  })

  it('can be closed while it still connects', async () => {
    const upstream = new FakeUpstream()
    const connection = new Upstream(upstream.target).connect()
    expect((await connection.close())?.code).toBe('XPS_CLOSED')
  })

  it('refuses to be made of nonsense', () => {
    for (const target of ['x', 5, {}, null, { host: 'a', port: 0 }, { host: 1, port: 1 }]) {
      expect(() => new Upstream(target as string)).toThrow(expect.objectContaining({ code: 'XPS_INVALID_OPTION' }))
    }
    expect(() => new Upstream('a:1', { connectTimeout: 1.5 })).toThrow('upstream.connectTimeout')
  })

  it('is refused as a socket would be by a fake upstream that refuses', async () => {
    const upstream = new FakeUpstream()
    upstream.refusing = true
    const connection = new Upstream(upstream.target).connect()
    expect(await connection.closed).toMatchObject({ code: 'XPS_CONNECT' })
  })
})
