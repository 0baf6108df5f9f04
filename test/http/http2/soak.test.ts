import { describe, expect, it } from 'vitest'
import type { Hooks } from '../../../src/http/hooks.ts'
import { openSockets } from '../../support/descriptors.ts'
import { Http2Wire, request } from '../../support/http2-wire.ts'
import { Random } from '../../support/random.ts'
import { Backend, ok, until } from '../e2e/support.ts'
import { proxy2 } from './proxied.ts'

const streams = 2_000

/** Notes each session and transaction, and what is wrong with the order of their ends. */
function ledger(): {
  hooks: Hooks
  wrong: string[]
  counts: { sessions: number; transactions: number; closed: number }
} {
  const open = new Map<string, Set<string>>()
  const seen = new Set<string>()
  const wrong: string[] = []
  const counts = { sessions: 0, transactions: 0, closed: 0 }
  const hooks: Hooks = {
    sessionStart: ({ id }) => {
      if (open.has(id)) wrong.push(`${id} began twice`)
      open.set(id, new Set())
      counts.sessions++
    },
    transactionStart: ({ id, session }) => {
      if (seen.has(id)) wrong.push(`${id} began twice`)
      seen.add(id)
      if (open.get(session.id)?.add(id) === undefined) wrong.push(`${id} began outside of its session`)
      counts.transactions++
    },
    transactionClose: ({ id, session }) => {
      if (open.get(session.id)?.delete(id) !== true) wrong.push(`${id} closed twice, or outside of its session`)
      counts.closed++
    },
    sessionClose: ({ id }) => {
      const left = open.get(id)
      if (left === undefined) wrong.push(`${id} closed twice`)
      else if (left.size > 0) wrong.push(`${id} closed before ${[...left].join()}`)
      open.delete(id)
      counts.sessions--
    },
  }
  return { hooks, wrong, counts }
}

const paths = ['/fine', '/fine', '/fine', '/big', '/slow', '/hold', '/break', '/half', '/close']

/** A client that does what comes to its mind; `all` is how many streams are left to be begun by anybody. */
async function play(port: number, random: Random, all: { left: number }): Promise<void> {
  const wire = await Http2Wire.connect(port, {
    credit: random.below(4) > 0,
    settings: random.below(3) === 0 ? { INITIAL_WINDOW_SIZE: random.pick([0, 1, 100, 1_000_000]) } : {},
  })
  const posts: number[] = []
  let id = 1
  for (let own = 10 + random.below(60); own > 0 && all.left > 0 && !wire.dead; own--) {
    all.left--
    const path = random.pick(paths)
    if (random.below(3) === 0) {
      wire.headers(id, request('POST', path))
      if (random.below(2) === 0) wire.data(id, 'x'.repeat(random.below(200)))
      posts.push(id)
    } else wire.get(id, path)
    const early = id - 2 * random.below(20)
    switch (random.below(12)) {
      case 0:
        wire.rst(id)
        break
      case 1:
      case 2:
        if (early > 0) wire.rst(early, random.pick(['CANCEL', 'NO_ERROR', 'INTERNAL_ERROR', 'REFUSED_STREAM']))
        break
      case 3: {
        const post = posts.pop()
        if (post !== undefined) wire.headers(post, [['sum', '1']], { endStream: true })
        break
      }
      case 4:
      case 5: {
        const post = posts.pop()
        if (post !== undefined) wire.data(post, 'end', { endStream: true })
        break
      }
      case 6:
        if (early > 0) wire.windowUpdate(early, 1 + random.below(5_000))
        break
      case 7:
        wire.ping()
        break
      default:
    }
    if (random.below(6) === 0) await new Promise((resolve) => setImmediate(resolve))
    if (random.below(40) === 0) await wire.alive()
    id += 2
  }
  for (let turn = random.below(20); turn > 0; turn--) await new Promise((resolve) => setImmediate(resolve))
  switch (random.below(6)) {
    case 0:
      wire.goAway(0, random.pick(['NO_ERROR', 'INTERNAL_ERROR']))
      wire.end()
      break
    case 1:
      wire.raw(Buffer.from([0, 0, 50, 0, 0]))
      wire.end()
      break
    case 2:
      wire.end()
      break
    case 3:
      // What no client may send.
      wire.ping('short')
      await wire.until('the end', () => wire.dead)
      wire.cut()
      break
    default:
      wire.cut()
  }
  await wire.until('the end', () => wire.closed || wire.ended)
  await wire[Symbol.asyncDispose]()
}

describe('After 2,000 streams that were reset, cut, and left in every way', () => {
  const random = new Random()
  it(`all counters are at zero, and each end was told once (SEED=${random.seed})`, async () => {
    const sockets = openSockets()
    const { hooks, wrong, counts } = ledger()
    {
      const big = ok('x'.repeat(300_000))
      await using backend = await Backend.start(async ({ target }, peer) => {
        switch (target) {
          case '/big':
            return big
          case '/slow':
            for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
            return ok('slow')
          case '/hold':
            return undefined
          case '/break':
            peer.reset()
            return undefined
          case '/half':
            void peer.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf').then(() => peer.reset())
            return undefined
          case '/close':
            return 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nclosed'
          default:
            return ok('fine')
        }
      })
      await using served = await proxy2(backend, { maxResets: 100_000 }, { hooks, keepAliveTimeout: 1_000 })
      const all = { left: streams }
      const players = Array.from({ length: 6 }, async () => {
        while (all.left > 0) await play(served.port, random, all)
      })
      await Promise.all(players)
      await served.settled()
      const { sessions, transactions, served: told } = served.http.stats()
      expect({ sessions, transactions, left: all.left, wrong }).toEqual({
        sessions: 0,
        transactions: 0,
        left: 0,
        wrong: [],
      })
      expect(counts.transactions).toBeGreaterThan(streams / 3)
      expect(counts).toEqual({ sessions: 0, transactions: told, closed: told })
    }
    await until(() => expect(openSockets()).toBeLessThanOrEqual(sockets))
  })

  it('and in the middle of it, an end of everything by close(), then by abort()', async () => {
    const { hooks, wrong, counts } = ledger()
    const seeds = new Random(7)
    await using backend = await Backend.start(({ target }) => (target === '/hold' ? undefined : ok('fine')))
    for (const how of ['close', 'abort'] as const) {
      const served = await proxy2(backend, {}, { hooks })
      const all = { left: 300 }
      const players = Array.from({ length: 4 }, () => play(served.port, seeds, all).catch(() => {}))
      await until(() => expect(all.left).toBeLessThan(200))
      if (how === 'close') await served.core.close({ deadline: 300 })
      else served.core.abort()
      await served.core.closed
      expect(served.http.stats()).toMatchObject({ sessions: 0, transactions: 0 })
      await Promise.all(players)
    }
    expect(wrong).toEqual([])
    expect(counts.sessions).toBe(0)
    expect(counts.closed).toBe(counts.transactions)
  })
})
