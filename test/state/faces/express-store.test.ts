import type express from 'express'
import session from 'express-session'
import { describe, expect, it } from 'vitest'
import { ExpressStore, MemoryStore, SharedSessions, StateClient } from '../../../src/state/index.ts'
import { ManualClock } from '../../../src/testing/index.ts'
import { until } from '../../support/until.ts'
import { serve } from '../support.ts'
import { shop } from './races.ts'

const fifty = Array.from({ length: 50 }, (_, index) => index)

for (const [where, connect] of [
  ['over a server', () => overServer()],
  ['over a container', () => overContainer()],
] as const) {
  describe(`ExpressStore ${where}, locking`, () => {
    // F.1.51
    it('lets fifty parallel requests that each add one end at fifty', async () => {
      await using state = await connect()
      await using web = await shop(new ExpressStore(state.source))
      const { cookie } = await web.get('/login')
      const answers = await Promise.all(fifty.map(() => web.get('/add', cookie)))
      expect(answers.map(({ text }) => Number(text)).toSorted((a, b) => a - b)).toEqual(fifty.map((index) => index + 1))
      expect(JSON.parse((await web.get('/see', cookie)).text)).toEqual({ n: 50, user: 'ali' })
      expect(state.locks()).toMatchObject({ held: 0, waiting: 0 })
    })

    // F.1.51
    it('keeps what fifty parallel requests each put under a key of their own', async () => {
      await using state = await connect()
      await using web = await shop(new ExpressStore(state.source))
      const { cookie } = await web.get('/login')
      await Promise.all(fifty.map((index) => web.get(`/key/${index}`, cookie)))
      expect(Object.keys(JSON.parse((await web.get('/see', cookie)).text))).toHaveLength(52)
    })

    // F.1.51
    it('lets a logout wait for a slow request, and it stays a logout', async () => {
      await using state = await connect()
      await using web = await shop(new ExpressStore(state.source))
      const { cookie } = await web.get('/login')
      const slow = web.get('/slow', cookie)
      await until(() => expect(state.locks()).toMatchObject({ held: 1 }))
      const out = web.get('/logout', cookie)
      await until(() => expect(state.locks()).toMatchObject({ waiting: 1 }))
      web.release()
      expect([(await slow).text, (await out).text]).toEqual(['slow', 'out'])
      expect((await web.get('/see', cookie)).text).toBe('{}')
    })

    it('is let go of by requests that fail, change nothing, or never answer', async () => {
      await using state = await connect()
      const clock = new ManualClock()
      await using web = await shop(new ExpressStore(state.source, { clock }))
      const { cookie } = await web.get('/login')
      expect((await web.get('/fail', cookie)).text).toBe('a handler failed')
      await web.get('/see', cookie)
      await expect(web.get('/leave', cookie)).rejects.toThrow()
      const waiting = web.get('/add', cookie)
      await until(() => expect(state.locks()).toMatchObject({ waiting: 1 }))
      clock.advance(10_000)
      expect((await waiting).text).toBe('1')
      await until(() => expect(state.locks()).toMatchObject({ held: 0, waiting: 0 }))
    })

    it('gives a session another id, and the old one is gone', async () => {
      await using state = await connect()
      await using web = await shop(new ExpressStore(state.source))
      const { cookie } = await web.get('/login')
      const renewed = await web.get('/renew', cookie)
      expect(renewed.cookie).not.toBe(cookie)
      expect(JSON.parse((await web.get('/see', renewed.cookie)).text)).toEqual({ user: 'ali' })
      expect((await web.get('/see', cookie)).text).toBe('{}')
    })

    it('reloads what was saved, while it has the session', async () => {
      await using state = await connect()
      await using web = await shop(new ExpressStore(state.source, { lockTimeout: 10_000 }))
      const { cookie } = await web.get('/login')
      expect((await web.get('/reload', cookie)).text).toBe('0')
      expect((await web.get('/add', cookie)).text).toBe('1')
    })

    it('lets requests that only read go on without waiting', async () => {
      await using state = await connect()
      const store = new ExpressStore(state.source, {
        lockTimeout: 50,
        readOnly: (request) => (request as express.Request).url === '/see',
      })
      await using web = await shop(store, { before: store.request as unknown as express.RequestHandler })
      const { cookie } = await web.get('/login')
      const slow = web.get('/slow', cookie)
      await until(() => expect(state.locks()).toMatchObject({ held: 1 }))
      expect(JSON.parse((await web.get('/see', cookie)).text)).toEqual({ n: 0, user: 'ali' })
      expect((await web.get('/add', cookie)).text).toMatch(/session is locked/)
      web.release()
      expect((await slow).text).toBe('slow')
      expect(JSON.parse((await web.get('/see', cookie)).text).n).toBe(99)
    })

    it('refuses what a request saves that has held its session for too long', async () => {
      await using state = await connect()
      const clock = new ManualClock()
      await using web = await shop(new ExpressStore(state.source, { holdTimeout: 40, clock }))
      const { cookie } = await web.get('/login')
      const slow = web.get('/slow', cookie)
      await web.began
      const waiting = web.get('/add', cookie)
      await until(() => expect(state.locks()).toMatchObject({ waiting: 1 }))
      clock.advance(1_000)
      expect((await waiting).text).toBe('1')
      web.release()
      expect((await slow).status).toBe(200) // Its head was sent before it was saved.
      expect(JSON.parse((await web.get('/see', cookie)).text).n).toBe(1)
    })
  })

  describe(`ExpressStore ${where}, merging`, () => {
    it('keeps what parallel requests each put under a key of their own, and none of them waits', async () => {
      await using state = await connect()
      await using web = await shop(new ExpressStore(state.source, { mode: 'merging' }), { together: 50 })
      const { cookie } = await web.get('/login')
      // None of them goes on before all have read the session.
      await Promise.all(fifty.map((index) => web.get(`/key/${index}`, cookie)))
      expect(Object.keys(JSON.parse((await web.get('/see', cookie)).text))).toHaveLength(52)
    })

    it('does not undo a logout when a slow request ends after it', async () => {
      await using state = await connect()
      await using web = await shop(new ExpressStore(state.source, { mode: 'merging' }))
      const { cookie } = await web.get('/login')
      const slow = web.get('/slow', cookie)
      await web.began
      expect((await web.get('/logout', cookie)).text).toBe('out')
      web.release()
      expect((await slow).text).toBe('slow')
      expect((await web.get('/see', cookie)).text).toBe('{}')
    })
  })
}

describe('ExpressStore', () => {
  it('is a store as others are: get, set, touch, destroy, all, length and clear', async () => {
    await using state = await overServer()
    const store = new ExpressStore(state.source, { mode: 'merging' })
    const id = 'abcdefghijklmnopqrstuvwx'
    const cookie = cookieFor(60_000)
    const call = (run: (done: (error?: unknown, value?: unknown) => void) => void): Promise<unknown> =>
      new Promise((resolve, reject) => run((error, value) => (error ? reject(error as Error) : resolve(value))))
    expect(await call((done) => store.get(id, done))).toBeNull()
    await call((done) => store.set(id, { cookie, user: { name: 'Zoë' }, drop: () => {} }, done))
    expect(await call((done) => store.get(id, done))).toMatchObject({
      user: { name: 'Zoë' },
      cookie: { originalMaxAge: cookie.originalMaxAge },
    })
    await call((done) => store.set(id, { cookie, other: [1] }, done))
    expect(Object.keys((await call((done) => store.get(id, done))) as object)).toEqual(['cookie', 'other'])
    await call((done) => store.touch(id, { cookie }, done))
    expect([await call((done) => store.length(done)), await call((done) => store.all(done))]).toEqual([
      1,
      [expect.objectContaining({ id, other: [1] })],
    ])
    // And for promises.
    expect(await store.get(id)).toMatchObject({ other: [1] })
    await store.destroy(id)
    expect(await store.get(id)).toBeNull()
    await store.set(id, { cookie })
    await store.clear()
    expect(await store.length()).toBe(0)
  })

  it('knows by the object which session was read, for those who ask for promises', async () => {
    const sessions = new SharedSessions(new MemoryStore())
    const id = 'abcdefghijklmnopqrstuvwx'
    for (const mode of ['locking', 'merging'] as const) {
      const store = new ExpressStore(sessions, { mode })
      await store.set(id, { cookie: cookieFor(60_000), n: 1 })
      const gone = (await store.get(id)) as object
      await store.destroy(id)
      await store.set(id, gone)
      expect(await store.get(id)).toBeNull()
    }
    const store = new ExpressStore(sessions, { mode: 'merging' })
    await store.set(id, { cookie: cookieFor(60_000) })
    const [one, other] = [(await store.get(id)) as object, (await store.get(id)) as object]
    await store.set(id, Object.assign(one, { a: 1 }))
    await store.set(id, Object.assign(other, { b: 2 }))
    expect(await store.get(id)).toMatchObject({ a: 1, b: 2 })
    await sessions.close()
  })

  it('keeps a session for as long as its cookie says', async () => {
    await using state = await overServer()
    const store = new ExpressStore(state.source)
    const id = 'abcdefghijklmnopqrstuvwx'
    const ttl = (): Promise<number> => state.source.session(id, (shared) => shared.ttl())
    await store.set(id, { cookie: cookieFor(60_000) })
    expect(await ttl()).toBeLessThanOrEqual(60_000)
    const data = (await store.get(id)) as { cookie: object }
    await store.touch(id, { ...data, cookie: cookieFor(600_000) })
    expect(await ttl()).toBeGreaterThan(60_000)
  })

  it('reads what other programs have put', async () => {
    await using state = await overServer()
    const store = new ExpressStore(state.source, { mode: 'merging' })
    const id = await state.source.newSession(async (shared) => {
      await shared.putAll([['user', 'no json'], ['n', '7'], ['__proto__', '{"admin":true}']]) // biome-ignore format: one line
      return shared.id
    })
    const data = (await store.get(id)) as Record<string, unknown>
    expect(data).toEqual({ user: 'no json', n: 7, cookie: {} })
    expect(data['admin']).toBeUndefined()
  })

  it('writes nothing that a request has not changed, however other programs spell it', async () => {
    await using state = await overServer()
    await using web = await shop(new ExpressStore(state.source, { mode: 'merging' }))
    const { cookie } = await web.get('/login')
    const [, id = ''] = /s%3A([\w-]+)\./.exec(cookie) ?? []
    await state.source.patch(id, { put: [['user', 'no json'], ['cart', '{ "tea": 1.0 }'], ['id', '7'], ['__proto__', '{}']] }) // biome-ignore format: one line
    const slow = web.get('/slow', cookie)
    await web.began
    await state.source.patch(id, { put: [['user', 'zoë'], ['cart', '{ "tea": 2.0 }']] }) // biome-ignore format: one line
    web.release()
    expect((await slow).text).toBe('slow')
    const { entries } = (await state.source.read(id)) ?? {}
    expect(entries?.get('n')).toBeDefined()
    expect(['user', 'cart', 'id', '__proto__'].map((key) => entries?.get(key))).toEqual([
      'zoë',
      '{ "tea": 2.0 }',
      '7',
      '{}',
    ])
  })

  it('tells when the server cannot be reached, and makes no new session then', async () => {
    await using state = await overServer()
    await using web = await shop(new ExpressStore(state.source))
    const { cookie } = await web.get('/login')
    await state.stop()
    const { status, text, cookie: after } = await web.get('/see', cookie)
    expect([status, after]).toEqual([500, cookie])
    expect(text).toMatch(/127\.0\.0\.1/)
  })

  it('refuses options that cannot be', () => {
    const source = new SharedSessions(new MemoryStore())
    expect(() => new ExpressStore({} as never)).toThrow(/store/)
    expect(() => new ExpressStore(source, { mode: 'fast' as never })).toThrow(/mode/)
    expect(() => new ExpressStore(source, { holdTimeout: 0 })).toThrow(/holdTimeout/)
    expect(() => new ExpressStore(source, { readOnly: true as never })).toThrow(/readOnly/)
    expect(() => new ExpressStore(source, { bogus: 1 } as never)).toThrow(/bogus/)
  })
})

function cookieFor(maxAge: number): session.Cookie {
  const cookie = new session.Cookie()
  cookie.maxAge = maxAge
  return cookie
}

async function overServer() {
  const served = await serve({ admin: true })
  const source = new StateClient(`127.0.0.1:${served.port}`)
  return {
    source,
    locks() {
      const { locks } = served.server.sessions.stats()
      return { ...locks, waiting: locks.waiting + source.stats().behind }
    },
    stop: () => served[Symbol.asyncDispose](),
    async [Symbol.asyncDispose]() {
      await served[Symbol.asyncDispose]()
      await source.close()
    },
  }
}

async function overContainer() {
  const source = await new SharedSessions(new MemoryStore()).open()
  return { source, locks: () => source.stats().locks, [Symbol.asyncDispose]: async () => void (await source.close()) }
}
