import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { xml } from '../../src/soap/index.ts'
import { LoginThrottle } from '../../src/soap/login/login-throttle.ts'
import { readXml } from '../../src/soap/xml/reader.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { own, passing, Served, turn, until } from './support.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Bytes of the heap that are in use, when what is garbage is gone. */
function heapUsed(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

const login = (session: string, username = 'ann', password = 'right', more = ''): string =>
  `<Login xmlns="${own}"><Session>${session}</Session><Username>${username}</Username><Password>${password}</Password>${more}</Login>`

describe('a function of the host that throws', () => {
  it('while it says what it understands is told to the host, and the sender gets a fault', async () => {
    await using served = await Served.start({
      processors: { 'urn:test/n': () => xml('', 'n') },
      understands: () => {
        throw new Error('no dictionary')
      },
    })
    const raw = await served.raw()
    await raw.login()
    await raw.send('urn:test/n', '', { headers: '<x xmlns="urn:x" s:mustUnderstand="1"/>' })
    expect((await raw.next()).fault?.faultCode).toBe('Receiver')
    expect(served.faults).toEqual([new Error('no dictionary')])
    await raw.send('urn:test/n')
    expect((await raw.next()).action).toBe('urn:test/nResponse')
  })

  it('when it is told of a login is told to the host, and the client is logged in', async () => {
    await using served = await Served.start({ processors: { 'urn:test/n': () => xml('', 'n') } })
    served.server.on('login', () => {
      throw new Error('no log')
    })
    const client = await served.loggedIn()
    await client.request('urn:test/n')
    expect(served.faults).toEqual([new Error('no log')])
  })
})

describe('what is remembered', () => {
  it('of messages is their ids, and not what came with them', async () => {
    await using served = await Served.start()
    const raw = await served.raw()
    await raw.login()
    const body = `<x>${'x'.repeat(50_000)}</x>`
    const before = heapUsed()
    for (let count = 0; count < 100; count++) {
      await raw.send('urn:test/unknown', body)
      await raw.next()
    }
    expect(heapUsed() - before).toBeLessThan(2_000_000)
  })

  it('of logins is little, whatever is said in them', async () => {
    const clock = new ManualClock()
    await using served = await Served.start({ maxLoginDelay: 500, loginTimeout: 3_600_000 }, { clock })
    const raw = await served.raw()
    const before = heapUsed()
    for (let count = 0; count < 25; count++) {
      await raw.send(`${own}/login`, login('a', `user number ${count}`, 'wrong', `<x>${'x'.repeat(50_000)}</x>`), {
        session: false,
      })
      await passing(clock, raw.next())
    }
    expect(heapUsed() - before).toBeLessThan(600_000)
  })

  it('of addresses is the network, where each has as many as it likes', () => {
    const throttle = new LoginThrottle(new ManualClock(), { first: 100, longest: 1_000 })
    throttle.refused('2001:db8:1:2::1')
    expect(throttle.admit('2001:db8:1:2:ffff::9')).toBe(100)
    expect(throttle.admit('2001:db8:1:3::1')).toBe(0)
  })
})

describe('before it has logged in, a client', () => {
  it('sends small messages only', async () => {
    await using served = await Served.start({ processors: { 'urn:test/n': () => xml('', 'n') } })
    const raw = await served.raw()
    await raw.send(`${own}/login`, login('a', 'ann', 'right', 'x'.repeat(70_000)), { session: false })
    await raw.peer.ended()
    expect(served.rejected).toEqual(['too-large'])
    const other = await served.raw()
    await other.login()
    await other.send('urn:test/n', `<x>${'x'.repeat(500_000)}</x>`)
    expect((await other.next()).action).toBe('urn:test/nResponse')
  })

  it('sends no longer ones than maxLoginBytes', async () => {
    await using served = await Served.start({ maxLoginBytes: 2_000 })
    const long = await served.raw()
    await long.send(`${own}/login`, login('a', 'ann', 'right', 'x'.repeat(2_000)), { session: false })
    await long.peer.ended()
    expect(served.rejected).toEqual(['too-large'])
    const short = await served.raw()
    expect((await short.login('right', 'x'.repeat(500))).body?.name).toBe('Accepted')
  })

  it.each([
    ['name', login('a', 'n'.repeat(1_025))],
    ['password', login('a', 'ann', 'p'.repeat(1_025))],
  ])('has no %s without end', async (_what, body) => {
    let asked = 0
    await using served = await Served.start({ login: () => ++asked > 0 })
    const raw = await served.raw()
    await raw.send(`${own}/login`, body, { session: false })
    expect((await raw.next()).fault?.has('LoginRefused')).toBe(true)
    expect(asked).toBe(0)
  })

  it('is refused at once if its login would have to wait for longer than it may take', async () => {
    const clock = new ManualClock()
    let asked = 0
    await using served = await Served.start(
      { loginDelay: 1_000, loginTimeout: 1_500, login: () => ++asked < 0 },
      { clock },
    )
    for (const count of [1, 2]) {
      const raw = await served.raw()
      const answer = raw.login('wrong')
      await until(() => expect(asked).toBe(count))
      await turn()
      clock.advance(1_100)
      expect((await answer).fault?.message).toBe('the login is refused')
    }
    // This one would wait for a second, and then for another one to be refused.
    const raw = await served.raw()
    expect((await raw.login('wrong')).fault?.message).toBe('the login is refused')
    expect(served.rejected).toEqual(['login', 'login', 'throttled'])
  })
})

describe('a message', () => {
  it('has no more attributes than elements, all together', () => {
    const attributes = Array.from({ length: 100 }, (_, index) => `a${index}=""`).join(' ')
    const limits = { depth: 64, attributes: 1_000, nodes: 1_000, text: 1_000 }
    expect(() => readXml(`<r>${`<e ${attributes}/>`.repeat(20)}</r>`, limits)).toThrow('too many nodes')
  })

  it('has references of some length only, as each answer repeats them', async () => {
    await using served = await Served.start({ processors: { 'urn:test/n': () => xml('', 'n') } })
    const raw = await served.raw()
    await raw.login()
    const replyTo = (length: number): string =>
      `<a:ReplyTo><a:Address>http://www.w3.org/2005/08/addressing/anonymous</a:Address><a:ReferenceParameters><p xmlns="urn:p">${'x'.repeat(length)}</p></a:ReferenceParameters></a:ReplyTo>`
    await raw.send('urn:test/n', '', { headers: replyTo(1_000) })
    expect((await raw.next()).header('p')?.text.length).toBe(1_000)
    await raw.send('urn:test/n', '', { headers: replyTo(20_000) })
    expect((await raw.next()).fault?.has('InvalidAddressingHeader')).toBe(true)
  })
})

describe('a client that has ended its side', () => {
  it('is gone soon, whatever it still waits for', async () => {
    let ended: string | undefined
    await using served = await Served.start({ processors: { 'urn:test/never': () => new Promise(() => {}) } })
    served.server.on('login', (session) =>
      session.own(() => {
        ended = session.id
      }),
    )
    const raw = await served.raw()
    await raw.login()
    await raw.send('urn:test/never')
    await until(() => expect(served.server.stats().messages).toBe(2))
    raw.peer.end()
    await until(() => expect(ended).toBe(raw.sessionId))
    await until(() => expect(served.server.stats().connections).toBe(0))
  })
})
