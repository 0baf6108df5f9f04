import { describe, expect, it } from 'vitest'
import type { UpstreamTlsOptions } from '../../src/index.ts'
import {
  type ProcessorFunction,
  type SoapMessage,
  SoapSender,
  type SoapSession,
  soapServer,
  xml,
} from '../../src/soap/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { TestAuthority } from '../support/certificates.ts'
import { closedPort, dial, TestServer } from '../support/net.ts'
import { passing, Served, sessionsOf, turn, until } from './support.ts'

const echo: Record<string, ProcessorFunction> = { 'urn:test/echo': ({ body }) => body ?? xml('urn:test', 'Empty') }
const n = (value: number): ReturnType<typeof xml> => xml('urn:test', 'N', value)

describe('a server that calls back', () => {
  const subscribe: Record<string, ProcessorFunction> = {
    ...echo,
    'urn:test/ticks': (_message, session) => {
      for (let count = 0; count < 3; count++) session.send(n(count))
    },
  }

  it('sends answers and messages over the connection that it makes', async () => {
    await using served = await Served.start({ processors: subscribe })
    await using client = await served.loggedIn({ callBack: { path: '/mine' } })
    const got: SoapMessage[] = []
    client.on('urn:test/N', (message) => got.push(message))
    const answer = await client.request('urn:test/echo', n(7))
    expect(answer.body?.text).toBe('7')
    expect(answer.addressing.to).toMatch(/^soap\.tcp:\/\/localhost:\d+\/mine$/)
    await client.send('urn:test/ticks')
    await until(() => expect(got.map(({ body }) => body?.text)).toEqual(['0', '1', '2']))
    expect(served.server.stats().callBacks).toBe(1)
    // What the client's own connection has brought is the answer to the login.
    expect(served.core.stats().bytesOut).toBeLessThan(1_200)
    await client.close()
    await until(() => expect(served.server.stats().connections).toBe(0))
  })

  it('does so over NMF as well, and again when the client comes back', async () => {
    await using served = await Served.start({ processors: subscribe, graceTime: 5_000 })
    await using client = await served.loggedIn({ callBack: true, framing: 'nmf', reconnectDelay: 10 })
    await client.request('urn:test/echo')
    const resumed = new Promise<void>((resolve) => client.once('resumed', resolve))
    for (const channel of served.core.sessions) channel.connections[0]?.abort()
    await resumed
    await client.request('urn:test/echo')
    expect(served.server.stats()).toMatchObject({ callBacks: 2, resumed: 1 })
  })

  const login = (port: number, key = Buffer.alloc(32).toString('base64')): string =>
    `<Port>${port}</Port><Key>${key}</Key>`

  it('dials nobody before the login is accepted', async () => {
    await using served = await Served.start()
    await using listening = await TestServer.start()
    const raw = await served.raw()
    const { fault } = await raw.login('wrong', login(listening.port))
    expect(fault?.has('LoginRefused')).toBe(true)
    expect(listening.accepted).toBe(0)
  })

  it('makes no session if nobody listens, or who listens does not prove to be the client', async () => {
    await using served = await Served.start({ callBack: { timeout: 300 } })
    await using silent = await TestServer.start()
    await using echoing = await TestServer.start(
      (_peer, socket) => void socket.on('data', (chunk) => socket.write(chunk)),
    )
    for (const port of [await closedPort(), silent.port, echoing.port]) {
      const raw = await served.raw()
      const { fault } = await raw.login('right', login(port))
      expect(fault?.has('CallBackRefused')).toBe(true)
    }
    expect(served.server.stats()).toMatchObject({ sessions: 0, logins: 0 })
    expect(served.rejected).toEqual(['call-back', 'call-back', 'call-back'])
  })

  it('dials no port that is low, its own, or out of range', async () => {
    await using served = await Served.start()
    const other = await served.core.listen({ port: 0, host: '127.0.0.1', route: { refuse: 'nobody' } })
    for (const port of [80, 1_023, 0, 70_000, served.listener.port, other.port]) {
      const raw = await served.raw()
      const { fault } = await raw.login('right', login(port))
      expect(fault?.message).toBe('no call-back: the port is not allowed')
    }
    expect(other.stats().accepted).toBe(0)
  })

  it('dials an address only so often', async () => {
    await using served = await Served.start({ callBack: { maxPerMinute: 2 } })
    const port = await closedPort()
    const told: (string | undefined)[] = []
    for (let count = 0; count < 3; count++) {
      const raw = await served.raw()
      told.push((await raw.login('right', login(port))).fault?.message)
    }
    expect(told).toEqual([
      'no call-back: the client cannot be reached there',
      'no call-back: the client cannot be reached there',
      'no call-back: it was called back too often',
    ])
  })

  it('dials only so many at a time', async () => {
    await using served = await Served.start({ callBack: { maxDialling: 1 } })
    await using silent = await TestServer.start()
    const first = await served.raw()
    const waiting = first.login('right', login(silent.port))
    const dialled = await silent.accept()
    const second = await served.raw()
    expect((await second.login('right', login(silent.port))).fault?.has('CallBackRefused')).toBe(true)
    expect(silent.accepted).toBe(1)
    dialled.reset()
    expect((await waiting).fault?.has('CallBackRefused')).toBe(true)
    await using client = await served.loggedIn({ callBack: true })
    expect(client.connected).toBe(true)
  })

  it('does so for nobody where it is told not to', async () => {
    await using served = await Served.start({ callBack: false })
    await expect(served.loggedIn({ callBack: true })).rejects.toMatchObject({ message: 'clients are not called back' })
  })

  it('ends a session whose client takes nothing from that connection for too long', async () => {
    const clock = new ManualClock()
    const limits = { maxQueuedBytes: '64mb', staleTimeout: 0 }
    await using served = await Served.start(limits, { clock, clientIdleTimeout: 5_000 })
    const sessions = sessionsOf(served)
    await using client = await served.loggedIn({ callBack: true, maxBuffered: 1, reconnect: false })
    // Somebody iterates, and takes nothing.
    client[Symbol.asyncIterator]()
    const [session] = sessions as [SoapSession]
    const big = xml('urn:test', 'N', 'x'.repeat(1_000_000))
    for (let count = 0; count < 30; count++) session.send(big)
    const ended = new Promise((resolve) => session.once('close', resolve))
    expect(await passing(clock, ended)).toMatchObject({ code: 'XPS_TIMEOUT', reason: 'client-idle' })
  })

  it('does so over TLS, and not in plain text for who has logged in over TLS', async () => {
    using authority = new TestAuthority()
    const { cert, key } = authority.issue('127.0.0.1').pem
    const ca = authority.ca.pem.cert
    const told = async (tls: UpstreamTlsOptions | undefined): Promise<unknown> => {
      await using served = await Served.start(
        { processors: subscribe, callBack: tls === undefined ? {} : { tls } },
        {},
        { tls: { cert, key } },
      )
      const client = served.client({ callBack: { tls: { cert, key } }, tls: { ca } })
      const refusal = await client.login().then(
        () => undefined,
        (error: Error) => error.message,
      )
      return refusal ?? (await client.request('urn:test/echo', n(7))).body?.text
    }
    expect(await told({ ca })).toBe('7')
    expect(await told(undefined)).toBe('no call-back: it would not be encrypted, as the login was')
  })

  it('is told of wrong options when it is made, and not by its first client', () => {
    expect(() => soapServer({ login: () => true, processors: {}, callBack: { minPort: 0 } })).toThrow('minPort')
  })

  it('ends a session whose call-back connection breaks', async () => {
    await using served = await Served.start()
    const client = await served.loggedIn({ callBack: true })
    for (const channel of served.core.sessions) {
      for (const child of channel.children()) if (child.constructor.name === 'SoapLink') child.abort()
    }
    await until(() => expect(served.server.stats()).toMatchObject({ sessions: 0, connections: 0 }))
    await client.closed
  })

  it('is believed by the client only if it knows the key of the login', async () => {
    await using served = await Served.start({ processors: subscribe })
    await using client = await served.loggedIn({ callBack: true })
    const answer = await client.request('urn:test/echo')
    const port = Number(/:(\d+)/.exec(answer.addressing.to ?? '')?.[1])
    const got: SoapMessage[] = []
    client.on('message', (message) => got.push(message))
    await using intruder = new SoapSender(`soap.tcp://127.0.0.1:${port}`)
    await intruder.send({ action: 'urn:test/Tick', body: n(1) })
    await until(() => expect(intruder.size).toBe(0))
    await intruder.send({
      action: 'urn:xps:soap:session/challenge',
      body: xml('urn:xps:soap:session', 'Challenge', { Session: client.sessionId, Nonce: 'x', Proof: 'y' }),
    })
    await until(() => expect(intruder.size).toBe(0))
    expect(got).toEqual([])
  })

  it('lets others wait no longer than for a proof, and the server for as long as it likes', async () => {
    const clock = new ManualClock()
    await using served = await Served.start({ processors: subscribe })
    await using client = await served.loggedIn({ callBack: true, clock })
    const answer = await client.request('urn:test/echo')
    const port = Number(/:(\d+)/.exec(answer.addressing.to ?? '')?.[1])
    const intruder = await dial(port)
    await passing(clock, intruder.over())
    clock.advance(10 * 60_000)
    await turn()
    expect((await client.request('urn:test/echo', n(7))).body?.text).toBe('7')
  })
})
