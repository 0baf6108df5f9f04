import { expect } from 'vitest'
import { type Container, SharedSessions, type SharedSessionsOptions } from '../../src/state/index.ts'
import { until } from '../support/until.ts'

/** Containers of two processes, which keep their sessions in one place; or the only one of one process. */
type Make = () => Promise<readonly [Container, Container?]>

/** What must be true of ids that were replaced, where several processes share a container: each is a test. */
export function retiredIdClaims(make: Make): { name: string; run: () => Promise<void> }[] {
  const claims: Record<string, (one: SharedSessions, other: SharedSessions) => Promise<void>> = {
    'a logout under the id before is one of the session, in the other process too': async (one, other) => {
      const first = await made(one)
      const second = await renamed(one, first)
      const third = await renamed(other, second)
      expect(await other.destroySession(first)).toBe(true)
      for (const sessions of [one, other]) {
        for (const id of [first, second, third]) expect(await sessions.read(id)).toBe(undefined)
        expect(await sessions.destroySession(first)).toBe(false)
      }
    },
    'a session that was logged out cannot be read under the ids that it had before, in whichever process': async (
      one,
      other,
    ) => {
      const first = await made(one)
      const second = await renamed(other, first)
      const third = await renamed(one, second)
      for (const sessions of [one, other]) {
        for (const id of [first, second, third]) expect((await sessions.read(id))?.entries.get('n')).toBe('1')
        expect(await sessions.touchSession(first)).toBe(true)
      }
      expect(await other.destroySession(third)).toBe(true)
      for (const sessions of [one, other]) {
        for (const id of [first, second, third]) {
          expect(await sessions.read(id)).toBe(undefined)
          expect(await sessions.touchSession(id)).toBe(false)
        }
      }
    },
    'nothing of the new id is seen under the old one, which is written by nobody': async (one, other) => {
      const first = await made(one)
      const before = await one.read(first)
      const second = await renamed(one, first)
      await other.patch(second, { put: [['n', '2']] })
      for (const sessions of [one, other]) {
        expect(await sessions.read(first)).toEqual(before)
        const reading = await sessions.openSession(first, { mode: 'r' })
        expect([reading.keys(), reading.entries()]).toEqual([['n'], [['n', '1']]])
        await expect(sessions.patch(first, { put: [['n', '3']] })).rejects.toMatchObject({ code: 'XPS_NOT_FOUND' })
        await expect(sessions.openSession(first)).rejects.toMatchObject({ code: 'XPS_NOT_FOUND' })
      }
      expect((await one.read(second))?.entries.get('n')).toBe('2')
    },
    'a logout waits for who has the session under its new id': async (one, other) => {
      const first = await made(one)
      await using held = await one.openSession(first)
      const second = await held.regenerateId()
      await expect(other.destroySession(first, { lockTimeout: 0 })).rejects.toMatchObject({ code: 'XPS_TIMEOUT' })
      const logout = other.destroySession(first)
      held.put('n', '2')
      await held.close()
      expect(await logout).toBe(true)
      expect(await one.read(second)).toBe(undefined)
    },
  }
  const all = Object.entries(claims).map(([name, claim]) => ({
    name,
    run: () => withBoth(make, { graceLifetime: 60_000 }, claim),
  }))
  const late = 'a logout under an id whose grace is over is refused, and the session stays'
  const run = (): Promise<void> =>
    withBoth(make, { graceLifetime: 50 }, async (one, other) => {
      const first = await made(one)
      const second = await renamed(one, first)
      await until(async () => expect(await other.read(first)).toBe(undefined))
      for (const sessions of [one, other]) expect(await sessions.destroySession(first)).toBe(false)
      expect((await other.read(second))?.entries.get('n')).toBe('1')
    })
  return [...all, { name: late, run }]
}

async function withBoth(
  make: Make,
  options: SharedSessionsOptions,
  claim: (one: SharedSessions, other: SharedSessions) => Promise<void>,
): Promise<void> {
  const over = (store: Container): SharedSessions => new SharedSessions(store, { sweepInterval: 0, ...options })
  const [store, another] = await make()
  const one = over(store)
  const other = another === undefined ? one : over(another)
  try {
    await claim(one, other)
  } finally {
    await one.close()
    await other.close()
  }
}

/** Makes a session with what is given in it, and resolves to its id. */
export async function made(sessions: SharedSessions, entries: Record<string, string> = { n: '1' }): Promise<string> {
  await using session = await sessions.createSession()
  for (const [key, value] of Object.entries(entries)) session.put(key, value)
  await session.close()
  return session.id
}

/** Gives a session another id, and resolves to that. */
export async function renamed(sessions: SharedSessions, id: string): Promise<string> {
  await using session = await sessions.openSession(id)
  const now = await session.regenerateId()
  await session.close()
  return now
}
