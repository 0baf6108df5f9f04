import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { XpsError } from '../../src/errors.ts'
import { type Container, LmdbStore, MemoryStore, StateClient, stateServer } from '../../src/state/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { gate, until } from '../http/e2e/support.ts'
import { dial, withCore } from '../support/net.ts'
import { type Browser, overContainer, overServer, type ShopSession, Site, shop, usual } from './support.ts'

const fifty = Array.from({ length: 50 }, (_, index) => index)

for (const [where, connect] of [
  ['over a container', overContainer],
  ['over a state server', overServer],
] as const) {
  describe(`Cookie sessions ${where}`, () => {
    it('let fifty parallel requests that each add one end at fifty', async () => {
      await using kept = await connect()
      await using site = await Site.start({ store: kept.source }, (sessions) => shop(sessions, usual))
      const browser = site.browser()
      const login = await browser.get('/login')
      expect(login.set).toHaveLength(1)
      const answers = await Promise.all(fifty.map(() => browser.clone().get('/add')))
      expect(answers.map(({ text }) => Number(text)).toSorted((a, b) => a - b)).toEqual(fifty.map((index) => index + 1))
      // The one who is answered can see it in the next request, and the cookie is given once.
      expect(answers.flatMap(({ set }) => set)).toEqual([])
      expect(JSON.parse((await browser.get('/see')).text)).toEqual({ n: 50, user: 'ali' })
      await until(() => expect(kept.locks()).toMatchObject({ held: 0, waiting: 0 }))
    })

    it('merge by key, and let nobody wait', async () => {
      await using kept = await connect()
      const all = gate()
      let there = 0
      await using site = await Site.start({ store: kept.source, mode: 'merging' }, (sessions) =>
        shop(sessions, {
          ...usual,
          key: async (session, transaction) => {
            // None of them goes on before all have read the session.
            if (++there === fifty.length) all.open()
            await all.promise
            session.set(`k${Number(transaction.request.query.slice(1))}`, 1)
          },
        }),
      )
      const browser = site.browser()
      await browser.get('/login')
      await Promise.all(fifty.map((index) => browser.clone().get(`/key?${index}`)))
      expect(Object.keys(JSON.parse((await browser.get('/see')).text))).toHaveLength(52)
    })

    it('are stored, and have a cookie, only if something was put in them', async () => {
      await using kept = await connect()
      await using site = await Site.start({ store: kept.source }, (sessions) => shop(sessions, usual))
      const browser = site.browser()
      for (const path of ['/see', '/nothing', '/logout']) {
        const { status, set } = await browser.get(path)
        expect({ status, set }).toEqual({ status: 200, set: [] })
      }
      expect(kept.sessions.stats()).toMatchObject({ created: 0 })
      const { set } = await browser.get('/login')
      expect(set).toEqual([
        expect.stringMatching(
          /^xps-session=[\da-f]{32}\.[\da-z]+\.0\.[\w-]{43}; Max-Age=86400; Path=\/; HttpOnly; SameSite=Lax$/,
        ),
      ])
      expect(kept.sessions.stats()).toMatchObject({ created: 1 })
    })

    it('get another id with a login, and what was read under the old one can still be read for a while, but no more', async () => {
      await using kept = await connect()
      await using site = await Site.start({ store: kept.source }, (sessions) => shop(sessions, usual))
      const browser = site.browser()
      await browser.get('/login')
      const parallel = browser.clone()
      const { set } = await browser.get('/renew')
      expect(set).toHaveLength(1)
      expect(browser.cookie).not.toBe(parallel.cookie)
      expect(JSON.parse((await browser.get('/see')).text)).toEqual({ n: 0, user: 'root' })
      // Whoever has the old id does not see what came with the login, is given no other cookie, and changes nothing.
      const late = await parallel.get('/see')
      expect([JSON.parse(late.text), late.set]).toEqual([{ n: 0, user: 'ali' }, []])
      const added = await parallel.get('/add')
      expect([added.status, added.set]).toEqual([200, []])
      expect(JSON.parse((await browser.get('/see')).text)).toEqual({ n: 0, user: 'root' })
      expect(site.sessions.stats()).toMatchObject({ rotated: 1, dropped: 1 })
      await browser.get('/renew')
      await browser.get('/logout')
      expect((await parallel.get('/see')).text).toBe('{}')
    })

    it('are gone for all with a logout under the id before, which a parallel login has just replaced', async () => {
      await using kept = await connect()
      await using site = await Site.start({ store: kept.source }, (sessions) => shop(sessions, usual))
      const browser = site.browser()
      await browser.get('/login')
      const parallel = browser.clone()
      await browser.get('/renew')
      expect((await parallel.get('/logout')).set).toEqual([expect.stringMatching(/^xps-session=; Max-Age=0;/)])
      expect((await browser.get('/see')).text).toBe('{}')
      expect((await parallel.get('/see')).text).toBe('{}')
    })

    it('survive a login among parallel requests: all are answered, and the cookie of the login stays', async () => {
      await using kept = await connect()
      await using site = await Site.start({ store: kept.source }, (sessions) => shop(sessions, usual))
      const browser = site.browser()
      await browser.get('/login')
      const answers = await Promise.all(
        fifty.map((index) => browser.clone().get(index === 25 ? '/renew' : index % 2 === 0 ? '/add' : '/see')),
      )
      expect(answers.filter(({ status }) => status !== 200)).toEqual([])
      const cookies = answers.flatMap(({ set }) => set)
      expect(cookies).toHaveLength(1)
      const [pair = ''] = cookies[0]?.split(';') ?? []
      expect(JSON.parse((await site.browser(pair).get('/see')).text).user).toBe('root')
      await until(() => expect(kept.locks()).toMatchObject({ held: 0, waiting: 0 }))
    })

    it('rotate by themselves when a key changes that says who it is, in merging too', async () => {
      await using kept = await connect()
      await using site = await Site.start({ store: kept.source, mode: 'merging', rotateOn: ['user'] }, (sessions) =>
        shop(sessions, { ...usual, other: (session) => void session.set('user', 'eve') }),
      )
      const browser = site.browser()
      await browser.get('/login')
      const [before] = [browser.cookie]
      await browser.get('/add')
      expect(browser.cookie).toBe(before)
      await browser.get('/other')
      expect(browser.cookie).not.toBe(before)
      expect(JSON.parse((await browser.get('/see')).text)).toEqual({ n: 1, user: 'eve' })
    })

    for (const mode of ['locking', 'merging'] as const) {
      it(`let a logout be one, with a slow request under way (${mode})`, async () => {
        await using kept = await connect()
        const slow = gate()
        const began = gate()
        await using site = await Site.start({ store: kept.source, mode }, (sessions) =>
          shop(sessions, {
            ...usual,
            slow: async (session) => {
              began.open()
              await slow.promise
              session.set('n', 99)
            },
          }),
        )
        const browser = site.browser()
        await browser.get('/login')
        const { cookie } = browser
        const late = browser.clone().get('/slow')
        await began.promise
        const out = browser.get('/logout')
        if (mode === 'locking') await until(() => expect(kept.waiting()).toBe(1))
        else await out
        slow.open()
        expect((await late).status).toBe(200)
        expect((await out).set).toEqual([
          'xps-session=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/; HttpOnly; SameSite=Lax',
        ])
        const after = await site.browser(cookie).get('/see')
        expect([JSON.parse(after.text), after.set]).toEqual([{}, []])
        expect(site.sessions.stats().unknown).toBe(1)
      })
    }

    it('forget what a request changed that fails, and let go of the lock', async () => {
      await using kept = await connect()
      await using site = await Site.start({ store: kept.source }, (sessions) =>
        shop(sessions, {
          ...usual,
          fail: (session) => {
            session.set('n', 99).rotate()
            throw new Error('a handler failed')
          },
          // What frameworks make of a handler that throws.
          answered: (session) => {
            session.set('n', 98)
            return new Response('an error page', { status: 500 })
          },
          refuse: (session) => {
            session.set('n', 5)
            throw Object.assign(new Error('no'), { status: 403 })
          },
        }),
      )
      const browser = site.browser()
      await browser.get('/login')
      for (const path of ['/fail', '/answered']) {
        expect(await browser.get(path)).toMatchObject({ status: 500, set: [] })
        expect(JSON.parse((await browser.get('/see')).text).n).toBe(0)
      }
      // Who is refused was answered: attempts can be counted so.
      expect(await browser.get('/refuse')).toMatchObject({ status: 403 })
      expect(JSON.parse((await browser.get('/see')).text).n).toBe(5)
      expect(site.sessions.stats()).toMatchObject({ rolledBack: 2 })
      await until(() => expect(kept.locks()).toMatchObject({ held: 0 }))
    })

    for (const onFailure of ['rollback', 'commit'] as const) {
      it(`${onFailure === 'commit' ? 'keep' : 'forget'} what was changed for a client that left (${onFailure}), and never keep the lock`, async () => {
        await using kept = await connect()
        const changed = gate()
        await using site = await Site.start({ store: kept.source, onFailure }, (sessions) =>
          shop(sessions, {
            ...usual,
            hang: (session) => {
              session.set('n', 7)
              changed.open()
              return new Promise(() => {})
            },
          }),
        )
        const browser = site.browser()
        await browser.get('/login')
        const peer = await dial(site.served.port)
        await peer.write(`GET /hang HTTP/1.1\r\nHost: a.test\r\nCookie: ${browser.cookie}\r\n\r\n`)
        await changed.promise
        peer.reset()
        await until(() => expect(kept.locks()).toMatchObject({ held: 0, waiting: 0 }))
        expect(JSON.parse((await browser.get('/see')).text).n).toBe(onFailure === 'commit' ? 7 : 0)
      })
    }

    it('let go of the lock that a client has waited for which left meanwhile', async () => {
      await using kept = await connect()
      const first = gate()
      await using site = await Site.start({ store: kept.source }, (sessions) =>
        shop(sessions, { ...usual, hold: () => first.promise }),
      )
      const browser = site.browser()
      await browser.get('/login')
      const holder = browser.clone().get('/hold')
      await until(() => expect(kept.locks()).toMatchObject({ held: 1 }))
      const given = kept.locks().given
      const peer = await dial(site.served.port)
      await peer.write(`GET /add HTTP/1.1\r\nHost: a.test\r\nCookie: ${browser.cookie}\r\n\r\n`)
      await until(() => expect(site.sessions.stats().opened).toBe(3))
      peer.reset()
      await until(() => expect(site.served.http.stats().left).toBe(1))
      first.open()
      await holder
      await until(() => expect(kept.locks()).toMatchObject({ held: 0, waiting: 0, given: given + 1 }))
      expect(JSON.parse((await browser.get('/see')).text).n).toBe(0)
    })

    it('wait for a lock within bounds, and answer 503 with Retry-After then; who only reads does not wait', async () => {
      await using kept = await connect()
      const held = gate()
      await using site = await Site.start(
        {
          store: kept.source,
          lockTimeout: 30,
          retryAfter: 3,
          readOnly: (request) => request.path === '/see' || request.path === '/wrong',
        },
        (sessions) =>
          shop(sessions, { ...usual, hold: () => held.promise, wrong: (session) => void session.set('n', 1) }),
      )
      const browser = site.browser()
      await browser.get('/login')
      const holder = browser.clone().get('/hold')
      await until(() => expect(kept.locks()).toMatchObject({ held: 1 }))
      const answer = await browser.get('/add')
      expect([answer.status, answer.headers.get('retry-after'), answer.set]).toEqual([503, '3', []])
      expect(JSON.parse((await browser.get('/see')).text).n).toBe(0)
      held.open()
      expect((await holder).status).toBe(200)
      // A mistake of the program's is told as one.
      expect((await browser.get('/wrong')).status).toBe(500)
    })

    it('refuse what a request changes that has had its session for too long', async () => {
      await using kept = await connect()
      const [begun, slow] = [gate(), gate()]
      const clock = new ManualClock()
      await using site = await Site.start({ store: kept.source, holdTimeout: 20, clock }, (sessions) =>
        shop(sessions, {
          ...usual,
          slow: async (session) => {
            begun.open()
            await slow.promise
            session.set('n', 99)
          },
        }),
      )
      const browser = site.browser()
      await browser.get('/login')
      const late = browser.clone().get('/slow')
      await begun.promise
      const waiting = browser.get('/add')
      await until(() => expect(kept.waiting()).toBe(1))
      clock.advance(1_000)
      expect((await waiting).text).toBe('1')
      slow.open()
      expect((await late).status).toBe(503)
      expect(JSON.parse((await browser.get('/see')).text).n).toBe(1)
    })

    it('can be written early, and be read only from then on', async () => {
      await using kept = await connect()
      const later = gate()
      const written = gate()
      await using site = await Site.start({ store: kept.source }, (sessions) =>
        shop(sessions, {
          ...usual,
          early: async (session) => {
            session.set('n', 10)
            await session.commit()
            written.open()
            await later.promise
            expect(session.writable).toBe(false)
            expect(() => session.set('n', 11)).toThrow(/has been written/)
            return session.get('n')
          },
        }),
      )
      const browser = site.browser()
      const early = browser.get('/early')
      await written.promise
      later.open()
      expect(await early).toMatchObject({ text: '10', set: [expect.stringContaining('xps-session=')] })
      expect(JSON.parse((await browser.get('/see')).text)).toEqual({ n: 10 })
    })
  })
}

/** Memory that does some things in a way of its own. */
function slowly(store: MemoryStore, own: Partial<Container>): Container {
  return {
    name: 'slow',
    read: (id) => store.read(id),
    commit: (...args) => store.commit(...args),
    destroy: (id) => store.destroy(id),
    touch: (id, expires) => store.touch(id, expires),
    list: () => store.list(),
    ...own,
  }
}

describe('Cookie sessions whose id is being replaced', () => {
  it('are gone with a logout that comes under the old one before the new one is known', async () => {
    const [began, goOn] = [gate(), gate()]
    const store = new MemoryStore()
    const slow = slowly(store, {
      async commit(id, stored, commit) {
        const result = store.commit(id, stored, commit)
        if (renewing && commit.expect === 'absent') {
          began.open()
          await goOn.promise
        }
        return result
      },
    })
    let renewing = false
    await using site = await Site.start({ store: slow }, (sessions) => shop(sessions, usual))
    const browser = site.browser()
    await browser.get('/login')
    const old = browser.clone()
    renewing = true
    const renewed = browser.get('/renew')
    await began.promise
    const { opened } = site.sessions.stats()
    const out = old.get('/logout')
    await until(() => expect(site.sessions.stats().opened).toBe(opened + 1))
    // The logout gets as far as it can.
    await new Promise((resolve) => setTimeout(resolve, 20))
    goOn.open()
    expect([(await renewed).status, (await out).status]).toEqual([200, 200])
    expect((await browser.get('/see')).text).toBe('{}')
    expect(store.size).toBe(0)
  })

  it('can be read under the one before while the next one is about to be known', async () => {
    const [gone, goOn] = [gate(), gate()]
    const store = new MemoryStore()
    const slow = slowly(store, {
      async destroy(id) {
        const there = store.destroy(id)
        if (renewing) {
          gone.open()
          await goOn.promise
        }
        return there
      },
    })
    let renewing = false
    await using site = await Site.start({ store: slow }, (sessions) => shop(sessions, usual))
    const browser = site.browser()
    await browser.get('/login')
    const first = browser.clone()
    await browser.get('/renew')
    const second = browser.clone()
    renewing = true
    const renewed = browser.get('/renew')
    await gone.promise
    expect(JSON.parse((await first.get('/see')).text)).toEqual({ n: 0, user: 'ali' })
    goOn.open()
    await renewed
    for (const [old, user] of [
      [first, 'ali'],
      [second, 'root'],
    ] as const) {
      expect(JSON.parse((await old.get('/see')).text)).toEqual({ n: 0, user })
    }
  })
})

describe('Cookie sessions of several processes', () => {
  it('are gone with a logout under the ids that they had before, though the state server has a grace for ids', async () => {
    await using kept = await overServer({ graceLifetime: 60_000 })
    await using site = await Site.start({ store: kept.source }, (sessions) => shop(sessions, usual))
    const browser = site.browser()
    await browser.get('/login')
    const old = [browser.clone()]
    await browser.get('/renew')
    old.push(browser.clone())
    await browser.get('/renew')
    await browser.get('/logout')
    for (const one of old) expect(JSON.parse((await one.get('/see')).text)).toEqual({})
    expect(kept.sessions.stats().locks).toMatchObject({ held: 0 })
  })

  it('survive a login in another one, if the state server has a grace for ids', async () => {
    await using kept = await overServer({ graceLifetime: 60_000 })
    const client = new StateClient((kept.source as StateClient).address)
    await using first = await Site.start({ store: kept.source }, (sessions) => shop(sessions, usual))
    for (const mode of ['locking', 'merging'] as const) {
      await using second = await Site.start({ store: client, mode }, (sessions) => shop(sessions, usual))
      const browser = first.browser()
      await browser.get('/login')
      const late = second.browser(browser.cookie)
      await browser.get('/renew')
      expect(await late.get('/see')).toMatchObject({ text: '{"n":0,"user":"ali"}', set: [] })
      expect(await late.get('/add')).toMatchObject({ status: 200, set: [] })
      expect(second.sessions.stats().dropped).toBe(1)
      expect((await second.browser(browser.cookie).get('/see')).text).toBe('{"n":0,"user":"root"}')
    }
    client.abort()
  })
})

describe('A logout under the id before, in another process', () => {
  for (const mode of ['locking', 'merging'] as const) {
    const removed = [expect.stringMatching(/^xps-session=; Max-Age=0;/)]
    const gone = async (sites: readonly Site[], browsers: readonly Browser[]): Promise<void> => {
      for (const site of sites) {
        for (const { cookie } of browsers) expect((await site.browser(cookie).get('/see')).text).toBe('{}')
      }
    }

    it(`${mode}: is one of the session, if the state server has a grace for ids`, async () => {
      await using kept = await overServer({ graceLifetime: 60_000 })
      await using other = new StateClient((kept.source as StateClient).address)
      await using first = await Site.start({ store: kept.source }, (sessions) => shop(sessions, usual))
      await using second = await Site.start({ store: other, mode }, (sessions) => shop(sessions, usual))
      const browser = first.browser()
      await browser.get('/login')
      const late = second.browser(browser.cookie)
      const old = browser.clone()
      await browser.get('/renew')
      await browser.get('/renew')
      expect((await late.get('/logout')).set).toEqual(removed)
      await gone([first, second], [browser, old])
      expect(second.sessions.stats()).toMatchObject({ destroyed: 1, dropped: 0 })
    })

    it(`${mode}: is none if the id can be read no more: the session goes on, and so does its cookie`, async () => {
      await using kept = await overServer()
      await using other = new StateClient((kept.source as StateClient).address)
      await using first = await Site.start({ store: kept.source }, (sessions) => shop(sessions, usual))
      await using second = await Site.start({ store: other, mode }, (sessions) => shop(sessions, usual))
      const browser = first.browser()
      await browser.get('/login')
      const late = second.browser(browser.cookie)
      await browser.get('/renew')
      expect(await late.get('/logout')).toMatchObject({ status: 200, set: [] })
      expect((await browser.get('/see')).text).toBe('{"n":0,"user":"root"}')
    })

    it(`${mode}: is one of the session, if both have it in one container`, async () => {
      const folder = await mkdtemp(join(tmpdir(), 'xps-logout-'))
      try {
        const start = () => Site.start({ store: new LmdbStore(folder), mode }, (sessions) => shop(sessions, usual))
        await using first = await start()
        await using second = await start()
        const browser = first.browser()
        await browser.get('/login')
        const late = second.browser(browser.cookie)
        const old = browser.clone()
        await browser.get('/renew')
        expect((await late.get('/see')).text).toBe('{"n":0,"user":"ali"}')
        expect((await late.get('/logout')).set).toEqual(removed)
        await gone([first, second], [browser, old])
      } finally {
        await rm(folder, { recursive: true })
      }
    })
  }
})

describe('Cookie sessions of a state server that dies', () => {
  it('are not acknowledged, and come back with it', async () => {
    const core = withCore()
    const store = new MemoryStore()
    const { port, address } = await core.listen({ port: 0, host: '127.0.0.1', protocol: stateServer({ store }) })
    const client = new StateClient(address)
    const began = gate()
    const late = gate()
    await using site = await Site.start({ store: client }, (sessions) =>
      shop(sessions, {
        ...usual,
        late: async (session) => {
          session.set('n', 9)
          began.open()
          await late.promise
        },
      }),
    )
    const browser = site.browser()
    await browser.get('/login')
    const answer = browser.get('/late')
    await began.promise
    await core[Symbol.asyncDispose]()
    late.open()
    expect(await answer).toMatchObject({ status: 503, set: [] })
    expect((await browser.get('/see')).status).toBe(503)
    // Who has no session yet, and stores nothing, does not notice.
    expect((await site.browser().get('/see')).status).toBe(200)
    await using again = withCore()
    await again.listen({ port, host: '127.0.0.1', protocol: stateServer({ store }) })
    expect((await browser.get('/see')).text).toBe('{"n":0,"user":"ali"}')
    client.abort()
  })
})

describe('Cookie sessions', () => {
  it('keep objects that were got and changed', async () => {
    await using site = await Site.start({}, (sessions) =>
      shop(sessions, {
        fill: (session) => void session.set('cart', ['tea']),
        more: (session) => void session.get('cart')?.push('milk'),
        see: (session) => session.get('cart'),
        less: (session) => [session.has('cart'), session.delete('cart'), session.delete('cart'), session.keys()],
        clear: (session) => {
          session.set('n', 1)
          session.clear()
          return session.keys()
        },
      }),
    )
    const browser = site.browser()
    await browser.get('/fill')
    await browser.get('/more')
    expect((await browser.get('/see')).text).toBe('["tea","milk"]')
    expect((await browser.get('/less')).text).toBe('[true,true,false,[]]')
    expect((await browser.get('/clear')).text).toBe('[]')
    expect(site.sessions.stats()).toMatchObject({ created: 1, committed: 2 })
  })

  it('are changed by hooks, the last of which is still in time', async () => {
    let last: ShopSession | undefined
    await using site = await Site.start({}, (sessions) => ({
      routes: [{ reply: { status: 200, body: 'fixed' } }],
      hooks: [
        {
          async request(transaction) {
            last = await sessions.of(transaction)
            expect(await sessions.of(transaction)).toBe(last)
            last.set('n', (last.get('n') ?? 0) + 1)
            transaction.hook({ responseSend: () => void last?.set('user', 'of the hook') })
          },
        },
        {
          async responseSend(transaction) {
            const session = await sessions.of(transaction)
            transaction.response?.headers.set('x-seen', String(session.get('n')))
          },
        },
      ],
    }))
    const browser = site.browser()
    expect((await browser.get('/')).headers.get('x-seen')).toBe('1')
    expect((await browser.get('/')).headers.get('x-seen')).toBe('2')
    expect(last?.toObject()).toEqual({ n: 2, user: 'of the hook' })
  })

  it('cost answers nothing that do not ask for them', async () => {
    await using site = await Site.start({}, () => ({ routes: [{ reply: { status: 200, body: 'fixed' } }] }))
    expect(await site.browser().get('/')).toMatchObject({ text: 'fixed', set: [] })
    expect(site.sessions.stats().opened).toBe(0)
  })

  it('give the cookie also with an answer that fails after the session was written', async () => {
    await using site = await Site.start({}, (sessions) => ({
      ...shop(sessions, {
        ...usual,
        broken: async (session) => {
          session.set('n', 1)
          await session.commit()
          throw new Error('after it')
        },
      }),
    }))
    const browser = site.browser()
    expect(await browser.get('/broken')).toMatchObject({ status: 500, set: [expect.stringContaining('xps-session=')] })
    expect(JSON.parse((await browser.get('/see')).text)).toEqual({ n: 1 })
  })

  it('are 503 when the store cannot be asked, or are done without if that is wanted', async () => {
    const down = new XpsError('XPS_CONNECT', 'there is nobody', { origin: 'upstream' })
    const fails = (): Promise<never> => Promise.reject(down)
    const store = { openSession: fails, createSession: fails, read: fails, patch: fails, destroySession: fails }
    await using up = await Site.start({}, (sessions) => shop(sessions, usual))
    const browser = up.browser()
    await browser.get('/login')
    for (const mode of ['locking', 'merging'] as const) {
      await using refusing = await Site.start({ store, mode }, (sessions) => shop(sessions, usual))
      for (const cookie of [browser.cookie, '']) {
        const answer = await refusing.browser(cookie).get('/add')
        expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1'])
      }
      await using passing = await Site.start({ store, mode, whenDown: 'pass' }, (sessions) =>
        shop(sessions, { ...usual, is: (session) => session.available }),
      )
      for (const cookie of [browser.cookie, '']) {
        expect(await passing.browser(cookie).get('/add')).toMatchObject({ status: 200, text: '1', set: [] })
      }
      expect((await passing.browser(browser.cookie).get('/is')).text).toBe('false')
      expect(passing.sessions.stats().unavailable).toBe(3)
      // Who is told that he is out must be out.
      expect((await passing.browser(browser.cookie).get('/logout')).status).toBe(503)
    }
  })

  it('tell what is too large to be kept as a mistake of the program', async () => {
    await using site = await Site.start({}, (sessions) =>
      shop(sessions, {
        large: (session) => void session.set('user', 'x'.repeat(20_000_000)),
        round: (session) => {
          const cart: unknown[] = []
          cart.push(cart)
          session.set('cart', cart as string[])
        },
      }),
    )
    expect(await site.browser().get('/large')).toMatchObject({ status: 500, set: [] })
    expect(await site.browser().get('/round')).toMatchObject({ status: 500, set: [] })
  })
})
