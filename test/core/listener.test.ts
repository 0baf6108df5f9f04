import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { http } from '../../src/http/index.ts'
import {
  type Connection,
  Core,
  Listener,
  type ListenPlace,
  type Protocol,
  relay,
  Session,
  type XpsError,
} from '../../src/index.ts'
import { soapServer } from '../../src/soap/index.ts'
import { stateServer } from '../../src/state/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { openSockets } from '../support/descriptors.ts'
import { dial, TestServer, withCore } from '../support/net.ts'

describe('Listener', () => {
  it('works without a core', async () => {
    await using upstream = await TestServer.start((peer) => void peer.end('no core'))
    const listener = new Listener(
      { port: 0, host: '127.0.0.1' },
      { protocol: relay({ route: { upstream: upstream.address } }) },
    )
    await listener.open()
    expect(listener.address).toBe(`127.0.0.1:${listener.port}`)
    const client = await dial(listener.port)
    expect(await client.text()).toBe('no core')
    client.end()
    expect(await listener.close()).toBeUndefined()
  })

  it('asks its protocol where to listen, and does not listen where that objects', async () => {
    const protocol = Object.assign(relay({ route: { refuse: 'nobody' } }), {
      listensOn: (where: ListenPlace): ListenPlace => {
        if ('path' in where) throw new Error('no paths')
        return { host: '127.0.0.1', ...where }
      },
    })
    const listener = await new Listener(0, { protocol }).open()
    expect(listener.address).toBe(`127.0.0.1:${listener.port}`)
    await listener.close()
    expect(() => new Listener({ path: '/tmp/not-there.sock' }, { protocol })).toThrow('no paths')
  })

  it('refuses what makes protocols, where what it makes was meant', async () => {
    await using core = new Core()
    for (const [name, factory] of Object.entries({ http, relay, soapServer, stateServer })) {
      const protocol = factory as unknown as Protocol
      const told = {
        code: 'XPS_INVALID_OPTION',
        message: `protocol must be what ${name} returns, got ${name} itself: call it: ${name}(...)`,
      }
      expect(() => new Listener(0, { protocol })).toThrow(expect.objectContaining(told))
      await expect(core.listen(0, { protocol })).rejects.toMatchObject(told)
      expect(Object.keys(factory)).toEqual([])
    }
    expect(core.listeners).toEqual([])
  })

  it('tells of a session before any of its bytes move', async () => {
    await using upstream = await TestServer.start((peer) => void peer.end())
    const listener = new Listener(
      { port: 0, host: '127.0.0.1' },
      { protocol: relay({ route: { upstream: upstream.address } }) },
    )
    await listener.open()
    const seen = new Promise<[string, number, number]>((resolve) => {
      listener.on('session', (session) => resolve([session.phase, session.client.bytesIn, session.pipes.length]))
    })
    const client = await dial(listener.port)
    client.end('bytes')
    expect(await seen).toEqual(['open', 0, 0])
    await listener.close({ deadline: 100 })
  })

  it('stops to listen at once when it is closed, and lets sessions finish', async () => {
    await using upstream = await TestServer.start()
    const listener = new Listener(
      { port: 0, host: '127.0.0.1' },
      { protocol: relay({ route: { upstream: upstream.address } }) },
    )
    await listener.open()
    const client = await dial(listener.port)
    const peer = await upstream.accept()
    await client.write('begun ')
    expect(await peer.read(6)).toBe('begun ')
    const closed = listener.close()
    await expect(dial(listener.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await client.write('still')
    expect(await peer.read(5)).toBe('still')
    client.end()
    peer.end()
    expect(await closed).toBeUndefined()
  })

  it('rejects a second opening', async () => {
    const listener = new Listener(0, { protocol: relay({}) })
    await listener.open()
    await expect(listener.open()).rejects.toMatchObject({ code: 'XPS_CLOSED' })
    await listener.close()
    await expect(listener.open()).rejects.toMatchObject({ code: 'XPS_CLOSED' })
  })

  it('goes on when a protocol throws, and the client is let go', async () => {
    const faults: string[] = []
    await using core = withCore()
    core.on('fault', (error) => faults.push(error.message))
    const { port } = await core.listen({
      port: 0,
      protocol: () => {
        throw new Error('not today')
      },
    })
    const one = await dial(port)
    await one.over()
    const two = await dial(port)
    await two.over()
    expect(faults).toEqual(['host code failed: not today', 'host code failed: not today'])
    one.end()
    two.end()
  })
})

describe('A listener whose host code fails', () => {
  it.each<[string, (client: Connection) => Session]>([
    [
      'throws after its session has the client',
      (client) =>
        new (class extends Session {
          constructor() {
            super(client)
            throw new Error('in the constructor')
          }
        })(),
    ],
    ['rejects', (() => Promise.reject(new Error('later'))) as never],
    ['resolves to nothing', (async () => undefined) as never],
    ['returns nothing', (() => undefined) as never],
  ])('serves the next ones although a protocol %s', async (_name, protocol) => {
    await using core = withCore({ maxConnections: 1 })
    const faults: XpsError[] = []
    core.on('fault', (fault) => faults.push(fault))
    const { port } = await core.listen({ port: 0, host: '127.0.0.1', protocol })
    for (let count = 1; count <= 3; count++) {
      const client = await dial(port)
      await client.over()
      client.end()
      expect(faults).toHaveLength(count)
    }
    expect(core.stats()).toMatchObject({ accepted: 3, queued: 0 })
  })

  it('lets the upstream go when a stage of the route cannot be opened', async () => {
    await using upstream = await TestServer.start()
    for (const route of [() => broken(), async () => broken()]) {
      await using core = withCore()
      core.on('fault', () => {})
      const { port } = await core.listen({ port: 0, host: '127.0.0.1', route })
      const client = await dial(port)
      await client.over()
      client.end()
      while (core.sessions.length > 0) await new Promise((resolve) => setImmediate(resolve))
      expect(core.stats().active).toBe(0)
    }
    while (upstream.sockets.size > 0) {
      for (const socket of upstream.sockets) socket.end()
      await new Promise((resolve) => setImmediate(resolve))
    }

    function broken() {
      const stage = {
        open(): never {
          throw new Error('no stage today')
        },
      }
      return { upstream: upstream.address, toClient: [stage] }
    }
  })

  it('survives a listener of faults that throws', async () => {
    const warned = new Promise<Error>((resolve) => process.once('warning', resolve))
    await using core = withCore()
    core.on('fault', () => {
      throw new Error('in the listener of faults')
    })
    core.on('session', () => {
      throw new Error('in a listener')
    })
    const { port } = await core.listen({ port: 0, host: '127.0.0.1', route: { refuse: 'all' } })
    const client = await dial(port)
    await client.over()
    client.end()
    expect((await warned).message).toContain('in the listener of faults')
  })
})

describe('Core', () => {
  it('closes although it is asked to while a listener is about to listen', async () => {
    for (const end of [(core: Core) => core.abort(), (core: Core) => void core.close()]) {
      const core = new Core()
      const listening = core.listen({ port: 0, host: '127.0.0.1' })
      end(core)
      await expect(listening).rejects.toMatchObject({ code: 'XPS_CLOSED' })
      await core.closed
      expect(core.phase).toBe('closed')
    }
  })

  it('listens on IPv6', async () => {
    await using upstream = await TestServer.start((peer) => void peer.end('six'), '::1')
    await using core = withCore()
    const listener = await core.listen({ port: 0, host: '::1', route: { upstream: `[::1]:${upstream.port}` } })
    expect(listener.address).toBe(`[::1]:${listener.port}`)
    const { connect } = await import('node:net')
    const text = await new Promise((resolve) => {
      connect(listener.port, '::1').on('data', (chunk) => resolve(chunk.toString()))
    })
    expect(text).toBe('six')
  })

  it('listens on Unix-domain sockets, dials them, and leaves no file behind', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'xps-'))
    const path = join(folder, 'xps.sock')
    const behind = join(folder, 'behind.sock')
    const core = new Core()
    await core.listen({ path: behind, protocol: (client) => new EchoOnce(client) })
    const listener = await core.listen({ path, route: { upstream: `unix:${behind}` } })
    expect([listener.address, listener.port]).toEqual([`unix:${path}`, 0])
    const client = await dial(path)
    client.end('through two sockets')
    expect(await client.text()).toBe('through two sockets')
    await core.close()
    expect(await import('node:fs').then(({ readdirSync }) => readdirSync(folder))).toEqual([])
    await rm(folder, { recursive: true })
  })

  it('says what is wrong when it cannot listen, and stays usable', async () => {
    await using server = await TestServer.start()
    await using core = withCore()
    await expect(core.listen({ port: server.port, host: '127.0.0.1' })).rejects.toMatchObject({
      code: 'XPS_LISTEN',
      message: `cannot listen on 127.0.0.1:${server.port}: the address is in use`,
    })
    await expect(core.listen({ port: 0, host: '192.0.2.1' })).rejects.toMatchObject({ code: 'XPS_LISTEN' })
    expect(core.listeners).toHaveLength(0)
    await core.listen(0)
    expect(core.listeners).toHaveLength(1)
  })

  it.each([
    ['a port out of range', 65_536],
    ['no port', {}],
    ['an unknown option', { port: 0, bakclog: 5 }],
    ['a backlog of zero', { port: 0, backlog: 0 }],
    ['a route and a protocol', { port: 0, route: { refuse: 'x' }, protocol: relay({}) }],
    ['a protocol that is none', { port: 0, protocol: 'http' }],
    ['a route that is none', { port: 0, route: { upstream: 'x' } }],
    ['an empty path', { path: '' }],
  ])('refuses %s', async (_name, where) => {
    await using core = withCore()
    await expect(core.listen(where as number)).rejects.toMatchObject({ code: 'XPS_INVALID_OPTION' })
    expect(core.size).toBe(0)
  })

  it('refuses options that it does not know', () => {
    expect(() => new Core({ ruoter: () => undefined } as object)).toThrow('core options must be made of router')
    expect(() => new Core({ router: 5 } as object)).toThrow('router must be a function, got 5')
  })

  it('lists the sessions that are alive, and each connection leads to its session', async () => {
    await using upstream = await TestServer.start()
    await using core = withCore({ router: () => ({ upstream: upstream.address }) })
    const one = await core.listen({ port: 0, host: '127.0.0.1' })
    const two = await core.listen({ port: 0, host: '127.0.0.1' })
    const clients = [await dial(one.port), await dial(two.port), await dial(two.port)]
    for (const client of clients) await client.write('x')
    for (const _ of clients) await upstream.accept()
    expect(core.sessions).toHaveLength(3)
    expect(one.sessions).toHaveLength(1)
    for (const session of core.sessions) {
      expect(session).toBeInstanceOf(Session)
      expect(session.connections).toHaveLength(2)
      for (const connection of session.connections) expect(connection.session).toBe(session)
    }
    expect(new Set(core.sessions.map((session) => session.id)).size).toBe(3)
    for (const client of clients) client.reset()
  })

  it('aborts what has not finished by the deadline', async () => {
    const clock = new ManualClock()
    await using upstream = await TestServer.start()
    const core = new Core({ clock })
    const { port } = await core.listen({ port: 0, route: { upstream: upstream.address } })
    const client = await dial(port)
    await client.write('a question')
    await (await upstream.accept()).read(10)
    const [session] = core.sessions
    const closed = core.close({ deadline: 5_000 })
    clock.advance(4_999)
    expect(session?.phase).toBe('draining')
    clock.advance(1)
    expect(await closed).toMatchObject({ code: 'XPS_TIMEOUT', message: 'not closed within 5000 ms' })
    expect(session?.error?.code).toBe('XPS_TIMEOUT')
    await client.over()
    client.end()
    expect(clock.pending).toBe(0)
  })

  it('runs several times in one process and leaves no handle behind', async () => {
    await using upstream = await TestServer.start((peer) => void peer.end('again'))
    const before = openSockets()
    const handles = process.getActiveResourcesInfo().length
    for (let round = 0; round < 5; round++) {
      const core = new Core()
      const { port } = await core.listen({ port: 0, route: { upstream: upstream.address } })
      const client = await dial(port)
      expect(await client.text()).toBe('again')
      client.end()
      await client.gone()
      expect(await core.close()).toBeUndefined()
      await expect(core.listen(0)).rejects.toMatchObject({ code: 'XPS_CLOSED' })
    }
    await new Promise((resolve) => setImmediate(resolve))
    expect(openSockets()).toBeLessThanOrEqual(before)
    expect(process.getActiveResourcesInfo().length).toBeLessThanOrEqual(handles)
  })

  it('reports what listeners of its events throw as a fault, and goes on', async () => {
    await using upstream = await TestServer.start((peer) => void peer.end('fine'))
    await using core = withCore()
    const faults: unknown[] = []
    core.on('fault', (error) => faults.push(error.cause))
    const mistake = new Error('mistake in a listener')
    core.on('session', () => {
      throw mistake
    })
    const { port } = await core.listen({ port: 0, route: { upstream: upstream.address } })
    const client = await dial(port)
    expect(await client.text()).toBe('fine')
    client.end()
    expect(faults).toEqual([mistake])
  })

  it('closes by await using', async () => {
    let seen: Core
    {
      await using core = new Core()
      await core.listen(0)
      seen = core
    }
    expect(seen.phase).toBe('closed')
  })
})

class EchoOnce extends Session {
  protected override onOpen(): void {
    this.pipe(this.client.source, this.client.sink)
  }
}
