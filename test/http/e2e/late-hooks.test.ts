import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/testing/manual-clock.ts'
import { gate, get, Served, until } from './support.ts'

describe('A hook that is still held', () => {
  it.each(['resolves', 'rejects'])('when the client leaves lets its transaction close when it %s', async (how) => {
    const held = gate()
    let closes = 0
    await using served = await Served.start({
      routes: [{ reply: 200 }],
      hooks: {
        request: async () => {
          await held.promise
          if (how === 'rejects') throw new Error('too late')
        },
        transactionClose: () => void closes++,
      },
    })
    const client = await served.dial()
    await client.send(get())
    await until(() => expect(served.http.stats().transactions).toBe(1))
    client.peer.reset()
    await until(() => expect(served.core.sessions.every((session) => session.phase === 'draining')).toBe(true))
    expect(closes).toBe(0)
    held.open()
    await served.settled()
    expect(closes).toBe(1)
  })
})

describe('The signal of a handler', () => {
  it('is aborted when its transaction has taken too long', async () => {
    const clock = new ManualClock()
    let reason: unknown
    await using served = await Served.start(
      {
        transactionTimeout: 1_000,
        routes: [
          {
            fetch: (request) =>
              new Promise((_, reject) => {
                request.signal.addEventListener('abort', () => {
                  reason = request.signal.reason
                  reject(reason as Error)
                })
              }),
          },
        ],
      },
      { clock },
    )
    const client = await served.dial()
    await client.send(get())
    await until(() => expect(served.http.stats().transactions).toBe(1))
    clock.advance(1_300)
    expect((await client.response()).status).toBe(408)
    await until(() => expect(reason).toMatchObject({ code: 'XPS_TIMEOUT', reason: 'transaction' }))
    client.peer.end()
    await served.settled()
  })
})
