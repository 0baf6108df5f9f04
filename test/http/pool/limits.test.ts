import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/testing/index.ts'
import { Backend, gate, get, ok, pong, Served, turns, until } from '../e2e/support.ts'

describe('A limit of requests per client', () => {
  it('E45: answers more with 429, and does not ask the upstream', async () => {
    const held = gate()
    await using backend = await Backend.start(async (request) => {
      if (request.target === '/slow') await held.promise
      return pong
    })
    await using served = await Served.start({
      routes: [{ upstream: backend.address, maxPerClient: 1, retryAfter: 30 }],
    })
    const first = served.ask(get('/slow'))
    await until(() => expect(backend.requests).toHaveLength(1))
    const refused = await served.ask(get())
    expect([refused.status, refused.header('retry-after')]).toEqual([429, '30'])
    expect(backend.requests).toHaveLength(1)
    held.open()
    expect((await first).status).toBe(200)
    expect((await served.ask(get())).status).toBe(200)
    expect(served.http.stats().faults).toEqual({ XPS_BUSY: 1 })
  })

  it('E45: says nothing of a later time unless it is told to, and each route has its own', async () => {
    const held = gate()
    await using backend = await Backend.start(async (request) => {
      if (request.target.endsWith('slow')) await held.promise
      return pong
    })
    await using served = await Served.start({
      routes: [
        { path: '/a', upstream: backend.address, maxPerClient: 1 },
        { path: '/b', upstream: backend.address, maxPerClient: 0 },
      ],
    })
    const slow = [served.ask(get('/a?slow')), served.ask(get('/b?slow')), served.ask(get('/b?slow'))]
    await until(() => expect(backend.requests).toHaveLength(3))
    const refused = await served.ask(get('/a'))
    expect([refused.status, refused.header('retry-after')]).toEqual([429, undefined])
    expect((await served.ask(get('/b'))).status).toBe(200)
    held.open()
    await Promise.all(slow)
  })

  it('counts by the address that a trusted proxy says, and forgets who has left', async () => {
    const held = gate()
    await using backend = await Backend.start(async (request) => {
      if (request.target === '/slow') await held.promise
      return pong
    })
    await using served = await Served.start({
      routes: [{ upstream: backend.address, maxPerClient: 1, trusted: ['loopback'] }],
    })
    const from = (client: number, target = '/'): string => get(target, `X-Forwarded-For: 10.0.0.${client}\r\n`)
    const gone = await served.dial()
    await gone.send(from(1, '/slow'))
    await until(() => expect(backend.requests).toHaveLength(1))
    expect((await served.ask(from(1))).status).toBe(429)
    expect((await served.ask(from(2))).status).toBe(200)
    gone.peer.reset()
    await until(async () => expect((await served.ask(from(1))).status).toBe(200))
    held.open()
  })
})

describe('The pool', () => {
  it('E60: keeps as many connections as minConnections says, however long they are idle', async () => {
    const clock = new ManualClock()
    const waiting: (() => void)[] = []
    await using backend = await Backend.start(
      () => new Promise<string>((resolve) => void waiting.push(() => resolve(ok('pong')))),
    )
    await using served = await Served.start(
      { routes: [{ upstream: backend.address, minConnections: 1, idleTimeout: 5_000 }] },
      { clock },
    )
    const answers = [served.ask(get()), served.ask(get()), served.ask(get())]
    await until(() => expect(waiting).toHaveLength(3))
    for (const answer of waiting.splice(0)) answer()
    await Promise.all(answers)
    await until(() => expect(served.http.stats().upstreams[backend.address]?.idle).toBe(3))
    await until(() => {
      clock.advance(500)
      expect(backend.open).toBe(1)
    })
    for (let count = 0; count < 20; count++) {
      clock.advance(5_000)
      await turns(5)
    }
    expect(served.http.stats().upstreams[backend.address]).toEqual({ connections: 1, idle: 1, queued: 0 })
    const again = served.ask(get())
    await until(() => expect(waiting).toHaveLength(1))
    waiting[0]?.()
    expect((await again).status).toBe(200)
    expect(backend.accepted).toBe(3)
  })
})
