import { randomBytes } from 'node:crypto'
import { Pool, type PoolConfig } from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  type Commit,
  type ContainerLock,
  SharedSessions,
  type SharedSessionsOptions,
  type SqlPool,
  SqlStore,
  type SqlStoreOptions,
  type StateValue,
  type Stored,
} from '../../../src/state/index.ts'
import { containerContract } from '../../../src/testing/index.ts'
import { closedPort } from '../../support/net.ts'
import { Postgres } from '../../support/postgres.ts'
import { Random } from '../../support/random.ts'
import { until } from '../../support/until.ts'
import { retiredIdClaims } from '../retired.ts'

const id = '0123456789abcdef0123456789abcdef'
const day = 86_400_000
const never = new AbortController().signal

let postgres: Postgres
beforeAll(async () => {
  postgres = await Postgres.start()
})
afterAll(() => postgres[Symbol.asyncDispose]())

let table: string
let made = 0
const pools: Pool[] = []
const opened: SqlStore[] = []
afterEach(async () => {
  if (pools.length === 0) return
  await Promise.all(opened.splice(0).map((store) => store.close()))
  await Promise.all(pools.splice(0).map((pool) => pool.end()))
  await until(async () => expect(await postgres.connections(), 'connections are left').toBe(0))
})

function poolOf(options: PoolConfig = {}): Pool {
  const pool = new Pool({ connectionString: postgres.url, max: 4, ...options })
  pool.on('error', () => {})
  pools.push(pool)
  return pool
}

/** Another one over the same tables, as in another process. */
function another(options: Partial<SqlStoreOptions> = {}): SqlStore {
  return new SqlStore({ pool: poolOf(), table, ...options })
}

function fresh(options: Partial<SqlStoreOptions> = {}): SqlStore {
  table = `sessions_${++made}`
  return another(options)
}

async function open(store: SqlStore): Promise<SqlStore> {
  await store.open()
  opened.push(store)
  return store
}

function storedOf(entries: Record<string, StateValue>, expires: number = Date.now() + day): Stored {
  return { data: new Map(Object.entries(entries)), created: Date.now(), expires, idle: undefined }
}

function commitOf(expect: Commit['expect'], fence: number, keys: Record<string, StateValue | undefined> = {}): Commit {
  return { expect, fence, changes: { cleared: false, keys: new Map(Object.entries(keys)) } }
}

async function lock(store: SqlStore, wait = 0, lease = 5_000): Promise<ContainerLock> {
  const held = await store.lock(id, { wait, lease, signal: never })
  if (held === undefined) throw new Error('the lock was not to be had')
  return held
}

/** A pool that counts the queries for a lock. */
function counting(pool: Pool): SqlPool & { asked: number } {
  return {
    asked: 0,
    query(query) {
      if (query.text.includes('array_remove(l.queue')) this.asked++
      return pool.query(query)
    },
    connect: () => pool.connect(),
  }
}

const queued = async (): Promise<number> =>
  Number((await postgres.query(`SELECT cardinality(queue) AS n FROM ${table}_locks`))[0]?.['n'])

const listeners = async (): Promise<number[]> =>
  (await postgres.query(`SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN %'`)).map(({ pid }) => Number(pid))

describe('SqlStore, as a container', () => {
  let shared: Pool
  beforeAll(async () => {
    shared = new Pool({ connectionString: postgres.url, max: 4 })
    await postgres.query('CREATE SCHEMA apart')
  })
  afterAll(() => shared.end())
  const kinds = {
    'with one connection that listens': {},
    'in a schema of its own, without listening and preparing': { schema: 'apart', listen: false, prepare: false },
  }
  for (const [kind, options] of Object.entries(kinds)) {
    const again = (): SqlStore => new SqlStore({ pool: shared, ...options })
    const make = async (): Promise<SqlStore> => {
      const store = again()
      await store.migrate()
      await shared.query(`TRUNCATE ${'schema' in options ? 'apart.' : ''}xps_sessions CASCADE`)
      return store
    }
    for (const { name, run } of containerContract({ make, again })) it(`${kind}: ${name}`, run)
  }
})

describe('SqlStore', () => {
  it('writes what has changed, and leaves the other values where they are', async () => {
    const store = await open(fresh())
    await store.commit(id, storedOf({ a: '1', b: '2', c: '3' }), commitOf('absent', 1))
    const rows = async (): Promise<Map<unknown, unknown>> =>
      new Map(
        (await postgres.query(`SELECT encode(key, 'escape') k, xmin FROM ${table}_values`)).map((r) => [
          r['k'],
          r['xmin'],
        ]),
      )
    const before = await rows()
    const changes = { b: '4', c: undefined, d: '5' }
    expect(await store.commit(id, storedOf({ a: '1', b: '4', d: '5' }), commitOf('present', 2, changes))).toBe('done')
    const after = await rows()
    expect([...after.keys()].sort()).toEqual(['a', 'b', 'd'])
    expect(after.get('a')).toBe(before.get('a'))
    expect(after.get('b')).not.toBe(before.get('b'))
    expect([...((await store.read(id))?.data ?? [])]).toEqual(Object.entries({ a: '1', b: '4', d: '5' }))
    expect(await store.destroy(id, 3)).toBe(true)
    expect((await rows()).size).toBe(0)
  })

  it('keeps a session that never expires, and a value of a megabyte', async () => {
    const store = await open(fresh())
    const large = randomBytes(1024 ** 2).toString('latin1')
    await store.commit(id, storedOf({ large }, Number.POSITIVE_INFINITY), commitOf('absent', 1))
    const found = await store.read(id)
    expect(found?.expires).toBe(Number.POSITIVE_INFINITY)
    expect(found?.data.get('large') === large).toBe(true)
  })

  it('refuses a key that no index takes, and keeps the session as it was', async () => {
    const store = await open(fresh())
    await store.commit(id, storedOf({ n: '1' }), commitOf('absent', 1))
    const key = randomBytes(4_000).toString('latin1')
    const commit = store.commit(id, storedOf({ n: '2', [key]: '' }), commitOf('present', 2, { n: '2', [key]: '' }))
    await expect(commit).rejects.toMatchObject({ code: 'XPS_TOO_LARGE' })
    expect([...((await store.read(id))?.data ?? [])]).toEqual([['n', '1']])
  })

  it('makes its tables once when several start, and none if it is not to', async () => {
    table = `sessions_${++made}`
    const absent = another({ migrate: false })
    await expect(absent.open()).rejects.toMatchObject({
      code: 'XPS_NOT_FOUND',
      message: expect.stringContaining(table),
    })
    await Promise.all(Array.from({ length: 4 }, () => open(another())))
    await open(absent)
    await absent.migrate()
    expect(absent.definition).toContain(`CREATE TABLE IF NOT EXISTS "${table}"`)
  })

  it('needs no right to make tables where they are there', async () => {
    const store = await open(fresh())
    await postgres.query('DROP ROLE IF EXISTS app')
    await postgres.query('CREATE ROLE app LOGIN')
    for (const kind of ['', '_values', '_locks']) await postgres.query(`GRANT ALL ON ${table}${kind} TO app`)
    await postgres.query(`GRANT ALL ON ${table}_fence TO app`)
    const app = await open(
      another({
        pool: poolOf({
          user: 'app',
          connectionString: undefined,
          host: '127.0.0.1',
          port: postgres.port,
          database: 'postgres',
        }),
      }),
    )
    const held = await lock(app)
    expect(await app.commit(id, storedOf({ n: '1' }), commitOf('absent', held.fence))).toBe('done')
    await held.release()
    expect((await store.read(id))?.data.get('n')).toBe('1')
    await app.close()
  })

  it('puts what conflicts in order, where the database checks for that', async () => {
    const strict = { options: '-c default_transaction_isolation=serializable' }
    const stores = [await open(fresh({ pool: poolOf(strict) })), await open(another({ pool: poolOf(strict) }))]
    await expectToCount(stores, 10)
  })

  it('refuses what cannot be, by name', () => {
    const pool = { query: () => Promise.reject(new Error('never asked')) }
    const wrong: [object, RegExp][] = [
      [{}, /pool must be a pool of connections/],
      [{ pool: {} }, /pool/],
      [{ pool, table: 'sessions"; DROP TABLE users' }, /table must be a name/],
      [{ pool, table: '' }, /table/],
      [{ pool, table: 'x'.repeat(49) }, /table/],
      [{ pool, schema: 'a.b' }, /schema must be a name/],
      [{ pool, migrate: 1 }, /migrate must be true or false/],
      [{ pool, tables: 'x' }, /sql store options/],
    ]
    for (const [options, message] of wrong) {
      expect(() => new SqlStore(options as SqlStoreOptions), JSON.stringify(options)).toThrow(message)
    }
  })
})

describe('locks of SqlStore', () => {
  it('hold no connection, however many there are', async () => {
    const store = await open(fresh({ pool: poolOf({ max: 2 }) }))
    const ids = Array.from({ length: 40 }, (_, index) => `${index}`.padStart(32, '0'))
    const request = { wait: 0, lease: 5_000, signal: never }
    const locks = await Promise.all(ids.map((one) => store.lock(one, request)))
    expect(new Set(locks.map((one) => one?.fence)).size).toBe(40)
    expect(await store.read(id)).toBe(undefined)
    await Promise.all(locks.map(async (one) => one?.release()))
  })

  it('wake the first who waits when they are given up, and nobody asks meanwhile', async () => {
    const pool = counting(poolOf())
    const store = await open(fresh())
    const other = await open(another({ pool }))
    // Who waits for the first time begins to listen.
    const first = await lock(store)
    const early = lock(other, 15_000)
    await until(async () => expect(await listeners()).toHaveLength(1))
    await first.release()
    await (await early).release()
    const second = await lock(store)
    pool.asked = 0
    const start = performance.now()
    // Once a second they do, to be sure: a busy machine may take that long.
    const asks = (): number => Math.floor((performance.now() - start) / 1_000)
    const waiting = lock(other, 15_000)
    await until(async () => expect(await queued()).toBe(1))
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(pool.asked).toBeLessThanOrEqual(1 + asks())
    const began = performance.now()
    await second.release()
    const third = await waiting
    expect(performance.now() - began).toBeLessThan(850)
    expect(pool.asked).toBeLessThanOrEqual(2 + asks())
    expect(third.fence).toBeGreaterThan(second.fence)
    expect(await queued()).toBe(0)
    await third.release()
  })

  it('go to those who wait in the order in which they came, before those who come later', async () => {
    const stores = [await open(fresh()), await open(another()), await open(another())]
    const order: number[] = []
    const holder = await lock(stores[0] as SqlStore)
    const waiting: Promise<void>[] = []
    for (const [index, store] of stores.entries()) {
      waiting.push(
        lock(store, 15_000).then(async (held) => {
          order.push(index)
          // Who comes now is the last, although nobody holds it in this moment.
          if (index === 0)
            waiting.push(
              lock(store, 15_000).then((again) => {
                order.push(3)
                return again.release()
              }),
            )
          await held.release()
        }),
      )
      await until(async () => expect(await queued()).toBe(index + 1))
    }
    await holder.release()
    expect(await stores[0]?.lock(id, { wait: 0, lease: 5_000, signal: never })).toBe(undefined)
    for (const one of waiting) await one
    await Promise.all(waiting)
    expect(order).toEqual([0, 1, 2, 3])
  })

  it('are had without listening too, and when the connection that listens breaks', async () => {
    const store = await open(fresh())
    for (const options of [{ listen: false }, { pool: poolOf({ max: 1 }) }, {}]) {
      const other = await open(another(options))
      const held = await lock(store)
      const waiting = lock(other, 15_000)
      await until(async () => expect(await queued()).toBe(1))
      if (options.listen === undefined && options.pool === undefined) {
        await until(async () => expect(await listeners()).toHaveLength(1))
        await postgres.query('SELECT pg_terminate_backend($1)', await listeners())
      } else expect(await listeners()).toEqual([])
      await held.release()
      await (await waiting).release()
    }
  })

  it('are not waited for after a signal, nor longer than was said, and nothing stays of those who left', async () => {
    const store = await open(fresh())
    const other = await open(another())
    const holder = await lock(store)
    const controller = new AbortController()
    const aborted = other.lock(id, { wait: 15_000, lease: 60_000, signal: controller.signal })
    const patient = lock(other, 15_000)
    await until(async () => expect(await queued()).toBe(2))
    // It need not have come as far as the queue when its time is over.
    const short = other.lock(id, { wait: 200, lease: 60_000, signal: never })
    controller.abort()
    await expect(aborted).rejects.toMatchObject({ name: 'AbortError' })
    expect(await short).toBe(undefined)
    expect(await queued()).toBe(1)
    await holder.release()
    await (await patient).release()
    await expect(other.lock(id, { wait: 0, lease: 5_000, signal: controller.signal })).rejects.toThrow()
    await (await lock(store)).release()
  })

  it('go on when the lease is over; what the former holder writes is refused before the next one has written', async () => {
    const store = await open(fresh())
    const other = await open(another())
    await store.commit(id, storedOf({ n: '1' }), commitOf('absent', 1))
    const dead = await lock(store, 0, 80)
    const next = await lock(other, 15_000)
    expect(next.fence).toBeGreaterThan(dead.fence)
    expect(await store.commit(id, storedOf({ n: '9' }), commitOf('present', dead.fence, { n: '9' }))).toBe('fenced')
    expect(await store.destroy(id, dead.fence)).toBe('fenced')
    expect(await store.touch(id, Date.now(), dead.fence)).toBe('fenced')
    expect(await dead.renew()).toBe(false)
    await dead.release()
    expect(await other.commit(id, storedOf({ n: '2' }), commitOf('present', next.fence, { n: '2' }))).toBe('done')
    expect((await store.read(id))?.data.get('n')).toBe('2')
    await next.release()
  })

  it('are not kept by who did not hear that it was given one', async () => {
    const pool = poolOf()
    let broken = true
    const deaf: SqlPool = {
      query: async (query) => {
        const result = await pool.query(query)
        if (query.text.includes('array_remove(l.queue') && broken) throw new Error('Connection terminated unexpectedly')
        return result
      },
    }
    const store = await open(fresh({ pool: deaf }))
    const request = { wait: 0, lease: 5_000, signal: never }
    await expect(store.lock(id, request)).rejects.toMatchObject({ code: 'XPS_RESET', origin: 'upstream' })
    broken = false
    await until(async () => (await lock(store)).release(), 4_000)
  })

  it('are had by one at a time, whoever waits, gives up or is called off', async () => {
    const random = new Random()
    const stores = [await open(fresh()), await open(another()), await open(another({ listen: false }))]
    const holders = [0, 0]
    const fences = [0, 0]
    const round = async (store: SqlStore): Promise<void> => {
      const which = random.below(2)
      const controller = new AbortController()
      const wait = random.below(5) === 0 ? random.below(20) : 10_000
      if (random.below(4) === 0) setTimeout(() => controller.abort(), random.below(30))
      const request = { wait, lease: 10_000, signal: controller.signal }
      const held = await store.lock(`${which}`.repeat(32), request).catch((error: Error) => {
        if (error.name !== 'AbortError') throw error
      })
      if (held === undefined) return
      holders[which] = (holders[which] ?? 0) + 1
      expect(holders[which], `seed ${random.seed}`).toBe(1)
      expect(held.fence, `seed ${random.seed}`).toBeGreaterThan(fences[which] ?? 0)
      fences[which] = held.fence
      await new Promise((resolve) => setTimeout(resolve, random.below(4)))
      holders[which] = 0
      await held.release()
    }
    await Promise.all(
      Array.from({ length: 12 }, async (_, index) => {
        for (let count = 0; count < 10; count++) await round(stores[index % 3] as SqlStore)
      }),
    )
    const left = await postgres.query(`SELECT token, queue FROM ${table}_locks`)
    expect(left).toEqual(Array(2).fill({ token: '', queue: [] }))
  })

  it('let who is gone from the head of the queue not stop the others', async () => {
    const store = await open(fresh())
    const holder = await lock(store)
    await postgres.query(`UPDATE ${table}_locks SET queue = '{gone}'`)
    const waiting = lock(store, 15_000)
    await until(async () => expect(await queued()).toBe(2))
    await holder.release()
    await (await waiting).release()
    expect(await queued()).toBe(0)
  })

  it('are lost with a crash of the database, and so is what their holders write; what was acknowledged is not', async () => {
    const store = await open(fresh())
    await store.commit(id, storedOf({ n: '1' }), commitOf('absent', 1))
    const held = await lock(store)
    await postgres.down('SIGQUIT')
    await expect(held.renew()).rejects.toMatchObject({
      name: 'XpsError',
      code: expect.stringMatching(/^XPS_(CONNECT|RESET)$/),
    })
    await postgres.up()
    await until(async () => expect(await held.renew()).toBe(false))
    expect((await store.read(id))?.data.get('n')).toBe('1')
    expect(await store.commit(id, storedOf({ n: '2' }), commitOf('present', held.fence, { n: '2' }))).toBe('fenced')
    await held.release()
    const next = await lock(store)
    expect(await store.commit(id, storedOf({ n: '2' }), commitOf('present', next.fence, { n: '2' }))).toBe('done')
    await next.release()
  })
})

describe('SharedSessions over SqlStore', () => {
  for (const { name, run } of retiredIdClaims(async () => [fresh(), another()])) it(`of two processes: ${name}`, run)

  function sessionsOver(store: SqlStore, options: SharedSessionsOptions = {}): SharedSessions & AsyncDisposable {
    const sessions = new SharedSessions(store, { sweepInterval: 0, ...options })
    return Object.assign(sessions, { [Symbol.asyncDispose]: async () => void (await sessions.close()) })
  }

  it('rename, destroy and list sessions that another process sees', async () => {
    await using one = sessionsOver(fresh())
    await using other = sessionsOver(another())
    const session = await one.createSession()
    session.put('user', 'Zoë')
    await session.commit()
    session.abandon()
    const open = await other.openSession(session.id)
    const renamed = await open.regenerateId()
    await open.close()
    expect(await one.read(session.id)).toBe(undefined)
    expect((await one.read(renamed))?.entries.get('user')).toBe('Zoë')
    const listed: string[] = []
    for await (const { id: found } of one.list()) listed.push(found)
    expect(listed).toEqual([renamed])
    expect(await other.destroySession(renamed)).toBe(true)
    expect(await one.read(renamed)).toBe(undefined)
  })

  it('sweep what has expired, once for all processes, and never what is locked', async () => {
    const store = await open(fresh())
    const ids = Array.from({ length: 450 }, (_, index) => `${index}`.padStart(32, '0'))
    const past = Date.now() - 1_000
    await Promise.all(ids.map((one) => store.commit(one, storedOf({ n: '1' }, past), commitOf('absent', 1))))
    await store.commit(id, storedOf({}), commitOf('absent', 1))
    const [locked = '', claimed = ''] = ids
    const held = await store.lock(locked, { wait: 0, lease: 5_000, signal: never })
    const client = await (pools[0] as Pool).connect()
    // Somebody writes it at this moment.
    await client.query('BEGIN')
    await client.query(`SELECT 1 FROM ${table} WHERE id = $1 FOR UPDATE`, [claimed])
    const told: string[] = []
    const all = [sessionsOver(another()), sessionsOver(another())]
    for (const sessions of all) sessions.on('expired', (one) => void told.push(one))
    await Promise.all(all.map((sessions) => sessions.open()))
    await Promise.all(all.map((sessions) => sessions.sweep()))
    expect(told.sort()).toEqual(ids.slice(2))
    await client.query('ROLLBACK')
    client.release()
    await held?.release()
    await all[0]?.sweep()
    expect(told.slice(-2).sort()).toEqual([locked, claimed])
    expect(await postgres.query(`SELECT id FROM ${table}`)).toEqual([{ id }])
    expect(all[0]?.stats().expired).toBeGreaterThan(0)
    await Promise.all(all.map((sessions) => sessions.close()))
  })

  it('fail with a code while the database is away, and go on when it is back', async () => {
    await using sessions = sessionsOver(fresh(), { lockTimeout: 500 })
    const faults: string[] = []
    sessions.on('fault', ({ code, message }) => {
      faults.push(code)
      expect(message).not.toContain(id)
    })
    const session = await sessions.createSession(id)
    session.put('n', '1')
    await session.close()
    await postgres.down()
    await expect(sessions.read(id)).rejects.toMatchObject({ code: 'XPS_FAULT' })
    await expect(sessions.openSession(id)).rejects.toMatchObject({ code: 'XPS_FAULT' })
    expect(faults.length).toBeGreaterThan(0)
    expect(faults.every((code) => code === 'XPS_CONNECT' || code === 'XPS_RESET')).toBe(true)
    await postgres.up()
    await sessions.patch(id, { put: [['n', '2']] })
    expect((await sessions.read(id))?.entries.get('n')).toBe('2')
  })

  it('cannot be opened where nobody listens', async () => {
    const pool = poolOf({ connectionString: `postgres://xps@127.0.0.1:${await closedPort()}/postgres` })
    const sessions = new SharedSessions(fresh({ pool }))
    await expect(sessions.open()).rejects.toMatchObject({ code: 'XPS_CONNECT', retryable: true })
    await sessions.close()
  })
})

/** So many processes' increments are all kept. */
async function expectToCount(stores: readonly SqlStore[], count: number): Promise<void> {
  const all = stores.map((store) => new SharedSessions(store, { sweepInterval: 0 }))
  const session = await (all[0] as SharedSessions).createSession(id)
  await session.close()
  await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const held = await (all[index % all.length] as SharedSessions).openSession(id)
      held.put('n', String(Number(held.get('n') ?? 0) + 1))
      await held.close()
    }),
  )
  expect((await all[0]?.read(id))?.entries.get('n')).toBe(String(count))
  await Promise.all(all.map((sessions) => sessions.close()))
}
