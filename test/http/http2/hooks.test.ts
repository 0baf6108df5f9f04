import { describe, expect, it } from 'vitest'
import { type HookPoint, type Hooks, hookPoints } from '../../../src/http/hooks.ts'
import { Slot } from '../../../src/http/slots.ts'
import type { Transaction } from '../../../src/http/transaction.ts'
import { get } from '../e2e/support.ts'
import { Backend, client, gate, ok, posting, proxying, until } from './support.ts'

/** Notes each point as it is passed. */
function noting(list: string[]): Hooks {
  const hooks: Record<string, unknown> = {}
  for (const point of hookPoints) {
    hooks[point] = (): void => {
      list.push(point)
    }
  }
  return hooks as Hooks
}

const at = (point: HookPoint, hook: (transaction: Transaction) => unknown): Hooks => ({ [point]: hook }) as Hooks

describe('The hooks of HTTP/2', () => {
  it('come in the order in which those of HTTP/1.1 come, and as often', async () => {
    await using backend = await Backend.start(() => ok('a'.repeat(20_000)))
    const list: string[] = []
    await using served = await proxying(backend, { hooks: noting(list) })
    const one = await served.dial()
    await one.send(`POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n`)
    await one.response()
    one.peer.end()
    await served.settled()
    const inOne = list.splice(0)
    await using two = await client(served)
    two.headers(1, posting())
    two.data(1, 'body', { endStream: true })
    expect((await two.response(1)).received).toBe(20_000)
    two.end()
    await served.settled()
    const once = (of: readonly string[]): string[] => of.filter((point, index) => of.indexOf(point) === index)
    expect(once(list)).toEqual(once(inOne))
    for (const point of hookPoints.filter((one) => !one.endsWith('Chunk'))) {
      expect([point, list.filter((one) => one === point).length]).toEqual([point, 1])
    }
  })

  it('of a session begin and end once, around all its transactions', async () => {
    await using backend = await Backend.start()
    const list: string[] = []
    await using served = await proxying(backend, {
      hooks: {
        sessionStart: () => void list.push('session'),
        transactionStart: ({ number }) => void list.push(`start ${number}`),
        transactionClose: ({ number }) => void list.push(`close ${number}`),
        sessionClose: () => void list.push('end'),
      },
    })
    await using wire = await client(served)
    wire.together(() => {
      for (const stream of [1, 3, 5]) wire.get(stream)
    })
    for (const stream of [1, 3, 5]) expect((await wire.response(stream)).body).toBe('pong')
    wire.end()
    await served.settled()
    expect(list[0]).toBe('session')
    expect(list.at(-1)).toBe('end')
    expect(list.slice(1, -1).sort()).toEqual(['close 1', 'close 2', 'close 3', 'start 1', 'start 2', 'start 3'])
  })

  it('hold one transaction, and no other of the connection', async () => {
    await using backend = await Backend.start((request) => ok(request.target))
    const held = gate()
    await using served = await proxying(backend, {
      hooks: { request: ({ request }) => (request.path === '/held' ? held.promise : undefined) },
    })
    await using wire = await client(served)
    wire.get(1, '/held')
    wire.get(3, '/free')
    expect((await wire.response(3)).body).toBe('/free')
    expect(wire.stream(1).head).toBeUndefined()
    held.open()
    expect((await wire.response(1)).body).toBe('/held')
  })

  it('hold the start of a session while its client speaks already', async () => {
    await using backend = await Backend.start()
    const held = gate()
    const reached = gate()
    await using served = await proxying(backend, {
      hooks: {
        sessionStart: () => {
          reached.open()
          return held.promise
        },
      },
    })
    await using wire = await client(served, { greet: false })
    wire.raw(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'))
    wire.settings({})
    wire.get(1)
    await reached.promise
    expect(wire.frames).toEqual([])
    held.open()
    expect((await wire.response(1)).body).toBe('pong')
  })

  it.each([
    'transactionStart',
    'request',
    'afterRouting',
    'upstream',
    'requestSend',
    'response',
    'responseSend',
    'transactionClose',
  ] as const)('that hold %s while the client takes its request back let both closes come once', async (point) => {
    await using backend = await Backend.start()
    const held = gate()
    const reached = gate()
    const list: string[] = []
    await using served = await proxying(backend, {
      hooks: [
        at(point, () => {
          reached.open()
          return held.promise
        }),
        { transactionClose: () => void list.push('transaction'), sessionClose: () => void list.push('session') },
      ],
    })
    await using wire = await client(served)
    wire.get(1)
    await reached.promise
    wire.rst(1)
    expect(await wire.alive()).toBe(true)
    wire.end()
    await until(() => expect(wire.closed).toBe(true))
    expect(list).toEqual([])
    held.open()
    await served.settled()
    expect(list).toEqual(['transaction', 'session'])
  })

  it('can add hooks, keep values in slots, answer and edit', async () => {
    await using backend = await Backend.start((request) => ok(request.header('x-count') ?? ''))
    const count = new Slot<number>('count')
    await using served = await proxying(backend, {
      hooks: {
        sessionStart: (session) => session.set(count, 0),
        request(transaction) {
          const { session, request } = transaction
          session.set(count, (session.get(count) ?? 0) + 1)
          request.headers.set('x-count', String(session.get(count)))
          if (request.path === '/answered') transaction.reply({ status: 418, body: 'a teapot' })
          transaction.hook({ responseSend: ({ response }) => void response?.headers.set('X-Added', 'yes') })
        },
      },
    })
    await using wire = await client(served)
    wire.get(1)
    expect((await wire.response(1)).body).toBe('1')
    wire.get(3, '/answered')
    expect(await wire.response(3)).toMatchObject({ status: 418, body: 'a teapot' })
    wire.get(5)
    const last = await wire.response(5)
    expect([last.body, last.header('x-added')]).toEqual(['3', 'yes'])
  })

  it('that fail are answered 500, and the connection goes on', async () => {
    await using backend = await Backend.start()
    await using served = await proxying(backend, {
      hooks: {
        request({ request }) {
          if (request.path === '/bad') throw new Error('no')
        },
      },
    })
    served.core.on('fault', () => {})
    await using wire = await client(served)
    wire.get(1, '/bad')
    expect((await wire.response(1)).status).toBe(500)
    wire.get(3)
    expect((await wire.response(3)).status).toBe(200)
  })

  it('of HTTP/1.1 on the same port are the same', async () => {
    await using backend = await Backend.start()
    const versions: string[] = []
    await using served = await proxying(backend, {
      hooks: { request: ({ request }) => void versions.push(request.version) },
    })
    expect((await served.ask(get())).status).toBe(200)
    await using wire = await client(served)
    wire.get(1)
    await wire.response(1)
    expect(versions).toEqual(['1.1', '2'])
  })
})
