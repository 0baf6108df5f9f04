import { createHook } from 'node:async_hooks'
import { describe, expect, it } from 'vitest'
import { hashPassword, verifyPassword, xml } from '../../src/soap/index.ts'
import { LoginThrottle } from '../../src/soap/login/login-throttle.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { own, passing, Served, until } from './support.ts'

describe('a password', () => {
  it('is right for its hash only, and wrong for nobody', async () => {
    const hash = await hashPassword('sesame é')
    expect(hash).toMatch(/^scrypt\$32768\$8\$1\$/)
    expect(await verifyPassword('sesame é', hash)).toBe(true)
    expect(await verifyPassword('sesame', hash)).toBe(false)
    expect(await verifyPassword('sesame é', undefined)).toBe(false)
    await expect(verifyPassword('x', 'md5$1')).rejects.toThrow('hash must be one')
  })
})

describe('a password that is not right', () => {
  it('is the same work for an unknown user as for one that is known, and so takes the same time', async () => {
    const hash = await hashPassword('sesame')
    let begun = 0
    const hook = createHook({
      init(_id, type) {
        if (type === 'SCRYPTREQUEST') begun++
      },
    }).enable()
    const work = async (known: string | undefined): Promise<number> => {
      const before = process.cpuUsage()
      expect(await verifyPassword('wrong', known)).toBe(false)
      const { user, system } = process.cpuUsage(before)
      return user + system
    }
    // The best of each, and time on a processor only: others may have it in between.
    const [right, unknown]: [number[], number[]] = [[], []]
    for (let round = 0; round < 3; round++) {
      right.push(await work(hash))
      unknown.push(await work(undefined))
    }
    hook.disable()
    expect(begun).toBe(6)
    const ratio = Math.min(...unknown) / Math.min(...right)
    expect(ratio).toBeGreaterThan(0.6)
    expect(ratio).toBeLessThan(1.7)
  })
})

describe('refused logins', () => {
  const limits = { first: 100, longest: 1_000 }

  it('cost growing delays, of an address at once and of a user after a while', () => {
    const clock = new ManualClock()
    const throttle = new LoginThrottle(clock, limits)
    const waits = (address: string, user: string, count: number): (number | undefined)[] =>
      Array.from({ length: count }, () => {
        const wait = throttle.admit(address, user)
        if (wait !== undefined) clock.advance(wait)
        throttle.refused(address, user)
        return wait
      })
    expect(waits('a', 'ann', 6)).toEqual([0, 100, 200, 400, 800, 1_000])
    expect(throttle.admit('b', 'bob')).toBe(0)
    // Ann's name has been tried six times by now: it costs time from everywhere, but little.
    expect(throttle.admit('c', 'ann')).toBe(100)
    throttle.accepted('ann')
    expect(throttle.admit('d', 'ann')).toBe(0)
    throttle.refused('e')
    expect([throttle.admit('e'), throttle.admit('f')]).toEqual([100, 0])
    clock.advance(11 * 60_000)
    expect(throttle.admit('a', 'ann')).toBe(0)
  })

  it('wait one after the other, and are refused when they would wait too long', () => {
    const clock = new ManualClock()
    const throttle = new LoginThrottle(clock, limits)
    for (let count = 0; count < 3; count++) throttle.refused('a', 'ann')
    expect([1, 2, 3, 4].map(() => throttle.admit('a', 'ann'))).toEqual([400, 800, undefined, undefined])
  })

  it('leave no session, and say the same at the same time for any reason, however long it took to find it', async () => {
    const clock = new ManualClock()
    await using served = await Served.start(
      {
        login: async ({ username }) => {
          if (username === 'ann')
            await passing(clock, new Promise((resolve) => void clock.after(400, () => resolve(1))))
          return false
        },
        loginDelay: 1_000,
      },
      { clock },
    )
    const refusal = async (username: string): Promise<unknown> => {
      const raw = await served.raw()
      const began = clock.now()
      const body = `<Login xmlns="${own}"><Session>a</Session><Username>${username}</Username><Password>x</Password></Login>`
      await raw.send(`${own}/login`, body, { session: false })
      await until(() => expect(served.server.stats().messages).toBeGreaterThan(served.rejected.length))
      const { fault } = await passing(clock, raw.next())
      expect(clock.now() - began).toBeGreaterThanOrEqual(1_000)
      expect(clock.now() - began).toBeLessThanOrEqual(1_300)
      clock.advance(60 * 60_000)
      return [fault?.faultCode, fault?.message, fault?.subcodes]
    }
    expect(await refusal('ann')).toEqual(['Sender', 'the login is refused', [{ namespace: own, name: 'LoginRefused' }]])
    expect(await refusal('nobody')).toEqual(await refusal('ann'))
    expect(served.server.stats()).toMatchObject({ sessions: 0, logins: 0 })
    expect(served.rejected).toEqual(['login', 'login', 'login'])
  })

  it('are slowed down for one address and leave another alone', async () => {
    await using served = await Served.start({ loginDelay: 20, maxLoginDelay: 100 })
    const attempts = await Promise.allSettled(
      Array.from({ length: 10 }, () => served.client({ password: 'wrong' }).login()),
    )
    expect(attempts.every(({ status }) => status === 'rejected')).toBe(true)
    const again = await Promise.allSettled(
      Array.from({ length: 10 }, () => served.client({ password: 'wrong' }).login()),
    )
    expect(again.every(({ status }) => status === 'rejected')).toBe(true)
    expect(served.server.stats().rejected.throttled).toBeGreaterThan(5)
    const other = await served.raw('1.2', '127.0.0.2')
    expect((await other.login()).body?.name).toBe('Accepted')
  })
})

describe('a login', () => {
  it('is asked about once, with what the client said', async () => {
    const asked: unknown[] = []
    await using served = await Served.start({ login: (credentials) => asked.push(credentials) > 0 })
    const client = await served.loggedIn({ username: 'a & b', password: '<p>' })
    expect(asked).toEqual([{ username: 'a & b', password: '<p>', remoteAddress: '127.0.0.1', secure: false }])
    expect(client.connected).toBe(true)
  })

  it('with the id of a session that lives is refused; the first goes on', async () => {
    await using served = await Served.start({ processors: { 'urn:test/n': () => xml('', 'n') } })
    const first = await served.loggedIn({ sessionId: 'same' })
    await expect(served.loggedIn({ sessionId: 'same' })).rejects.toMatchObject({
      message: 'there is a session of that id',
    })
    // Whoever has no right to log in does not learn of it.
    await expect(served.loggedIn({ sessionId: 'same', password: 'no' })).rejects.toMatchObject({
      message: 'the login is refused',
    })
    await first.request('urn:test/n')
    expect(served.rejected).toEqual(['session-in-use', 'login'])
  })

  it('for the same id twice at the same time makes one session', async () => {
    const asked: ((allowed: boolean) => void)[] = []
    await using served = await Served.start({ login: () => new Promise<boolean>((resolve) => asked.push(resolve)) })
    const logins = Promise.allSettled([1, 2].map(() => served.loggedIn({ sessionId: 'same' })))
    await until(() => expect(asked.length).toBe(2))
    for (const answer of asked) answer(true)
    const both = await logins
    expect(both.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
  })

  it.each([
    ['without a body', ''],
    ['with another body', '<x xmlns="urn:x"/>'],
    ['without a name', `<Login xmlns="${own}"><Session>a</Session><Password>right</Password></Login>`],
    [
      'with an id that cannot be one',
      `<Login xmlns="${own}"><Session>../a</Session><Username>a</Username><Password>right</Password></Login>`,
    ],
    [
      'with an id without end',
      `<Login xmlns="${own}"><Session>${'a'.repeat(200)}</Session><Username>a</Username><Password>right</Password></Login>`,
    ],
    [
      'with a port that is none',
      `<Login xmlns="${own}"><Session>a</Session><Username>a</Username><Password>right</Password><Port>x</Port></Login>`,
    ],
  ])('%s is refused', async (_what, body) => {
    await using served = await Served.start()
    const raw = await served.raw()
    await raw.send(`${own}/login`, body, { session: false })
    expect((await raw.next()).fault?.has('LoginRefused', own)).toBe(true)
    expect(served.rejected).toEqual(['login'])
  })

  it('twice on a connection is refused', async () => {
    await using served = await Served.start()
    const raw = await served.raw()
    await raw.login()
    expect((await raw.login('right', '', 'another')).fault?.has('LoginRefused')).toBe(true)
    expect(served.server.sessions.size).toBe(1)
  })

  it('that the host cannot decide is refused like any other, and the host is told', async () => {
    await using served = await Served.start({ login: () => Promise.reject(new Error('no database')) })
    await expect(served.loggedIn()).rejects.toMatchObject({ message: 'the login is refused' })
    expect(served.faults).toEqual([new Error('no database')])
  })

  it('that does not come in time ends the connection, and too many wait for none', async () => {
    const clock = new ManualClock()
    await using served = await Served.start({ loginTimeout: 1_000, maxUnauthenticated: 2 }, { clock })
    const [one, other] = [await served.raw(), await served.raw()]
    await until(() => expect(served.server.stats().connections).toBe(2))
    const third = await served.raw()
    await third.peer.ended()
    expect(served.rejected).toEqual(['too-many-logins'])
    clock.advance(1_200)
    await Promise.all([one.peer.ended(), other.peer.ended()])
    await until(() => expect(served.core.stats().timedOut.login).toBe(2))
    const client = await served.loggedIn()
    expect(client.connected).toBe(true)
  })

  it('that is being looked at when the client leaves leaves no session', async () => {
    let decide: (allowed: boolean) => void = () => {}
    await using served = await Served.start({
      login: () =>
        new Promise<boolean>((resolve) => {
          decide = resolve
        }),
    })
    const raw = await served.raw()
    await raw.send(
      `${own}/login`,
      `<Login xmlns="${own}"><Session>a</Session><Username>a</Username><Password>p</Password></Login>`,
      { session: false },
    )
    await until(() => expect(served.server.stats().messages).toBe(1))
    raw.peer.reset()
    decide(true)
    await until(() => expect(served.server.stats()).toMatchObject({ connections: 0, sessions: 0 }))
  })
})
