import { describe, expect, it } from 'vitest'
import { type ClientSession, type RuleOptions, relay, type Session } from '../../src/index.ts'
import { FakeUpstream, inMemory, ManualClock, type TestPeer } from '../../src/testing/index.ts'
import { dial, TestServer, withCore } from '../support/net.ts'
import { stands } from '../support/until.ts'

/** A client, its session and its upstream, all on real sockets, with the time in the test's hands. */
async function relayed(rules: RuleOptions, onPeer?: (peer: TestPeer) => void) {
  const clock = new ManualClock()
  const upstream = await TestServer.start(onPeer)
  const core = withCore({ clock, zombieInterval: 0 })
  const listener = await core.listen({ port: 0, host: '127.0.0.1', route: { upstream: upstream.address }, ...rules })
  const client = await dial(listener.port)
  const peer = await upstream.accept()
  const session = core.sessions[0] as ClientSession
  while (!(session as Session).upstreamConnected) await new Promise((resolve) => setImmediate(resolve))
  return {
    clock,
    core,
    client,
    peer,
    session,
    listener,
    async [Symbol.asyncDispose]() {
      core.abort()
      await core.closed
      client.reset()
      await upstream[Symbol.asyncDispose]()
    },
  }
}

/** What a session ended with, or undefined if it has not. */
async function ended(session: ClientSession): Promise<string | undefined> {
  if (session.error === undefined) return undefined
  await session.closed
  return session.error.reason
}

describe('Timeouts', () => {
  it('firstByteTimeout ends a session on which no byte ever moved', async () => {
    await using it = await relayed({ firstByteTimeout: 2_000 })
    it.clock.advance(1_900)
    expect(await ended(it.session)).toBeUndefined()
    it.clock.advance(300)
    expect(await ended(it.session)).toBe('first-byte')
    await it.client.over()
    expect(it.listener.stats().timedOut['first-byte']).toBe(1)
  })

  it('firstByteTimeout does not matter any more once a byte moved', async () => {
    await using it = await relayed({ firstByteTimeout: 2_000 })
    await it.client.write('x')
    await it.peer.read(1)
    it.clock.advance(10_000)
    expect(await ended(it.session)).toBeUndefined()
  })

  it('tunnelIdleTimeout ends a session that is silent in both directions', async () => {
    await using it = await relayed({ tunnelIdleTimeout: 5_000 })
    for (let round = 0; round < 4; round++) {
      await it.client.write('x')
      await it.peer.read(1)
      it.clock.advance(3_000)
      await it.peer.write('y')
      await it.client.read(1)
      it.clock.advance(3_000)
      expect(await ended(it.session)).toBeUndefined()
    }
    it.clock.advance(1_900)
    expect(await ended(it.session)).toBeUndefined()
    it.clock.advance(400)
    expect(await ended(it.session)).toBe('tunnel-idle')
  })

  it('maxSessionAge is a total: a client that drips a byte a second does not extend it', async () => {
    await using it = await relayed({ maxSessionAge: 5_000 })
    for (let second = 0; second < 5; second++) {
      expect(await ended(it.session)).toBeUndefined()
      await it.client.write('x')
      await it.peer.read(1)
      it.clock.advance(1_000)
    }
    it.clock.advance(200)
    expect(await ended(it.session)).toBe('session-age')
  })

  it('clientIdleTimeout notices a client that does not take its bytes, also one that was reset meanwhile', async () => {
    for (const reset of [false, true]) {
      await using it = await relayed({ clientIdleTimeout: 2_000 })
      it.client.pause()
      void it.peer.write(Buffer.alloc(30_000_000))
      while (!it.session.client.stalled) await new Promise((resolve) => setImmediate(resolve))
      await stands(() => it.session.client.bytesOut, 0)
      if (reset) it.client.reset()
      it.clock.advance(2_300)
      const reason = await ended(it.session)
      // A reset that the kernel tells of at the next write ends it even earlier.
      if (reset) expect(['client-idle', undefined]).toContain(reason)
      else expect(reason).toBe('client-idle')
      expect(it.session.phase).toBe('closed')
      await it.peer.over()
    }
  })

  it('upstreamIdleTimeout notices an upstream that does not take its bytes', async () => {
    await using it = await relayed({ upstreamIdleTimeout: 2_000 }, (peer) => peer.pause())
    void it.client.write(Buffer.alloc(30_000_000))
    const upstream = it.session.connections.find((connection) => connection.side === 'upstream')
    while (upstream?.stalled !== true) await new Promise((resolve) => setImmediate(resolve))
    await stands(() => upstream.bytesOut, 0)
    it.clock.advance(2_300)
    expect(await ended(it.session)).toBe('upstream-idle')
    expect(it.session.error?.origin).toBe('upstream')
  })

  it('of a route come before those of its listener, and those before those of the core', async () => {
    const upstream = new FakeUpstream()
    const clock = new ManualClock()
    await using core = withCore({ clock, firstByteTimeout: 1_000, tunnelIdleTimeout: 1_000, maxSessionAge: 77_000 })
    const listener = await core.listen({
      port: 0,
      firstByteTimeout: 2_000,
      tunnelIdleTimeout: 2_000,
      route: { upstream: upstream.target, tunnelIdleTimeout: 3_000 },
    })
    const client = await dial(listener.port)
    await upstream.accept()
    expect(core.sessions[0]?.timeouts).toMatchObject({
      firstByteTimeout: 2_000,
      tunnelIdleTimeout: 3_000,
      maxSessionAge: 77_000,
      clientIdleTimeout: 60_000,
    })
    client.reset()
  })

  it('of 0 are none, and the session lives on', async () => {
    await using it = await relayed({
      firstByteTimeout: 0,
      tunnelIdleTimeout: 0,
      clientIdleTimeout: 0,
      upstreamIdleTimeout: 0,
    })
    it.clock.advance(3 * 3_600_000)
    expect(await ended(it.session)).toBeUndefined()
    await it.client.write('still there')
    expect(await it.peer.read(11)).toBe('still there')
  })

  it('work without a core, in memory', async () => {
    const clock = new ManualClock()
    const upstream = new FakeUpstream()
    const { client, session } = inMemory(relay({ route: { upstream: upstream.target, firstByteTimeout: 500 } }), {
      clock,
    })
    await upstream.accept()
    clock.advance(500)
    expect(await session.closed).toMatchObject({ code: 'XPS_TIMEOUT', reason: 'first-byte' })
    client.reset()
    expect(clock.pending).toBe(0)
  })

  it('leave no alarm behind when the session ends by itself', async () => {
    await using it = await relayed({})
    expect(it.clock.pending).toBe(1) // One wheel for all.
    it.client.end()
    it.peer.end()
    await it.session.closed
    expect(it.clock.pending).toBe(0)
  })
})

describe('patch()', () => {
  it('gives new sessions new timeouts, and leaves those that began before as they are', async () => {
    await using it = await relayed({ tunnelIdleTimeout: 60_000 })
    await it.client.write('x')
    await it.peer.read(1)
    it.listener.patch({ tunnelIdleTimeout: 1_000 })
    const second = await dial(it.listener.port)
    while (it.core.sessions.length < 2) await new Promise((resolve) => setImmediate(resolve))
    const [, newcomer] = it.core.sessions as [ClientSession, ClientSession]
    while (!(newcomer as Session).upstreamConnected) await new Promise((resolve) => setImmediate(resolve))
    await second.write('y')
    while (newcomer.lastActive === 0) await new Promise((resolve) => setImmediate(resolve))
    it.clock.advance(1_300)
    expect(await ended(newcomer)).toBe('tunnel-idle')
    expect(await ended(it.session)).toBeUndefined()
    it.clock.advance(59_000)
    expect(await ended(it.session)).toBe('tunnel-idle')
    second.reset()
  })

  it('of a core reaches the listeners, where they have no rule of their own', async () => {
    await using core = withCore({ maxSessionAge: 5_000 })
    const own = await core.listen({ port: 0, maxSessionAge: 6_000, route: { upstream: new FakeUpstream().target } })
    const plain = await core.listen({ port: 0, route: { upstream: new FakeUpstream().target } })
    core.patch({ maxSessionAge: 7_000, maxConnections: 9 })
    const clients = [await dial(own.port), await dial(plain.port)]
    while (core.sessions.length < 2) await new Promise((resolve) => setImmediate(resolve))
    expect(own.sessions[0]?.timeouts.maxSessionAge).toBe(6_000)
    expect(plain.sessions[0]?.timeouts.maxSessionAge).toBe(7_000)
    for (const client of clients) client.reset()
  })

  it('lets those in who wait, when it raises the limit', async () => {
    await using upstream = await TestServer.start((_peer, socket) => socket.pipe(socket))
    await using core = withCore({ maxConnections: 1, router: () => ({ upstream: upstream.address }) })
    const { port } = await core.listen({ port: 0, host: '127.0.0.1' })
    const clients = [await dial(port), await dial(port), await dial(port)]
    while (core.stats().accepted < 3) await new Promise((resolve) => setImmediate(resolve))
    expect(core.stats()).toMatchObject({ active: 1, queued: 2 })
    core.patch({ maxConnections: 3 })
    expect(core.stats()).toMatchObject({ active: 3, queued: 0 })
    for (const client of clients) client.reset()
  })

  it('changes nothing when it is invalid, and says which name is', async () => {
    await using core = withCore({ maxConnections: 5 })
    const listener = await core.listen({ port: 0, maxSessionAge: 5_000 })
    expect(() => core.patch({ maxConnections: 7, queueTimeout: -1 })).toThrow('queueTimeout must be an integer')
    expect(() => core.patch({ maxConnections: 7, maxBytes: -1 })).toThrow('maxBytes must be')
    expect(() => core.patch({ nonsense: 7 } as object)).toThrow('patch must be made of')
    expect(() => listener.patch({ maxSessionAge: 1, evict: 'x' as 'none' })).toThrow("evict must be 'none' or 'idle'")
    expect(() => listener.patch({ zombieInterval: 5 } as object)).toThrow('patch must be made of')
    const clients = await Promise.all(Array.from({ length: 6 }, () => dial(listener.port)))
    while (core.stats().accepted < 6) await new Promise((resolve) => setImmediate(resolve))
    expect(core.stats().peak).toBeLessThanOrEqual(5)
    core.patch({})
    listener.patch({})
    for (const client of clients) client.reset()
  })
})
