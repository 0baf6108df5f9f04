import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  type Container,
  LmdbStore,
  RedisStore,
  SharedSessions,
  type SharedSessionsOptions,
} from '../../../src/state/index.ts'
import type { ServerProgram } from '../../support/programs.ts'
import { startRedis } from '../../support/redis.ts'
import { until } from '../../support/until.ts'

let folder: string
let server: ServerProgram
let client: Redis
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xps-shared-'))
  server = await startRedis(folder)
  client = new Redis(server.port, '127.0.0.1')
})
afterAll(async () => {
  client.disconnect()
  await server[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

let made = 0
/** Stores that several programs use: each call makes one for another of them. */
const kinds: Record<string, () => () => Container> = {
  RedisStore: () => {
    const prefix = `${++made}:`
    return () => new RedisStore({ client, prefix })
  },
  LmdbStore: () => {
    const path = join(folder, `${++made}`)
    return () => new LmdbStore(path, { durable: false })
  },
}

for (const [kind, kindOf] of Object.entries(kinds)) {
  describe(`SharedSessions of two programs over ${kind}`, () => {
    let make: () => Container
    let all: SharedSessions[]
    beforeEach(() => {
      make = kindOf()
      all = []
    })
    afterEach(() => Promise.all(all.map((one) => one.close())))

    async function program(options: SharedSessionsOptions = {}): Promise<SharedSessions> {
      const sessions = new SharedSessions(make(), { sweepInterval: 0, ...options })
      all.push(sessions)
      return sessions.open()
    }

    async function sessionOf(sessions: SharedSessions): Promise<string> {
      await using session = await sessions.createSession()
      session.put('n', '0')
      await session.close()
      return session.id
    }

    /** Adds one as soon as the session is to be had. */
    async function add(sessions: SharedSessions, id: string): Promise<void> {
      await using session = await sessions.openSession(id)
      session.put('n', `${Number(session.get('n')) + 1}`)
      await session.close()
    }

    it('leave the lock of a silent holder to others when its lease is over, in either program', async () => {
      const lockLease = 600
      const one = await program({ lockLease })
      const id = await sessionOf(one)
      const other = await program({ lockLease })
      for (const next of [one, other]) {
        await using silent = await one.openSession(id)
        await using session = await next.openSession(id, { lockTimeout: 2 * lockLease - 200 })
        session.put('n', '1')
        await session.close()
        const late = async (): Promise<void> => {
          silent.put('n', '2')
          await silent.close()
        }
        await expect(late()).rejects.toMatchObject({ code: 'XPS_LOCK_LOST' })
      }
      expect((await one.read(id))?.entries.get('n')).toBe('1')
    })

    it('do not take one that waits for the other program for a holder that is silent', async () => {
      const one = await program()
      const id = await sessionOf(one)
      const other = await program({ lockLease: 150 })
      const holder = await one.openSession(id)
      const waiting = [add(other, id), add(other, id)]
      await setTimeout(400)
      await holder.close()
      await Promise.all(waiting)
      expect((await one.read(id))?.entries.get('n')).toBe('2')
    })

    it('give up what they hold and what they wait for when they are closed', async () => {
      const one = await program({ lockLease: 150 })
      const id = await sessionOf(one)
      const other = await program()
      const holder = await one.openSession(id)
      holder.put('n', '1')
      const waiting = [1, 2].map(() => other.openSession(id, { lockTimeout: 10_000 }).catch((error: unknown) => error))
      await until(() => expect(other.stats().locks).toMatchObject({ held: 1, waiting: 1 }))
      await other.close()
      expect(await Promise.all(waiting)).toMatchObject([{ code: 'XPS_CLOSED' }, { code: 'XPS_CLOSED' }])
      expect(other.stats().locks).toMatchObject({ held: 0, waiting: 0 })
      await one.close()
      expect(one.stats().locks).toMatchObject({ held: 0 })
      await expect(holder.close()).rejects.toMatchObject({ code: 'XPS_LOCK_LOST' })
      const next = await program()
      await add(next, id)
      // Nothing is prolonged any more.
      await setTimeout(200)
      expect((await next.read(id))?.entries.get('n')).toBe('1')
    })
  })
}

describe('SharedSessions over RedisStore', () => {
  it('leave the lock to a holder that asks for something now and then', async () => {
    const make = (): SharedSessions =>
      new SharedSessions(new RedisStore({ client, prefix: 'kept:' }), { lockLease: 1_000 })
    const [one, other] = [make(), make()]
    const made = await one.createSession()
    await made.close()
    const holder = await one.openSession(made.id)
    const waiting = [one, other].map((sessions) => sessions.patch(made.id, { put: [['n', '2']] }))
    for (let look = 0; look < 5; look++) {
      await setTimeout(250)
      expect(holder.get('n')).toBeUndefined()
    }
    holder.put('n', '1')
    await holder.close()
    await Promise.all(waiting)
    expect((await one.read(made.id))?.entries.get('n')).toBe('2')
    await Promise.all([one.close(), other.close()])
  })

  it('leave it to one that was away for longer than its lease, if nobody else has had it', async () => {
    const sessions = new SharedSessions(new RedisStore({ client, prefix: 'away:' }), { lockLease: 150 })
    const made = await sessions.createSession()
    await made.close()
    const holder = await sessions.openSession(made.id)
    const lock = `away:{${made.id}}:lock`
    await until(async () => expect(await client.exists(lock)).toBe(0))
    holder.put('n', '1')
    await until(async () => expect(await client.exists(lock)).toBe(1))
    await holder.close()
    await sessions.close()
  })

  it('are open to others again as soon as it is known that a holder has lost its lock', async () => {
    const make = (): RedisStore => new RedisStore({ client, prefix: 'lost:' })
    const sessions = new SharedSessions(make(), { lockLease: 900 })
    const made = await sessions.createSession()
    await made.close()
    const { id } = made
    const holder = await sessions.openSession(id)
    await client.del(`lost:{${id}}:lock`)
    const theirs = await make().lock(id, { wait: 0, lease: 60_000, signal: new AbortController().signal })
    await until(() => expect(() => holder.put('n', '1')).toThrow('lock was lost'))
    await theirs?.release()
    const next = await sessions.openSession(id, { lockTimeout: 600 })
    await expect(holder.close()).rejects.toMatchObject({ code: 'XPS_LOCK_LOST' })
    await next.close()
    await until(() => expect(sessions.stats().locks).toMatchObject({ held: 0 }))
    await sessions.close()
  })
})
