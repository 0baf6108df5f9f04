import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { Cluster, Redis } from 'ioredis'
import { createClient, createCluster, type RedisClientOptions } from 'redis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Commit, ContainerLock, Stored } from '../../../src/state/container.ts'
import { RedisStore, type RedisStoreOptions } from '../../../src/state/stores/redis-store.ts'
import { containerContract, ManualClock } from '../../../src/testing/index.ts'
import type { ServerProgram } from '../../support/programs.ts'
import { Random } from '../../support/random.ts'
import { RedisClusterProgram, startRedis } from '../../support/redis.ts'
import { until } from '../../support/until.ts'

let folder: string
let server: ServerProgram
let cluster: RedisClusterProgram
/** Connections that look at the server and at each node of the cluster. */
const admins: Redis[] = []
const ends: (() => unknown)[] = []
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xps-redis-'))
  ;[server, cluster] = await Promise.all([startRedis(folder), RedisClusterProgram.start(folder)])
  for (const { port } of [server, ...cluster.nodes]) admins.push(new Redis(port, '127.0.0.1'))
})
afterAll(async () => {
  for (const end of ends) await end()
  for (const admin of admins) admin.disconnect()
  await server?.[Symbol.asyncDispose]()
  await cluster?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

/** A client of each kind. */
const kinds = {
  async 'node-redis'() {
    const client = createClient({ url: `redis://${server.address}` })
    client.on('error', () => {})
    ends.push(() => client.close())
    await client.connect()
    return client
  },
  ioredis() {
    const client = new Redis(server.port, '127.0.0.1')
    client.on('error', () => {})
    ends.push(() => client.disconnect())
    return client
  },
  async 'a cluster by node-redis'() {
    const rootNodes = cluster.nodes.map(({ address }) => ({ url: `redis://${address}` }))
    const client = createCluster({ rootNodes })
    client.on('error', () => {})
    ends.push(() => client.close())
    await client.connect()
    return client
  },
  'a cluster by ioredis'() {
    const client = new Cluster(cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port })))
    client.on('error', () => {})
    ends.push(() => client.disconnect())
    return client
  },
}

let prefixes = 0
const prefixOf = (): string => `test[${++prefixes}]*:`
const id = '0123456789abcdef0123456789abcdef'
const day = 86_400_000
const never = new AbortController().signal

function storedOf(entries: Record<string, string>, expires = Date.now() + day): Stored {
  return { data: new Map(Object.entries(entries)), created: Date.now(), expires, idle: undefined }
}

function commitOf(expect: Commit['expect'], fence: number, entries: Record<string, string>): Commit {
  return { expect, fence, changes: { cleared: false, keys: new Map(Object.entries(entries)) } }
}

for (const [name, connect] of Object.entries(kinds)) {
  describe(`RedisStore with ${name}`, () => {
    let client: RedisStoreOptions['client']
    let another: RedisStoreOptions['client']
    let prefix = ''
    beforeAll(async () => {
      client = await connect()
      another = await connect()
    })
    const make = (): RedisStore => {
      prefix = prefixOf()
      return new RedisStore({ client, prefix })
    }
    const again = (): RedisStore => new RedisStore({ client, prefix })
    for (const claim of containerContract({ make, again })) it(claim.name, claim.run)

    it('wakes who waits in another process by a message, and hears nothing any more when it is closed', async () => {
      prefix = prefixOf()
      // Nobody looks by itself: the time stands.
      const clock = new ManualClock()
      const one = new RedisStore({ client, prefix, clock })
      const other = new RedisStore({ client: another, prefix, clock })
      await Promise.all([one.open(), other.open()])
      const request = { wait: 15_000, lease: 60_000, signal: never }
      let held = await one.lock(id, request)
      for (let round = 0; round < 4; round++) {
        const waits = round % 2 === 0 ? other : one
        const waiting = waits.lock(id, request)
        await until(async () => expect(await lockOf(prefix)).toMatch(/[*]$/))
        await held?.release()
        const next = await waiting
        expect(next?.fence).toBeGreaterThan(held?.fence ?? 0)
        held = next
      }
      await held?.release()
      expect(await subscribers(prefix)).toBe(2)
      await Promise.all([one.close(), other.close()])
      await until(async () => expect(await subscribers(prefix)).toBe(0))
      expect(clock.pending).toBe(0)
    })

    it('stops to wait when it is called off, and when it is closed', async () => {
      prefix = prefixOf()
      const clock = new ManualClock()
      const store = new RedisStore({ client, prefix, clock })
      await store.open()
      const held = await store.lock(id, { wait: 0, lease: 60_000, signal: never })
      const controller = new AbortController()
      const calledOff = store.lock(id, { wait: 60_000, lease: 60_000, signal: controller.signal })
      const closed = store.lock(id, { wait: 60_000, lease: 60_000, signal: never })
      const outcomes = Promise.allSettled([calledOff, closed])
      await until(async () => expect(await subscribers(prefix)).toBe(1))
      controller.abort()
      await expect(calledOff).rejects.toMatchObject({ code: 'XPS_ABORTED' })
      await store.close()
      await expect(closed).rejects.toMatchObject({ code: 'XPS_CLOSED' })
      await outcomes
      await store.open()
      await held?.release()
      const next = await store.lock(id, { wait: 0, lease: 60_000, signal: never })
      expect(next?.fence).toBeGreaterThan(held?.fence ?? 0)
      await store.close()
      await until(async () => expect(await subscribers(prefix)).toBe(0))
      expect(clock.pending).toBe(0)
    })
  })
}

/** What is in the lock of the session. */
async function lockOf(prefix: string): Promise<string> {
  const answers = await Promise.all(admins.map((admin) => admin.call('GET', `${prefix}{${id}}:lock`).catch(() => null)))
  return String(answers.find((answer) => answer !== null) ?? '')
}

/** How many connections hear on the channel of a prefix, in the server and the cluster together. */
async function subscribers(prefix: string): Promise<number> {
  const answers = await Promise.all(admins.map((admin) => admin.pubsub('NUMSUB', `${prefix}free`)))
  return answers.reduce<number>((sum, [, count]) => sum + Number(count), 0)
}

describe('RedisStore', () => {
  let client: Redis
  let prefix = ''
  let store: RedisStore
  const key = (): string => `${prefix}{${id}}`
  beforeAll(() => {
    client = kinds.ioredis()
  })
  beforeEach(async () => {
    prefix = prefixOf()
    store = new RedisStore({ client, prefix, pollInterval: 60_000 })
    await store.open()
  })
  afterEach(() => store.close())
  const lock = async (lease = 60_000, wait = 0): Promise<ContainerLock> => {
    const given = await store.lock(id, { wait, lease, signal: never })
    if (given === undefined) throw new Error('the lock was not to be had')
    return given
  }

  it('writes the keys that were changed, and leaves the others alone', async () => {
    await store.commit(id, storedOf({ a: '1', b: '1', c: '1' }), commitOf('absent', 1, { a: '1', b: '1', c: '1' }))
    await client.hset(key(), '=b', '1=from another hand')
    const changes = { cleared: false, keys: new Map([['a', '2'], ['c', undefined], ['d', '2']]) } // biome-ignore format: one line
    const stored = storedOf({ a: '2', b: '1', d: '2' })
    expect(await store.commit(id, stored, { expect: 'present', fence: 2, changes })).toBe('done')
    expect([...((await store.read(id))?.data ?? [])]).toEqual([
      ['a', '2'],
      ['b', 'from another hand'],
      ['d', '2'],
    ])
  })

  it('lets Redis remove what has expired, and keeps what never does', async () => {
    const expires = Date.now() + day
    await store.commit(id, storedOf({}, expires), commitOf('absent', 1, {}))
    expect(Math.abs((await client.pttl(key())) - day)).toBeLessThan(2_000)
    await store.touch(id, Number.POSITIVE_INFINITY)
    expect(await client.pttl(key())).toBe(-1)
    expect((await store.read(id))?.expires).toBe(Number.POSITIVE_INFINITY)
    await store.touch(id, Date.now() + 30)
    await until(async () => expect(await store.read(id)).toBe(undefined))
    const held = await lock()
    await store.commit(id, storedOf({}, expires), commitOf('absent', held.fence, {}))
    const times = await Promise.all(['', ':fence', ':lock'].map((end) => client.pttl(key() + end)))
    expect(Math.min(...times)).toBeGreaterThan(0)
  })

  it('takes the lock from a holder who died, and refuses all that it says later', async () => {
    const dead = await lock(50)
    await store.commit(id, storedOf({ n: '1' }), commitOf('absent', dead.fence, { n: '1' }))
    const next = await lock(60_000, 10_000)
    const late = storedOf({ n: '2' })
    expect(next.fence).toBeGreaterThan(dead.fence)
    expect(await store.commit(id, late, commitOf('present', dead.fence, { n: '2' }))).toBe('fenced')
    expect(await store.touch(id, Date.now() + 2 * day, dead.fence)).toBe('fenced')
    expect(await store.destroy(id, dead.fence)).toBe('fenced')
    expect(await dead.renew()).toBe(false)
    await dead.release()
    expect(await next.renew()).toBe(true)
    expect((await store.read(id))?.data.get('n')).toBe('1')
    expect(await store.destroy(id, next.fence)).toBe(true)
    // Nor does it bring back what was destroyed.
    expect(await store.commit(id, late, commitOf('absent', dead.fence, { n: '2' }))).toBe('fenced')
    await next.release()
  })

  it('gives growing numbers when all was forgotten, and when the clock of Redis goes back', async () => {
    const first = await lock()
    await first.release()
    await client.del(`${key()}:fence`)
    const second = await lock()
    await second.release()
    expect(second.fence).toBeGreaterThan(first.fence)
    const ahead = second.fence + 3_600_000_000
    await client.set(`${key()}:fence`, String(ahead))
    const third = await lock()
    await third.release()
    expect(third.fence).toBe(ahead + 1)
    await store.commit(id, storedOf({}), commitOf('absent', third.fence + 1, {}))
    await client.del(`${key()}:fence`)
    expect((await lock()).fence).toBe(third.fence + 2)
  })

  it('keeps a lock that is renewed, and looks by itself where a message was lost', async () => {
    const held = await lock(800)
    const renewing = setInterval(() => void held.renew(), 50)
    const impatient = new RedisStore({ client, prefix, pollInterval: 20 })
    expect(await impatient.lock(id, { wait: 1_000, lease: 300, signal: never })).toBe(undefined)
    clearInterval(renewing)
    await held.renew()
    const waiting = impatient.lock(id, { wait: 10_000, lease: 300, signal: never })
    await client.del(`${key()}:lock`)
    expect(await waiting).toBeDefined()
    await impatient.close()
  })

  it('gives a lock up for good, though Redis had to be told first what prolonging is', async () => {
    await client.script('FLUSH')
    // Redis knows again how a lock is taken and given up.
    await (await lock()).release()
    const held = await lock()
    const renewed = held.renew()
    await held.release()
    expect(await renewed).toBe(false)
    await (await lock()).release()
  })

  it('lets another process that waits have the lock before the one that had it', async () => {
    const other = new RedisStore({ client, prefix, pollInterval: 60_000 })
    const request = { wait: 10_000, lease: 60_000, signal: never }
    const order: string[] = []
    const take = async (name: string, from: RedisStore): Promise<void> => {
      const held = await from.lock(id, request)
      order.push(name)
      await held?.release()
    }
    const held = await lock()
    const inOther = take('other', other)
    await until(async () => expect(await lockOf(prefix)).toMatch(/[*]$/))
    const released = held.release()
    await Promise.all([released, take('the same', store), inOther])
    expect(order).toEqual(['other', 'the same'])
    // Where only the same process waits it need not.
    const again = await lock()
    const next = take('the same', store)
    await until(async () => expect(await lockOf(prefix)).toMatch(/[+]$/))
    await again.release()
    await next
    await other.close()
  })

  it('counts right however holders die, are called off, and come too late', async () => {
    const numbers = new Random()
    const random = (end: number): number => numbers.below(end)
    const seed = `SEED=${numbers.seed}`
    const stores = Array.from({ length: 3 }, () => new RedisStore({ client, prefix, pollInterval: 20 }))
    let done = 0
    let fence = 0
    const work = async (): Promise<void> => {
      for (let round = 0; round < 25; round++) {
        const from = stores[random(3)] as RedisStore
        const signal = random(4) === 0 ? AbortSignal.timeout(random(10)) : never
        const held = await from.lock(id, { wait: 100, lease: 15, signal }).catch(() => undefined)
        if (held === undefined) continue
        const stored = await from.read(id)
        // Some are slower than their lease.
        await setTimeout(random(5) === 0 ? 30 : random(3))
        const n = { n: String(Number(stored?.data.get('n') ?? 0) + 1) }
        const expect = stored === undefined ? 'absent' : 'present'
        if ((await from.commit(id, storedOf(n), commitOf(expect, held.fence, n))) === 'done') {
          done++
          if (held.fence <= fence) throw new Error('a lock has been given with an old number')
          fence = held.fence
        }
        // Some die instead.
        if (random(5) > 0) await held.release()
      }
    }
    await Promise.all(Array.from({ length: 6 }, work))
    expect(done, seed).toBeGreaterThan(5)
    expect((await store.read(id))?.data.get('n'), seed).toBe(String(done))
    await Promise.all(stores.map((one) => one.close()))
    await until(async () => expect(await subscribers(prefix)).toBe(0))
  })

  it('takes sessions with as many keys as there may be', async () => {
    const entries = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`key ${index}`, `\xff${index}`]))
    expect(await store.commit(id, storedOf(entries), commitOf('absent', 1, entries))).toBe('done')
    expect(JSON.stringify([...((await store.read(id))?.data ?? [])])).toBe(JSON.stringify(Object.entries(entries)))
    const changes = { cleared: false, keys: new Map(Object.keys(entries).map((name) => [name, undefined])) }
    expect(await store.commit(id, storedOf({}), { expect: 'present', fence: 1, changes })).toBe('done')
    expect((await store.read(id))?.data.size).toBe(0)
  })

  it('takes a command that its client sends twice for one', async () => {
    const held = await lock()
    const twice = new RedisStore({ client: stutter(client), prefix })
    const commit = commitOf('absent', held.fence, { n: '1' })
    expect(await twice.commit(id, storedOf({ n: '1' }), commit)).toBe('done')
    await held.release()
    const again = await twice.lock(id, { wait: 0, lease: 60_000, signal: never })
    expect(again?.fence).toBeGreaterThan(held.fence)
    await again?.release()
  })

  it('says that it is full when Redis has no memory, and still reads, locks, touches and destroys', async () => {
    const held = await lock()
    await store.commit(id, storedOf({ n: '1' }), commitOf('absent', held.fence, { n: '1' }))
    await client.config('SET', 'maxmemory', '1')
    try {
      expect(await store.commit(id, storedOf({ n: '2' }), commitOf('present', held.fence, { n: '2' }))).toBe('full')
      expect((await store.read(id))?.data.get('n')).toBe('1')
      await held.release()
      const next = await lock()
      expect(await store.touch(id, Date.now() + day, next.fence)).toBe(true)
      expect(await store.destroy(id, next.fence)).toBe(true)
      await next.release()
    } finally {
      await client.config('SET', 'maxmemory', '0')
    }
  })

  it('goes on when Redis has forgotten the scripts', async () => {
    await client.script('FLUSH')
    const held = await lock()
    expect(await store.commit(id, storedOf({}), commitOf('absent', held.fence, {}))).toBe('done')
  })

  it('waits no longer for Redis than it was told to, and gives up a lock that comes later', async () => {
    const hasty = new RedisStore({ client, prefix, commandTimeout: 50 })
    await client.client('PAUSE', 1_000, 'ALL')
    const reply = { code: 'XPS_TIMEOUT', reason: 'reply', origin: 'upstream' }
    await Promise.all([
      expect(hasty.read(id)).rejects.toMatchObject(reply),
      expect(hasty.lock(id, { wait: 10_000, lease: 60_000, signal: never })).rejects.toMatchObject(reply),
    ])
    // The lock is given when the pause is over, and taken back at once.
    await until(async () => expect(await client.get(`${key()}:fence`)).not.toBe(null))
    await until(async () => expect(await client.exists(`${key()}:lock`)).toBe(0))
    await hasty.close()
  })

  it('tells what went wrong by a code, and names no id', async () => {
    await client.set(key(), 'not a hash')
    const error = await store.read(id).catch((reason: unknown) => reason as Error)
    expect(error).toMatchObject({ code: 'XPS_READ', origin: 'upstream' })
    expect((error as Error).message).not.toContain(id)
    await client.del(key())
    await client.hset(key(), 'something', 'else')
    await expect(store.read(id)).rejects.toMatchObject({ code: 'XPS_READ' })
    const closed = createClient({ url: `redis://${server.address}` })
    await expect(new RedisStore({ client: closed, prefix }).open()).rejects.toMatchObject({ code: 'XPS_CONNECT' })
    const breaking = await connected({ url: `redis://${server.address}` })
    await client.client('PAUSE', 50, 'ALL')
    const underWay = new RedisStore({ client: breaking.client, prefix }).read(id)
    const broken = expect(underWay).rejects.toMatchObject({ code: 'XPS_RESET', origin: 'upstream' })
    breaking.client.destroy()
    await broken
    await client.call('ACL', 'SETUSER', 'nobody', 'on', '>secret', '~*', '+@connection')
    await using nobody = await connected({ url: `redis://nobody:secret@${server.address}` })
    const refused = new RedisStore({ client: nobody.client, prefix })
    await expect(refused.open()).rejects.toMatchObject({ code: 'XPS_FORBIDDEN', origin: 'upstream' })
  })

  it('needs no more rights than the documentation says', async () => {
    const [, rights = ''] = /needs these rights:\s+`([^`]*)`/.exec(await readFile('docs/state.md', 'utf8')) ?? []
    expect(rights).toContain('+evalsha')
    const words = rights.split(/\s+/)
    await client.call('ACL', 'SETUSER', 'shop', 'on', '>secret', '~shop:*', '&shop:free', '+@connection', ...words)
    const user = { url: `redis://shop:secret@${server.address}` }
    await using one = await connected(user)
    await using other = await connected(user)
    const [held, waits] = [one, other].map((of) => new RedisStore({ client: of.client, prefix: 'shop:' }))
    if (held === undefined || waits === undefined) throw new Error('there are two')
    await held.open()
    const first = await held.lock(id, { wait: 0, lease: 60_000, signal: never })
    const waiting = waits.lock(id, { wait: 10_000, lease: 60_000, signal: never })
    const fence = first?.fence ?? 0
    expect(await held.commit(id, storedOf({ a: '1' }), commitOf('absent', fence, { a: '1' }))).toBe('done')
    const changes = { cleared: true, keys: new Map([['a', undefined]]) }
    expect(await held.commit(id, storedOf({}), { expect: 'present', fence, changes })).toBe('done')
    expect(await held.touch(id, Number.POSITIVE_INFINITY)).toBe(true)
    expect(await first?.renew()).toBe(true)
    for await (const summary of held.list()) expect(summary.id).toBe(id)
    await until(async () => expect(await subscribers('shop:')).toBe(1))
    await first?.release()
    const second = await waiting
    expect(await waits.destroy(id, second?.fence ?? 0)).toBe(true)
    await second?.release()
    await Promise.all([held.close(), waits.close()])
  })

  it('hears on the client that it is given for that, and leaves it open', async () => {
    const subscriber = kinds.ioredis()
    await subscriber.ping()
    const given = new RedisStore({ client, subscriber, prefix, pollInterval: 60_000 })
    const connections = async (): Promise<number> => String(await client.call('CLIENT', 'LIST')).split('\n').length
    const before = await connections()
    const held = await lock()
    const waiting = given.lock(id, { wait: 10_000, lease: 60_000, signal: never })
    await until(async () => expect(await subscribers(prefix)).toBe(1))
    await held.release()
    await (await waiting)?.release()
    await given.close()
    expect(subscriber.status).toBe('ready')
    expect(subscriber.listenerCount('message')).toBe(0)
    expect(await connections()).toBe(before)
  })

  it('rejects a wait when it cannot hear, and hears when that is possible', async () => {
    const subscriber = createClient({ url: `redis://${server.address}` })
    subscriber.on('error', () => {})
    const deaf = new RedisStore({ client, subscriber, prefix, pollInterval: 60_000 })
    const held = await lock()
    const request = { wait: 10_000, lease: 60_000, signal: never }
    for (let time = 0; time < 2; time++) {
      await expect(deaf.lock(id, request)).rejects.toMatchObject({ code: 'XPS_CONNECT', retryable: true })
    }
    await subscriber.connect()
    const waiting = deaf.lock(id, request)
    await until(async () => expect(await subscribers(prefix)).toBe(1))
    await held.release()
    await (await waiting)?.release()
    await deaf.close()
    subscriber.destroy()
  })

  it('lists its own sessions only, also where the client has a prefix of its own', async () => {
    const prefixed = new Redis({ port: server.port, host: '127.0.0.1', keyPrefix: 'app:' })
    ends.push(() => prefixed.disconnect())
    const other = new RedisStore({ client: prefixed, prefix })
    await store.commit(id, storedOf({}), commitOf('absent', 1, {}))
    await other.commit(id.toUpperCase(), storedOf({}, Number.POSITIVE_INFINITY), commitOf('absent', 1, {}))
    await client.hset(`${prefix}{short}`, 'n', '1')
    const held = await lock()
    const listed = async (of: RedisStore): Promise<string[]> => {
      const ids: string[] = []
      for await (const summary of of.list()) ids.push(summary.id)
      return ids
    }
    expect([await listed(store), await listed(other)]).toEqual([[id], [id.toUpperCase()]])
    await held.release()
  })

  it('does not mind how its client is set up', async () => {
    const { port } = server
    const url = `redis://${server.address}`
    const strange = { 36: Array, 58: String } as never
    const made = [createClient({ url, RESP: 2 }), createClient({ url, commandOptions: { typeMapping: strange } })]
    await Promise.all(made.map((one) => one.connect()))
    const more = [
      new Redis(port, { stringNumbers: true, enableAutoPipelining: true }),
      new Redis(port, { lazyConnect: true, replyMapping: 'resp3' }),
      new Redis(port, { protocol: 2, keyPrefix: 'app:' }),
    ]
    ends.push(...made.map((one) => () => one.destroy()), ...more.map((one) => () => one.disconnect()))
    for (const one of [...made, ...more]) {
      const store = new RedisStore({ client: one, prefix: prefixOf(), pollInterval: 60_000 })
      const other = new RedisStore({ client: one, prefix: `test[${prefixes}]*:`, pollInterval: 60_000 })
      await store.open()
      const held = await store.lock(id, { wait: 0, lease: 60_000, signal: never })
      const entries = { n: '\x00\xff\r\n' }
      expect(await store.commit(id, storedOf(entries), commitOf('absent', held?.fence ?? 0, entries))).toBe('done')
      expect([...((await store.read(id))?.data ?? [])]).toEqual(Object.entries(entries))
      const waiting = other.lock(id, { wait: 10_000, lease: 60_000, signal: never })
      await until(async () => expect(await subscribers(`test[${prefixes}]*:`)).toBe(1))
      await held?.release()
      const next = await waiting
      expect(next?.fence).toBeGreaterThan(held?.fence ?? 0)
      for await (const summary of other.list()) expect(summary.id).toBe(id)
      expect(await other.destroy(id, next?.fence ?? 0)).toBe(true)
      await Promise.all([store.close(), other.close()])
    }
  })

  it('refuses what it cannot use', () => {
    for (const [options, message] of [
      [{}, /client must be a client of node-redis/],
      [{ client: new Map() }, /client/],
      [{ client, subscriber: {} }, /subscriber/],
      [{ client, prefix: 'a{b}' }, /prefix/],
      [{ client, pollInterval: 0 }, /pollInterval/],
      [{ client, commandTimeout: 0 }, /commandTimeout/],
      [{ client, url: 'redis://' }, /url/],
    ] as const) {
      expect(() => new RedisStore(options as never)).toThrow(message)
    }
  })
})

async function connected(options: RedisClientOptions) {
  const client = createClient(options)
  client.on('error', () => {})
  await client.connect()
  return { client, [Symbol.asyncDispose]: async () => client.destroy() }
}

/** A client that says everything twice, as ioredis may when its connection breaks. */
function stutter(client: Redis): Redis {
  return new Proxy(client, {
    get(target, name) {
      const method = Reflect.get(target, name)
      if (name !== 'evalshaBuffer') return method
      return async (words: (string | Buffer)[]) => {
        await method.call(target, words)
        return method.call(target, words)
      }
    },
  })
}
