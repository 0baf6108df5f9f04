import { setTimeout } from 'node:timers/promises'
import cookie from '@fastify/cookie'
import fastifySession from '@fastify/session'
import fastify from 'fastify'
import { describe, expect, it } from 'vitest'
import { ExpressStore, MemoryStore, SharedSessions } from '../../../src/state/index.ts'
import { until } from '../../support/until.ts'

declare module 'fastify' {
  interface Session {
    n: number
  }
}

/** An app with sessions in a store, one of whose requests waits until it is let go on. */
async function appOf(store: ExpressStore, rolling = true) {
  const app = fastify()
  let begin = (): void => {}
  let release = (): void => {}
  const began = new Promise<void>((resolve) => {
    begin = resolve
  })
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  app.addHook('onRequest', (request, reply, done) => store.request(request, reply, done))
  await app.register(cookie)
  await app.register(fastifySession, {
    secret: 'a secret that is long enough for it',
    cookie: { secure: false },
    store,
    rolling,
    saveUninitialized: false,
  })
  app.get('/login', async (request) => {
    request.session.n = 0
    return 'in'
  })
  app.get('/add', async (request) => {
    const { n } = request.session
    await setTimeout(2)
    request.session.n = n + 1
    return String(request.session.n)
  })
  app.get('/slow', async (request) => {
    begin()
    await released
    request.session.n = 99
    return 'slow'
  })
  app.get('/logout', async (request) => {
    await request.session.destroy()
    return 'out'
  })
  app.get('/see', async (request) => String(request.session.n))
  await app.listen({ port: 0, host: '127.0.0.1' })
  const url = app.listeningOrigin
  const get = async (path: string, sent = ''): Promise<{ text: string; cookie: string }> => {
    const response = await fetch(url + path, { headers: { cookie: sent } })
    const [given = sent] = response.headers.getSetCookie().map((one) => one.split(';')[0] ?? '')
    return { text: await response.text(), cookie: given }
  }
  return { get, began, release, [Symbol.asyncDispose]: async () => void (await app.close()) }
}

describe('ExpressStore with @fastify/session', () => {
  it('lets fifty parallel requests that each add one end at fifty, and lets go of the session', async () => {
    for (const rolling of [true, false]) {
      await using state = await new SharedSessions(new MemoryStore()).open()
      await using app = await appOf(new ExpressStore(state), rolling)
      const { cookie: sent } = await app.get('/login')
      await Promise.all(Array.from({ length: 50 }, () => app.get('/add', sent)))
      expect((await app.get('/see', sent)).text).toBe('50')
      await until(() => expect(state.stats().locks).toMatchObject({ held: 0, waiting: 0 }))
    }
  })

  it('lets a logout stay a logout, locking or merging', async () => {
    for (const mode of ['locking', 'merging'] as const) {
      await using state = await new SharedSessions(new MemoryStore()).open()
      await using app = await appOf(new ExpressStore(state, { mode }))
      const { cookie: sent } = await app.get('/login')
      const slow = app.get('/slow', sent)
      await app.began
      const out = app.get('/logout', sent)
      // Locking, it waits for the slow one; merging, it is over before that.
      if (mode === 'locking') await until(() => expect(state.stats().locks.waiting).toBe(1))
      else await out
      app.release()
      expect([(await slow).text, (await out).text], mode).toEqual(['slow', 'out'])
      expect((await app.get('/see', sent)).text, mode).toBe('undefined')
    }
  })
})
