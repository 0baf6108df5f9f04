import { describe, expect, it } from 'vitest'
import type { Hooks } from '../../../src/http/hooks.ts'
import { ManualClock } from '../../../src/testing/index.ts'
import { frameTypes } from '../../support/http2-frames.ts'
import type { Http2Wire } from '../../support/http2-wire.ts'
import { closedPort } from '../../support/net.ts'
import { Random } from '../../support/random.ts'
import { Backend, client, gate, ok, posting, proxying, serving, until } from './support.ts'

/** The last stream that each GOAWAY names, in order, without repetitions. */
function goneAways(wire: Http2Wire): number[] {
  const all = wire.frames.filter(({ type }) => type === frameTypes.GOAWAY).map(({ payload }) => payload.readUInt32BE(0))
  return all.filter((last, at) => last !== all[at - 1])
}

/** Counts what begins and what ends, and what ends too early. */
function balance(): { hooks: Hooks; sessions: number[]; transactions: number[]; wrong: string[] } {
  const it = { sessions: [0, 0], transactions: [0, 0], wrong: [] as string[] }
  const alive = new Map<string, number>()
  const ended = new Set<unknown>()
  const hooks: Hooks = {
    sessionStart(session) {
      ;(it.sessions[0] as number)++
      alive.set(session.id, 0)
    },
    transactionStart({ session }) {
      ;(it.transactions[0] as number)++
      const open = alive.get(session.id)
      if (open === undefined) it.wrong.push('a transaction outside of its session')
      else alive.set(session.id, open + 1)
    },
    transactionClose(transaction) {
      ;(it.transactions[1] as number)++
      if (ended.has(transaction)) it.wrong.push('a transaction closed twice')
      ended.add(transaction)
      alive.set(transaction.session.id, (alive.get(transaction.session.id) as number) - 1)
    },
    sessionClose(session) {
      ;(it.sessions[1] as number)++
      if (alive.get(session.id) !== 0) it.wrong.push('a session closed before its transactions')
      alive.delete(session.id)
    },
  }
  return { hooks, ...it }
}

describe('A client that takes its request back', () => {
  it.each([
    'before the upstream has answered',
    'in the middle of the response',
    'in the middle of its own body',
  ])('%s ends it at the upstream too, and no other request', async (when) => {
    const arrived = gate()
    await using backend = await Backend.start(async (message, peer) => {
      if (message.target === '/free') return ok('free')
      arrived.open()
      if (when.includes('response')) void peer.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst')
      return undefined
    })
    const failures: (string | undefined)[] = []
    await using served = await proxying(backend, {
      hooks: {
        transactionClose: ({ request, failure }) => void (request.path === '/taken' && failures.push(failure?.code)),
      },
    })
    await using wire = await client(served)
    if (when.includes('own')) {
      wire.headers(1, posting('/taken'))
      wire.data(1, 'some')
      await until(() => expect(backend.bytes).toBeGreaterThan(0))
    } else {
      wire.get(1, '/taken')
      await arrived.promise
      if (when.includes('response')) await wire.until('some of it', () => wire.stream(1).received === 5)
    }
    wire.rst(1)
    await until(() => expect(backend.open).toBe(0))
    wire.get(3, '/free')
    expect((await wire.response(3)).body).toBe('free')
    expect(failures).toEqual(['XPS_RESET'])
    expect(served.http.stats()).toMatchObject({ left: 1, transactions: 0 })
  })

  it('is no matter to those beside it on the same connection', async () => {
    const held = gate()
    await using backend = await Backend.start(async (message) => {
      await held.promise
      return ok(message.target)
    })
    await using served = await proxying(backend)
    await using wire = await client(served)
    for (const stream of [1, 3, 5]) wire.get(stream, `/${stream}`)
    await until(() => expect(backend.requests).toHaveLength(3))
    wire.rst(3)
    await until(() => expect(served.http.stats().upstreams[backend.address]?.connections).toBe(2))
    held.open()
    for (const stream of [1, 5]) expect((await wire.response(stream)).body).toBe(`/${stream}`)
  })
})

describe('Sessions and transactions', () => {
  it('begin and end once each, whatever clients take back, and when', async () => {
    const numbers = new Random()
    const { seed } = numbers
    const random = (): number => numbers.next()
    await using backend = await Backend.start(async (message) => {
      await new Promise((resolve) => setImmediate(resolve))
      return ok('x'.repeat(message.target.length * 3_000))
    })
    const { hooks, sessions, transactions, wrong } = balance()
    await using served = await proxying(backend, { hooks, http2: { maxResets: 100_000 } })
    const storm = async (): Promise<void> => {
      await using wire = await client(served)
      for (let round = 0, stream = 1; round < 12; round++) {
        wire.together(() => {
          for (let one = 0; one < 10; one++, stream += 2) {
            if (random() < 0.3) wire.headers(stream, posting(`/${'a'.repeat(random() * 10)}`))
            else wire.get(stream, `/${'a'.repeat(random() * 10)}`)
            if (random() < 0.2) wire.rst(stream, random() < 0.5 ? 'CANCEL' : 'NO_ERROR')
          }
        })
        for (let turn = random() * 6; turn > 0; turn--) await new Promise((resolve) => setImmediate(resolve))
        wire.together(() => {
          for (let back = stream - 20; back < stream; back += 2) {
            if (back > 0 && random() < 0.5 && !wire.stream(back).ended) wire.rst(back)
          }
        })
      }
      const way = random()
      if (way < 0.3) wire.goAway()
      if (way < 0.6) wire.end()
      else if (way < 0.8) wire.cut()
    }
    await Promise.all(Array.from({ length: 8 }, storm)).catch((error: unknown) => {
      throw new Error(`seed ${seed}`, { cause: error })
    })
    await served.settled()
    expect({ seed, wrong }).toEqual({ seed, wrong: [] })
    expect(sessions).toEqual([8, 8])
    expect(transactions[0]).toBeGreaterThan(100)
    expect(transactions[1]).toBe(transactions[0])
  })

  it('end once each when the server ends in the middle of them', async () => {
    await using backend = await Backend.start(() => undefined)
    const { hooks, sessions, transactions, wrong } = balance()
    await using served = await proxying(backend, { hooks })
    const wires = await Promise.all(Array.from({ length: 5 }, () => client(served)))
    for (const wire of wires) for (const stream of [1, 3, 5]) wire.get(stream)
    await until(() => expect(transactions[0]).toBe(15))
    served.core.abort()
    await served.core.closed
    for (const wire of wires) await wire[Symbol.asyncDispose]()
    expect({ sessions, transactions, wrong }).toEqual({ sessions: [5, 5], transactions: [15, 15], wrong: [] })
  })
})

describe('A graceful end', () => {
  it('says GOAWAY twice, completes what is under way, and takes nothing new', async () => {
    const held = gate()
    await using backend = await Backend.start(async () => {
      await held.promise
      return ok('x'.repeat(512 * 1024))
    })
    await using served = await proxying(backend)
    await using wire = await client(served)
    wire.get(1)
    await until(() => expect(backend.requests).toHaveLength(1))
    const closed = served.core.close()
    await wire.until('both', () => goneAways(wire).length === 2)
    expect(goneAways(wire)).toEqual([2 ** 31 - 1, 1])
    wire.get(3)
    held.open()
    expect((await wire.response(1)).received).toBe(512 * 1024)
    await wire.over()
    wire.end()
    await closed
    expect(wire.stream(3).head).toBeUndefined()
    expect(backend.requests).toHaveLength(1)
  })

  it('of an idle connection does not keep the server from closing', async () => {
    await using served = await serving({ routes: [{ reply: 200 }] })
    await using wire = await client(served)
    wire.get(1)
    await wire.response(1)
    const closed = served.core.close()
    await wire.over()
    expect(goneAways(wire)).toEqual([2 ** 31 - 1, 1])
    wire.end()
    expect(await closed).toBeUndefined()
  })

  it('does not wait for ever for a client that does not end', async () => {
    await using served = await serving({ routes: [{ reply: 200 }] }, {}, { lingerTimeout: 50 })
    await using wire = await client(served, { allowHalfOpen: true })
    wire.get(1)
    await wire.response(1)
    expect(await served.core.close()).toBeUndefined()
  })

  it('says the second one though the client does not answer a PING', async () => {
    const clock = new ManualClock()
    const held = gate()
    await using backend = await Backend.start(async () => {
      await held.promise
      return ok('late')
    })
    await using served = await proxying(backend, {}, { clock })
    await using wire = await client(served, { polite: false })
    wire.get(1)
    await until(() => expect(backend.requests).toHaveLength(1))
    served.core.drain()
    await wire.until('the first', () => goneAways(wire).length === 1)
    clock.advance(1_000)
    await wire.until('the second', () => goneAways(wire).length === 2)
    held.open()
    expect((await wire.response(1)).body).toBe('late')
  })

  it('begins when the core is to be drained, and when new connections have had their first request', async () => {
    await using served = await serving({ routes: [{ reply: 200 }] })
    await using before = await client(served)
    served.core.drain()
    await before.over()
    expect(goneAways(before)).toEqual([2 ** 31 - 1, 0])
    await using after = await client(served)
    after.get(1)
    expect((await after.response(1)).status).toBe(200)
    await after.over()
    expect(goneAways(after)).toEqual([2 ** 31 - 1, 1])
  })

  it('comes after as many requests as a connection may have, or when a hook says so', async () => {
    await using served = await serving({
      routes: [{ reply: 200 }],
      maxRequestsPerSession: 2,
      hooks: { request: (transaction) => void (transaction.request.path === '/last' && transaction.closeConnection()) },
    })
    await using wire = await client(served)
    for (const stream of [1, 3]) {
      wire.get(stream)
      await wire.response(stream)
    }
    await wire.over()
    expect(goneAways(wire).at(-1)).toBe(3)
    await using other = await client(served)
    other.get(1, '/last')
    expect((await other.response(1)).status).toBe(200)
    await other.over()
    expect(goneAways(other).at(-1)).toBe(1)
  })

  it('is what a client gets that says GOAWAY itself, with its answers', async () => {
    const held = gate()
    await using backend = await Backend.start(async () => {
      await held.promise
      return ok('late')
    })
    await using served = await proxying(backend)
    await using wire = await client(served)
    wire.get(1)
    await until(() => expect(backend.requests).toHaveLength(1))
    wire.goAway()
    held.open()
    expect((await wire.response(1)).body).toBe('late')
    await wire.over()
    wire.end()
    await served.settled()
  })
})

describe('A client that goes', () => {
  it.each([
    'ends',
    'breaks',
    'says GOAWAY with an error',
  ] as const)('and %s is gone for all its requests', async (how) => {
    await using backend = await Backend.start(() => undefined)
    await using served = await proxying(backend)
    await using wire = await client(served)
    for (const stream of [1, 3]) wire.get(stream)
    await until(() => expect(backend.requests).toHaveLength(2))
    if (how === 'ends') wire.end()
    else if (how === 'breaks') wire.cut()
    else wire.goAway(0, 'INTERNAL_ERROR')
    await until(() => expect(backend.open).toBe(0))
    await served.settled()
    expect(served.http.stats().left).toBe(2)
  })

  it('while its upstream is being connected leaves nothing behind', async () => {
    const port = await closedPort()
    await using served = await serving({ routes: [{ upstream: `127.0.0.1:${port}` }] })
    await using wire = await client(served)
    wire.together(() => {
      wire.get(1)
      wire.cut()
    })
    await served.settled()
  })
})
