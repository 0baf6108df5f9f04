import { BlockList } from 'node:net'
import { describe, expect, it } from 'vitest'
import { Core, type CoreOptions, type Listener, type ListenOptions, type RefusalReason } from '../../src/index.ts'
import { ManualClock, type TestPeer } from '../../src/testing/index.ts'
import { dial, TestServer, withCore } from '../support/net.ts'

/** A core with one listener in front of an upstream that echoes, and a way to wait for what happens there. */
async function front(options: CoreOptions & ListenOptions = {}, coreOptions: CoreOptions = {}) {
  const upstream = await TestServer.start((_peer, socket) => socket.pipe(socket))
  const core = withCore(coreOptions)
  const listener = await core.listen({ port: 0, host: '127.0.0.1', route: { upstream: upstream.address }, ...options })
  return {
    upstream,
    core,
    listener,
    async [Symbol.asyncDispose]() {
      core.abort()
      await core.closed
      await upstream[Symbol.asyncDispose]()
    },
  }
}

/** Waits until a number of the listener's is what it must become; numbers change when something happens on a socket. */
async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setImmediate(resolve))
}

async function served(client: TestPeer): Promise<void> {
  await client.write('?')
  expect(await client.read(1)).toBe('?')
}

async function leave(client: TestPeer): Promise<void> {
  client.end()
  await client.gone()
}

/** Dials one after the other, each only when the one before has been accepted, so that their order is known. */
async function queueUp(listener: Listener, count: number): Promise<TestPeer[]> {
  const clients: TestPeer[] = []
  for (let index = 0; index < count; index++) {
    const { accepted } = listener.stats()
    clients.push(await dial(listener.port))
    await until(() => listener.stats().accepted > accepted)
  }
  return clients
}

describe('Admission', () => {
  it('serves up to maxConnections, and again only below 90 % of it, newest first', async () => {
    await using it = await front({ maxConnections: 15 })
    const { listener, upstream } = it
    const first = await queueUp(listener, 15)
    for (const client of first) await served(client)
    const late = await queueUp(listener, 5)
    expect(listener.stats()).toMatchObject({ active: 15, queued: 5, peak: 15 })
    expect(upstream.accepted).toBe(15)
    // 14 and 13 are left: nobody is served, because 13 is not below 90 % of 15.
    await leave(first[0] as TestPeer)
    await leave(first[1] as TestPeer)
    await until(() => listener.stats().active === 13)
    expect(listener.stats().queued).toBe(5)
    // 12 are left: three of those that wait come in, the newest first.
    await leave(first[2] as TestPeer)
    await until(() => listener.stats().queued === 2)
    for (const client of late.slice(2)) await served(client)
    expect(listener.stats()).toMatchObject({ active: 15, queued: 2 })
    expect(upstream.accepted).toBe(18)
    for (const client of [...first.slice(3, 6)]) await leave(client)
    for (const client of late.slice(0, 2)) await served(client)
    expect(listener.stats()).toMatchObject({ accepted: 20, queued: 0, peak: 15 })
    for (const client of [...first.slice(6), ...late]) client.reset()
  })

  it('serves the oldest first if it is told so', async () => {
    await using it = await front({ maxConnections: 1, order: 'oldest' })
    const [holder, one, two, three] = (await queueUp(it.listener, 4)) as [TestPeer, TestPeer, TestPeer, TestPeer]
    await served(holder)
    const order: number[] = []
    for (const [index, client] of [one, two, three].entries()) void served(client).then(() => order.push(index + 1))
    await leave(holder)
    for (const client of [one, two, three]) {
      await until(() => order.length === [one, two, three].indexOf(client) + 1)
      await leave(client)
    }
    expect(order).toEqual([1, 2, 3])
  })

  it('resumes with a limit of 1 too', async () => {
    await using it = await front({ maxConnections: 1 })
    const [one, two] = (await queueUp(it.listener, 2)) as [TestPeer, TestPeer]
    await served(one)
    expect(it.listener.stats()).toMatchObject({ active: 1, queued: 1 })
    await leave(one)
    await served(two)
    await leave(two)
    await until(() => it.listener.stats().active === 0)
  })

  it('counts the sessions of all listeners for the limit of the core', async () => {
    await using upstream = await TestServer.start((_peer, socket) => socket.pipe(socket))
    await using core = withCore({ maxConnections: 2, router: () => ({ upstream: upstream.address }) })
    const one = await core.listen({ port: 0, host: '127.0.0.1' })
    const two = await core.listen({ port: 0, host: '127.0.0.1' })
    const [a] = (await queueUp(one, 1)) as [TestPeer]
    const [b] = (await queueUp(two, 1)) as [TestPeer]
    const [c] = (await queueUp(one, 1)) as [TestPeer]
    const [d] = (await queueUp(two, 1)) as [TestPeer]
    expect(core.stats()).toMatchObject({ active: 2, queued: 2, accepted: 4 })
    await leave(a)
    await leave(b)
    await served(d)
    await served(c)
    expect(core.stats()).toMatchObject({ active: 2, queued: 0, peak: 2 })
    c.reset()
    d.reset()
  })

  it('closes who comes when the queue is full, and counts it', async () => {
    const refused: RefusalReason[] = []
    await using it = await front({ maxConnections: 1, maxQueue: 2 })
    it.core.on('refused', (reason) => refused.push(reason))
    const [holder] = (await queueUp(it.listener, 3)) as [TestPeer]
    const more = await queueUp(it.listener, 2)
    for (const client of more) await client.over()
    expect(refused).toEqual(['queue-full', 'queue-full'])
    expect(it.listener.stats()).toMatchObject({ accepted: 5, active: 1, queued: 2, refused: { 'queue-full': 2 } })
    // Room again: the next one waits as usual.
    await leave(holder)
    await until(() => it.listener.stats().queued === 1)
    const [last] = (await queueUp(it.listener, 1)) as [TestPeer]
    expect(it.listener.stats()).toMatchObject({ queued: 2, refused: { 'queue-full': 2 } })
    last.reset()
    expect(it.upstream.accepted).toBe(2)
  })

  it('closes who has waited for queueTimeout, who then never reaches the upstream', async () => {
    const clock = new ManualClock()
    await using it = await front({ maxConnections: 1, queueTimeout: 1_000 }, { clock })
    const [holder, early] = (await queueUp(it.listener, 2)) as [TestPeer, TestPeer]
    await served(holder)
    clock.advance(600)
    const [late] = (await queueUp(it.listener, 1)) as [TestPeer]
    clock.advance(500)
    await early.over()
    expect(it.listener.stats()).toMatchObject({ queued: 1, refused: { 'queue-timeout': 1 } })
    clock.advance(600)
    await late.over()
    expect(it.listener.stats()).toMatchObject({ queued: 0, refused: { 'queue-timeout': 2 } })
    expect(it.upstream.accepted).toBe(1)
    await leave(holder)
  })

  it('measures how long each connection waited', async () => {
    const clock = new ManualClock()
    await using it = await front({ maxConnections: 1 }, { clock })
    const [one, two] = (await queueUp(it.listener, 2)) as [TestPeer, TestPeer]
    clock.advance(40)
    await leave(one)
    await served(two)
    const { waitTime } = it.listener.stats()
    expect(waitTime).toMatchObject({ count: 2, sum: 40 })
    expect(waitTime.counts[waitTime.bounds.indexOf(1)]).toBe(1)
    expect(waitTime.counts[waitTime.bounds.indexOf(50)]).toBe(1)
    await leave(two)
  })

  it('takes no more than maxConnectionsPerIp of one address, and another when one has left', async () => {
    await using it = await front({ maxConnectionsPerIp: 3 })
    const clients = await queueUp(it.listener, 3)
    for (const client of clients) await served(client)
    const [fourth] = (await queueUp(it.listener, 1)) as [TestPeer]
    expect(await fourth.bytes()).toHaveLength(0)
    expect(it.listener.stats()).toMatchObject({ refused: { 'per-ip': 1 }, active: 3 })
    await leave(clients[0] as TestPeer)
    await until(() => it.listener.stats().active === 2)
    const [fifth] = (await queueUp(it.listener, 1)) as [TestPeer]
    await served(fifth)
    for (const client of [...clients.slice(1), fifth]) await leave(client)
  })

  it.each([
    [['127.0.0.0/8']],
    [['loopback']],
    [['10.0.0.1', '127.0.0.1']],
    [blockList()],
  ])('lets exempt addresses be as many as they like: %o', async (exempt) => {
    await using it = await front({ maxConnectionsPerIp: 1, exempt })
    const clients = await queueUp(it.listener, 3)
    for (const client of clients) await served(client)
    for (const client of clients) await leave(client)
  })

  it('ends the session that was silent the longest, if evict says so, and serves who waits', async () => {
    await using it = await front({ evict: 'idle' }, { maxConnections: 2 })
    const [one, two] = (await queueUp(it.listener, 2)) as [TestPeer, TestPeer]
    await served(one)
    await served(two)
    await new Promise((resolve) => setTimeout(resolve, 150)) // Activity is told apart by tenths of a second.
    await served(one)
    const [three] = (await queueUp(it.listener, 1)) as [TestPeer]
    await served(three)
    await two.over()
    await served(one)
    expect(it.core.stats()).toMatchObject({ evicted: 1, active: 2, queued: 0 })
    for (const client of [one, three]) await leave(client)
  })

  it('ends nobody for another while it drains, or when evict does not say so', async () => {
    await using it = await front({}, { maxConnections: 1 })
    const clients = await queueUp(it.listener, 3)
    await served(clients[0] as TestPeer)
    expect(it.core.stats()).toMatchObject({ evicted: 0, queued: 2 })
    for (const client of clients) client.reset()
  })

  it('refuses those that wait when it closes', async () => {
    await using it = await front({ maxConnections: 1 })
    const [holder, waiting] = (await queueUp(it.listener, 2)) as [TestPeer, TestPeer]
    await served(holder)
    const closed = it.core.close()
    expect(await waiting.bytes()).toHaveLength(0)
    expect(it.listener.stats().refused.closing).toBe(1)
    holder.end()
    expect(await closed).toBeUndefined()
    expect(it.core.stats()).toMatchObject({ active: 0, queued: 0, accepted: 2 })
  })

  it('serves nobody new while the pipes hold maxBytes, and again when they hold less than 90 %', async () => {
    await using upstream = await TestServer.start((_peer, socket) => {
      socket.once('data', () => socket.write(Buffer.alloc(6_000_000, 'p')))
    })
    await using core = withCore({ maxBytes: 1_000, router: () => ({ upstream: upstream.address }) })
    const listener = await core.listen({ port: 0, host: '127.0.0.1' })
    const [stalled] = (await queueUp(listener, 1)) as [TestPeer]
    stalled.pause()
    await stalled.write('go')
    const [session] = core.sessions
    await until(() => session?.pipes.some((pipe) => pipe.buffered >= 1_000) === true)
    const [waiting] = (await queueUp(listener, 1)) as [TestPeer]
    expect(listener.stats()).toMatchObject({ active: 1, queued: 1 })
    stalled.resume()
    await stalled.read(6_000_000)
    await until(() => listener.stats().queued === 0)
    expect(listener.stats().active).toBe(2)
    stalled.reset()
    waiting.reset()
  })

  it('returns every number to zero', async () => {
    await using it = await front({ maxConnections: 5, maxConnectionsPerIp: 50 })
    const clients = await queueUp(it.listener, 30)
    for (const client of clients) client.reset()
    await until(() => it.core.stats().active === 0 && it.core.stats().queued === 0)
    const stats = it.core.stats()
    expect(stats).toMatchObject({ accepted: 30, active: 0, queued: 0, zombies: 0, evicted: 0 })
    expect(stats.waitTime.count).toBeGreaterThan(0)
    const [last] = (await queueUp(it.listener, 1)) as [TestPeer]
    await served(last)
    await leave(last)
  })

  it.each<[string, CoreOptions]>([
    ['maxConnections', { maxConnections: -1 }],
    ['maxConnections', { maxConnections: 1.5 }],
    ['maxConnectionsPerIp', { maxConnectionsPerIp: -1 }],
    ['maxQueue', { maxQueue: 0 }],
    ['queueTimeout', { queueTimeout: 0 }],
    ['order', { order: 'random' as 'newest' }],
    ['evict', { evict: 'all' as 'none' }],
    ['exempt', { exempt: ['10.0.0.0/33'] }],
    ['exempt', { exempt: ['::1/129'] }],
    ['exempt', { exempt: ['somewhere'] }],
    ['exempt', { exempt: ['10.0.0.0/'] }],
    ['maxBytes', { maxBytes: '12 parsecs' }],
    ['zombieInterval', { zombieInterval: -5 }],
    ['firstByteTimeout', { firstByteTimeout: -1 }],
    ['connectTimeout', { connectTimeout: 0 }],
    ['clientIdleTimeout', { clientIdleTimeout: 2 ** 31 }],
    ['upstreamIdleTimeout', { upstreamIdleTimeout: 0.1 }],
    ['tunnelIdleTimeout', { tunnelIdleTimeout: Number.NaN }],
    ['maxSessionAge', { maxSessionAge: -1 }],
  ])('refuses a bad %s by name, at once', (name, options) => {
    expect(() => new Core(options)).toThrow(
      expect.objectContaining({ code: 'XPS_INVALID_OPTION', message: expect.stringContaining(name) }),
    )
  })
})

function blockList(): BlockList {
  const list = new BlockList()
  list.addRange('127.0.0.1', '127.0.0.9')
  return list
}
