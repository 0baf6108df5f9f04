import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  type Changes,
  type CommitResult,
  type Container,
  FileStore,
  LmdbStore,
  MemoryStore,
  type SharedSession,
  SharedSessions,
  type SharedSessionsOptions,
  type Stored,
} from '../../src/state/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { until } from '../support/until.ts'
import { retiredIdClaims } from './retired.ts'

/** Sessions whose time the test owns. */
function sessionsOf(options: SharedSessionsOptions = {}, container: Container = new MemoryStore()) {
  const clock = new ManualClock()
  const sessions = new SharedSessions(container, { clock, sweepInterval: 0, ...options })
  const told: string[] = []
  sessions.on('expired', (id) => told.push(id))
  const make = async (entries: Record<string, string> = {}): Promise<string> => {
    await using session = await sessions.createSession()
    for (const [key, value] of Object.entries(entries)) session.put(key, value)
    await session.close()
    return session.id
  }
  return { clock, sessions, told, make, [Symbol.asyncDispose]: async () => void (await sessions.close()) }
}

describe('SharedSessions', () => {
  it('serve a program without a server', async () => {
    await using all = sessionsOf()
    const { sessions } = all
    const session = await sessions.createSession()
    session.put('user', 'Zoë €')
    expect([session.get('user'), session.getBytes('user'), session.exists('no'), session.keys()]).toEqual([
      'Zoë €', Buffer.from('Zoë €').toString('latin1'), false, ['user'],
    ]) // biome-ignore format: one line
    expect([session.remove('no'), session.remove('user'), session.changed]).toEqual([false, true, true])
    session.put('n', '1')
    await session.commit()
    expect(session.mode).toBe('r')
    expect(() => session.put('n', '2')).toThrow('could not store value')
    await session.close()
    expect(() => session.get('n')).toThrow('no session opened')
    const reader = await sessions.openSession(session.id, { mode: 'r' })
    expect(reader.entries()).toEqual([['n', '1']])
    await expect(sessions.openSession('no such id at all')).rejects.toMatchObject({ code: 'XPS_NOT_FOUND' })
  })

  for (const { name, run } of retiredIdClaims(async () => [new MemoryStore()])) it(`of one process: ${name}`, run)

  it('reject a call that waited too long, without naming the id', async () => {
    await using all = sessionsOf()
    const id = await all.make()
    const holder = await all.sessions.openSession(id)
    const waiting = all.sessions.openSession(id, { lockTimeout: 300 }).catch((error: unknown) => error as Error)
    await new Promise((resolve) => setImmediate(resolve))
    all.clock.advance(1_000)
    const error = await waiting
    expect(error).toMatchObject({ code: 'XPS_TIMEOUT', reason: 'lock' })
    expect((error as Error).message).not.toContain(id)
    holder.abandon()
    await (await all.sessions.openSession(id, { lockTimeout: 0 })).close()
  })

  it('change keys at once, and only from the version that was read', async () => {
    await using all = sessionsOf()
    const id = await all.make({ a: '1' })
    const before = await all.sessions.read(id)
    const next = await all.sessions.patch(id, { put: [['b', '2']], remove: ['a'], version: before?.version ?? '' })
    expect(await all.sessions.read(id)).toEqual({ entries: new Map([['b', '2']]), version: next })
    await expect(all.sessions.patch(id, { put: [['b', '3']], version: before?.version ?? '' })).rejects.toMatchObject({
      code: 'XPS_PRECONDITION',
    })
    expect(await all.sessions.destroySession(id)).toBe(true)
    expect(await all.sessions.destroySession(id)).toBe(false)
    expect(await all.sessions.touchSession(id)).toBe(false)
    expect(await all.sessions.read(id)).toBeUndefined()
    await expect(all.sessions.patch(id, {})).rejects.toMatchObject({ code: 'XPS_NOT_FOUND' })
  })

  // F.1.38
  it('expire when they are not used for their lifetime, and tell it once', async () => {
    await using all = sessionsOf({ idleLifetime: 1_000 })
    const id = await all.make({ n: '1' })
    for (let time = 0; time < 3_000; time += 500) {
      all.clock.advance(500)
      expect((await all.sessions.read(id))?.entries.get('n')).toBe('1')
    }
    all.clock.advance(1_600)
    expect(await all.sessions.read(id)).toBeUndefined()
    await expect(all.sessions.openSession(id)).rejects.toMatchObject({ code: 'XPS_NOT_FOUND' })
    await all.sessions.sweep()
    expect(all.told).toEqual([id])
  })

  it('note a use only when the last that was noted is a while ago, however it is said', async () => {
    const store = new CountingStore()
    await using all = sessionsOf({ idleLifetime: 160_000 }, store)
    const id = await all.make()
    const use = async (): Promise<void> => {
      await all.sessions.touchSession(id)
      await all.sessions.read(id)
      await (await all.sessions.openSession(id, { mode: 'r' })).close()
    }
    await use()
    all.clock.advance(9_000)
    await use()
    expect(store.touches).toBe(0)
    all.clock.advance(1_000)
    await use()
    expect(store.touches).toBe(1)
    all.clock.advance(155_000)
    expect(await all.sessions.touchSession(id)).toBe(true)
    expect(store.touches).toBe(2)
  })

  it('expire at the end of the absolute lifetime, used or not', async () => {
    await using all = sessionsOf({ idleLifetime: 0, absoluteLifetime: 2_000 })
    const id = await all.make({ n: '1' })
    for (let time = 0; time < 1_900; time += 100) {
      all.clock.advance(100)
      await all.sessions.patch(id, { put: [['n', String(time)]] })
    }
    all.clock.advance(100)
    expect(await all.sessions.read(id)).toBeUndefined()
    expect(all.told).toEqual([id])
  })

  it('may have a lifetime of their own', async () => {
    await using all = sessionsOf({ idleLifetime: 1_000 })
    const [short, long, endless] = [await all.make(), await all.make(), await all.make()]
    await all.sessions.patch(short, { idle: 100 })
    await all.sessions.patch(long, { idle: 10_000 })
    await all.sessions.patch(endless, { idle: 0 })
    all.clock.advance(500)
    await all.sessions.sweep()
    all.clock.advance(5_000)
    await all.sessions.sweep()
    expect(all.told).toEqual([short])
    const session = await all.sessions.openSession(endless)
    expect(session.expires).toBe(Number.POSITIVE_INFINITY)
    session.keepFor(50)
    await session.close()
    all.clock.advance(20_000)
    await all.sessions.sweep()
    expect(all.told.toSorted()).toEqual([short, long, endless].toSorted())
  })

  // F.1.39
  it('are swept from time to time: all that have expired, and none that is locked', async () => {
    const store = new MemoryStore()
    await using all = sessionsOf({ idleLifetime: 1_000, sweepInterval: 10_000 }, store)
    const ids = await Promise.all(Array.from({ length: 1_000 }, () => all.make({ n: '1' })))
    const locked = await all.sessions.openSession(await all.make({ n: 'locked' }))
    all.clock.advance(9_500)
    const live = await Promise.all(Array.from({ length: 10 }, () => all.make()))
    all.clock.advance(600)
    await until(() => expect(all.told).toHaveLength(1_000))
    await all.sessions.sweep()
    expect(all.told.toSorted()).toEqual(ids.toSorted())
    expect(store.size).toBe(11)
    for (const id of live) expect(await all.sessions.read(id)).toBeDefined()
    locked.abandon()
    all.clock.advance(1_000)
    await all.sessions.sweep()
    expect(store.size).toBe(0)
  })

  it('are swept by pieces, so that others get their turn', async () => {
    const store = new MemoryStore({ maxSessions: 1_000_000 })
    await using all = sessionsOf({ idleLifetime: 1_000 }, store)
    for (let index = 0; index < 6_000; index++) await all.make()
    all.clock.advance(2_000)
    let turns = 0
    let sweeping = true
    const count = (): void => {
      turns++
      if (sweeping) setImmediate(count)
    }
    setImmediate(count)
    await all.sessions.sweep()
    sweeping = false
    expect(store.size).toBe(0)
    expect(turns).toBeGreaterThan(20)
  })

  it('are swept from files by their time of modification', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'xps-state-'))
    try {
      const sessions = new SharedSessions(new FileStore(folder), { idleLifetime: 60_000 })
      const told: string[] = []
      sessions.on('expired', (id) => told.push(id))
      const [old, young] = ['a'.repeat(32), 'b'.repeat(32)]
      for (const id of [old, young]) await writeFile(join(folder, `${id}.txt`), 'a:1:{s:1:"n";s:1:"1";}')
      const time = Date.now() / 1000 - 90
      await utimes(join(folder, `${old}.txt`), time, time)
      await sessions.open()
      await sessions.sweep()
      expect(told).toEqual([old])
      expect((await sessions.read(young))?.entries.get('n')).toBe('1')
      await sessions.close()
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('say that a container cannot be opened, and can be asked again', async () => {
    let broken = true
    const store = Object.assign(new MemoryStore(), {
      open() {
        if (broken) throw new Error('no disk')
      },
    })
    await using all = sessionsOf({}, store)
    await expect(all.sessions.open()).rejects.toThrow('no disk')
    broken = false
    await all.make()
  })

  it('tell a fault when the container fails, unlock, and keep what was committed', async () => {
    const store = new FailingStore()
    await using all = sessionsOf({}, store)
    const faults: string[] = []
    all.sessions.on('fault', ({ message }) => faults.push(message))
    const id = await all.make({ n: '1' })
    const session = await all.sessions.openSession(id)
    session.put('n', '2')
    store.failing = true
    await expect(session.close()).rejects.toMatchObject({ code: 'XPS_FAULT' })
    await expect(session.regenerateId()).rejects.toMatchObject({ code: 'XPS_FAULT' })
    await expect(session.destroy()).rejects.toMatchObject({ code: 'XPS_FAULT' })
    await expect(all.sessions.openSession('b'.repeat(32))).rejects.toMatchObject({ code: 'XPS_FAULT' })
    store.failing = false
    // It is still open: the program may try again.
    await session.close()
    expect((await all.sessions.read(id))?.entries.get('n')).toBe('2')
    expect(faults).toHaveLength(4)
    expect(all.sessions.stats().locks).toMatchObject({ held: 0, waiting: 0 })
  })

  it('close when what is under way is over, and refuse what comes later', async () => {
    const store = new FailingStore()
    const all = sessionsOf({}, store)
    const id = await all.make()
    const session = await all.sessions.openSession(id)
    session.put('n', '1')
    const closing = session.close()
    const closed = all.sessions.close()
    await closing
    await closed
    expect(store.closed).toBe(true)
    expect((await store.read(id))?.data.get('n')).toBe('1')
    await expect(all.sessions.openSession(id)).rejects.toMatchObject({ code: 'XPS_CLOSED' })
    expect(all.clock.pending).toBe(0)
  })

  it('open a container again only when those before have closed it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'xps-again-'))
    try {
      for (const store of [new FileStore(join(folder, 'files')), new LmdbStore(join(folder, 'lmdb'))]) {
        const one = new SharedSessions(store)
        const session = await one.createSession()
        session.put('n', '1')
        const written = session.close()
        const closed = one.close()
        const other = await new SharedSessions(store).open()
        await Promise.all([written, closed])
        expect((await other.read(session.id))?.entries.get('n')).toBe('1')
        await other.patch(session.id, { put: [['n', '2']] })
        if (store instanceof FileStore) {
          await expect(
            new FileStore(join(folder, 'files')).open({ idleLifetime: 0, absoluteLifetime: 0 }),
          ).rejects.toMatchObject({ code: 'XPS_BUSY' })
        }
        await other.close()
      }
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('take the locks of a container that several processes use', async () => {
    const shared = new SharedStore()
    await using one = sessionsOf({ lockTimeout: 0 }, shared)
    await using other = sessionsOf({ lockTimeout: 0, lockLease: 300 }, shared)
    const id = await one.make({ n: '1' })
    const session = await one.sessions.openSession(id)
    await expect(other.sessions.openSession(id)).rejects.toMatchObject({ code: 'XPS_TIMEOUT' })
    expect((await other.sessions.read(id))?.entries.get('n')).toBe('1')
    session.put('n', '2')
    await session.close()
    await until(() => expect(shared.held).toBe(0))
    const next = await other.sessions.openSession(id)
    other.clock.advance(50)
    expect(next.get('n')).toBe('2')
    shared.steal(id)
    other.clock.advance(150)
    await until(() => expect(shared.renewed).toBe(1))
    expect(() => next.put('n', '3')).toThrow('lock was lost')
    await expect(next.close()).rejects.toMatchObject({ code: 'XPS_LOCK_LOST' })
  })

  it('tell who destroys or renames a session that is another holder’s meanwhile that the lock is lost', async () => {
    for (const graceLifetime of [0, 1_000]) {
      const store = new FencingStore()
      await using all = sessionsOf({ graceLifetime }, store)
      const id = await all.make({ n: '1' })
      const [destroyer, renamer] = [await all.make({ n: '2' }), await all.make({ n: '3' })]
      const destroying = await all.sessions.openSession(destroyer)
      const renaming = await all.sessions.openSession(renamer)
      store.fenced = [destroyer, renamer]
      await expect(destroying.destroy()).rejects.toMatchObject({ code: 'XPS_LOCK_LOST' })
      await expect(renaming.regenerateId()).rejects.toMatchObject({ code: 'XPS_LOCK_LOST' })
      expect(destroying.over).toBe(true)
      renaming.abandon()
      expect([...store.store.list()].map((one) => one.id)).toEqual([id, destroyer, renamer])
      expect(all.sessions.stats()).toMatchObject({ destroyed: 0, locks: { held: 0 } })
    }
  })

  it('say what was changed: some keys, or all where their order is another', async () => {
    const told: Changes[] = []
    class Watched extends MemoryStore {
      override commit(...[id, stored, commit]: Parameters<MemoryStore['commit']>): CommitResult {
        told.push(commit.changes)
        return super.commit(id, stored, commit)
      }
    }
    await using all = sessionsOf({}, new Watched())
    const id = await all.make({ a: '1', b: '2', c: '3' })
    const change = async (run: (session: SharedSession) => void): Promise<void> => {
      const session = await all.sessions.openSession(id)
      run(session)
      await session.close()
    }
    told.length = 0
    await change((session) => {
      session.put('b', '4')
      session.remove('a')
      session.put('d', '5')
    })
    await change((session) => {
      session.remove('b')
      session.put('b', '4')
    })
    expect(told.map(({ cleared, keys }) => [cleared, ...keys])).toEqual([
      [false, ['b', '4'], ['d', '5'], ['a', undefined]],
      [true, ['c', '3'], ['d', '5'], ['b', '4']],
    ])
  })
})

/** A container that counts how often it is told of a use. */
class CountingStore extends MemoryStore {
  touches = 0

  override touch(id: string, expires: number): boolean {
    this.touches++
    return super.touch(id, expires)
  }
}

/** A container that says of some sessions that they are another holder's. */
class FencingStore implements Container {
  readonly name = 'fencing'
  readonly store = new MemoryStore()
  fenced: string[] = []

  read(id: string): Stored | undefined {
    return this.store.read(id)
  }

  commit(...args: Parameters<MemoryStore['commit']>): CommitResult {
    return this.fenced.includes(args[0]) ? 'fenced' : this.store.commit(...args)
  }

  destroy(id: string): boolean | 'fenced' {
    return this.fenced.includes(id) ? 'fenced' : this.store.destroy(id)
  }

  touch(id: string, expires: number): boolean | 'fenced' {
    return this.fenced.includes(id) ? 'fenced' : this.store.touch(id, expires)
  }

  list(): ReturnType<MemoryStore['list']> {
    return this.store.list()
  }
}

/** A container that takes its time, and fails when it is told to. */
class FailingStore implements Container {
  readonly name = 'failing'
  failing = false
  closed = false
  readonly #store = new MemoryStore()

  read(id: string): Promise<Stored | undefined> {
    return this.#later(() => this.#store.read(id))
  }

  commit(...args: Parameters<MemoryStore['commit']>): Promise<CommitResult> {
    return this.#later(() => this.#store.commit(...args))
  }

  destroy(id: string): Promise<boolean> {
    return this.#later(() => this.#store.destroy(id))
  }

  touch(id: string, expires: number): Promise<boolean> {
    return this.#later(() => this.#store.touch(id, expires))
  }

  list(): ReturnType<MemoryStore['list']> {
    return this.#store.list()
  }

  close(): void {
    this.closed = true
  }

  async #later<T>(call: () => T): Promise<T> {
    await new Promise((resolve) => setImmediate(resolve))
    if (this.failing && !this.closed) throw new Error('the disk is full')
    return call()
  }
}

/** Memory that stands for a store of several processes. */
class SharedStore extends MemoryStore {
  renewed = 0
  readonly #locks = new Map<string, number>()
  #fence = 0

  get held(): number {
    return this.#locks.size
  }

  steal(id: string): void {
    this.#locks.set(id, ++this.#fence)
  }

  lock(id: string) {
    if (this.#locks.has(id)) return Promise.resolve(undefined)
    const fence = ++this.#fence
    this.#locks.set(id, fence)
    return Promise.resolve({
      fence,
      renew: () => {
        this.renewed++
        return this.#locks.get(id) === fence
      },
      release: () => {
        if (this.#locks.get(id) === fence) this.#locks.delete(id)
      },
    })
  }
}
