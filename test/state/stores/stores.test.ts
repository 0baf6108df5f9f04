import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Commit, Lifetimes, Stored } from '../../../src/state/container.ts'
import { FileStore } from '../../../src/state/stores/file-store.ts'
import { MemoryStore } from '../../../src/state/stores/memory-store.ts'
import { containerContract } from '../../../src/testing/index.ts'

const id = '0123456789abcdef0123456789abcdef'
const day = 86_400_000
const lifetimes = { idleLifetime: day, absoluteLifetime: 0 }
const changes = { cleared: false, keys: new Map() }
const fresh: Commit = { expect: 'absent', fence: 1, changes }
const again: Commit = { expect: 'present', fence: 1, changes }

function storedOf(entries: Record<string, string>): Stored {
  const now = Date.now()
  return { data: new Map(Object.entries(entries)), created: now, expires: now + day, idle: undefined }
}

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xps-state-'))
})
afterEach(() => rm(folder, { recursive: true }))

describe('MemoryStore', () => {
  for (const { name, run } of containerContract({ make: () => new MemoryStore() })) it(name, run)

  it('takes no more sessions than it was told to', () => {
    const store = new MemoryStore({ maxSessions: 1 })
    expect(store.commit(id, storedOf({}), fresh)).toBe('done')
    expect(store.commit(id.toUpperCase(), storedOf({}), fresh)).toBe('full')
    expect(store.commit(id, storedOf({ n: '1' }), again)).toBe('done')
    expect(store.size).toBe(1)
  })
})

describe('FileStore', () => {
  let made = 0
  const make = (): FileStore => new FileStore(join(folder, `${++made}`))
  const kinds = { make, again: () => new FileStore(join(folder, `${made}`)) }
  for (const { name, run } of containerContract(kinds)) it(name, run)
  for (const { name, run } of containerContract({
    make: () => new FileStore(join(folder, `${++made}`), { durable: false }),
  })) {
    it(`not durable: ${name}`, run)
  }

  async function opened(): Promise<FileStore> {
    const store = new FileStore(folder)
    await store.open(lifetimes)
    return store
  }

  it('writes what the reference would, for nobody else to read', async () => {
    const store = await opened()
    await store.commit(id, storedOf({ foo: 'bar', today: '2004-11-09' }), fresh)
    expect((await readdir(folder)).sort()).toEqual(['.xps-lock', `${id}.txt`])
    const path = join(folder, `${id}.txt`)
    expect(await readFile(path, 'latin1')).toBe('a:2:{s:3:"foo";s:3:"bar";s:5:"today";s:10:"2004-11-09";}')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    await store.commit(id, storedOf({ n: '1' }), again)
    expect(await readFile(path, 'latin1')).toBe('a:1:{s:1:"n";s:1:"1";}')
  })

  it('reads what the reference has written, also with the tail that it leaves, and a new one that is empty', async () => {
    const store = await opened()
    const path = join(folder, `${id}.txt`)
    await writeFile(path, 'a:1:{s:1:"n";s:1:"1";}2";}')
    const stored = await store.read(id)
    expect([...(stored?.data ?? [])]).toEqual([['n', '1']])
    expect(stored?.expires).toBeGreaterThan(Date.now() + day - 10_000)
    await writeFile(path, '')
    expect((await store.read(id))?.data.size).toBe(0)
  })

  it('reckons the time of a file that is older than it knows', async () => {
    const store = await opened()
    const path = join(folder, `${id}.txt`)
    await writeFile(path, 'a:0:{}')
    await utimes(path, 1_000, 1_000)
    expect((await store.read(id))?.expires).toBe(1_000_000 + day)
    const listed = []
    for await (const one of store.list()) listed.push(one)
    expect(listed).toEqual([{ id, expires: 1_000_000 + day }])
  })

  it('keeps what was committed in memory, and sees all the same what another program does with the file', async () => {
    const store = await opened()
    const path = join(folder, `${id}.txt`)
    await store.commit(id, storedOf({ n: '1' }), fresh)
    const kept = store.read(id)
    expect(kept).not.toBeInstanceOf(Promise)
    expect((await kept)?.data.get('n')).toBe('1')
    await writeFile(path, 'a:1:{s:1:"n";s:1:"2";}')
    expect((await store.read(id))?.data.get('n')).toBe('2')
    await store.commit(id, storedOf({ n: '3' }), again)
    expect((await store.read(id))?.data.get('n')).toBe('3')
    await utimes(path, 1_000, 1_000)
    expect((await store.read(id))?.expires).toBe(1_000_000 + day)
    await store.commit(id, storedOf({ n: '4' }), again)
    await rm(path)
    expect(await store.commit(id, storedOf({ n: '5' }), again)).toBe('missing')
    expect(await store.read(id)).toBe(undefined)
  })

  it('tells of what is in memory what the file would tell', async () => {
    const store = new FileStore(folder)
    await store.open({ idleLifetime: day, absoluteLifetime: 2 * day })
    const stored = { ...storedOf({ n: '1' }), created: Date.now() - 5_000, idle: 3_000 }
    await store.commit(id, stored, fresh)
    const toldBy = async (given: Lifetimes): Promise<Stored | undefined> => {
      const copy = await mkdtemp(join(folder, 'copy-'))
      await cp(join(folder, `${id}.txt`), join(copy, `${id}.txt`), { preserveTimestamps: true })
      const other = new FileStore(copy)
      await other.open(given)
      return other.read(id)
    }
    expect(await store.read(id)).toEqual(await toldBy({ idleLifetime: day, absoluteLifetime: 2 * day }))
    await store.open(lifetimes)
    await store.commit(id, storedOf({ n: '2' }), again)
    expect(await store.read(id)).toEqual(await toldBy(lifetimes))
  })

  it('keeps nothing in memory with a cacheSize of 0', async () => {
    const store = new FileStore(folder, { cacheSize: 0 })
    await store.open(lifetimes)
    await store.commit(id, storedOf({ n: '1' }), fresh)
    const read = store.read(id)
    expect(read).toBeInstanceOf(Promise)
    expect((await read)?.data.get('n')).toBe('1')
    expect(() => new FileStore(folder, { cacheSize: 'much' })).toThrow(/cacheSize/)
  })

  it('rejects what is no session, and names no id', async () => {
    const store = await opened()
    await writeFile(join(folder, `${id}.txt`), 'O:8:"stdClass":0:{}')
    const error = await Promise.resolve(store.read(id)).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'XPS_READ' })
    expect((error as Error).message).not.toContain(id)
  })

  it('follows no link, and lists no file that is not its own', async () => {
    const store = await opened()
    const outside = join(tmpdir(), `xps-outside-${process.pid}.txt`)
    await writeFile(outside, 'a:0:{}')
    try {
      await symlink(outside, join(folder, `${id}.txt`))
      await expect(store.read(id)).rejects.toMatchObject({ code: 'XPS_READ' })
    } finally {
      await rm(outside)
    }
    await rm(join(folder, `${id}.txt`))
    for (const name of ['.hidden.txt', 'short.txt', 'notes.md', `${id.toUpperCase()}.txt`, `${id}.txt.bak`]) {
      await writeFile(join(folder, name), 'a:0:{}')
    }
    for await (const { id: found } of store.list()) expect(found).toBe(undefined)
  })

  it('removes at the start what a crash has left of commits, and nothing else', async () => {
    await writeFile(join(folder, `.${'a'.repeat(24)}.tmp`), 'half')
    await writeFile(join(folder, '.keep.tmp'), 'not ours')
    await opened()
    expect((await readdir(folder)).sort()).toEqual(['.keep.tmp', '.xps-lock'])
  })

  it('says at the start that a folder cannot be used', async () => {
    await writeFile(join(folder, 'file'), '')
    await expect(new FileStore(join(folder, 'file')).open(lifetimes)).rejects.toMatchObject({ code: 'XPS_READ' })
    expect(() => new FileStore('')).toThrow(/folder/)
    expect(() => new FileStore('x', { durable: 1 as unknown as boolean })).toThrow(/durable/)
  })

  it('leaves the session before as it was when a commit fails', async () => {
    const store = await opened()
    await store.commit(id, storedOf({ n: '1' }), fresh)
    if (process.getuid?.() === 0) {
      // Root may write anywhere: a folder in the way does as well.
      await rm(folder, { recursive: true })
      await expect(store.commit(id, storedOf({ n: '2' }), fresh)).rejects.toMatchObject({ code: 'XPS_READ' })
      await mkdir(folder)
    } else {
      await chmod(folder, 0o500)
      await expect(store.commit(id, storedOf({ n: '2' }), again)).rejects.toMatchObject({ code: 'XPS_READ' })
      await chmod(folder, 0o700)
      expect((await store.read(id))?.data.get('n')).toBe('1')
    }
  })
})
