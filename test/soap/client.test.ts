import { describe, expect, it } from 'vitest'
import { isXpsError } from '../../src/index.ts'
import {
  type ProcessorFunction,
  SoapClient,
  type SoapFault,
  type SoapMessage,
  type SoapSession,
  xml,
} from '../../src/soap/index.ts'
import { TestAuthority } from '../support/certificates.ts'
import { closedPort, TestServer } from '../support/net.ts'
import { own, type RawPeer, Served, sessionsOf, stands, turn, until } from './support.ts'

const echo: Record<string, ProcessorFunction> = { 'urn:test/echo': ({ body }) => body ?? xml('urn:test', 'Empty') }
const n = (value: number): ReturnType<typeof xml> => xml('urn:test', 'N', value)
const code = (expected: string): unknown =>
  expect.toSatisfy((error: unknown) => isXpsError(error, expected as 'XPS_CLOSED'))

describe('a client', () => {
  it('speaks every version, addressing and framing', async () => {
    await using served = await Served.start({ processors: echo })
    for (const version of ['1.1', '1.2'] as const) {
      for (const addressing of ['1.0', '2004/08'] as const) {
        for (const framing of ['dime', 'nmf'] as const) {
          await using client = await served.loggedIn({ version, addressing, framing })
          const answer = await client.request('urn:test/echo', n(1))
          expect([answer.version, answer.addressing.version, answer.body?.text]).toEqual([version, addressing, '1'])
        }
      }
    }
    expect(served.rejected).toEqual([])
  })

  it('has many requests under way, and each gets its own answer', async () => {
    await using served = await Served.start({
      processors: {
        'urn:test/later': async ({ body }) => {
          for (let turns = Number(body?.text) % 7; turns > 0; turns--) await turn()
          return body
        },
      },
    })
    await using client = await served.loggedIn()
    const answers = await Promise.all(
      Array.from({ length: 300 }, (_, index) => client.request('urn:test/later', n(index))),
    )
    expect(answers.map(({ body }) => Number(body?.text))).toEqual(Array.from({ length: 300 }, (_, index) => index))
  })

  it('waits so long for an answer, and for so many', async () => {
    await using served = await Served.start({ processors: { 'urn:test/never': () => {} } })
    await using client = await served.loggedIn({ maxRequests: 1 })
    const waiting = client.request('urn:test/never', undefined, { timeout: 50 })
    await expect(client.request('urn:test/never')).rejects.toEqual(code('XPS_BUSY'))
    await expect(waiting).rejects.toMatchObject({ code: 'XPS_TIMEOUT', reason: 'reply' })
    expect(client.connected).toBe(true)
  })

  it('waits for requestTimeout where a request says nothing', async () => {
    await using served = await Served.start({ processors: { 'urn:test/never': () => {} } })
    await using client = await served.loggedIn({ requestTimeout: 50 })
    await expect(client.request('urn:test/never')).rejects.toMatchObject({ code: 'XPS_TIMEOUT', reason: 'reply' })
  })

  it('is told at once of a request that is over a limit of the server', async () => {
    await using served = await Served.start({ processors: echo, maxNodes: 50 })
    await using client = await served.loggedIn()
    const many = xml('urn:test', 'Many', { n: Array.from({ length: 100 }, (_, index) => index) })
    await expect(client.request('urn:test/echo', many)).rejects.toMatchObject({
      faultCode: 'Sender',
      message: 'the message cannot be read: XML with too many nodes',
    })
    expect((await client.request('urn:test/echo', n(1))).body?.text).toBe('1')
  })

  it('gets the messages of the server by their action, and by iteration', async () => {
    await using served = await Served.start()
    const sessions = sessionsOf(served)
    const client = await served.loggedIn()
    const [all, ticks, iterated]: [string[], string[], string[]] = [[], [], []]
    client.on('message', (message) => all.push(message.action))
    client.on('urn:test/Tick', ({ body }) => ticks.push(body?.text ?? ''))
    const iteration = (async () => {
      for await (const message of client) iterated.push(message.action)
    })()
    sessions[0]?.send(xml('urn:test', 'Tick', 1))
    sessions[0]?.send({ action: 'urn:test/other' })
    sessions[0]?.send(xml('urn:test', 'Tick', 2))
    await until(() => expect(all.length).toBe(3))
    expect(ticks).toEqual(['1', '2'])
    await client.close()
    await iteration
    expect(iterated).toEqual(['urn:test/Tick', 'urn:test/other', 'urn:test/Tick'])
  })

  it('reads no more than an iteration takes', async () => {
    await using served = await Served.start({ maxQueuedBytes: 100_000 })
    const sessions = sessionsOf(served)
    await using client = await served.loggedIn({ maxBuffered: 5 })
    let told = 0
    client.on('message', () => told++)
    const iteration = client[Symbol.asyncIterator]()
    for (let count = 0; count < 20; count++) sessions[0]?.send(n(count))
    await stands(() => told, 4)
    expect(told).toBe(5)
    const got: string[] = []
    for (let count = 0; count < 20; count++) got.push((await iteration.next()).value?.body?.text ?? '')
    expect(got).toEqual(Array.from({ length: 20 }, (_, index) => String(index)))
    await iteration.return?.()
  })

  it('is told of what was not taken though it waited for no answer', async () => {
    await using served = await Served.start()
    await using client = await served.loggedIn()
    const refused = new Promise<SoapFault>((resolve) => client.on('rejected', resolve))
    await client.send('urn:test/unknown')
    expect((await refused).has('ActionNotSupported')).toBe(true)
  })

  it('logs in once, and does nothing before or after', async () => {
    await using served = await Served.start({ processors: echo })
    const client = served.client()
    await expect(client.request('urn:test/echo')).rejects.toEqual(code('XPS_CLOSED'))
    await client.login()
    await expect(client.login()).rejects.toEqual(code('XPS_CLOSED'))
    await client.close()
    await expect(client.request('urn:test/echo')).rejects.toEqual(code('XPS_CLOSED'))
    await expect(client.send('urn:test/echo')).rejects.toEqual(code('XPS_CLOSED'))
    for await (const _ of client) throw new Error('there is nothing more')
  })

  it('waits with its close for the answers that are under way', async () => {
    let finish: () => void = () => {}
    await using served = await Served.start({
      processors: {
        'urn:test/slow': () =>
          new Promise<ReturnType<typeof xml>>((resolve) => {
            finish = () => resolve(n(1))
          }),
      },
    })
    const client = await served.loggedIn()
    const answer = client.request('urn:test/slow')
    await until(() => expect(served.server.stats().messages).toBe(2))
    const closed = client.close()
    finish()
    expect((await answer).body?.text).toBe('1')
    expect(await closed).toBeUndefined()
  })

  it('is over, with the reason, when nobody is there or the other side is no SOAP server', async () => {
    const port = await closedPort()
    const nobody = new SoapClient(`soap.tcp://127.0.0.1:${port}`, { username: 'a', password: 'b' })
    await expect(nobody.login()).rejects.toEqual(code('XPS_CONNECT'))
    expect(await nobody.closed).toEqual(code('XPS_CONNECT'))
    await using http = await TestServer.start((peer) => peer.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    const wrong = new SoapClient(`soap.tcp://${http.address}`, { username: 'a', password: 'b' })
    await expect(wrong.login()).rejects.toEqual(code('XPS_PROTOCOL'))
    await using silent = await TestServer.start()
    const waits = new SoapClient(`soap.tcp://${silent.address}`, { username: 'a', password: 'b', loginTimeout: 50 })
    await expect(waits.login()).rejects.toMatchObject({ code: 'XPS_TIMEOUT', reason: 'reply' })
  })

  it.each([
    ['address', 'http://localhost', {}],
    ['username', 'soap.tcp://localhost', { username: 1 }],
    ['version', 'soap.tcp://localhost', { version: '2' }],
    ['sessionId', 'soap.tcp://localhost', { sessionId: 'a b' }],
    ['framing', 'soap.tcp://localhost', { framing: 'xml' }],
    ['client options', 'soap.tcp://localhost', { user: 'x' }],
  ])('refuses a wrong %s', (name, address, options) => {
    expect(() => new SoapClient(address, { username: 'a', password: 'b', ...(options as object) })).toThrow(name)
  })

  it('speaks over TLS where both do, and only there', async () => {
    using authority = new TestAuthority()
    const { cert, key } = authority.issue('127.0.0.1').pem
    const seen: boolean[] = []
    const login = ({ secure }: { secure: boolean }): boolean => seen.push(secure) > 0
    await using served = await Served.start({ processors: echo, login }, {}, { tls: { cert, key } })
    await using client = await served.loggedIn({ tls: { ca: authority.ca.pem.cert } })
    expect((await client.request('urn:test/echo', n(1))).body?.text).toBe('1')
    expect(seen).toEqual([true])
    await expect(served.loggedIn()).rejects.toEqual(code('XPS_RESET'))
    expect(served.server.stats().connections).toBe(1)
  })

  it('shows a certificate where one is asked for, and is not let in with a wrong one', async () => {
    using authority = new TestAuthority()
    using others = new TestAuthority('somebody else')
    const { cert, key } = authority.issue('127.0.0.1').pem
    const ca = authority.ca.pem.cert
    const tls = { cert, key, ca, clientCertificate: 'require' } as const
    await using served = await Served.start({ processors: echo }, {}, { tls })
    await using client = await served.loggedIn({ tls: { ca, ...authority.issue('ann').pem } })
    expect((await client.request('urn:test/echo', n(1))).body?.text).toBe('1')
    await expect(served.loggedIn({ tls: { ca, ...others.issue('ann').pem } })).rejects.toEqual(code('XPS_RESET'))
    await expect(served.loggedIn({ tls: { ca } })).rejects.toEqual(code('XPS_RESET'))
    await until(() => expect(served.core.stats().refused.tls).toBe(2))
    expect(served.server.stats()).toMatchObject({ sessions: 1, logins: 1 })
  })
})

describe('a client whose connection breaks', () => {
  it('ends, and so do its requests, if the server waits for nobody', async () => {
    await using served = await Served.start({ processors: { 'urn:test/never': () => {} } })
    const client = await served.loggedIn()
    const waiting = client.request('urn:test/never')
    const failed = expect(waiting).rejects.toEqual(code('XPS_RESET'))
    for (const session of served.core.sessions) session.abort()
    await failed
    expect(await client.closed).toEqual(code('XPS_RESET'))
    await until(() => expect(served.server.stats().sessions).toBe(0))
  })

  it('comes back with the same session and what that owns, within the grace time', async () => {
    await using served = await Served.start({ processors: echo, graceTime: 5_000 })
    const told: string[] = []
    const sessions = sessionsOf(served)
    const client = await served.loggedIn({ reconnectDelay: 10 })
    const [session] = sessions as [SoapSession]
    session.own(() => told.push('disposed'))
    for (const event of ['lost', 'resumed'] as const) {
      session.on(event, () => told.push(`session ${event}`))
      client.on(event, () => told.push(`client ${event}`))
    }
    for (let count = 1; count <= 3; count++) {
      told.length = 0
      for (const channel of served.core.sessions) channel.connections[0]?.abort()
      await until(() => expect(told).toContain('client resumed'))
      expect(told.toSorted()).toEqual(['client lost', 'client resumed', 'session lost', 'session resumed'])
      expect((await client.request('urn:test/echo', n(count))).body?.text).toBe(String(count))
      expect(session.send(n(1))).toBe(true)
    }
    expect(served.server.stats()).toMatchObject({ sessions: 1, lost: 0, logins: 1, resumed: 3 })
    await until(() => expect(served.core.sessions.length).toBe(1))
    told.length = 0
    await client.close()
    await until(() => expect(told).toEqual(['disposed']))
    expect(served.server.stats().sessions).toBe(0)
  })

  it('is sent to again by who had been told to wait for it', async () => {
    await using served = await Served.start({ graceTime: 5_000 })
    const sessions = sessionsOf(served)
    const client = await served.loggedIn({ reconnectDelay: 10 })
    const got: SoapMessage[] = []
    client.on('urn:test/N', (message) => got.push(message))
    const [session] = sessions as [SoapSession]
    session.once('lost', () => {
      expect(session.send(n(1))).toBe(false)
      session.once('drain', () => session.send(n(2)))
    })
    for (const channel of served.core.sessions) channel.connections[0]?.abort()
    await until(() => expect(got.map(({ body }) => body?.text)).toEqual(['2']))
  })

  it('says at once that there is no connection now', async () => {
    await using served = await Served.start({ processors: echo, graceTime: 5_000 })
    const client = await served.loggedIn({ reconnectDelay: 100 })
    const lost = new Promise((resolve) => client.once('lost', resolve))
    for (const channel of served.core.sessions) channel.connections[0]?.abort()
    await lost
    await expect(client.request('urn:test/echo')).rejects.toMatchObject({ code: 'XPS_RESET', retryable: true })
    await expect(client.send('urn:test/echo')).rejects.toMatchObject({ retryable: true })
    client.abort()
  })

  it('has lost its session when the grace time is over; what it owned is disposed of', async () => {
    await using served = await Served.start({ graceTime: 100 })
    const sessions = sessionsOf(served)
    let disposed = false
    const client = await served.loggedIn({ reconnectDelay: 400 })
    sessions[0]?.own(() => {
      disposed = true
    })
    for (const channel of served.core.sessions) channel.connections[0]?.abort()
    await until(() => expect(disposed).toBe(true))
    expect(await client.closed).toEqual(code('XPS_RESET'))
    expect(served.server.stats()).toMatchObject({ sessions: 0, connections: 0 })
  })

  it('is let back in by its secret only', async () => {
    await using served = await Served.start({ graceTime: 5_000 })
    const sessions = sessionsOf(served)
    const client = await served.loggedIn({ reconnect: false })
    const raw = await served.raw()
    const resume = (token: string): Promise<string> =>
      raw.send(
        'urn:xps:soap:session/resume',
        `<Resume xmlns="urn:xps:soap:session"><Session>${client.sessionId}</Session><Token>${token}</Token></Resume>`,
        { session: false },
      )
    await resume('guess')
    expect((await raw.next()).fault?.message).toBe('the login is refused')
    // With it also before its old connection is known to be dead.
    await resume(sessions[0]?.token ?? '')
    expect((await raw.next()).body?.name).toBe('Accepted')
    await client.closed
    await until(() => expect(served.server.stats()).toMatchObject({ sessions: 1, resumed: 1, connections: 1 }))
  })

  it('may come back by the secret that it has, if it has not been told the next one', async () => {
    await using served = await Served.start({ graceTime: 5_000, processors: echo })
    const sessions = sessionsOf(served)
    const first = await served.raw()
    await first.login()
    const { token = '', id = '' } = sessions[0] ?? {}
    const back = async (secret: string): Promise<RawPeer> => {
      const raw = await served.raw()
      const body = `<Resume xmlns="${own}"><Session>${id}</Session><Token>${secret}</Token></Resume>`
      await raw.send(`${own}/resume`, body, { session: false })
      return raw
    }
    // The answers to the first attempts are lost on their way.
    for (let count = 0; count < 2; count++) {
      expect((await (await back(token)).next()).body?.name).toBe('Accepted')
    }
    const raw = await back(token)
    const accepted = (await raw.next()).body
    expect(accepted?.name).toBe('Accepted')
    // From the first message on it is known to have the new one.
    await raw.send('urn:test/echo', '', { session: id })
    await raw.next()
    expect((await (await back(token)).next()).fault?.has('LoginRefused')).toBe(true)
    expect((await (await back(accepted?.string('Token') ?? '')).next()).body?.name).toBe('Accepted')
  })

  it('does not keep a server from closing', async () => {
    await using served = await Served.start({ graceTime: 60_000 })
    await served.loggedIn({ reconnect: false })
    for (const channel of served.core.sessions) channel.connections[0]?.abort()
    await until(() => expect(served.server.stats().lost).toBe(1))
    await served.core.close()
    expect(served.server.stats().sessions).toBe(0)
  })
})
