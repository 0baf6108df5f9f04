import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ClientSession, type Connection, relay, Session, Upstream } from '../../src/index.ts'
import { FakeUpstream, inMemory, sessionContract, type TestPeer } from '../../src/testing/index.ts'
import { closedPort, dial, TestServer, withCore } from '../support/net.ts'
import { stands } from '../support/until.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xps-'))
  await writeFile(join(folder, 'sample.txt'), 'a small file\n')
  await writeFile(join(folder, 'empty.txt'), '')
})
afterAll(() => rm(folder, { recursive: true }))

/** The next session of a core. */
function nextSession(core: {
  once(event: 'session', listener: (session: ClientSession) => void): unknown
}): Promise<Session> {
  return new Promise((resolve) => core.once('session', (session) => resolve(session as Session)))
}

describe('Session', () => {
  it('relays bytes both ways between real sockets', async () => {
    await using upstream = await TestServer.start()
    await using core = withCore()
    const { port } = await core.listen({ port: 0, route: { upstream: upstream.address } })
    const client = await dial(port)
    await client.write('ping')
    const peer = await upstream.accept()
    expect(await peer.read(4)).toBe('ping')
    await peer.write('pong')
    expect(await client.read(4)).toBe('pong')
    expect(core.sessions).toHaveLength(1)
    client.end()
    peer.end()
    await core.sessions[0]?.closed
    expect(core.sessions).toHaveLength(0)
  })

  it('passes a half-close on, and the client still gets its whole answer', async () => {
    await using upstream = await TestServer.start()
    await using core = withCore()
    const { port } = await core.listen({ port: 0, route: { upstream: upstream.address } })
    const client = await dial(port)
    client.end('request')
    const peer = await upstream.accept()
    expect(await peer.text()).toBe('request')
    const answer = Buffer.alloc(3_000_000, 'a')
    peer.end(answer)
    expect((await client.bytes()).equals(answer)).toBe(true)
  })

  it('passes a half-close of the upstream on, and goes on delivering to it', async () => {
    await using upstream = await TestServer.start()
    await using core = withCore()
    const { port } = await core.listen({ port: 0, route: { upstream: upstream.address } })
    const client = await dial(port)
    const peer = await upstream.accept()
    peer.end('all I have to say')
    expect(await client.text()).toBe('all I have to say')
    client.end('and what I have')
    expect(await peer.text()).toBe('and what I have')
  })

  it('delivers 3 MB in each direction at once, and the sum is right', async () => {
    await using upstream = await TestServer.start()
    await using core = withCore()
    const { port } = await core.listen({ port: 0, route: { upstream: upstream.address } })
    const client = await dial(port)
    const up = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => (index * 7) & 255))
    const down = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => (index * 13) & 255))
    client.end(up)
    const peer = await upstream.accept()
    peer.end(down)
    const [atClient, atUpstream] = await Promise.all([client.bytes(), peer.bytes()])
    expect(atClient.equals(down)).toBe(true)
    expect(atUpstream.equals(up)).toBe(true)
  })

  it('delivers to the upstream what a client sent before it closed altogether', async () => {
    await using upstream = await TestServer.start((peer) => peer.pause())
    await using core = withCore()
    const { port } = await core.listen({ port: 0, route: { upstream: upstream.address } })
    const client = await dial(port)
    client.end(Buffer.alloc(700_000, 'x'))
    const peer = await upstream.accept()
    peer.resume()
    expect(await peer.bytes()).toHaveLength(700_000)
  })

  it('delivers to the client what an upstream sent before it broke off, and says that it did', async () => {
    await using upstream = await TestServer.start()
    await using core = withCore()
    const { port } = await core.listen({ port: 0, route: { upstream: upstream.address } })
    const client = await dial(port)
    const peer = await upstream.accept()
    await peer.write(Buffer.alloc(300_000, 'y'))
    expect(await client.read(300_000)).toBe('y'.repeat(300_000))
    const [session] = core.sessions
    peer.reset()
    expect(await client.bytes()).toHaveLength(0)
    client.end()
    expect(await session?.closed).toMatchObject({ code: 'XPS_RESET', origin: 'upstream' })
  })

  it('delivers to the client what it can still have of an upstream that sent and broke off at once', async () => {
    await using upstream = await TestServer.start((peer, socket) => {
      socket.once('data', () => socket.write(Buffer.alloc(300_000, 'y'), () => peer.reset()))
    })
    await using core = withCore()
    const { port } = await core.listen({ port: 0, route: { upstream: upstream.address } })
    const client = await dial(port)
    await client.write('go')
    const bytes = await client.bytes()
    client.end()
    // What the upstream's kernel had not sent is lost with the reset; what had arrived is not.
    expect(bytes.length).toBeGreaterThan(0)
    expect(bytes.every((byte) => byte === 121)).toBe(true)
  })

  it('closes a client silently when the upstream refuses, and says which, why and after how long', async () => {
    const port = await closedPort()
    await using core = withCore()
    const listener = await core.listen({ port: 0, route: { upstream: `127.0.0.1:${port}` } })
    const opened = nextSession(core)
    const client = await dial(listener.port)
    const session = await opened
    expect(await client.bytes()).toHaveLength(0)
    client.end()
    const error = await session.closed
    expect(error).toMatchObject({ code: 'XPS_CONNECT', origin: 'upstream', retryable: true })
    expect(error?.address).toBe(`127.0.0.1:${port}`)
    expect(error?.message).toContain('ECONNREFUSED')
    expect(error?.elapsed).toBeGreaterThanOrEqual(0)
    expect(session.upstreamConnected).toBe(false)
  })

  it('serves 30 clients at once whose upstream is down, leaving none behind', async () => {
    const port = await closedPort()
    await using core = withCore()
    const listener = await core.listen({ port: 0, route: { upstream: `127.0.0.1:${port}` } })
    const clients = await Promise.all(Array.from({ length: 30 }, () => dial(listener.port)))
    for (const client of clients) {
      expect(await client.bytes()).toHaveLength(0)
      client.end()
    }
    await Promise.all(core.sessions.map((session) => session.closed))
    expect(core.sessions).toHaveLength(0)
  })

  it('is connected as soon as the upstream says so, before a byte', async () => {
    await using upstream = await TestServer.start()
    await using core = withCore()
    const { port } = await core.listen({ port: 0, route: { upstream: upstream.address } })
    const opened = nextSession(core)
    const client = await dial(port)
    const session = await opened
    await new Promise((resolve) => session.once('connect', resolve))
    expect(session.upstreamConnected).toBe(true)
    expect(session.upstream?.address).toBe(upstream.address)
    client.end()
    ;(await upstream.accept()).end()
    await session.closed
  })

  it('sends a file and closes, whatever the client sends', async () => {
    await using core = withCore()
    const { port } = await core.listen({ port: 0, route: { file: 'sample.txt', root: folder } })
    const client = await dial(port)
    await client.write('GET / HTTP/1.0\r\n\r\n')
    expect(await client.text()).toBe('a small file\n')
    client.end()
    await client.gone()
  })

  it('sends an empty file as zero bytes and an end', async () => {
    await using core = withCore()
    const { port } = await core.listen({ port: 0, route: { file: 'empty.txt', root: folder } })
    const client = await dial(port)
    expect(await client.bytes()).toHaveLength(0)
    client.end()
  })

  it('ends with XPS_NOT_FOUND for a file that is not there, and the client gets nothing', async () => {
    await using core = withCore()
    const { port } = await core.listen({ port: 0, route: { file: 'absent.txt', root: folder } })
    const opened = nextSession(core)
    const client = await dial(port)
    const session = await opened
    expect(await client.bytes()).toHaveLength(0)
    client.end()
    expect((await session.closed)?.code).toBe('XPS_NOT_FOUND')
  })

  it('closes a client without a route at once, and says so', async () => {
    await using core = withCore()
    const listener = await core.listen(0)
    const opened = nextSession(core)
    const client = await dial(listener.port)
    const session = await opened
    expect(await client.bytes()).toHaveLength(0)
    client.end()
    const error = await session.closed
    expect(error?.code).toBe('XPS_NO_ROUTE')
    expect(error?.message).toContain(String(listener.port))
  })

  it('refuses for the reason that its router gives', async () => {
    const { client, session } = inMemory(
      relay({ route: async () => ({ refuse: 'not on a Sunday' }) }) as (c: Connection) => Session,
    )
    expect(await client.bytes()).toHaveLength(0)
    client.end()
    expect(await session.closed).toMatchObject({ code: 'XPS_REFUSED', message: 'not on a Sunday' })
  })

  it('ends with a fault when its router throws or rejects', async () => {
    for (const route of [
      () => {
        throw new Error('broken')
      },
      async () => {
        throw new Error('broken')
      },
    ]) {
      const { client, session } = inMemory(relay({ route }))
      client.end()
      expect((await session.closed)?.code).toBe('XPS_FAULT')
    }
  })

  it('waits for a router that takes its time, and loses no byte meanwhile', async () => {
    const upstream = new FakeUpstream()
    let decide: (() => void) | undefined
    const decision = new Promise<void>((resolve) => {
      decide = resolve
    })
    const { client, session } = inMemory(
      relay({
        route: async () => {
          await decision
          return { upstream: upstream.target }
        },
      }),
    )
    await client.write('early')
    expect(upstream.accepted).toBe(0)
    decide?.()
    const peer = await upstream.accept()
    expect(await peer.read(5)).toBe('early')
    peer.end()
    client.end()
    await session.closed
  })

  it('lets the upstream go when the client breaks off', async () => {
    await using upstream = await TestServer.start()
    await using core = withCore()
    const { port } = await core.listen({ port: 0, route: { upstream: upstream.address } })
    const client = await dial(port)
    await client.write('hello')
    const peer = await upstream.accept()
    await peer.read(5)
    const session = core.sessions[0]
    client.reset()
    expect(await peer.bytes()).toHaveLength(0)
    peer.end()
    expect(await session?.closed).toMatchObject({ code: 'XPS_RESET', origin: 'client' })
  })

  it('can be composed by hand, without a listener, a core or a route', async () => {
    const upstream = new FakeUpstream()
    const { client, session } = inMemory((connection) => new Session(connection))
    expect(session.phase).toBe('open')
    session.attachUpstream(new Upstream(upstream.target).connect())
    await client.write('by hand')
    const peer = await upstream.accept()
    expect(await peer.read(7)).toBe('by hand')
    peer.end()
    client.end()
    expect(await session.closed).toBeUndefined()
  })

  it('sends a client only its own bytes, also when it is closed while some are in flight', async () => {
    // The bytes in flight are in memory that sockets share: whoever gives it back too early sends those of others.
    await using upstream = await TestServer.start((_peer, socket) => {
      socket.once('data', (fill) => {
        const chunk = Buffer.alloc(256 * 1024, fill[0])
        const pour = (): void => {
          while (!socket.destroyed && socket.write(chunk));
          if (!socket.destroyed) socket.once('drain', pour)
        }
        pour()
      })
    })
    await using core = withCore()
    const { port } = await core.listen({ port: 0, host: '127.0.0.1', route: { upstream: upstream.address } })
    const stall = async (fill: string): Promise<[TestPeer, Session]> => {
      const client = await dial(port)
      client.pause()
      await client.write(fill)
      await upstream.accept()
      const session = core.sessions.at(-1) as Session
      while (!session.client.stalled) await new Promise((resolve) => setImmediate(resolve))
      return [client, session]
    }
    // Both have lent the memory that they read into. What the second gives back is what the first reads into next.
    const [other] = await stall('b')
    const [stalled, session] = await stall('a')
    void session.client.close()
    other.resume()
    await other.read(5_000_000)
    other.reset()
    stalled.resume()
    const bytes = await stalled.bytes()
    stalled.end()
    expect(bytes.length).toBeGreaterThan(0)
    expect(bytes.every((byte) => byte === 97)).toBe(true)
  })

  it('stalls only as much as its pipes hold when the client does not read', async () => {
    await using upstream = await TestServer.start((_peer, socket) => {
      const chunk = Buffer.alloc(64 * 1024, 'z')
      const pour = (): void => {
        while (!socket.destroyed && socket.write(chunk));
        if (!socket.destroyed) socket.once('drain', pour)
      }
      pour()
    })
    await using core = withCore()
    const { port } = await core.listen({ port: 0, route: { upstream: upstream.address } })
    const client = await dial(port)
    client.pause()
    await upstream.accept()
    const [session] = core.sessions
    if (session === undefined) throw new Error('no session')
    await stands(() => session.client.bytesOut, 0)
    const inside = session.pipes.reduce((sum, pipe) => sum + pipe.buffered, 0)
    expect(inside).toBeGreaterThan(0)
    for (const pipe of session.pipes) expect(pipe.buffered).toBeLessThanOrEqual(pipe.limit)
    client.resume()
    await client.read(1_000_000)
    client.reset()
    await session.closed
  })
})

describe('Session contract', () => {
  const upstream = new FakeUpstream()
  const claims = sessionContract({
    protocol: relay({
      route: () => ({
        upstream: (socket) => {
          upstream.target(socket)
          socket.on('data', (chunk) => socket.write(chunk)).on('end', () => socket.end())
        },
      }),
    }),
    async exchange(client) {
      await client.write('over and back')
      expect(await client.read(13)).toBe('over and back')
    },
  })
  for (const { name, run } of claims) it(name, run)
})
