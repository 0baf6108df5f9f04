import { describe, expect, it } from 'vitest'
import { faults, type StateFault } from '../../src/state/faults.ts'
import { Lock, LockTable, type Waiter } from '../../src/state/locks.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { until } from '../support/until.ts'
import { type Client, serve, silent } from './support.ts'

const id = 'a'.repeat(32)
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A table whose time the test owns, and what those who wait were told. */
function table(rules = { lease: 1_000, maxWaiters: 3 }) {
  const clock = new ManualClock()
  const locks = new LockTable(clock, rules)
  const told: [string, Lock | StateFault][] = []
  const wait = (name: string, limit = 10_000): Waiter =>
    locks.wait(id, limit, (outcome) => told.push([name, outcome])) as Waiter
  return { clock, locks, told, wait, names: () => told.map(([name]) => name) }
}

describe('LockTable', () => {
  it('gives a lock to one at a time, in the order in which they asked, with growing numbers', async () => {
    const { locks, told, wait, names } = table()
    const first = locks.take(id) as Lock
    expect(locks.take(id)).toBeUndefined()
    for (const name of ['b', 'c', 'd']) wait(name)
    first.release()
    first.release()
    let fence = first.fence
    for (const expected of [['b'], ['b', 'c'], ['b', 'c', 'd']]) {
      await turn()
      expect(names()).toEqual(expected)
      const lock = told.at(-1)?.[1] as Lock
      expect(lock.fence).toBeGreaterThan(fence)
      fence = lock.fence
      lock.release()
    }
    expect(locks.isLocked(id)).toBe(false)
    expect(locks.numbers).toMatchObject({ held: 0, waiting: 0, given: 4, waited: 3 })
  })

  it('lets nobody past those who wait', async () => {
    const { locks, wait, names } = table()
    const first = locks.take(id) as Lock
    wait('b')
    first.release()
    expect(locks.take(id)).toBeUndefined()
    await turn()
    expect(names()).toEqual(['b'])
  })

  it('lets nobody wait longer than its own limit', async () => {
    const { clock, locks, told, wait } = table()
    const first = locks.take(id) as Lock
    wait('b', 500)
    wait('c', 2_000)
    for (let time = 0; time < 600; time += 100) {
      clock.advance(100)
      first.renew()
    }
    await turn()
    expect(told).toEqual([['b', faults.locked]])
    first.release()
    await turn()
    expect(told.at(-1)).toEqual(['c', expect.any(Lock)])
    expect(locks.numbers).toMatchObject({ timedOut: 1, waiting: 0 })
  })

  it('says how long those waited who got it, together and at the longest', async () => {
    const { clock, locks, told, wait } = table()
    const first = locks.take(id) as Lock
    wait('b')
    clock.advance(300)
    wait('c')
    clock.advance(200)
    first.release()
    await turn()
    clock.advance(400)
    ;(told[0]?.[1] as Lock).release()
    await turn()
    expect(locks.numbers).toMatchObject({ waited: 2, waitTime: 500 + 600, longestWait: 600 })
  })

  it('bounds the queue, and takes who will not wait at all at his word', () => {
    const { locks, told } = table({ lease: 1_000, maxWaiters: 1 })
    locks.take(id)
    expect(locks.wait(id, 0, () => {})).toBe(faults.locked)
    expect(locks.wait(id, 1_000, () => {})).not.toBe(faults.waiters)
    expect(locks.wait(id, 1_000, () => {})).toBe(faults.waiters)
    expect(told).toEqual([])
    expect(locks.numbers).toMatchObject({ refused: 1, timedOut: 1, waiting: 1 })
  })

  it('takes a lock from a silent holder when somebody waits, and not before', async () => {
    const { clock, locks, told, wait } = table()
    const first = locks.take(id) as Lock
    clock.advance(5_000)
    expect(first.lost).toBe(false)
    first.renew()
    wait('b')
    clock.advance(900)
    first.renew()
    clock.advance(900)
    await turn()
    expect([told, first.lost]).toEqual([[], false])
    clock.advance(100)
    await turn()
    expect(first.lost).toBe(true)
    expect(told).toEqual([['b', expect.any(Lock)]])
    first.release()
    expect(locks.isLocked(id)).toBe(true)
    expect(locks.numbers).toMatchObject({ expired: 1, held: 1 })
    ;(told[0]?.[1] as Lock).release()
    expect(clock.pending).toBe(0)
  })

  it('gives one who comes the lock of a holder that has been silent for too long', () => {
    const { clock, locks } = table()
    const first = locks.take(id) as Lock
    clock.advance(1_000)
    const second = locks.take(id) as Lock
    expect([first.lost, second.lost]).toEqual([true, false])
    expect(second.fence).toBeGreaterThan(first.fence)
  })

  it('leaves a holder its lock while something is written under it', async () => {
    const { clock, locks, told, wait } = table()
    const first = locks.take(id) as Lock
    first.pin()
    wait('b')
    clock.advance(3_000)
    await turn()
    expect(told).toEqual([])
    first.unpin()
    clock.advance(1_000)
    await turn()
    expect(told).toHaveLength(1)
    expect(locks.numbers.expired).toBe(1)
  })

  it('forgets who waits no more, also one who was just given the lock', async () => {
    const { clock, locks, wait, names } = table()
    const first = locks.take(id) as Lock
    const [b, c] = [wait('b'), wait('c')]
    wait('d')
    b.cancel()
    first.release()
    c.cancel()
    await turn()
    await turn()
    expect(names()).toEqual(['d'])
    expect(locks.numbers).toMatchObject({ held: 1, waiting: 0 })
    expect(clock.pending).toBe(0)
  })

  it('tells all who wait when there is nothing left to wait for', async () => {
    const { clock, locks, told, wait } = table()
    const first = locks.take(id) as Lock
    wait('b')
    wait('c')
    first.forsake(faults.open)
    first.release()
    await turn()
    expect(told).toEqual([['b', faults.open], ['c', faults.open]]) // biome-ignore format: one line
    expect(locks.isLocked(id)).toBe(false)
    expect(clock.pending).toBe(0)
  })
})

describe('locks of the server', () => {
  // F.1.26
  it('are given in the order of asking, as soon as they are free', async () => {
    await using served = await serve()
    const holder = await served.client()
    const session = await holder.make({ order: '' })
    await holder.ask(`open ${session}`)
    const waiting: Client[] = []
    for (let index = 0; index < 5; index++) {
      const client = await served.client()
      void client.send(`open ${session}`)
      await until(() => expect(served.server.stats().sessions.locks.waiting).toBe(index + 1))
      waiting.push(client)
    }
    await holder.ask('close')
    for (const [index, client] of waiting.entries()) {
      expect(await client.line()).toBe('ok')
      const [, before = ''] = (await client.ask('get order')).split(' ')
      expect(before).toBe('01234'.slice(0, index))
      await client.askAll(`put order ${before}${index}`, 'close')
    }
  })

  // F.1.25
  it('are not waited for longer than the limit, and who waited can go on', async () => {
    const clock = new ManualClock()
    await using served = await serve({ lockTimeout: 1_500, clock })
    const [a, b] = [await served.client(), await served.client()]
    const session = await a.make()
    await a.ask(`open ${session}`)
    void b.send(`open ${session}`)
    await until(() => expect(served.server.stats().sessions.locks.waiting).toBe(1))
    clock.advance(1_400)
    expect(await silent(b, 10)).toBe(true)
    clock.advance(300)
    expect(await b.line()).toBe('err Session is locked.')
    expect(await a.askAll('put a 1', 'close')).toEqual(['ok', 'ok'])
    expect(await b.askAll(`open ${session}`, 'get a')).toEqual(['ok', 'ok 1'])
    expect(await a.ask(`acquire ${session} 0`)).toBe('err Session is locked.')
  })

  // F.1.42
  it('go from a silent holder to who waits, and the holder cannot write any more', async () => {
    const clock = new ManualClock()
    await using served = await serve({ lockLease: 1_200, clock })
    const [a, b] = [await served.client(), await served.client()]
    const session = await a.make({ n: '1' })
    await a.askAll(`open ${session}`, 'put n 2')
    void b.send(`open ${session}`)
    await until(() => expect(served.server.stats().sessions.locks.waiting).toBe(1))
    clock.advance(1_000)
    expect(await silent(b, 10)).toBe(true)
    clock.advance(400)
    expect(await b.line()).toBe('ok')
    expect(await b.ask('get n')).toBe('ok 1')
    expect(await a.askAll('get n', 'put n 3', 'remove n', 'commit', 'regenerate_id', 'destroy', 'close', 'get n')).toEqual([
      'ok 2', ...Array(6).fill('err Lock was lost.'), 'err No session opened.',
    ]) // biome-ignore format: one line
    expect(await b.askAll('put n 4', 'close', `open ${session} r`, 'get n')).toEqual(['ok', 'ok', 'ok', 'ok 4'])
    expect(served.server.stats().sessions.locks.expired).toBe(1)
  })

  it('stay with a holder that is heard of', async () => {
    const clock = new ManualClock()
    await using served = await serve({ lockLease: 1_000, clock })
    const [a, b] = [await served.client(), await served.client()]
    const session = await a.make({ n: '1' })
    await a.ask(`open ${session}`)
    void b.send(`open ${session}`)
    await until(() => expect(served.server.stats().sessions.locks.waiting).toBe(1))
    for (let index = 0; index < 8; index++) {
      clock.advance(500)
      expect(await silent(b, 5)).toBe(true)
      expect(await a.ask('get n')).toBe('ok 1')
    }
    await a.ask('close')
    expect(await b.line()).toBe('ok')
  })

  it('pass over those who have gone while they waited', async () => {
    await using served = await serve()
    const [a, b, c, d] = [await served.client(), await served.client(), await served.client(), await served.client()]
    const session = await a.make()
    await a.ask(`open ${session}`)
    for (const client of [b, c, d]) void client.send(`open ${session}`)
    await until(() => expect(served.server.stats().sessions.locks.waiting).toBe(3))
    b.peer.reset()
    c.peer.end()
    await until(() => expect(served.server.stats().sessions.locks.waiting).toBe(2))
    await a.ask('close')
    // Who has only ended its direction may still read: it gets its answer, and then its lock goes on.
    expect(await c.peer.text()).toBe('ok\r\n')
    expect(await d.line()).toBe('ok')
  })

  // F.1.29, F.1.30
  it('let fifty clients that each add one end at fifty', async () => {
    await using served = await serve()
    const maker = await served.client()
    const session = await maker.make({ n: '0' })
    await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const client = await served.client()
        await client.ask(`open ${session}`)
        const [, n] = (await client.ask('get n')).split(' ')
        await client.askAll(`put n ${Number(n) + 1}`, `put k${index} 1`, 'close')
      }),
    )
    expect(await maker.askAll(`open ${session} r`, 'get n')).toEqual(['ok', 'ok 50'])
    expect((await maker.ask('keys')).split('|')).toHaveLength(51)
    expect(served.server.stats().sessions.locks).toMatchObject({ held: 0, waiting: 0, timedOut: 0 })
  })

  it('are handed through hundreds who wait without filling the stack', async () => {
    await using served = await serve({}, { maxConnections: 2_000, maxQueue: 2_000 })
    const holder = await served.client()
    const session = await holder.make({ n: '0' })
    await holder.ask(`open ${session}`)
    const clients = await Promise.all(Array.from({ length: 150 }, () => served.client()))
    for (const client of clients) void client.peer.write(`open ${session}\nclose\n`.repeat(3))
    await until(() => expect(served.server.stats().sessions.locks.waiting).toBe(150))
    await holder.ask('close')
    await Promise.all(clients.map((client) => client.peer.read('ok\r\n'.repeat(6))))
    expect(served.server.stats().sessions.locks).toMatchObject({ held: 0, waiting: 0 })
  })
})
