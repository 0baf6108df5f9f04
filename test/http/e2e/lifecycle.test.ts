import { describe, expect, it } from 'vitest'
import type { HookPoint, Hooks } from '../../../src/http/hooks.ts'
import { hookPoints } from '../../../src/http/hooks.ts'
import type { HttpSession } from '../../../src/http/session.ts'
import { Slot } from '../../../src/http/slots.ts'
import { Transaction } from '../../../src/http/transaction.ts'
import { Backend, gate, get, post, proxy, until } from './support.ts'

/** Hooks that note each point in a list, with the letter of their scope. */
function noting(told: string[], scope: string, points: readonly HookPoint[] = hookPoints): Hooks {
  const hooks: Record<string, () => void> = {}
  for (const point of points) hooks[point] = () => void told.push(`${point}(${scope})`)
  return hooks as Hooks
}

const told = (list: readonly string[], point: string): string[] => list.filter((one) => one.startsWith(`${point}(`))

describe('An HTTP session', () => {
  it('E1: passes every point in order, each for all sessions first, then the session, then the transaction', async () => {
    await using backend = await Backend.start()
    const list: string[] = []
    const simple = hookPoints.filter(
      (point) => !point.startsWith('request') || point === 'request' || point === 'requestSend',
    )
    await using served = await proxy(backend, {
      hooks: {
        ...noting(list, 'g', simple),
        sessionStart: (session) => {
          list.push('sessionStart(g)')
          session.hook(noting(list, 's', simple))
        },
        transactionStart: (transaction) => {
          list.push('transactionStart(g)')
          transaction.hook(noting(list, 't', simple))
        },
      },
    })
    const client = await served.dial()
    await client.send(get())
    expect((await client.response()).body).toBe('pong')
    client.peer.end()
    await until(() => expect(told(list, 'sessionClose')).toHaveLength(2))
    const of = (point: string, ...scopes: string[]): string[] => scopes.map((scope) => `${point}(${scope})`)
    const three = ['g', 's', 't']
    expect(list).toEqual([
      // A hook that is added to the session while its start is told runs in that same pass.
      ...of('sessionStart', 'g', 's'),
      ...of('transactionStart', ...three),
      ...of('request', ...three),
      ...of('beforeRouting', ...three),
      ...of('afterRouting', ...three),
      ...of('upstream', ...three),
      ...of('requestSend', ...three),
      ...of('response', ...three),
      ...of('responseSend', ...three),
      ...of('responseBody', ...three),
      ...of('responseChunk', ...three),
      ...of('transactionClose', ...three),
      ...of('sessionClose', 'g', 's'),
    ])
  })

  it('E2, E12: begins and ends once, as its transactions do, for 200 connections at a time with names of their own', async () => {
    await using backend = await Backend.start()
    const open = new Set<string>()
    const sessions = new Set<string>()
    const transactions = new Set<string>()
    const ended: string[] = []
    const wrong: string[] = []
    await using served = await proxy(backend, {
      hooks: {
        sessionStart: (session) => {
          if (sessions.has(session.id)) wrong.push(`${session.id} twice`)
          sessions.add(session.id)
          open.add(session.id)
        },
        transactionStart: ({ id, session }) => {
          if (!open.has(session.id)) wrong.push(`${id} began outside of its session`)
          if (transactions.has(id)) wrong.push(`${id} twice`)
          transactions.add(id)
        },
        transactionClose: ({ id, session }) => {
          if (!open.has(session.id)) wrong.push(`${id} ended outside of its session`)
          ended.push(id)
        },
        sessionClose: (session) => {
          if (!open.delete(session.id)) wrong.push(`${session.id} ended twice`)
        },
      },
    })
    const answers = await Promise.all(
      Array.from({ length: 200 }, async () => {
        const client = await served.dial()
        await client.send(get('/', 'Connection: close\r\n'))
        const text = await client.peer.text()
        client.peer.end()
        return text.slice(-4)
      }),
    )
    expect(answers).toEqual(Array(200).fill('pong'))
    await served.settled()
    expect(wrong).toEqual([])
    expect([sessions.size, transactions.size, new Set(ended).size, ended.length, open.size]).toEqual([
      200, 200, 200, 200, 0,
    ])
    expect(served.http.stats()).toMatchObject({ served: 200, statuses: { '2xx': 200 } })
  })

  it('E3: tells observers that do not know each other the same', async () => {
    await using backend = await Backend.start()
    const one = { transactions: 0, sessions: 0 }
    const two = { transactions: 0, sessions: 0 }
    const counting = (count: typeof one): Hooks => ({
      transactionClose: () => void count.transactions++,
      sessionClose: () => void count.sessions++,
    })
    await using served = await proxy(backend, { hooks: [counting(one)] })
    served.http.hook(counting(two))
    await Promise.all(
      Array.from({ length: 5 }, async () => {
        const client = await served.dial()
        for (let round = 0; round < 11; round++) {
          await client.send(get())
          await client.response()
        }
        client.peer.end()
      }),
    )
    await served.settled()
    expect([one, two]).toEqual(Array(2).fill({ transactions: 55, sessions: 5 }))
  })

  it('E4: holds transactions one after the other, keeps values of its own, and forgets theirs', async () => {
    await using backend = await Backend.start()
    const ofSession = new Slot<number>('of the session')
    const ofTransaction = new Slot<number>('of a transaction')
    const list: string[] = []
    await using served = await proxy(backend, {
      hooks: {
        sessionStart: () => void list.push('session'),
        transactionStart: (transaction) => {
          list.push(`start ${transaction.number}`)
          const { session } = transaction
          list.push(`${session.get(ofSession) ?? 'none'}, ${transaction.get(ofTransaction) ?? 'none'}`)
          session.set(ofSession, (session.get(ofSession) ?? 0) + 1)
          transaction.set(ofTransaction, 1)
        },
        transactionClose: ({ number, get: _ }) => void list.push(`close ${number}`),
        sessionClose: (session) => void list.push(`over ${session.transactions}`),
      },
    })
    const client = await served.dial()
    for (let round = 0; round < 5; round++) {
      await client.send(get())
      await client.response()
    }
    client.peer.end()
    await served.settled()
    expect(list).toEqual([
      'session',
      ...[1, 2, 3, 4, 5].flatMap((n) => [`start ${n}`, `${n === 1 ? 'none' : n - 1}, none`, `close ${n}`]),
      'over 5',
    ])
  })

  it('E5: has no transaction when nothing is sent', async () => {
    await using backend = await Backend.start()
    const list: string[] = []
    await using served = await proxy(backend, {
      hooks: noting(list, 'g', ['sessionStart', 'transactionStart', 'sessionClose']),
    })
    for (const leave of ['end', 'reset'] as const) {
      const client = await served.dial()
      await until(() => expect(told(list, 'sessionStart')).toHaveLength(leave === 'end' ? 1 : 2))
      client.peer[leave]()
      await until(() => expect(told(list, 'sessionClose')).toHaveLength(leave === 'end' ? 1 : 2))
    }
    await served.settled()
    expect(told(list, 'transactionStart')).toEqual([])
    expect(backend.bytes).toBe(0)
  })

  it('E6: takes no byte while its start is held, and loses none', async () => {
    await using backend = await Backend.start()
    const held = gate()
    const list: string[] = []
    await using served = await proxy(backend, {
      hooks: {
        sessionStart: () => held.promise,
        transactionStart: () => void list.push('transaction'),
      },
    })
    const client = await served.dial()
    await client.send(get('/one') + get('/two'))
    await until(() => expect(served.http.stats().sessions).toBe(1))
    expect([list, backend.bytes]).toEqual([[], 0])
    held.open()
    await client.response()
    await client.response()
    expect(backend.requests.map((request) => request.target)).toEqual(['/one', '/two'])
    client.peer.end()
  })

  it('E7: keeps the body of a request whose start is held', async () => {
    await using backend = await Backend.start()
    const held = gate()
    const started = gate()
    const list: string[] = []
    await using served = await proxy(backend, {
      hooks: {
        transactionStart: () => {
          started.open()
          return held.promise
        },
        request: () => void list.push('request'),
      },
    })
    const client = await served.dial()
    await client.send(post('twelve bytes'))
    await started.promise
    expect([list, backend.bytes]).toEqual([[], 0])
    held.open()
    expect((await client.response()).status).toBe(200)
    expect(backend.requests[0]?.body).toBe('twelve bytes')
    client.peer.end()
  })

  it('E9: that fails to start is closed without a byte, and told once', async () => {
    await using backend = await Backend.start()
    let closes = 0
    await using served = await proxy(backend, {
      hooks: {
        sessionStart: () => Promise.reject(new Error('not today')),
        sessionClose: () => void closes++,
      },
    })
    const client = await served.dial()
    await client.send(get())
    await client.peer.over()
    expect(client.peer.unread).toHaveLength(0)
    await served.settled()
    expect(closes).toBe(1)
    expect(backend.accepted).toBe(0)
  })

  it('runs its close hook once and after all transactions when a client leaves in any way, at any point', async () => {
    const list: string[] = []
    const asked = gate()
    await using backend = await Backend.start((request) => {
      if (request.target === '/slow') {
        asked.open()
        return undefined
      }
      return undefined
    })
    let session: HttpSession | undefined
    await using served = await proxy(backend, {
      hooks: {
        sessionStart: (it) => {
          session = it
        },
        transactionClose: (transaction) => {
          expect(transaction).toBeInstanceOf(Transaction)
          list.push(`transaction ${transaction.failure?.code}`)
          return Promise.resolve()
        },
        sessionClose: (it) => void list.push(`session ${it === session}`),
      },
    })
    const client = await served.dial()
    await client.send(get('/slow'))
    await asked.promise
    client.peer.reset()
    await served.settled()
    expect(list).toEqual(['transaction XPS_RESET', 'session true'])
  })
})
