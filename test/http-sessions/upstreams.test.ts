import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { SessionAcceptOptions, SessionForwardOptions } from '../../src/http-sessions/index.ts'
import { Backend, gate, get, type Message, ok, until } from '../http/e2e/support.ts'
import { overContainer, overServer, type Shop, Site } from './support.ts'

const forward: SessionForwardOptions<Shop> = {
  headers: {
    'x-session-user': 'user',
    'x-session-n': 'n',
    'x-session-cart': (session) => session.get('cart')?.join(' '),
  },
}
const accept: SessionAcceptOptions = { routes: ['account'] }

/** An app that answers what the test says by path, and else what it was told. */
function app(
  answers: Record<string, string | ((request: Message) => Promise<string> | string)> = {},
): Promise<Backend> {
  return Backend.start((request) => {
    const answer = answers[request.target.replace(/^\/account/, '')]
    if (typeof answer === 'function') return answer(request)
    if (answer !== undefined) return ok('done', answer)
    const { fields } = request
    const told = fields.filter(([name]) => /^(?:x[-_]session|cookie|x-user)/i.test(name))
    return ok(JSON.stringify(Object.fromEntries(told.map(([name, value]) => [name.toLowerCase(), value]))))
  })
}

for (const [where, connect] of [
  ['over a container', overContainer],
  ['over a state server', overServer],
] as const) {
  describe(`A proxy that owns the session of two apps, ${where}`, () => {
    it('lets one log in, tells the other who it is, and shows neither the cookie', async () => {
      await using kept = await connect()
      await using account = await app({
        '/login':
          'X-Session-Set: user=ali&n=1\r\nX-Session-Rotate: 1\r\nSet-Cookie: app=1; Path=/\r\nSet-Cookie: xps-session=evil; Path=/\r\n',
        '/logout': 'X-Session-Destroy: 1\r\n',
      })
      await using store = await app()
      await using site = await Site.start({ store: kept.source, forward, accept }, () => ({
        routes: [
          { name: 'account', path: '/account', upstream: account.address },
          { name: 'store', upstream: store.address },
        ],
      }))
      const browser = site.browser()
      // Nobody has a session yet.
      expect(JSON.parse((await browser.get('/')).text)).toEqual({})
      const login = await browser.get('/account/login')
      expect(login.set).toEqual(['app=1; Path=/', expect.stringMatching(/^xps-session=[\da-f]{32}\./)])
      expect([...login.headers.keys()].filter((name) => name.startsWith('x-'))).toEqual([])
      const headers = { cookie: `a=1;  ${browser.cookie} ; b="2"`, 'x-user': 'mine' }
      const told = { cookie: 'a=1; b="2"', 'x-session-user': 'ali', 'x-session-n': '1', 'x-user': 'mine' }
      for (const path of ['/', '/account/']) {
        expect(JSON.parse((await browser.get(path, { headers })).text)).toEqual(told)
      }
      const before = browser.cookie
      const again = await browser.get('/account/login')
      expect(again.set).toHaveLength(2)
      expect(browser.cookie).not.toBe(before)
      const { cookie } = browser
      expect((await browser.get('/account/logout')).set).toEqual([expect.stringMatching(/^xps-session=; Max-Age=0/)])
      expect(JSON.parse((await site.browser(cookie).get('/')).text)).toEqual({})
      await until(() => expect(kept.locks()).toMatchObject({ held: 0, waiting: 0 }))
    })

    it('lets fifty parallel requests through one app end at fifty, and who only reads does not wait', async () => {
      await using kept = await connect()
      const hold = gate()
      await using account = await app({
        '/login': 'X-Session-Set: {"n":0}\r\n',
        '/add': (request) => ok('', `X-Session-Set: {"n":${Number(request.header('x-session-n')) + 1}}\r\n`),
        '/hold': async () => {
          await hold.promise
          return ok('')
        },
      })
      await using store = await app()
      await using site = await Site.start({ store: kept.source, forward, accept }, () => ({
        routes: [
          { name: 'account', path: '/account', upstream: account.address },
          { name: 'store', upstream: store.address },
        ],
      }))
      const browser = site.browser()
      await browser.get('/account/login')
      await Promise.all(Array.from({ length: 50 }, () => browser.clone().get('/account/add')))
      const holder = browser.clone().get('/account/hold')
      await until(() => expect(kept.locks()).toMatchObject({ held: 1 }))
      expect(JSON.parse((await browser.get('/')).text)).toEqual({ 'x-session-n': '50' })
      hold.open()
      await holder
    })

    it('lets go of the session when the upstream dies, or its client leaves, and nothing is kept', async () => {
      await using kept = await connect()
      const began = gate()
      await using account = await Backend.start((request, peer) => {
        if (request.target.endsWith('/die')) peer.reset()
        else if (request.target.endsWith('/hang')) began.open()
        else return ok('', 'X-Session-Set: n=1\r\n')
        return undefined
      })
      await using site = await Site.start({ store: kept.source, forward, accept }, () => ({
        routes: [{ name: 'account', upstream: account.address }],
      }))
      const browser = site.browser()
      await browser.get('/')
      expect((await browser.get('/die')).status).toBe(502)
      await until(() => expect(kept.locks()).toMatchObject({ held: 0 }))
      const leaving = new AbortController()
      const left = browser.clone().get('/hang', { signal: leaving.signal })
      await began.promise
      expect(kept.locks()).toMatchObject({ held: 1 })
      leaving.abort()
      await expect(left).rejects.toThrow()
      await until(() => expect(kept.locks()).toMatchObject({ held: 0, waiting: 0 }))
    })
  })
}

describe('What upstreams are told of a session', () => {
  it('can be said by nobody outside, however it is spelled', async () => {
    await using store = await app()
    await using site = await Site.start({ forward, accept }, () => ({ routes: [{ upstream: store.address }] }))
    const fields = [
      'X-Session-User: root',
      'x_session_user: root',
      'X-Session_N: 9',
      'X-Session-Cart: all',
      'X-Session-Set: user=root',
      'X-Xps-Transaction: x',
      'Connection: X-Session-User',
    ]
    const answer = await site.served.ask(get('/', `${fields.join('\r\n')}\r\n`))
    expect(JSON.parse(answer.body)).toEqual({})
    expect(store.requests[0]?.header('x-xps-transaction')).toBeUndefined()
  })

  it('cannot be said in trailers either', async () => {
    await using store = await app()
    await using site = await Site.start({ forward, accept }, () => ({ routes: [{ upstream: store.address }] }))
    const client = await site.served.dial()
    const trailers = 'X-Session-User: root\r\nx_session_user: root\r\nX-Session-Set: n=1\r\nX-Other: stays\r\n'
    await client.send(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n${trailers}\r\n`)
    await client.response()
    client.peer.end()
    expect(store.requests[0]?.trailers).toEqual([['X-Other', 'stays']])
  })

  it('is for the routes that are named, in ASCII', async () => {
    await using told = await app()
    await using untold = await app()
    await using site = await Site.start({ forward: { ...forward, routes: ['told'] } }, (sessions) => ({
      routes: [
        { name: 'told', path: '/told', upstream: told.address },
        {
          path: '/login',
          fetch: async (_request, transaction) => {
            const session = await sessions.of(transaction)
            session.set('user', ' 100 % Jörg\r\nX-Evil: 1').set('cart', ['a', 'b'])
            return new Response('in')
          },
        },
        { upstream: untold.address },
      ],
    }))
    const browser = site.browser()
    await browser.get('/login')
    const answer = JSON.parse((await browser.get('/told')).text) as Record<string, string>
    expect(answer).toEqual({ 'x-session-user': '%20100 %25 J%C3%B6rg%0D%0AX-Evil: 1', 'x-session-cart': 'a b' })
    expect(decodeURIComponent(answer['x-session-user'] ?? '')).toBe(' 100 % Jörg\r\nX-Evil: 1')
    expect(JSON.parse((await browser.get('/')).text)).toEqual({})
    expect(site.sessions.stats().opened).toBe(2)
  })

  it('may be all of it, as a token that the upstream can check', async () => {
    const key = 'a key that the upstreams know, and sign nothing with'
    await using store = await app()
    await using site = await Site.start({ forward: { token: { key, lifetime: 30 } } }, (sessions) => ({
      routes: [
        {
          path: '/login',
          fetch: async (_request, transaction) => {
            const session = await sessions.of(transaction)
            session.set('user', 'ali').set('cart', ['tea'])
            return new Response('in')
          },
        },
        { upstream: store.address },
      ],
    }))
    const browser = site.browser()
    await browser.get('/login')
    const { 'x-session-token': token = '' } = JSON.parse((await browser.get('/')).text) as Record<string, string>
    const [head = '', claims = '', signature] = token.split('.')
    expect(createHmac('sha256', key).update(`${head}.${claims}`).digest('base64url')).toBe(signature)
    expect(JSON.parse(Buffer.from(head, 'base64url').toString())).toEqual({ alg: 'HS256', typ: 'JWT' })
    const said = JSON.parse(Buffer.from(claims, 'base64url').toString())
    expect(said).toEqual({ iat: said.iat, exp: said.iat + 30, session: { user: 'ali', cart: ['tea'] } })
    expect(Math.abs(said.iat - Date.now() / 1_000)).toBeLessThan(30)
  })

  it('is what hooks have just made of it', async () => {
    await using store = await app()
    await using site = await Site.start({ forward }, (sessions) => ({
      routes: [{ upstream: store.address }],
      hooks: {
        async afterRouting(transaction) {
          const session = await sessions.of(transaction)
          session.set('user', 'guest')
        },
      },
    }))
    expect(JSON.parse((await site.browser().get('/')).text)).toEqual({ 'x-session-user': 'guest' })
  })

  it('is had by nobody who asks when it was told, and the head of the response is about to be sent', async () => {
    await using kept = await overContainer()
    await using store = await app()
    const late = gate<unknown>()
    await using site = await Site.start({ store: kept.source, forward }, (sessions) => ({
      routes: [
        {
          path: '/login',
          fetch: async (_request, transaction) => {
            void (await sessions.of(transaction)).set('user', 'ali')
            return new Response('in')
          },
        },
        { upstream: store.address },
      ],
      hooks: {
        responseSend(transaction) {
          if (transaction.request.path === '/login') return
          // Each behind those that there are: the last comes after the session was concluded.
          const ask = async (): Promise<void> => late.open(await sessions.of(transaction).catch((error) => error))
          transaction.hook({ responseSend: () => transaction.hook({ responseSend: ask }) })
        },
      },
    }))
    const browser = site.browser()
    await browser.get('/login')
    expect(JSON.parse((await browser.get('/')).text)).toEqual({ 'x-session-user': 'ali' })
    expect(await late.promise).toMatchObject({ code: 'XPS_CLOSED' })
    await until(() => expect(kept.locks()).toMatchObject({ held: 0, waiting: 0 }))
  })

  it('is told again to the address that is tried next', async () => {
    await using good = await app()
    let refused = 0
    await using bad = await Backend.start((_request, peer) => {
      refused++
      peer.reset()
      return undefined
    })
    await using site = await Site.start({ forward }, (sessions) => ({
      routes: [
        {
          path: '/login',
          fetch: async (_request, transaction) => {
            const session = await sessions.of(transaction)
            session.set('user', 'ali')
            return new Response('in')
          },
        },
        { upstream: [bad.address, good.address], balance: 'round-robin' },
      ],
    }))
    const browser = site.browser()
    await browser.get('/login')
    for (let count = 0; count < 2; count++) {
      expect(JSON.parse((await browser.get('/')).text)).toEqual({ 'x-session-user': 'ali' })
    }
    expect(refused).toBeGreaterThan(0)
  })
})

describe('What upstreams may change', () => {
  it('is taken from those that are allowed only, and no client sees it', async () => {
    const changes = 'X-Session-Set: user=root\r\nX-Session-Rotate: 1\r\nX-Session-Delete: n\r\nX-Session-Destroy: 1\r\n'
    await using other = await app({ '/': `${changes}X-Session-Other: stays\r\n` })
    await using site = await Site.start({ forward, accept }, () => ({
      routes: [{ name: 'other', upstream: other.address }],
    }))
    const answer = await site.browser().get('/')
    expect([answer.status, answer.set]).toEqual([200, []])
    expect([...answer.headers.keys()].filter((name) => name.startsWith('x-'))).toEqual(['x-session-other'])
    expect(site.sessions.stats().opened).toBe(0)
  })

  it('is shown to no client in an interim response or in trailers, where it changes nothing', async () => {
    const said = 'X-Session-Set: user=ali\r\nSet-Cookie: xps-session=evil\r\n'
    const interim = `HTTP/1.1 103 Early Hints\r\n${said}Link: </a.css>\r\n\r\n`
    const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
    await using account = await Backend.start(() => `${interim}${head}1\r\na\r\n0\r\n${said}X-Other: stays\r\n\r\n`)
    await using site = await Site.start({ forward, accept }, () => ({
      routes: [{ name: 'account', upstream: account.address }],
    }))
    const answer = await site.served.ask(get('/'))
    expect(answer.interim.map(({ fields }) => fields)).toEqual([[['Link', '</a.css>'], expect.anything()]])
    expect(answer.trailers).toEqual([['X-Other', 'stays']])
    expect(site.sessions.stats()).toMatchObject({ opened: 0, created: 0 })
  })

  it('is written before a connection is switched to another protocol, and then nobody has the session', async () => {
    await using kept = await overContainer()
    const answer = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n'
    await using account = await Backend.start(() => `${answer}X-Session-Set: user=ali\r\n\r\n`)
    await using site = await Site.start({ store: kept.source, accept }, () => ({
      routes: [{ name: 'account', upstream: account.address }],
    }))
    const wire = await site.served.dial()
    await wire.send(get('/', 'Connection: Upgrade\r\nUpgrade: echo\r\n'))
    const head = await wire.peer.read('\r\n\r\n')
    expect(head).toMatch(/^HTTP\/1.1 101 .*\r\nset-cookie: xps-session=/is)
    expect(head).not.toMatch(/x-session/i)
    expect(kept.locks()).toMatchObject({ held: 0 })
    expect(kept.sessions.stats()).toMatchObject({ created: 1 })
    wire.peer.reset()
  })

  it('is a form or JSON, and removes keys', async () => {
    await using account = await app({
      '/form': 'X-Session-Set: user=J%C3%B6rg+M&k1=a%26b\r\nX-Session-Set: k2=2\r\n',
      '/json': 'X-Session-Set: {"cart":["tea"],"n":5,"user":null}\r\n',
      '/less': 'X-Session-Delete: k1, k%32\r\nX-Session-Rotate: 0\r\n',
      '/bad': 'X-Session-Set: {"cart":\r\n',
      '/worse': 'X-Session-Delete: %E0%\r\n',
    })
    await using site = await Site.start({ accept }, (sessions) => ({
      routes: [
        {
          path: '/see',
          fetch: async (_request, transaction) => Response.json((await sessions.of(transaction)).toObject()),
        },
        { name: 'account', upstream: account.address },
      ],
    }))
    const browser = site.browser()
    const see = async (): Promise<unknown> => JSON.parse((await browser.get('/see')).text)
    await browser.get('/form')
    expect(await see()).toEqual({ user: 'Jörg M', k1: 'a&b', k2: '2' })
    await browser.get('/json')
    expect(await see()).toEqual({ user: null, k1: 'a&b', k2: '2', cart: ['tea'], n: 5 })
    expect((await browser.get('/less')).set).toEqual([])
    expect(await see()).toEqual({ user: null, cart: ['tea'], n: 5 })
    for (const path of ['/bad', '/worse']) expect(await browser.get(path)).toMatchObject({ status: 502, set: [] })
    expect(await see()).toEqual({ user: null, cart: ['tea'], n: 5 })
  })
})
