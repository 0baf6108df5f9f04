import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { ExpressStore, RedisStore, SharedSessions, StateClient } from '../../src/state/index.ts'
import type { ServerProgram } from '../support/programs.ts'
import { startRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'
import { shop } from './faces/races.ts'
import { retiredIdClaims } from './retired.ts'
import { serve } from './support.ts'

const fifty = Array.from({ length: 50 }, (_, index) => index)

let folder: string
let redis: ServerProgram
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xps-redis-'))
  redis = await startRedis(folder)
})
afterAll(async () => {
  await redis?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

interface Stored extends AsyncDisposable {
  readonly store: RedisStore
  /** Breaks the connection without a word, as a machine does that dies. */
  die(): void
}

/** A store with a client of its own, as each machine has one. */
async function machine(kind: 'redis' | 'ioredis', port = redis.port, pollInterval = 60_000): Promise<Stored> {
  const prefix = 'xps:'
  if (kind === 'ioredis') {
    const client = new Redis({ port, host: '127.0.0.1' })
    client.on('error', () => {})
    const die = (): void => client.disconnect()
    return { store: new RedisStore({ client, prefix, pollInterval }), die, [Symbol.asyncDispose]: async () => die() }
  }
  const client = createClient({ socket: { port, host: '127.0.0.1' } })
  client.on('error', () => {})
  await client.connect()
  const die = (): void => {
    if (client.isOpen) client.destroy()
  }
  return { store: new RedisStore({ client, prefix, pollInterval }), die, [Symbol.asyncDispose]: async () => die() }
}

async function make(sessions: SharedSessions, entries: Record<string, string>): Promise<string> {
  const session = await sessions.createSession()
  for (const [key, value] of Object.entries(entries)) session.put(key, value)
  await session.close()
  return session.id
}

async function regenerated(sessions: SharedSessions, id: string): Promise<string> {
  const session = await sessions.openSession(id)
  const other = await session.regenerateId()
  await session.close()
  return other
}

describe('two state servers on one Redis', () => {
  it('let fifty clients that each add one end at fifty, and leave nothing behind', async () => {
    await using admin = await machine('ioredis')
    const clients = async (): Promise<number> => Number(/connected_clients:(\d+)/.exec(await info(redis.port))?.[1])
    await admin.store.open()
    const before = await clients()
    {
      await using one = await machine('redis')
      await using other = await machine('ioredis')
      await using first = await serve({ store: one.store })
      await using second = await serve({ store: other.store })
      await using near = new StateClient(first.address)
      await using far = new StateClient(second.address)
      const id = await near.newSession(async (session) => {
        await session.put('n', '0')
        return session.id
      })
      await Promise.all(
        fifty.map((index) =>
          (index % 2 === 0 ? near : far).session(id, async (session) => {
            await session.put('n', String(Number(await session.get('n')) + 1))
          }),
        ),
      )
      expect((await far.read(id))?.entries.get('n')).toBe('50')
      expect(first.server.sessions.stats().locks).toMatchObject({ held: 0, waiting: 0, timedOut: 0 })
      await Promise.all([near.close(), far.close()])
      await Promise.all([first.core.close(), second.core.close()])
      await Promise.all([first.server.sessions.close(), second.server.sessions.close()])
    }
    await until(async () => expect(await clients()).toBe(before))
  })

  it('give a session of a machine that died to the next when its lease is over', async () => {
    await using one = await machine('redis')
    await using other = await machine('ioredis')
    const dying = new SharedSessions(one.store, { lockLease: 200 })
    await using living = new SharedSessions(other.store, { lockTimeout: 10_000 })
    dying.on('fault', () => {})
    const id = await make(living, { n: '1' })
    const held = await dying.openSession(id)
    held.put('n', '2')
    const waiting = living.openSession(id)
    one.die()
    const next = await waiting
    expect(next.get('n')).toBe('1')
    next.put('n', '3')
    await next.close()
    await expect(held.close()).rejects.toThrow()
    expect((await living.read(id))?.entries.get('n')).toBe('3')
    held.abandon()
    await dying.close()
  })

  it('tell a holder that was too slow that its lock is lost, and keep what the next one wrote', async () => {
    await using one = await machine('redis')
    await using other = await machine('ioredis')
    await using slow = new SharedSessions(one.store)
    await using quick = new SharedSessions(other.store)
    const id = await make(quick, { n: '1' })
    const held = await slow.openSession(id)
    held.put('n', '2')
    // As after a pause of its process that was longer than the lease.
    const admin = new Redis({ port: redis.port, host: '127.0.0.1' })
    await admin.del(`xps:{${id}}:lock`)
    await quick.patch(id, { put: [['n', '3']] })
    await expect(held.close()).rejects.toMatchObject({ code: 'XPS_LOCK_LOST' })
    expect((await quick.read(id))?.entries.get('n')).toBe('3')
    admin.disconnect()
  })
})

describe('An id that another has taken the place of', () => {
  it('can be read for a while in every process, and is neither written nor kept alive by any', async () => {
    await using one = await machine('redis')
    await using other = await machine('ioredis')
    await using third = await machine('redis')
    await using first = new SharedSessions(one.store, { graceLifetime: 60_000 })
    await using second = new SharedSessions(other.store)
    await using brief = new SharedSessions(third.store, { graceLifetime: 50 })
    const before = await make(first, { n: '1' })
    const id = await regenerated(first, before)
    expect((await second.read(before))?.entries.get('n')).toBe('1')
    expect(await second.touchSession(before)).toBe(true)
    await expect(second.openSession(before)).rejects.toMatchObject({ code: 'XPS_NOT_FOUND' })
    await expect(second.patch(before, { put: [['n', '2']] })).rejects.toMatchObject({ code: 'XPS_NOT_FOUND' })
    await second.patch(id, { put: [['n', '2']] })
    expect((await first.read(id))?.entries.get('n')).toBe('2')
    const last = await regenerated(brief, id)
    await second.touchSession(id)
    await until(async () => expect(await second.read(id)).toBe(undefined))
    expect((await first.read(last))?.entries.get('n')).toBe('2')
  })

  const machines: Stored[] = []
  afterEach(async () => {
    for (const one of machines.splice(0)) await one[Symbol.asyncDispose]()
  })
  for (const { name, run } of retiredIdClaims(async () => {
    const both = await Promise.all([machine('redis'), machine('ioredis')])
    machines.push(...both)
    return [both[0].store, both[1].store]
  }))
    it(name, run)
})

describe('Redis that is restarted', () => {
  it('has what was acknowledged, if it writes each change to its disk, and is used again', async () => {
    const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--appenddirname', 'log-of-changes']
    let server = await startRedis(folder, [...durable, '--dir', folder])
    try {
      await using one = await machine('redis', server.port, 100)
      await using other = await machine('ioredis', server.port, 100)
      await using first = new SharedSessions(one.store)
      await using second = new SharedSessions(other.store)
      for (const sessions of [first, second]) sessions.on('fault', () => {})
      const id = await make(first, { n: '0' })
      let acknowledged = 0
      let restarted = false
      const add = async (sessions: SharedSessions): Promise<void> => {
        for (let done = 0; done < 30 || !restarted; ) {
          try {
            await using session = await sessions.openSession(id)
            session.put('n', String(Number(session.get('n')) + 1))
            await session.close()
            acknowledged++
            done++
          } catch {
            // What went wrong is not acknowledged.
            await new Promise((resolve) => setTimeout(resolve, 10))
          }
        }
      }
      const adding = Promise.all([add(first), add(second)])
      await until(() => expect(acknowledged).toBeGreaterThan(20))
      const { port } = server
      await server[Symbol.asyncDispose]()
      server = await startRedis(folder, [...durable, '--dir', folder], port)
      restarted = true
      await adding
      const n = Number((await second.read(id))?.entries.get('n'))
      // An answer may have been lost with the connection, but no change that was answered.
      expect(n).toBeGreaterThanOrEqual(acknowledged)
      expect(n).toBeLessThanOrEqual(acknowledged + 4)
    } finally {
      await server[Symbol.asyncDispose]()
    }
  })

  it('has lost all if it keeps nothing: who had a session open is told so', async () => {
    let server = await startRedis(folder)
    try {
      await using one = await machine('redis', server.port)
      await using sessions = new SharedSessions(one.store)
      sessions.on('fault', () => {})
      const id = await make(sessions, { n: '1' })
      const session = await sessions.openSession(id)
      session.put('n', '2')
      const { port } = server
      await server[Symbol.asyncDispose]()
      server = await startRedis(folder, [], port)
      await until(async () => {
        const closing = await session.close().catch((error: unknown) => error)
        expect(closing).toMatchObject({ code: 'XPS_LOCK_LOST' })
      })
      await expect(sessions.openSession(id)).rejects.toMatchObject({ code: 'XPS_NOT_FOUND' })
      expect((await make(sessions, { n: '1' })).length).toBe(32)
    } finally {
      await server[Symbol.asyncDispose]()
    }
  })
})

describe('ExpressStore directly over Redis', () => {
  it('lets fifty parallel requests to two applications that each add one end at fifty', async () => {
    await using one = await machine('redis')
    await using other = await machine('ioredis')
    await using first = new SharedSessions(one.store)
    await using second = new SharedSessions(other.store)
    // On a busy machine the last of them waits for longer than is usual.
    await using near = await shop(new ExpressStore(first, { lockTimeout: 50_000 }))
    await using far = await shop(new ExpressStore(second, { lockTimeout: 50_000 }))
    const { cookie } = await near.get('/login')
    const answers = await Promise.all(fifty.map((index) => (index % 2 === 0 ? near : far).get('/add', cookie)))
    expect(answers.map(({ text }) => Number(text)).toSorted((a, b) => a - b)).toEqual(fifty.map((index) => index + 1))
    expect(JSON.parse((await far.get('/see', cookie)).text)).toEqual({ n: 50, user: 'ali' })
    expect((await far.get('/logout', cookie)).text).toBe('out')
    expect((await near.get('/see', cookie)).text).toBe('{}')
  })
})

async function info(port: number): Promise<string> {
  const client = new Redis({ port, host: '127.0.0.1' })
  const text = await client.info('clients')
  client.disconnect()
  await once(client, 'end')
  return text
}
