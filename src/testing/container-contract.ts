import assert from 'node:assert/strict'
import { PhpValue, type StateValue } from '../state/codec/php-serialize.ts'
import type { Awaitable, Commit, Container, Stored } from '../state/container.ts'
import type { Claim } from './session-contract.ts'

/** A kind of container, as the contract needs to know it. */
export interface ContainerKind {
  /** Makes a container that is empty; called for each claim. The contract opens and closes it. */
  make: () => Awaitable<Container>
  /** Another one over what the last one has left, as after a restart. @default a restart is not tried */
  again?: () => Awaitable<Container>
  /** For what belongs to a claim and must end with it. @default nothing */
  cleanUp?: () => Awaitable<void>
}

const lifetimes = { idleLifetime: 3_600_000, absoluteLifetime: 86_400_000 }
const one = '0123456789abcdef0123456789abcdef'
const other = 'fedcba9876543210fedcba9876543210'
let fence = 0

/** Every byte there is, and what stores and protocols are fond of. */
const everyByte = String.fromCharCode(...Array.from({ length: 256 }, (_, byte) => byte))
const data: ReadonlyMap<string, StateValue> = new Map<string, StateValue>([
  ['zebra', 'comes first'],
  ['', 'an empty key'],
  ['empty', ''],
  ['7', 'a key like a number'],
  ['__proto__', everyByte],
  [everyByte, 'a|b";}'],
  ['number', new PhpValue('i:42;')],
  ['array', new PhpValue('a:1:{s:1:"a";b:1;}')],
  ['ant', 'comes last'],
])

/**
 * The claims that every container must meet, to be run by any test runner:
 *
 * ```
 * for (const { name, run } of containerContract({ make: () => new MyStore() })) test(name, run)
 * ```
 */
export function containerContract(kind: ContainerKind): Claim[] {
  const claims: Record<string, (container: Container, restart: () => Promise<Container>) => Promise<void>> = {
    'has nothing of an id that was never committed': async (container) => {
      assert.equal(await container.read(one), undefined)
      assert.deepEqual(await idsOf(container), [])
    },
    'gives back what was committed: every byte, every kind of value, in order': async (container) => {
      assert.equal(await container.commit(one, storedOf(data), commitOf('absent', data)), 'done')
      assert.deepEqual([...((await container.read(one))?.data ?? [])], [...data])
    },
    'gives back when a session was made, when it expires, and its own lifetime': async (container) => {
      const stored = { ...storedOf(data), idle: 120_000 }
      await container.commit(one, stored, commitOf('absent', data))
      const found = await container.read(one)
      assert.equal(found?.created, stored.created)
      assert.equal(Math.round(found?.expires ?? 0), stored.expires)
      assert.equal(found?.idle, 120_000)
    },
    'puts a session in the place of the one before, and leaves nothing of that': async (container) => {
      await container.commit(one, storedOf(data), commitOf('absent', data))
      const less = new Map([['n', '1']])
      assert.equal(await container.commit(one, storedOf(less), commitOf('present', less)), 'done')
      assert.deepEqual([...((await container.read(one))?.data ?? [])], [...less])
    },
    'keeps a session without keys': async (container) => {
      await container.commit(one, storedOf(new Map()), commitOf('absent', new Map()))
      assert.equal((await container.read(one))?.data.size, 0)
    },
    'does not change what was read': async (container) => {
      await container.commit(one, storedOf(new Map([['n', '1']])), commitOf('absent', new Map([['n', '1']])))
      const before = await container.read(one)
      await container.commit(one, storedOf(new Map([['n', '2']])), commitOf('present', new Map([['n', '2']])))
      assert.equal(before?.data.get('n'), '1')
    },
    'makes no session twice, and none that is not to be made': async (container) => {
      assert.equal(await container.commit(one, storedOf(data), commitOf('present', data)), 'missing')
      assert.equal(await container.read(one), undefined)
      const first = new Map([['by', 'the first']])
      assert.equal(await container.commit(one, storedOf(first), commitOf('absent', first)), 'done')
      assert.equal(await container.commit(one, storedOf(data), commitOf('absent', data)), 'exists')
      assert.equal((await container.read(one))?.data.get('by'), 'the first')
    },
    'removes a session once, and it may be made anew': async (container) => {
      await container.commit(one, storedOf(data), commitOf('absent', data))
      assert.equal(await container.destroy(one, ++fence), true)
      assert.equal(await container.destroy(one, ++fence), false)
      assert.equal(await container.read(one), undefined)
      assert.equal(await container.commit(one, storedOf(data), commitOf('absent', data)), 'done')
    },
    'lets a session live longer, and changes nothing else of it': async (container) => {
      const stored = storedOf(data)
      await container.commit(one, stored, commitOf('absent', data))
      const later = stored.expires + 60_000
      assert.equal(await container.touch(one, later), true)
      const found = await container.read(one)
      assert.equal(Math.round(found?.expires ?? 0), later)
      assert.deepEqual([...(found?.data ?? [])], [...data])
      assert.equal(await container.touch(other, later), false)
      assert.equal(await container.read(other), undefined)
    },
    'does not let one live longer whose place another id has taken, if other processes see it': async (container) => {
      if (container.lock === undefined) return
      const stored = { ...storedOf(data), idle: -1 }
      await container.commit(one, stored, commitOf('absent', data))
      await container.touch(one, stored.expires + 60_000)
      const { expires = 0 } = (await container.read(one)) ?? {}
      assert.equal(Math.round(expires), stored.expires)
    },
    'keeps ids apart that differ only in the case of a letter': async (container) => {
      const [lower, upper] = ['abcdefghijklmnop', 'Abcdefghijklmnop']
      for (const id of [lower, upper]) {
        const named = new Map([['id', id]])
        await container.commit(id, storedOf(named), commitOf('absent', named))
      }
      assert.equal((await container.read(lower))?.data.get('id'), lower)
      assert.equal((await container.read(upper))?.data.get('id'), upper)
      assert.deepEqual((await idsOf(container)).sort(), [upper, lower])
    },
    'takes the longest and the strangest ids that there are': async (container) => {
      for (const id of ['A'.repeat(100), '-_,-_,-_,-_,-_,-', 'con_____________']) {
        const named = new Map([['id', id]])
        assert.equal(await container.commit(id, storedOf(named), commitOf('absent', named)), 'done')
        assert.equal((await container.read(id))?.data.get('id'), id)
      }
    },
    'lists every session once': async (container) => {
      const ids = Array.from({ length: 50 }, (_, index) => `${index}`.padStart(32, '0'))
      await Promise.all(ids.map(async (id) => container.commit(id, storedOf(data), commitOf('absent', data))))
      assert.deepEqual((await idsOf(container)).sort(), ids)
      for await (const { expires } of container.list()) assert.equal(typeof expires, 'number')
    },
    'finds after a restart what was committed before': async (container, restart) => {
      if (kind.again === undefined) return
      await container.commit(one, storedOf(data), commitOf('absent', data))
      await container.commit(other, storedOf(data), commitOf('absent', data))
      await container.destroy(other, ++fence)
      const restarted = await restart()
      assert.deepEqual([...((await restarted.read(one))?.data ?? [])], [...data])
      assert.deepEqual(await idsOf(restarted), [one])
    },
    'if it sweeps: removes what has expired, not more than it is asked for, and nothing else': async (container) => {
      if (container.sweep === undefined) return
      const ids = Array.from({ length: 10 }, (_, index) => `${index}`.padStart(32, '0'))
      const now = Date.now()
      for (const [index, id] of ids.entries()) {
        const expires = index < 7 ? now - index : index < 9 ? now + 60_000 : Number.POSITIVE_INFINITY
        await container.commit(id, { ...storedOf(data), expires }, commitOf('absent', data))
      }
      const locked = await container.lock?.('0'.repeat(32), {
        wait: 0,
        lease: 5_000,
        signal: new AbortController().signal,
      })
      const due = ids.slice(locked === undefined ? 0 : 1, 7)
      const first = await container.sweep(now, 4)
      assert.equal(first.length, 4)
      assert.deepEqual([...first, ...(await container.sweep(now, 4))].sort(), due)
      assert.deepEqual(await container.sweep(now, 4), [])
      assert.deepEqual(
        (await idsOf(container)).sort(),
        ids.filter((id) => !due.includes(id)),
      )
      await locked?.release()
      assert.deepEqual(await container.sweep(now, 4), locked === undefined ? [] : ids.slice(0, 1))
    },
    'if it locks: to one at a time, with growing numbers, and refuses commits under an old one': async (container) => {
      if (container.lock === undefined) return
      const request = { wait: 50, lease: 5_000, signal: new AbortController().signal }
      const first = await container.lock(one, request)
      assert.ok(first !== undefined)
      assert.equal(await container.lock(one, request), undefined)
      assert.equal(await first.renew(), true)
      const commit = { expect: 'absent', fence: first.fence, changes: { cleared: true, keys: data } } as const
      assert.equal(await container.commit(one, storedOf(data), commit), 'done')
      await first.release()
      const second = await container.lock(one, request)
      assert.ok(second !== undefined && second.fence > first.fence)
      const now = { expect: 'present', fence: second.fence, changes: commit.changes } as const
      assert.equal(await container.commit(one, storedOf(data), now), 'done')
      assert.equal(await container.commit(one, storedOf(data), { ...now, fence: first.fence }), 'fenced')
      assert.equal(await container.destroy(one, first.fence), 'fenced')
      assert.equal((await container.read(one))?.data.size, data.size)
      await second.release()
    },
  }
  return Object.entries(claims).map(([name, claim]) => ({
    name,
    run: async () => {
      const opened: Container[] = []
      const open = async (container: Container): Promise<Container> => {
        opened.push(container)
        await container.open?.(lifetimes)
        return container
      }
      const restart = async (): Promise<Container> => {
        await opened.pop()?.close?.()
        return open(await (kind.again ?? kind.make)())
      }
      try {
        await claim(await open(await kind.make()), restart)
      } finally {
        await opened.pop()?.close?.()
        await kind.cleanUp?.()
      }
    },
  }))
}

async function idsOf(container: Container): Promise<string[]> {
  const ids: string[] = []
  for await (const { id } of container.list()) ids.push(id)
  return ids
}

function storedOf(content: Stored['data']): Stored {
  const created = Date.now()
  return { data: content, created, expires: created + lifetimes.idleLifetime, idle: undefined }
}

function commitOf(expect: Commit['expect'], content: Stored['data']): Commit {
  return { expect, fence: ++fence, changes: { cleared: true, keys: content } }
}
