import { describe, expect, it } from 'vitest'
import type { ForwardRoute } from '../../../src/http/routes.ts'
import { closedPort } from '../../support/net.ts'
import { Backend, get, ok, Served } from '../e2e/support.ts'

/** Upstreams that answer with their number, and what is sent on to them. */
async function numbered(count: number) {
  const backends = await Promise.all(Array.from({ length: count }, (_, at) => Backend.start(() => ok(String(at)))))
  return {
    backends,
    addresses: backends.map(({ address }) => address),
    async [Symbol.asyncDispose]() {
      for (const backend of backends) await backend[Symbol.asyncDispose]()
    },
  }
}

function serve(upstream: readonly string[], route: Partial<ForwardRoute> = {}): Promise<Served> {
  return Served.start({ routes: [{ upstream, sticky: true, ...route }] })
}

/** The name and value of the cookie that an answer sets. */
function cookieOf(answer: { header(name: string): string | undefined }): string | undefined {
  return answer.header('set-cookie')?.split(';')[0]
}

describe('A sticky route', () => {
  it('E52: sets a cookie, and keeps the client where it leads', async () => {
    await using up = await numbered(3)
    await using served = await serve(up.addresses)
    const first = await served.ask(get())
    const cookie = cookieOf(first)
    expect([first.body, cookie]).toEqual(['0', expect.stringMatching(/^xps-sticky=[\w-]{22}$/)])
    expect(first.header('set-cookie')).toBe(`${cookie}; Path=/; HttpOnly; SameSite=Lax`)
    for (let count = 0; count < 4; count++) {
      const again = await served.ask(get('/', `Cookie: a=1; ${cookie}; b="2"\r\n`))
      expect([again.body, again.header('set-cookie')]).toEqual(['0', undefined])
    }
    // The others have their turn, and nobody behind sees the cookie.
    expect((await served.ask(get())).body).toBe('1')
    expect(up.backends[0]?.requests.at(-1)?.header('cookie')).toBe('a=1; b="2"')
    expect((await served.ask(get('/', `Cookie: ${cookie}\r\n`))).body).toBe('0')
    expect(up.backends[0]?.requests.at(-1)?.header('cookie')).toBeUndefined()
  })

  it('E52: sets another cookie in the place of one that says nothing', async () => {
    await using up = await numbered(2)
    await using served = await serve(up.addresses)
    await served.ask(get())
    const answer = await served.ask(get('/', 'Cookie: xps-sticky=nonsense; c=3\r\n'))
    expect(answer.body).toBe('1')
    expect(cookieOf(answer)).toBeDefined()
    expect(up.backends[1]?.requests[0]?.header('cookie')).toBe('c=3')
    const kept = await served.ask(get('/', `Cookie: ${cookieOf(answer)}\r\n`))
    expect([kept.body, cookieOf(kept)]).toEqual(['1', undefined])
  })

  it('E52: leads elsewhere when its address is down, and says so', async () => {
    await using up = await numbered(1)
    const dead = `127.0.0.1:${await closedPort()}`
    const secret = 'the same in both'
    // Whose address is dead is learnt from a route that is like it.
    await using before = await serve([dead, ...up.addresses], { sticky: { secret } })
    const found = await before.ask(get())
    expect(found.body).toBe('0')
    await using other = await numbered(1)
    await using served = await serve([...up.addresses, ...other.addresses], { sticky: { secret } })
    const cookie = cookieOf(found)
    expect((await served.ask(get('/', `Cookie: ${cookie}\r\n`))).body).toBe('0')
    await up.backends[0]?.[Symbol.asyncDispose]()
    const moved = await served.ask(get('/', `Cookie: ${cookie}\r\n`))
    expect(moved.status).toBe(200)
    expect(cookieOf(moved)).toMatch(/^xps-sticky=/)
    expect(cookieOf(moved)).not.toBe(cookie)
  })

  it('has the cookie that it was told to have', async () => {
    await using up = await numbered(2)
    const sticky = {
      name: 'at',
      path: '/app',
      domain: 'a.test',
      maxAge: 60,
      secure: true,
      httpOnly: false,
      sameSite: 'none',
    } as const
    await using served = await serve(up.addresses, { sticky })
    expect((await served.ask(get())).header('set-cookie')).toMatch(
      /^at=[\w-]{22}; Path=\/app; Domain=a.test; Max-Age=60; SameSite=None; Secure$/,
    )
  })

  it('says Secure where the client came by TLS, as far as a trusted proxy says', async () => {
    await using up = await numbered(2)
    await using served = await serve(up.addresses, { trusted: ['loopback'] })
    const answer = await served.ask(get('/', 'X-Forwarded-Proto: https\r\n'))
    expect(answer.header('set-cookie')).toMatch(/; Secure$/)
  })

  it('leads to the same address in another process that has the same secret', async () => {
    await using up = await numbered(3)
    await using one = await serve(up.addresses, { sticky: { secret: 's' } })
    await using two = await serve(up.addresses.toReversed(), { sticky: { secret: 's' } })
    await using three = await serve(up.addresses, { sticky: { secret: 't' } })
    const answer = await one.ask(get())
    const cookie = `Cookie: ${cookieOf(answer)}\r\n`
    expect((await two.ask(get('/', cookie))).body).toBe(answer.body)
    expect(cookieOf(await two.ask(get('/', cookie)))).toBeUndefined()
    expect(cookieOf(await three.ask(get('/', cookie)))).toBeDefined()
  })

  it('lets a hook that chooses the address alone', async () => {
    await using up = await numbered(2)
    await using served = await Served.start({
      routes: [{ upstream: up.addresses, sticky: true }],
      hooks: {
        upstream(transaction) {
          transaction.upstream = up.addresses[1]
        },
      },
    })
    const answer = await served.ask(get())
    expect([answer.body, answer.header('set-cookie')]).toEqual(['1', undefined])
  })

  it.each([
    [{ sticky: 'yes' }, 'sticky'],
    [{ sticky: { name: 'a b' } }, 'sticky.name'],
    [{ sticky: { secret: '' } }, 'sticky.secret'],
    [{ sticky: { path: '/a;b' } }, 'sticky.path'],
    [{ sticky: { domain: 'a\r\nb' } }, 'sticky.domain'],
    [{ sticky: { maxAge: 0 } }, 'sticky.maxAge'],
    [{ sticky: { secure: 'yes' } }, 'sticky.secure'],
    [{ sticky: { sameSite: 'no' } }, 'sticky.sameSite'],
    [{ sticky: { other: 1 } }, 'sticky'],
  ])('refuses %j', async (route, name) => {
    await expect(serve(['a.test:1'], route as never)).rejects.toThrow(`routes[0].${name}`)
  })

  it('by the address of the client goes by the one that a trusted proxy says', async () => {
    await using up = await numbered(4)
    await using served = await serve(up.addresses, { sticky: false, balance: 'client-address', trusted: ['loopback'] })
    const bodies = new Set<string>()
    for (let client = 1; client <= 20; client++) {
      const field = `X-Forwarded-For: 10.0.0.${client}\r\n`
      const { body } = await served.ask(get('/', field))
      expect((await served.ask(get('/', field))).body).toBe(body)
      bodies.add(body)
    }
    expect(bodies.size).toBe(4)
    await using strict = await serve(up.addresses, { sticky: false, balance: 'client-address' })
    const others = new Set<string>()
    for (let client = 1; client <= 5; client++)
      others.add((await strict.ask(get('/', `X-Forwarded-For: 10.0.0.${client}\r\n`))).body)
    expect(others.size).toBe(1)
  })
})
