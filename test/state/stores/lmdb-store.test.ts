import { type ChildProcess, execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Stored } from '../../../src/state/container.ts'
import { SharedSessions } from '../../../src/state/shared-sessions.ts'
import { LmdbStore, type LmdbStoreOptions } from '../../../src/state/stores/lmdb-store.ts'
import { containerContract } from '../../../src/testing/index.ts'
import { retiredIdClaims } from '../retired.ts'

const program = fileURLToPath(new URL('lmdb-peer.js', import.meta.url))
const id = '0123456789abcdef0123456789abcdef'
const other = 'fedcba9876543210fedcba9876543210'
const changes = { cleared: false, keys: new Map() }

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xps-lmdb-'))
})
afterEach(() => rm(folder, { recursive: true }))

function storedOf(entries: Record<string, string>): Stored {
  const now = Date.now()
  return { data: new Map(Object.entries(entries)), created: now, expires: now + 3_600_000, idle: undefined }
}

describe('LmdbStore', () => {
  let made = 0
  const kind = {
    make: () => new LmdbStore(join(folder, `${++made}`)),
    again: () => new LmdbStore(join(folder, `${made}`)),
  }
  for (const { name, run } of containerContract(kind)) it(name, run)
  const quick = { make: () => new LmdbStore(join(folder, `${++made}`), { durable: false }) }
  for (const { name, run } of containerContract(quick)) it(`not durable: ${name}`, run)

  const both = async () => [new LmdbStore(join(folder, 'both')), new LmdbStore(join(folder, 'both'))] as const
  for (const { name, run } of retiredIdClaims(both)) it(`where several use it: ${name}`, run)

  it('keeps a value of a megabyte, in files that are for their owner only', async () => {
    const store = new LmdbStore(join(folder, 'a', 'b.c'))
    await store.open()
    const stored = storedOf({ large: 'x'.repeat(1_000_000), small: 'y' })
    expect(await store.commit(id, stored, { expect: 'absent', fence: 1, changes })).toBe('done')
    await store.close()
    await store.open()
    expect(store.read(id)?.data.get('large')).toHaveLength(1_000_000)
    await store.close()
    const files = await readdir(join(folder, 'a', 'b.c'))
    expect(files.sort()).toEqual(['data.mdb', 'lock.mdb'])
    for (const file of files) expect((await stat(join(folder, 'a', 'b.c', file))).mode & 0o777).toBe(0o600)
  })

  it('takes no more sessions than it was told to', async () => {
    const store = new LmdbStore(folder, { maxSessions: 1 })
    await store.open()
    expect(await store.commit(id, storedOf({}), { expect: 'absent', fence: 1, changes })).toBe('done')
    expect(await store.commit(other, storedOf({}), { expect: 'absent', fence: 1, changes })).toBe('full')
    expect(await store.commit(id, storedOf({}), { expect: 'present', fence: 2, changes })).toBe('done')
    await store.close()
  })

  it('says when a session expires that is committed again and again, never later than it does', async () => {
    const sessions = new SharedSessions(new LmdbStore(folder), { idleLifetime: 3_600_000 })
    const made = await sessions.createSession(id)
    await made.close()
    for (let count = 0; count < 3; count++) await sessions.patch(id, { put: [['n', `${count}`]] })
    await sessions.patch(id, { idle: 60_000 })
    const listed: number[] = []
    for await (const { expires } of sessions.list()) listed.push(expires)
    expect(listed[0]).toBeLessThanOrEqual(Date.now() + 60_000)
    expect(listed[0]).toBeGreaterThan(Date.now())
    await sessions.close()
  })

  it('lists more sessions than fit in a page, also those that were made meanwhile or are gone', async () => {
    const store = new LmdbStore(folder, { durable: false })
    await store.open()
    const ids = Array.from({ length: 500 }, (_, index) => `${index}`.padStart(32, '0'))
    await Promise.all(ids.map((one) => store.commit(one, storedOf({}), { expect: 'absent', fence: 1, changes })))
    const seen: string[] = []
    for (const one of store.list()) {
      seen.push(one.id)
      if (seen.length === 200) await store.destroy(ids[300] as string, 2)
    }
    expect(seen).toEqual(ids.filter((one) => one !== ids[300]))
    await store.close()
  })

  it('rejects what is no session, and names no id', async () => {
    const store = new LmdbStore(folder)
    await store.open()
    await store.commit(id, storedOf({ n: '1' }), { expect: 'absent', fence: 1, changes })
    await store.close()
    const { open } = await import('lmdb')
    const env = open({ path: folder, encoding: 'binary' })
    await env.openDB('sessions', { encoding: 'binary', useVersions: true }).put(id, Buffer.alloc(40), 1)
    await env.close()
    await store.open()
    expect(() => store.read(id)).toThrow(expect.objectContaining({ code: 'XPS_READ' }))
    expect(() => store.read(id)).not.toThrow(id)
    await store.close()
  })

  it('says at the start that a folder cannot be used, or that the package is not there', async () => {
    await writeFile(join(folder, 'file'), '')
    await expect(new LmdbStore(join(folder, 'file')).open()).rejects.toMatchObject({ code: 'XPS_READ' })
    expect(() => new LmdbStore('')).toThrow(/folder/)
    expect(() => new LmdbStore('x', { durable: 1 } as unknown as LmdbStoreOptions)).toThrow(/durable/)
    expect(() => new LmdbStore('x', { maxSessions: 0 })).toThrow(/maxSessions/)
    expect(() => new LmdbStore('x').read(id)).toThrow(expect.objectContaining({ code: 'XPS_CLOSED' }))
    vi.doMock('lmdb', () => {
      throw new Error('Cannot find package')
    })
    try {
      await expect(new LmdbStore(folder).open()).rejects.toMatchObject({
        code: 'XPS_NOT_FOUND',
        message: expect.stringContaining('npm install lmdb'),
      })
    } finally {
      vi.doUnmock('lmdb')
    }
  })

  it('wakes one who waits for a lock when this process gives it up, and lets go of one who does not want it any more', async () => {
    const store = new LmdbStore(folder)
    await store.open()
    const { signal } = new AbortController()
    const first = await store.lock(id, { wait: 0, lease: 60_000, signal })
    const leaving = new AbortController()
    const left = store.lock(id, { wait: 60_000, lease: 60_000, signal: leaving.signal })
    const waiting = store.lock(id, { wait: 60_000, lease: 60_000, signal })
    leaving.abort(new Error('left'))
    await expect(left).rejects.toThrow('left')
    await first?.release()
    const second = await waiting
    expect(second?.fence).toBeGreaterThan(first?.fence ?? Number.POSITIVE_INFINITY)
    expect(await first?.renew()).toBe(false)
    await store.close()
  })
})

/** Another process on the folder. */
class Peer implements AsyncDisposable {
  readonly process: ChildProcess

  private constructor(process: ChildProcess) {
    this.process = process
  }

  static async start(options: LmdbStoreOptions = {}, lease = 30_000): Promise<Peer> {
    const peer = new Peer(fork(program, [folder, JSON.stringify(options), `${lease}`]))
    await peer.#answer()
    return peer
  }

  /** Resolves to what it answers, or the code of its error. */
  ask(...words: (string | number)[]): Promise<unknown> {
    this.process.send(words)
    return this.#answer()
  }

  /**
   * Does something while the peer is stopped. It may have been stopped in the midst of a write, and nobody else can write
   * then: LMDB's writers take turns. So where it takes long the peer may end that write.
   */
  async whileStopped<Result>(work: () => Promise<Result>): Promise<Result> {
    this.process.kill('SIGSTOP')
    const working = work()
    const done = working.then(() => true)
    while (!(await Promise.race([done, setTimeout(2_000, false)]))) {
      this.process.kill('SIGCONT')
      await setTimeout(5)
      this.process.kill('SIGSTOP')
    }
    return working
  }

  async #answer(): Promise<unknown> {
    const [{ result, code }] = await once(this.process, 'message')
    return code ?? result
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const exited = once(this.process, 'exit')
    this.process.kill('SIGKILL')
    await exited
  }
}

describe('LmdbStore, of several processes', () => {
  let sessions: SharedSessions
  async function open(options: LmdbStoreOptions = {}, lockLease = 30_000): Promise<void> {
    sessions = new SharedSessions(new LmdbStore(folder, options), { lockLease, lockTimeout: 50_000 })
    await sessions.open()
  }
  async function make(): Promise<void> {
    const session = await sessions.createSession(id)
    session.put('n', '0')
    await session.close()
  }
  const valueNow = async (): Promise<string | undefined> => (await sessions.read(id))?.entries.get('n')

  it('loses none of fifty requests in two of them that each add one', async () => {
    await open()
    await make()
    await using peer = await Peer.start()
    const one = async (): Promise<void> => {
      const session = await sessions.openSession(id)
      session.put('n', String(Number(session.get('n')) + 1))
      await session.close()
    }
    const [failure] = await Promise.all([peer.ask('add', id, 25), ...Array.from({ length: 25 }, one)])
    expect(failure).toBeUndefined()
    expect(await valueNow()).toBe('50')
    expect(await peer.ask('open', id)).toBe('50')
    await peer.ask('close', id)
    expect(await valueNow()).toBe('50')
    // What a third one commits is seen in the turn in which it has: nothing that was read before is shown again.
    execFileSync(process.execPath, [program, folder, '{}', '30000', 'put', id])
    expect(await valueNow()).toBe('put')
    await sessions.close()
  })

  it('hands locks that were held alone to a second one, and they to the first when the second has gone', async () => {
    await open()
    await make()
    const held = await sessions.openSession(id)
    await using peer = await Peer.start()
    const waiting = peer.ask('open', id)
    held.put('n', 'first')
    await held.close()
    expect(await waiting).toBe('first')
    await expect(sessions.openSession(id, { lockTimeout: 30 })).rejects.toMatchObject({ code: 'XPS_TIMEOUT' })
    await peer.ask('put', id, 'second')
    const next = sessions.openSession(id)
    await peer.ask('close', id)
    expect((await next).get('n')).toBe('second')
    await peer.ask('leave')
    await (await next).close()
    await sessions.close()
  })

  it('frees the locks of a process that was killed long before their lease is over', async () => {
    await open()
    await make()
    await using peer = await Peer.start()
    await peer.ask('open', id)
    peer.process.kill('SIGKILL')
    const session = await sessions.openSession(id, { lockTimeout: 5_000 })
    expect(session.get('n')).toBe('0')
    await session.close()
    await sessions.close()
  })

  it('gives the lock of one that is silent to the next when its lease is over, and refuses its late commit', async () => {
    await open({}, 200)
    await make()
    await using peer = await Peer.start({}, 200)
    await peer.ask('open', id)
    await peer.ask('put', id, 'late')
    const session = await peer.whileStopped(() => sessions.openSession(id))
    const closing = peer.ask('close', id)
    peer.process.kill('SIGCONT')
    expect(await closing).toBe('XPS_LOCK_LOST')
    session.put('n', 'ours')
    await session.close()
    expect(await valueNow()).toBe('ours')
    await sessions.close()
  })

  it('takes the folder from one that had it alone and is silent for too long, and refuses its late commit', async () => {
    const options = { processTimeout: 300 }
    await open(options)
    await make()
    await sessions.close()
    await using peer = await Peer.start(options)
    await peer.ask('open', id)
    await peer.ask('put', id, 'late')
    await peer.whileStopped(async () => {
      await open(options)
      const session = await sessions.openSession(id)
      session.put('n', 'ours')
      await session.close()
    })
    const closing = peer.ask('close', id)
    peer.process.kill('SIGCONT')
    expect(await closing).toBe('XPS_LOCK_LOST')
    expect(await valueNow()).toBe('ours')
    // It comes back by itself, and both go on.
    expect(await peer.ask('open', id)).toBe('ours')
    await sessions.close()
  })
})
