import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Fields } from '../../src/http/fields.ts'
import { type CookieSessionsOptions, cookieSessions } from '../../src/http-sessions/index.ts'
import { SessionCookie } from '../../src/http-sessions/session-cookie.ts'
import { Signer } from '../../src/http-sessions/signature.ts'
import { MemoryStore, SharedSessions } from '../../src/state/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { get } from '../http/e2e/support.ts'
import { newest, older, Site, shop, usual } from './support.ts'

/** Signs as the documentation says that cookies are signed. */
function signed(text: string, key = newest, name = 'xps-session'): string {
  return `${text}.${createHmac('sha256', key).update(`${name}=${text}`).digest('base64url')}`
}

const day = 86_400

describe('The cookie of a session', () => {
  it('is believed only as it was given: nothing else makes a session of an id, or an id of a session', async () => {
    const container = new SharedSessions(new MemoryStore())
    await using site = await Site.start({ store: container }, (sessions) => shop(sessions, usual))
    const browser = site.browser()
    await browser.get('/login')
    const value = browser.cookie.slice('xps-session='.length)
    const [id = '', created = '', later = '', signature = ''] = value.split('.')
    const other = site.browser()
    await other.get('/login')
    const [, , , otherSignature = ''] = other.cookie.split('.')
    const flipped = `${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`
    const unknown = '0123456789abcdef0123456789abcdef'
    const before = container.stats().created
    const forged: Record<string, string> = {
      empty: '',
      'an id': id,
      'an id with its times': `${id}.${created}.${later}`,
      'an empty signature': `${id}.${created}.${later}.`,
      'another signature': `${id}.${created}.${later}.${flipped}`,
      "another session's signature": `${id}.${created}.${later}.${otherSignature}`,
      'a signature of another length': `${id}.${created}.${later}.${signature}A`,
      'the padding of base64': `${value}=`,
      'another time': `${id}.${created}.1.${signature}`,
      'an id that was never given': signed(
        `${unknown}.${created}.0`,
        'a key of somebody else, which is as long as ours',
      ),
      'a signature for another cookie': signed(`${id}.${created}.0`, newest, 'another-session'),
      quotes: `"${value}"`,
      'bytes that no cookie has': `${value}\u00e9`,
      'very long': `${id.repeat(200)}.${created}.${later}.${signature}`,
      'a path for an id': signed(`../../../../etc/passwd.${created}.0`),
    }
    for (const [what, cookie] of Object.entries(forged)) {
      const answer = await site.served.ask(get('/see', `Cookie: xps-session=${cookie}\r\n`))
      expect([what, answer.status, answer.body, answer.header('set-cookie')]).toEqual([what, 200, '{}', undefined])
      // What is stored comes under an id of ours.
      const stored = await site.served.ask(get('/login', `Cookie: xps-session=${cookie}\r\n`))
      expect(stored.header('set-cookie')).toMatch(/^xps-session=[\da-f]{32}\./)
      expect(stored.header('set-cookie')).not.toContain(id)
      expect(stored.header('set-cookie')).not.toContain(unknown)
    }
    expect(container.stats().created - before).toBe(Object.keys(forged).length)
    // Ours, whichever way the client writes it.
    for (const fields of [
      `Cookie: a=1; xps-session=${value}; b=2\r\n`,
      `Cookie: xps-session=${value};b=2\r\n`,
      `Cookie:\t \txps-session = ${value} ; Xps-Session=x; ax-session=y\r\n`,
      `Cookie: a=1\r\nCookie: xps-session=${value}\r\nCookie: b=2\r\n`,
    ]) {
      expect((await site.served.ask(get('/see', fields))).body).toBe('{"n":0,"user":"ali"}')
    }
    // Two of them, wherever: it cannot be known whose is whose.
    for (const fields of [
      `Cookie: ${other.cookie}; xps-session=${value}\r\n`,
      `Cookie: xps-session=${value}; xps-session=\r\n`,
      `Cookie: xps-session=${value}; xps-session\r\n`,
      `Cookie: xps-session=${value}\r\nCookie: xps-session=${value}\r\n`,
    ]) {
      expect((await site.served.ask(get('/see', fields))).body).toBe('{}')
    }
    expect(site.sessions.stats().forged).toBe(Object.keys(forged).length * 2 + 4)
    await container.close()
  })

  it('never makes a session of an id that is signed, and not there', async () => {
    const unknown = '0123456789abcdef0123456789abcdef'
    for (const mode of ['locking', 'merging'] as const) {
      await using site = await Site.start({ mode }, (sessions) => shop(sessions, usual))
      const now = Math.floor(Date.now() / 1_000).toString(36)
      const browser = site.browser(`xps-session=${signed(`${unknown}.${now}.0`)}`)
      expect(await browser.get('/see')).toMatchObject({ text: '{}', set: [] })
      const { set } = await browser.get('/login')
      expect(set).toHaveLength(1)
      expect(set[0]).not.toContain(unknown)
      expect(site.sessions.stats()).toMatchObject({ forged: 0, unknown: 2, created: 1 })
    }
  })

  it('is signed by the newest key, and believed from all; one of an older key is given anew', async () => {
    await using store = new SharedSessions(new MemoryStore())
    await using before = await Site.start({ store, keys: [older] }, (sessions) => shop(sessions, usual))
    const first = before.browser()
    await first.get('/login')
    await using during = await Site.start({ store, keys: [newest, older] }, (sessions) => shop(sessions, usual))
    const second = during.browser(first.cookie)
    const answer = await second.get('/see')
    expect([answer.text, answer.set]).toEqual(['{"n":0,"user":"ali"}', [expect.stringContaining('xps-session=')]])
    expect((await second.get('/see')).set).toEqual([])
    await using after = await Site.start({ store, keys: [newest] }, (sessions) => shop(sessions, usual))
    expect((await after.browser(second.cookie).get('/see')).text).toBe('{"n":0,"user":"ali"}')
    expect((await after.browser(first.cookie).get('/see')).text).toBe('{}')
  })

  for (const mode of ['locking', 'merging'] as const) {
    it(`lives as long as its session, and rolls with it (${mode})`, async () => {
      const clock = new ManualClock()
      const lifetimes = { idleLifetime: 3_600_000, absoluteLifetime: 7_200_000 }
      await using site = await Site.start({ clock, mode, ...lifetimes }, (sessions) => shop(sessions, usual))
      const browser = site.browser()
      const maxAge = ({ set }: { set: string[] }): string | undefined => /Max-Age=(\d+)/.exec(set[0] ?? '')?.[1]
      expect(maxAge(await browser.get('/login'))).toBe('3600')
      const first = browser.cookie
      clock.advance(200_000)
      expect((await browser.get('/see')).set).toEqual([])
      clock.advance(100_000)
      // A sixteenth has passed, whether something changes or not.
      expect(maxAge(await browser.get('/see'))).toBe('3600')
      expect(browser.cookie).not.toBe(first)
      clock.advance(3_400_000)
      expect(maxAge(await browser.get('/add'))).toBe('3500')
      clock.advance(3_400_000)
      expect((await browser.get('/see')).text).toBe('{"n":1,"user":"ali"}')
      // Its time is over, though it was used.
      clock.advance(101_000)
      expect(await browser.get('/see')).toMatchObject({ text: '{}', set: [] })
    })
  }

  it('has the end that its session was made with, also where the store knows no such thing', async () => {
    const clock = new ManualClock()
    await using store = new SharedSessions(new MemoryStore(), { clock })
    await using site = await Site.start({ store, clock, absoluteLifetime: 60_000 }, (sessions) => shop(sessions, usual))
    const browser = site.browser()
    expect((await browser.get('/login')).set[0]).toContain('; Max-Age=60;')
    clock.advance(30_000)
    expect((await browser.get('/renew')).set[0]).toContain('; Max-Age=30;')
    clock.advance(30_000)
    expect((await browser.get('/see')).text).toBe('{}')
  })

  it('is for a session that the store was told how long to keep', async () => {
    const clock = new ManualClock()
    await using store = new SharedSessions(new MemoryStore(), { clock })
    await using site = await Site.start({ store, clock, idleLifetime: 60_000 }, (sessions) => shop(sessions, usual))
    const browser = site.browser()
    expect((await browser.get('/login')).set[0]).toContain('; Max-Age=60;')
    clock.advance(59_000)
    expect((await browser.get('/see')).text).toBe('{"n":0,"user":"ali"}')
    clock.advance(60_000)
    expect((await browser.get('/see')).text).toBe('{}')
  })

  it('is not given anew by who reads with an id that was replaced meanwhile', async () => {
    const clock = new ManualClock()
    const all = { clock, graceLifetime: 3_600_000, readOnly: () => reads }
    let reads = false
    await using site = await Site.start(all, (sessions) => shop(sessions, usual))
    const browser = site.browser()
    await browser.get('/login')
    const late = browser.clone()
    await browser.get('/renew')
    clock.advance((day * 1_000) / 16 + 1_000)
    reads = true
    // Else the browser would have its old cookie in the place of the login's.
    expect((await late.get('/see')).set).toEqual([])
    expect((await browser.get('/see')).set).toHaveLength(1)
  })

  it('is what its options say', async () => {
    const given: [CookieSessionsOptions['cookie'], string][] = [
      [{}, '; Max-Age=86400; Path=/; HttpOnly; SameSite=Lax'],
      [{ maxAge: 'browser', sameSite: 'strict' }, '; Path=/; HttpOnly; SameSite=Strict'],
      [
        { maxAge: 60, path: '/app', domain: 'app.test' },
        '; Max-Age=60; Path=/app; Domain=app.test; HttpOnly; SameSite=Lax',
      ],
      [{ httpOnly: false, secure: true }, '; Max-Age=86400; Path=/; SameSite=Lax; Secure'],
      [{ sameSite: 'none' }, '; Max-Age=86400; Path=/; HttpOnly; SameSite=None; Secure'],
    ]
    for (const [cookie = {}, attributes] of given) {
      await using site = await Site.start({ cookie }, (sessions) => shop(sessions, usual))
      const { set } = await site.browser().get('/login')
      expect(set[0]?.replace(/^[^;]*/, '')).toBe(attributes)
    }
    await using site = await Site.start({ cookie: { name: '__Host-id' } }, (sessions) => shop(sessions, usual))
    const browser = site.browser()
    expect((await browser.get('/login')).set[0]).toMatch(
      /^__Host-id=[^;]+; Max-Age=86400; Path=\/; HttpOnly; SameSite=Lax; Secure$/,
    )
    expect((await browser.get('/logout')).set[0]).toMatch(/^__Host-id=; Max-Age=0; .*; Path=\/; .*; Secure$/)
  })

  it('keeps shared caches from giving it to somebody else', async () => {
    const given: [string | undefined, string][] = [
      [undefined, 'private'],
      ['no-cache', 'no-cache, private'],
      ['public, max-age=60, s-maxage=600', 'max-age=60, private'],
      ['no-store', 'no-store'],
      ['private, max-age=5', 'private, max-age=5'],
    ]
    for (const [field, expected] of given) {
      // What these say comes before `Cache-Control` for those whom they are for (RFC 9213).
      const targeted = { 'cdn-cache-control': 'max-age=60', 'x-accel-expires': '60', 'surrogate-control': 'max-age=60' }
      const headers = { ...targeted, ...(field === undefined ? {} : { 'cache-control': field }) }
      await using site = await Site.start({}, (sessions) =>
        shop(sessions, {
          set: (session) => {
            session.set('n', 1)
            return new Response('', { headers })
          },
          see: () => new Response('', { headers }),
        }),
      )
      const browser = site.browser()
      const first = await browser.get('/set')
      expect(first.headers.get('cache-control')).toBe(expected)
      for (const name of Object.keys(targeted)) expect(first.headers.get(name)).toBeNull()
      const seen = await browser.get('/see')
      expect(seen.headers.get('cache-control')).toBe(field ?? null)
      for (const [name, value] of Object.entries(targeted)) expect(seen.headers.get(name)).toBe(value)
    }
  })
})

describe('Cookies of others', () => {
  it('pass as they are, whatever they are, and ours is found among them', () => {
    const lifetimes = { idle: 60, absolute: 0 }
    const cookie = new SessionCookie({}, new Signer('keys', [newest]), lifetimes)
    const id = '0123456789abcdef0123456789abcdef'
    const ours = cookie.give(id, 1_000, 1_000, false).split(';')[0] as string
    // Pieces that may be taken for ours by who does not look closely.
    const piece = fc.oneof(
      fc.string({ unit: fc.constantFrom('a', '=', ' ', '"', 'x', '-', '\t', ',', '\u00ff'), maxLength: 8 }),
      fc.constantFrom(
        'xps-session2=1',
        'axps-session=1',
        'XPS-SESSION=1',
        '=xps-session',
        'a=xps-session=1',
        'xps=session',
      ),
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 6 }), fc.nat(6), fc.integer({ min: 0, max: 2 }), (others, at, count) => {
        const pairs = others.slice()
        for (let index = 0; index < count; index++) pairs.splice(Math.min(at, pairs.length), 0, ` ${ours} `)
        const field = pairs.join(';').trim()
        if (field === '') return
        const headers = new Fields([['cookie', field]])
        const taken = cookie.take(headers)
        if (count === 0) expect([taken, headers.get('cookie')]).toEqual([undefined, field])
        else {
          const left = others.every((one) => one.trim() === '') ? undefined : others.join(';').trim()
          expect(headers.get('cookie')?.replace(/ *; */g, ';')).toBe(left?.replace(/ *; */g, ';'))
          expect(taken).toEqual(count === 1 ? { id, created: 1_000, issued: 1_000, aged: false } : 'forged')
        }
      }),
    )
  })
})

describe('Options of cookie sessions', () => {
  const keys = [newest]
  const refused: [string, object, RegExp][] = [
    ['no keys', { keys: [] }, /^keys must be a list of 1 to 16 keys/],
    ['a key by itself', { keys: newest }, /^keys must be a list/],
    [
      'a short key',
      { keys: [newest, 'thirty-one bytes, not one more.'] },
      /^keys\[1\] must be text or bytes, 32 bytes/,
    ],
    ['a short key of bytes', { keys: [new Uint8Array(31)] }, /^keys\[0\] must be .*got '31 bytes'/],
    ['no store', { store: undefined }, /^store must be/],
    ['a name that is none', { cookie: { name: 'a b' } }, /^cookie.name must be/],
    [
      '__Host- with a path',
      { cookie: { name: '__Host-a', path: '/a' } },
      /^cookie.path must be '\/' for a name with '__host-'/,
    ],
    ['__Host- with a domain', { cookie: { name: '__hOST-a', domain: 'a.test' } }, /^cookie.domain must be left out/],
    ['__Host- without Secure', { cookie: { name: '__Host-a', secure: false } }, /^cookie.secure must be true/],
    ['__Secure- without Secure', { cookie: { name: '__Secure-a', secure: false } }, /^cookie.secure must be true/],
    ['__Http- for scripts', { cookie: { name: '__Http-a', httpOnly: false } }, /^cookie.httpOnly must be true/],
    ['SameSite=None without Secure', { cookie: { sameSite: 'none', secure: false } }, /^cookie.secure must be true/],
    ['a path with more in it', { cookie: { path: '/; Domain=evil.test' } }, /^cookie.path must be/],
    ['a domain with more in it', { cookie: { domain: 'a.test; Path=/' } }, /^cookie.domain must be/],
    ['an unknown SameSite', { cookie: { sameSite: 'Lax' } }, /^cookie.sameSite must be/],
    ['an age of nothing', { cookie: { maxAge: 0 } }, /^cookie.maxAge must be/],
    ['an unknown option of the cookie', { cookie: { signed: true } }, /^cookie must be made of/],
    ['an unknown option', { secret: 'x' }, /^cookie sessions options must be made of/],
    ['an unknown mode', { mode: 'none' }, /^mode must be 'locking' or 'merging'/],
    ['readOnly that is no function', { readOnly: true }, /^readOnly must be a function/],
    ['rotateOn that is no list', { rotateOn: 'user' }, /^rotateOn must be a list/],
    ['a field that is another', { forward: { headers: { cookie: 'user' } } }, /^forward.headers must be the name/],
    ['a field that everybody knows', { forward: { headers: { Range: 'user' } } }, /^forward.headers must be the name/],
    ['a field without a key', { forward: { headers: { 'x-a': 1 } } }, /^forward.headers\['x-a'\] must be/],
    [
      'fields that are the same',
      { forward: { headers: { 'x-a': 'a', 'X-A': 'b' } } },
      /^forward must be made of names/,
    ],
    ['a short key of a token', { forward: { token: { key: 'short' } } }, /^forward.token.key must be/],
    ['changes from nobody in particular', { accept: {} }, /^accept.routes must be a list/],
  ]
  for (const [what, options, message] of refused) {
    it(`refuse ${what}`, () => {
      const all = { store: new MemoryStore(), keys, ...options } as CookieSessionsOptions
      expect(() => cookieSessions(all)).toThrow(
        expect.objectContaining({ code: 'XPS_INVALID_OPTION', message: expect.stringMatching(message) }) as Error,
      )
      expect(() => cookieSessions(all)).not.toThrow(newest)
    })
  }
})
