import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  type CommitResult,
  type Container,
  FileStore,
  MemoryStore,
  SharedSessions,
  type SharedSessionsOptions,
} from '../../src/state/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { gate } from '../http/e2e/support.ts'
import { made, renamed } from './retired.ts'

/** Memory of which a test says when what takes time, and what fails. */
class SlowStore implements Container {
  readonly name = 'slow'
  readonly memory = new MemoryStore()
  readonly calls: string[] = []
  /** Until it opens, nothing is written under an id that is new. */
  absent: Promise<unknown> | undefined
  opening: Promise<unknown> | undefined
  closing: Promise<unknown> | undefined
  failingRetire = false

  async open(): Promise<void> {
    this.calls.push('open')
    await this.opening
  }

  read(id: string): ReturnType<MemoryStore['read']> {
    return this.memory.read(id)
  }

  async commit(...args: Parameters<MemoryStore['commit']>): Promise<CommitResult> {
    if (args[2].expect === 'absent') await this.absent
    if (this.failingRetire && args[1].idle === -1) throw new Error('the disk is full')
    return this.memory.commit(...args)
  }

  destroy(id: string): boolean {
    return this.memory.destroy(id)
  }

  touch(id: string, expires: number): boolean {
    return this.memory.touch(id, expires)
  }

  list(): ReturnType<MemoryStore['list']> {
    return this.memory.list()
  }

  async close(): Promise<void> {
    await this.closing
    this.calls.push('closed')
  }
}

function over(store: Container, options: SharedSessionsOptions = {}) {
  const clock = new ManualClock()
  const sessions = new SharedSessions(store, { clock, sweepInterval: 0, graceLifetime: 60_000, ...options })
  sessions.on('fault', () => {})
  return { clock, sessions }
}

describe('A session whose id could not be replaced', () => {
  it('can be opened and written as before', async () => {
    const store = new SlowStore()
    const { sessions } = over(store)
    const id = await made(sessions, { n: '1' })
    await failToRename(sessions, store, id)
    expect((await sessions.read(id))?.entries.get('n')).toBe('1')
    await sessions.patch(id, { put: [['n', '2']] })
    expect((await sessions.read(id))?.entries.get('n')).toBe('2')
    await sessions.close()
  })

  it('is found by the ids that it had before that', async () => {
    const store = new SlowStore()
    const { sessions } = over(store)
    const first = await made(sessions, { n: '1' })
    const second = await renamed(sessions, first)
    await failToRename(sessions, store, second)
    expect((await sessions.read(first))?.entries.get('n')).toBe('1')
    expect(await sessions.destroySession(first)).toBe(true)
    for (const id of [first, second]) expect(await sessions.read(id)).toBe(undefined)
    await sessions.close()
  })
})

describe('Ids that were replaced', () => {
  it('lead nowhere by a key of a program that is named as ours', async () => {
    const { sessions } = over(new MemoryStore())
    const others = await made(sessions, { n: '1' })
    const first = await made(sessions, { '\0xps now': others })
    const second = await renamed(sessions, first)
    expect(await sessions.destroySession(first)).toBe(true)
    expect(await sessions.read(second)).toBe(undefined)
    expect((await sessions.read(others))?.entries.get('n')).toBe('1')
    await sessions.close()
  })

  it('leave no alarm behind where sessions close while an id is replaced', async () => {
    const store = new SlowStore()
    const { sessions, clock } = over(store)
    const session = await sessions.openSession(await made(sessions))
    const written = gate()
    store.absent = written.promise
    const renaming = session.regenerateId()
    const closed = sessions.close()
    written.open()
    await renaming
    await closed
    expect(clock.pending).toBe(0)
  })
})

describe('A container whose sessions are closed while it is opened', () => {
  it('is closed before others open it', async () => {
    const store = new SlowStore()
    const [opened, closed] = [gate(), gate()]
    store.opening = opened.promise
    store.closing = closed.promise
    const one = over(store).sessions
    const opening = one.open()
    await one.close()
    const other = over(store).sessions
    const again = other.open()
    opened.open()
    // The other one gets as far as it can.
    await new Promise((resolve) => setImmediate(resolve))
    closed.open()
    await expect(opening).rejects.toMatchObject({ code: 'XPS_CLOSED' })
    await again
    expect(store.calls).toEqual(['open', 'closed', 'open'])
    await other.close()
  })
})

async function failToRename(sessions: SharedSessions, store: SlowStore, id: string): Promise<void> {
  await using session = await sessions.openSession(id)
  store.failingRetire = true
  await expect(session.regenerateId()).rejects.toMatchObject({ code: 'XPS_FAULT' })
  store.failingRetire = false
}

describe('An id that was replaced', () => {
  it('is one after a restart as well: it can be read until its grace is over, not written, and ends the session', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'xps-replaced-'))
    try {
      const first = over(new FileStore(folder))
      const before = await made(first.sessions, { user: 'none' })
      const now = await renamed(first.sessions, before)
      await first.sessions.patch(now, { put: [['user', 'ali']] })
      await first.sessions.close()

      const { clock, sessions } = over(new FileStore(folder))
      expect((await sessions.read(before))?.entries).toEqual(new Map([['user', 'none']]))
      await expect(sessions.openSession(before)).rejects.toMatchObject({ code: 'XPS_NOT_FOUND' })
      clock.advance(50_000)
      expect((await sessions.read(before))?.entries).toEqual(new Map([['user', 'none']]))
      clock.advance(11_000)
      expect(await sessions.read(before)).toBeUndefined()
      const last = await renamed(sessions, now)
      expect(await sessions.destroySession(now)).toBe(true)
      expect([await sessions.read(now), await sessions.read(last)]).toEqual([undefined, undefined])
      await sessions.close()
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
