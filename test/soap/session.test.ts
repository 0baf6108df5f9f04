import { describe, expect, it } from 'vitest'
import { Core } from '../../src/index.ts'
import { encodeDime } from '../../src/soap/framing/dime-encoder.ts'
import {
  type ProcessorFunction,
  processor,
  type SoapMessage,
  type SoapSession,
  soapServer,
  xml,
} from '../../src/soap/index.ts'
import { inMemory, ManualClock, sessionContract } from '../../src/testing/index.ts'
import { envelopeText, own, Served, stands, turn, until } from './support.ts'

const tick = xml('urn:quotes', 'Tick', { price: 1 })

describe('a session', () => {
  for (const { name, run } of sessionContract({
    protocol: soapServer({ login: () => true, processors: {} }),
    exchange: async (client) => {
      const login = `<Login xmlns="${own}"><Session>s${Math.random()}</Session><Username>a</Username><Password>p</Password></Login>`
      await client.write(encodeDime('1.2', envelopeText('1.2', `<a:Action>${own}/login</a:Action>`, login)))
      await client.read('</s:Envelope>')
    },
  })) {
    it(name, run)
  }

  it('disposes of what it owns in reverse order, once, and one that fails harms no other', async () => {
    const told: string[] = []
    await using served = await Served.start()
    served.server.on('login', (session) => {
      session.own(() => told.push('first'))
      session.own(() => {
        told.push('second')
        throw new Error('broken')
      })
      session.own({ dispose: () => told.push('third') })
      session.on('close', (error) => told.push(`close ${error?.code}`))
    })
    const raw = await served.raw()
    await raw.login()
    raw.peer.reset()
    await until(() => expect(told).toEqual(['third', 'second', 'first', 'close XPS_RESET']))
    expect(served.faults).toEqual([new Error('broken')])
  })

  it('is over when its client is, and not only when somebody looks', async () => {
    await using served = await Served.start()
    const [one, other] = [await served.raw(), await served.raw()]
    await one.login()
    await other.login()
    one.peer.reset()
    other.peer.end()
    await until(() => expect(served.server.stats()).toMatchObject({ connections: 0, sessions: 0 }))
    expect(served.core.sessions).toEqual([])
  })

  it('that is silent for too long is ended, and one that says now and then that it lives is not', async () => {
    const clock = new ManualClock()
    await using served = await Served.start({ staleTimeout: 1_000 }, { clock })
    const ended: [string, unknown, number][] = []
    served.server.on('login', (session) => {
      session.on('close', (error) => ended.push([session.id, error?.reason, clock.now()]))
    })
    await served.loggedIn({ sessionId: 'silent', heartbeatInterval: 0, reconnect: false })
    const alive = await served.loggedIn({ sessionId: 'alive', heartbeatInterval: 300, clock })
    while (clock.now() < 5_000) {
      clock.advance(100)
      const { messages } = served.server.stats()
      // A heartbeat is due, and has to come before the time moves on.
      if (clock.now() % 300 === 0) await until(() => expect(served.server.stats().messages).toBeGreaterThan(messages))
      else await turn()
    }
    expect(ended).toEqual([['silent', 'stale', expect.toSatisfy((time: number) => time >= 1_000 && time <= 1_300)]])
    expect(alive.connected).toBe(true)
    expect(served.core.stats().timedOut.stale).toBe(1)
  })

  it('is kept alive by a client that would be silent for longer than the server waits', async () => {
    const clock = new ManualClock()
    await using served = await Served.start({ staleTimeout: 900 }, { clock })
    const client = await served.loggedIn({ clock })
    for (const beat of [1, 2, 3, 4, 5, 6]) {
      clock.advance(300)
      await until(() => expect(served.server.stats().messages).toBe(1 + beat))
    }
    expect(client.connected).toBe(true)
  })

  it('sends its client messages, also later and from what it owns', async () => {
    const listeners = new Set<() => void>()
    await using served = await Served.start({
      processors: {
        'urn:quotes/subscribe': (_message, session) => {
          const send = (): void => void session.send(tick)
          listeners.add(send)
          session.own(() => listeners.delete(send))
        },
      },
    })
    const client = await served.loggedIn()
    const got: SoapMessage[] = []
    client.on('urn:quotes/Tick', (message) => got.push(message))
    await client.send('urn:quotes/subscribe')
    await until(() => expect(listeners.size).toBe(1))
    for (const listener of listeners) listener()
    await until(() => expect(got.length).toBe(1))
    expect(got[0]?.addressing.relatesTo).toBeUndefined()
    expect(got[0]?.body?.number('price')).toBe(1)
    client.abort()
    await until(() => expect(listeners.size).toBe(0))
  })

  it('that the host closes closes the connection, after what was sent', async () => {
    await using served = await Served.start({
      processors: {
        'urn:test/bye': (_message, session) => {
          session.send(tick)
          void session.close()
        },
      },
    })
    const raw = await served.raw()
    await raw.login()
    await raw.send('urn:test/bye')
    expect((await raw.next()).action).toBe('urn:quotes/Tick')
    await raw.peer.ended()
  })

  it('stops the answers that are still to come when its client leaves', async () => {
    let stopped = 0
    await using served = await Served.start({
      processors: {
        'urn:test/endless': async function* () {
          try {
            for (;;) {
              yield tick
              await turn()
            }
          } finally {
            stopped++
          }
        },
      },
    })
    const raw = await served.raw()
    await raw.login()
    await raw.send('urn:test/endless')
    await raw.next()
    raw.peer.reset()
    await until(() => expect(stopped).toBe(1))
    await until(() => expect(served.server.stats().connections).toBe(0))
  })

  it('lets so many messages be worked on at a time, and reads on when one is done', async () => {
    const waiting: (() => void)[] = []
    await using served = await Served.start({
      maxPending: 2,
      processors: {
        'urn:test/wait': () => new Promise<undefined>((resolve) => waiting.push(() => resolve(undefined))),
      },
    })
    const raw = await served.raw()
    await raw.login()
    for (let count = 0; count < 5; count++) await raw.send('urn:test/wait')
    await until(() => expect(waiting.length).toBe(2))
    waiting.shift()?.()
    await until(() => expect(waiting.length).toBe(2))
    expect(served.server.stats().messages).toBe(4)
    while (waiting.length > 0 || served.server.stats().messages < 6) {
      waiting.shift()?.()
      await new Promise((resolve) => setImmediate(resolve))
    }
    raw.peer.end()
    await until(() => expect(served.server.stats().connections).toBe(0))
  })
})

describe('a client that takes less than it is sent', () => {
  const big = xml('urn:quotes', 'Tick', 'x'.repeat(10_000))

  it('is not sent more before it does, and what produces is told so', async () => {
    let session: SoapSession | undefined
    let sent = 0
    const stream: ProcessorFunction = async function* () {
      for (; sent < 800; sent++) yield big
    }
    await using served = await Served.start({ maxQueuedBytes: 400_000, processors: { 'urn:test/stream': stream } })
    served.server.on('login', (one) => {
      session = one
    })
    const raw = await served.raw()
    await raw.login()
    raw.peer.pause()
    await raw.send('urn:test/stream')
    await until(() => expect(session?.full).toBe(true))
    await stands(() => sent)
    expect(sent).toBeLessThan(800)
    // Nor is it listened to meanwhile.
    for (let count = 0; count < 5; count++) await raw.send('urn:test/unknown')
    await stands(() => served.server.stats().messages)
    expect(served.server.stats().messages).toBe(3)
    raw.peer.resume()
    await until(() => expect(sent).toBe(800))
    await until(() => expect(raw.waiting).toBe(805))
    expect(session?.phase).toBe('open')
  })

  it('is dropped when more waits than may, with a reason', async () => {
    let ended: string | undefined
    await using served = await Served.start({ maxQueuedBytes: 400_000 })
    served.server.on('login', (session) => {
      session.on('close', (error) => {
        ended = error?.code
      })
      while (session.phase === 'open') session.send(big)
    })
    const raw = await served.raw()
    raw.peer.pause()
    await raw.send(
      `${own}/login`,
      `<Login xmlns="${own}"><Session>a</Session><Username>a</Username><Password>right</Password></Login>`,
    )
    await until(() => expect(ended).toBe('XPS_BUSY'))
    expect(served.rejected).toEqual(['slow-reader'])
  })

  it('is dropped when too many messages wait, however small', async () => {
    await using served = await Served.start({ maxQueuedMessages: 10 })
    served.server.on('login', (session) => {
      for (let count = 0; count < 20; count++) session.send(tick)
    })
    const raw = await served.raw()
    await raw.send(
      `${own}/login`,
      `<Login xmlns="${own}"><Session>a</Session><Username>a</Username><Password>right</Password></Login>`,
    )
    await raw.peer.ended()
    expect(served.rejected).toEqual(['slow-reader'])
  })
})

describe('a server that closes', () => {
  it('ends its sessions, then disposes of its processors, and tells it', async () => {
    const told: string[] = []
    const core = new Core()
    const server = soapServer({
      login: () => true,
      processors: {
        'urn:test/a': processor({ handle: () => {}, dispose: () => told.push('a') }),
        'urn:test/b': processor({ handle: () => {}, dispose: () => told.push('b') }),
      },
    })
    core.own(server)
    server.on('login', (session) => session.own(() => told.push('session')))
    server.on('close', () => told.push('server'))
    const { client } = inMemory(server)
    await client.write(
      encodeDime(
        '1.2',
        envelopeText(
          '1.2',
          `<a:Action>${own}/login</a:Action>`,
          `<Login xmlns="${own}"><Session>s</Session><Username>a</Username><Password>p</Password></Login>`,
        ),
      ),
    )
    await client.read('</s:Envelope>')
    client.end()
    await core.close()
    expect(told).toEqual(['session', 'b', 'a', 'server'])
    await client.over()
    const late = inMemory(server)
    await late.client.over()
  })

  it('finishes what is under way', async () => {
    let finish: () => void = () => {}
    await using served = await Served.start({
      processors: {
        'urn:test/slow': () =>
          new Promise((resolve) => {
            finish = () => resolve(tick)
          }),
      },
    })
    const client = await served.loggedIn()
    const answer = client.request('urn:test/slow')
    await until(() => expect(served.server.stats().messages).toBe(2))
    const closed = served.core.close()
    finish()
    expect((await answer).body?.number('price')).toBe(1)
    await closed
    expect(served.server.stats().sessions).toBe(0)
  })
})
