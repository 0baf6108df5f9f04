import { createHmac, randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { XpsError } from '../../../src/index.ts'
import {
  type Commit,
  type Container,
  encrypted,
  FileStore,
  MemoryStore,
  StateClient,
  type Stored,
} from '../../../src/state/index.ts'
import { containerContract, ManualClock } from '../../../src/testing/index.ts'
import { serve } from '../support.ts'

const [id, other] = ['0123456789abcdef0123456789abcdef', 'fedcba9876543210fedcba9876543210']
const [key, next] = [randomBytes(32), randomBytes(32)]
const absent: Commit = { expect: 'absent', fence: 1, changes: { cleared: true, keys: new Map() } }
const present: Commit = { ...absent, expect: 'present' }

function storedOf(entries: Record<string, string>): Stored {
  return { data: new Map(Object.entries(entries)), created: Date.now(), expires: Date.now() + 60_000, idle: undefined }
}

/** The bytes that a container has of a session. */
async function sealed(store: Container, of: string = id): Promise<string> {
  const { data } = (await store.read(of)) as Stored
  expect(data.size).toBe(1)
  const [text] = data.values()
  return text as string
}

async function put(store: Container, text: string, as: string = id): Promise<void> {
  const stored = (await store.read(id)) as Stored
  const [name = ''] = stored.data.keys()
  const there = (await store.read(as)) !== undefined
  await store.commit(as, { ...stored, data: new Map([[name, text]]) }, there ? present : absent)
}

const wrongly = (message: RegExp): object => ({
  name: 'XpsError',
  code: 'XPS_READ',
  message: expect.stringMatching(message),
})

const failureOf = (run: () => unknown): unknown => {
  try {
    return run()
  } catch (error) {
    return error
  }
}

describe('encrypted', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'xps-encrypted-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  for (const { name, run } of containerContract({ make: () => encrypted(new MemoryStore(), { keys: [key] }) })) {
    it(`in memory: ${name}`, run)
  }
  let made = 0
  const again = (): Container => encrypted(new FileStore(join(folder, `${made}`)), { keys: [key] })
  const make = (): Container => {
    made++
    return again()
  }
  for (const { name, run } of containerContract({ make, again })) it(`in files: ${name}`, run)

  it('leaves nothing to read in the store, neither keys nor values, and not the same twice', async () => {
    const plain = new FileStore(join(folder, 'read'))
    await plain.open({ idleLifetime: 0, absoluteLifetime: 0 })
    const store = encrypted(plain, { keys: [key.toString('hex')] })
    await store.commit(id, storedOf({ creditcard: '4711' }), absent)
    const file = join(folder, 'read', `${id}.txt`)
    const before = await readFile(file, 'latin1')
    expect(before).not.toMatch(/creditcard|4711/)
    await store.commit(id, storedOf({ creditcard: '4711' }), present)
    expect(await readFile(file, 'latin1')).not.toBe(before)
  })

  it('reads with old keys, and writes with the first', async () => {
    const memory = new MemoryStore()
    await encrypted(memory, { keys: [key] }).commit(id, storedOf({ n: '1' }), absent)
    const rotated = encrypted(memory, { keys: [next, key] })
    const stored = (await rotated.read(id)) as Stored
    expect(stored.data.get('n')).toBe('1')
    const only = encrypted(memory, { keys: [next] })
    expect(failureOf(() => only.read(id))).toMatchObject(wrongly(/its key is not among the keys/))
    await rotated.commit(id, stored, present)
    expect((await only.read(id))?.data.get('n')).toBe('1')
  })

  it('refuses a text that was changed in any byte, cut, or moved from another session', async () => {
    const memory = new MemoryStore()
    const store = encrypted(memory, { keys: [key] })
    await store.commit(id, storedOf({ role: 'guest' }), absent)
    await store.commit(other, storedOf({ role: 'admin' }), absent)
    const text = await sealed(memory)
    for (let at = 0; at < text.length; at++) {
      const changed = String.fromCharCode(text.charCodeAt(at) ^ 1)
      await put(memory, text.slice(0, at) + changed + text.slice(at + 1))
      expect(
        failureOf(() => store.read(id)),
        `byte ${at}`,
      ).toMatchObject(wrongly(/cannot be decrypted/))
      await put(memory, text.slice(0, at))
      expect(
        failureOf(() => store.read(id)),
        `cut at ${at}`,
      ).toMatchObject(wrongly(/cannot be decrypted/))
    }
    await put(memory, await sealed(memory, other))
    const error = failureOf(() => store.read(id))
    expect(error).toMatchObject(wrongly(/it was changed, or is of another session/))
    expect((error as Error).message).not.toContain(id)
    await put(memory, text)
    expect((await store.read(id))?.data.get('role')).toBe('guest')
  })

  it('is told apart from a store that is away: to programs, to clients, and with the reason to the host', async () => {
    const memory = new MemoryStore()
    const clock = new ManualClock()
    await encrypted(memory, { keys: [key] }).commit(id, storedOf({ secret: '4711' }), absent)
    await using served = await serve({
      store: encrypted(memory, { keys: [next] }),
      strict: false,
      sweepInterval: 0,
      clock,
    })
    const { sessions } = served.server
    const [faults, expired]: [XpsError[], string[]] = [[], []]
    sessions.on('fault', (error) => faults.push(error))
    served.core.on('fault', () => {})
    sessions.on('expired', (gone) => expired.push(gone))
    const client = await served.client()
    expect(await client.askAll(`open ${id} rw`, `read ${id}`, `patch ${id} put a 1`, `drop ${id}`)).toEqual(
      Array(4).fill('err Session cannot be decrypted.'),
    )
    const told = { name: 'XpsError', code: 'XPS_READ', message: 'session cannot be decrypted' }
    await expect(sessions.openSession(id)).rejects.toMatchObject(told)
    await using remote = new StateClient(served.address)
    await expect(remote.openSession(id)).rejects.toMatchObject({
      ...told,
      message: `${served.address}: ${told.message}`,
    })
    expect(faults).toHaveLength(6)
    for (const fault of faults) {
      expect(fault).toMatchObject(wrongly(/^a session cannot be decrypted: its key is not among the keys$/))
    }
    // Nobody has changed it, and when its time is over it goes like any other.
    expect((await encrypted(memory, { keys: [key] }).read(id))?.data.get('secret')).toBe('4711')
    clock.advance(60_000)
    await sessions.sweep()
    expect([expired, memory.read(id)]).toEqual([[id], undefined])
    expect(faults).toHaveLength(6)
  })

  it('reads what is not encrypted only if it is told to', async () => {
    const memory = new MemoryStore()
    memory.commit(id, storedOf({ n: '1' }), absent)
    expect(failureOf(() => encrypted(memory, { keys: [key] }).read(id))).toMatchObject(wrongly(/it is not encrypted/))
    const moving = encrypted(memory, { keys: [key], plain: true })
    const stored = (await moving.read(id)) as Stored
    expect(stored.data.get('n')).toBe('1')
    await moving.commit(id, stored, present)
    expect((await sealed(memory)).length).toBeGreaterThan(33)
    expect((await moving.read(id))?.data.get('n')).toBe('1')
  })

  it('writes a form that other programs can read', async () => {
    const memory = new MemoryStore()
    await encrypted(memory, { keys: [key] }).commit(id, storedOf({}), absent)
    const bytes = Buffer.from(await sealed(memory), 'latin1')
    const name = createHmac('sha256', key).update('xps/state: name of a key').digest().subarray(0, 4)
    expect(bytes.subarray(0, 5)).toEqual(Buffer.concat([Buffer.from([1]), name]))
    expect(bytes).toHaveLength(1 + 4 + 12 + 'a:0:{}'.length + 16)
  })

  it('refuses keys that are none, and shows none of them', () => {
    const wrong: unknown[] = [undefined, [], ['short'], [randomBytes(16)], ['g'.repeat(64)], [key, key], [7], key]
    for (const keys of wrong) {
      const error = failureOf(() => encrypted(new MemoryStore(), { keys } as never)) as Error
      expect(error).toMatchObject({
        code: 'XPS_INVALID_OPTION',
        message: expect.stringMatching(/^keys must be a list/),
      })
      expect(error.message).not.toMatch(/short|gggg/)
    }
    expect(() => encrypted({} as Container, { keys: [key] })).toThrow(/container/)
    expect(() => encrypted(new MemoryStore(), { keys: [key], plain: 1 as never })).toThrow(/plain/)
    expect(() => encrypted(new MemoryStore(), { keys: [key], key } as never)).toThrow(/encrypted options/)
  })
})
