import { type AddressInfo, createServer, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { MemoryStore, StateClient, type StateClientOptions, stateServer } from '../../src/state/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { TestServer, withCore } from '../support/net.ts'
import { until } from '../support/until.ts'
import { type Client, type Served, serve } from './support.ts'

/** A client that ends with the test. */
function clientOf(served: Pick<Served, 'port'>, options: StateClientOptions = {}): StateClient & AsyncDisposable {
  return new StateClient(`127.0.0.1:${served.port}`, options)
}

describe('StateClient', () => {
  it('makes, opens, reads and closes sessions', async () => {
    await using served = await serve()
    await using state = clientOf(served)
    const id = await state.newSession(async (session) => {
      await session.put('user', 'Zoë')
      await session.put('n', '1')
      return session.id
    })
    const seen = await state.session(id, async (session) => [
      await session.get('user'),
      await session.get('none'),
      await session.exists('n'),
      await session.remove('n'),
      await session.remove('n'),
      await session.keys(),
    ])
    expect(seen).toEqual(['Zoë', undefined, true, true, false, ['user']])
    expect((await state.read(id))?.entries).toEqual(new Map([['user', 'Zoë']]))
    expect(await state.read('0'.repeat(32))).toBeUndefined()
    expect(await state.read('not an id')).toBeUndefined()
  })

  // F.1.9, F.1.11
  it('carries any text: empty ones, lines, blanks at the ends, and bars in keys', async () => {
    await using served = await serve()
    await using state = clientOf(served)
    const named: Record<string, string> = { long: 'short', after: 'still in step' }
    const texts = ['', ' ', 'a\r\nerr b', 'ends with a blank ', ' begins', '%41', 'a|b', '€ 😀', '\0', '=', '-']
    const id = await state.newSession(async (session) => {
      for (const text of texts) await session.put(text, text)
      await session.put('long', 'x y'.repeat(100_000))
      expect(await session.get('long')).toBe('x y'.repeat(100_000))
      await session.put('long', 'short')
      await session.put('after', 'still in step')
      expect(await Promise.all(texts.map((text) => session.get(text)))).toEqual(texts)
      expect(await session.keys()).toEqual([...texts, 'long', 'after'])
      return session.id
    })
    expect([...((await state.read(id))?.entries ?? [])]).toEqual(
      [...texts, 'long', 'after'].map((text) => [text, named[text] ?? text]),
    )
    await state.session(id, async (session) => {
      for (const text of texts) expect(await session.remove(text), text.slice(0, 20)).toBe(true)
      expect([...(await session.entries())]).toEqual(Object.entries(named))
    })
  })

  it('sends commands one behind the other, and gives each its own answer', async () => {
    await using served = await serve()
    await using state = clientOf(served)
    await state.newSession(async (session) => {
      const puts = Array.from({ length: 500 }, (_, index) => session.put(`k${index}`, String(index)))
      const gets = Array.from({ length: 500 }, (_, index) => session.get(`k${index}`))
      await Promise.all(puts)
      expect(await Promise.all(gets)).toEqual(Array.from({ length: 500 }, (_, index) => String(index)))
    })
    expect(served.core.stats().accepted).toBe(1)
  })

  it('breaks off a reply that is longer than maxReplyLength, and goes on with another connection', async () => {
    await using served = await serve()
    await using state = clientOf(served, { maxReplyLength: 2_000 })
    const id = await state.newSession(async (session) => {
      await session.put('long', 'x'.repeat(5_000))
      await session.put('short', 'y'.repeat(1_000))
      return session.id
    })
    await expect(state.session(id, (session) => session.get('long'))).rejects.toMatchObject({
      message: expect.stringContaining('a reply is too long'),
    })
    expect(await state.session(id, (session) => session.get('short'))).toBe('y'.repeat(1_000))
  })

  it('rolls back and unlocks when the function fails, and keeps its connection', async () => {
    await using served = await serve()
    await using state = clientOf(served)
    const id = await state.newSession((session) => session.put('n', '1').then(() => session.id))
    const failing = state.session(id, async (session) => {
      await session.put('n', '2')
      throw new Error('mine')
    })
    await expect(failing).rejects.toThrow('mine')
    expect(await state.session(id, (session) => session.get('n'), { lockTimeout: 0 })).toBe('1')
    expect(served.core.stats().accepted).toBe(1)
  })

  // F.1.29
  it('lets fifty that each add one end at fifty, and takes a connection for those only who are at it', async () => {
    await using served = await serve()
    await using state = clientOf(served, { maxConnections: 8 })
    const id = await state.newSession((session) => session.id)
    await Promise.all(
      Array.from({ length: 50 }, () =>
        state.session(id, async (session) => {
          await session.put('n', String(Number((await session.get('n')) ?? 0) + 1))
        }),
      ),
    )
    expect((await state.read(id))?.entries.get('n')).toBe('50')
    // Who waits for the same session takes no connection from those who want another.
    expect(served.core.stats().peak).toBe(1)
    expect(state.stats()).toEqual({ connections: 1, idle: 1, waiting: 0, behind: 0 })
  })

  it('says why a session could not be had', async () => {
    await using served = await serve({ maxWaiters: 0 })
    await using state = clientOf(served)
    await using same = clientOf(served)
    const id = await state.newSession((session) => session.id)
    await expect(state.openSession('0'.repeat(32))).rejects.toMatchObject({ code: 'XPS_NOT_FOUND', origin: 'upstream' })
    await expect(state.openSession('a b\r\nnew')).rejects.toMatchObject({ code: 'XPS_NOT_FOUND' })
    const held = await state.openSession(id)
    await expect(same.openSession(id)).rejects.toMatchObject({ code: 'XPS_BUSY' })
    await expect(state.createSession(id)).rejects.toMatchObject({ code: 'XPS_BUSY' })
    held.abandon()
    await expect(held.get('n')).rejects.toMatchObject({ code: 'XPS_CLOSED' })
    await using patient = await serve()
    await using other = clientOf(patient)
    const there = await other.newSession((session) => session.id)
    await using _held = await other.openSession(there)
    await using third = clientOf(patient)
    await expect(third.openSession(there, { lockTimeout: 30 })).rejects.toMatchObject({
      code: 'XPS_TIMEOUT',
      reason: 'lock',
    })
    await expect(other.openSession(there, { lockTimeout: 30 })).rejects.toMatchObject({
      code: 'XPS_TIMEOUT',
      reason: 'lock',
    })
  })

  it('commits, regenerates and destroys', async () => {
    await using served = await serve()
    await using state = clientOf(served)
    const session = await state.createSession('my-own-id-0123456789')
    await session.putAll([['a', '1'], ['b', 'two words']]) // biome-ignore format: one line
    await session.commit()
    expect(session.mode).toBe('r')
    await expect(session.put('a', '2')).rejects.toMatchObject({ code: 'XPS_FORBIDDEN' })
    expect(await session.get('b')).toBe('two words')
    await session.close()
    const next = await state.openSession('my-own-id-0123456789')
    await next.keepFor(5_000)
    expect(await next.ttl()).toBeGreaterThan(4_000)
    const id = await next.regenerateId()
    expect([id, next.id === id]).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/), true])
    await next.close()
    expect(await state.touchSession(id)).toBe(true)
    expect(await state.read('my-own-id-0123456789')).toBeUndefined()
    await (await state.openSession(id)).destroy()
    expect([await state.touchSession(id), await state.destroySession(id)]).toEqual([false, false])
  })

  it('changes keys without holding a session, from a version if it is told to', async () => {
    await using served = await serve()
    await using state = clientOf(served)
    const id = await state.newSession((session) => session.id)
    const version = await state.patch(id, { put: [['a', 'x y'], ['b', '']] }) // biome-ignore format: one line
    await state.patch(id, { remove: ['b'], version })
    await expect(state.patch(id, { put: [['c', '']], version })).rejects.toMatchObject({ code: 'XPS_PRECONDITION' })
    expect((await state.read(id))?.entries).toEqual(new Map([['a', 'x y']]))
    expect(await state.destroySession(id)).toBe(true)
    await expect(state.patch(id, { put: [['a', '1']] })).rejects.toMatchObject({ code: 'XPS_NOT_FOUND' })
    await state.patch(id, { put: [['a', '1']], create: true, idle: 0 })
    expect(await state.destroySession(id)).toBe(true)
  })

  it('lists, watches and asks for numbers', async () => {
    await using served = await serve({ admin: true, commands: { say: (words) => words.join('/') } })
    await using state = clientOf(served)
    const events = state.watch()
    const first = events.next()
    await until(async () => expect(state.stats().connections).toBe(1))
    const ids: string[] = []
    for (let index = 0; index < 3; index++) ids.push(await state.newSession((session) => session.id))
    expect(await first).toMatchObject({ value: { event: 'committed', id: ids[0] } })
    await events.return?.()
    const listed: string[] = []
    for await (const { id, expires } of state.list()) {
      listed.push(id)
      expect(expires).toBeGreaterThan(Date.now())
    }
    expect(listed).toEqual(ids)
    for await (const { id } of state.list()) {
      expect(id).toBe(ids[0])
      break
    }
    expect(await state.serverStats()).toMatchObject({ sessions: { created: 3 } })
    expect(await state.command('say', 'one', 'two words')).toBe('one/two words')
    expect(await state.newSession((session) => session.command('say', 'x'))).toBe('x')
    await expect(state.command('say', 'one\r\nnew')).rejects.toMatchObject({ code: 'XPS_INVALID_OPTION' })
  })

  it('says the secret, and cannot do without', async () => {
    await using served = await serve({ auth: 'open sesame €' })
    await using right = clientOf(served, { auth: 'open sesame €' })
    expect(await right.newSession((session) => session.id)).toHaveLength(32)
    await using wrong = clientOf(served, { auth: 'guess' })
    await expect(wrong.createSession()).rejects.toMatchObject({ code: 'XPS_FORBIDDEN' })
    await using none = clientOf(served)
    await expect(none.createSession()).rejects.toMatchObject({ code: 'XPS_FORBIDDEN' })
    expect(wrong.stats().connections).toBe(0)
  })

  it('connects anew when the server was away', async () => {
    const store = new MemoryStore()
    const first = withCore()
    const { port } = await first.listen({ port: 0, protocol: stateServer({ store }) })
    await using state = clientOf({ port })
    const id = await state.newSession((session) => session.id)
    first.abort()
    await first.closed
    await expect(state.createSession()).rejects.toMatchObject({ code: /XPS_(CONNECT|RESET)/ })
    await using second = withCore()
    await second.listen({ port, protocol: stateServer({ store }) })
    expect(await state.session(id, (session) => session.exists('n'))).toBe(false)
  })

  it('lets the next one have a session when it was committed, or its connection is lost', async () => {
    await using served = await serve()
    await using state = clientOf(served)
    const id = await state.newSession((session) => session.id)
    const first = await state.openSession(id)
    const second = state.openSession(id)
    await until(() => expect(state.stats().behind).toBe(1))
    await first.commit()
    await (await second).put('n', '1')
    const third = state.openSession(id)
    await until(() => expect(state.stats().behind).toBe(1))
    for (const session of served.core.sessions) session.abort()
    expect(await (await third).get('n')).toBeUndefined()
    await expect(first.get('n')).rejects.toMatchObject({ code: /XPS_(CLOSED|RESET)/ })
    // It is never closed: a deadline gives it up.
    expect(await state.close({ deadline: 20 })).toMatchObject({ code: 'XPS_TIMEOUT', reason: 'drain' })
  })

  it('rejects what was under way when the connection breaks, and what is asked after it', async () => {
    await using served = await serve()
    await using state = clientOf(served)
    const session = await state.createSession()
    served.core.abort()
    await expect(session.get('n')).rejects.toMatchObject({ code: 'XPS_RESET' })
    await expect(session.close()).rejects.toMatchObject({ code: 'XPS_RESET' })
    session.abandon()
  })

  it('waits for no reply longer than its timeout', async () => {
    await using silent = await TestServer.start()
    const clock = new ManualClock()
    await using state = clientOf(silent, { clock, replyTimeout: 1_000 })
    const opening = state.createSession().catch((error: unknown) => error)
    await silent.accept()
    clock.advance(1_500)
    expect(await opening).toMatchObject({ code: 'XPS_TIMEOUT', reason: 'reply' })
  })

  it('ends with one who is no state server', async () => {
    await using web = await TestServer.start((peer) => void peer.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    await using state = clientOf(web)
    await expect(state.createSession()).rejects.toMatchObject({ code: 'XPS_BAD_RESPONSE' })
  })

  it('bounds how many wait for a connection, and for how long', async () => {
    await using served = await serve()
    await using state = clientOf(served, { maxConnections: 1, maxQueue: 1, queueTimeout: 50 })
    await using session = await state.createSession()
    const waiting = state.createSession().catch((error: unknown) => error)
    await expect(state.createSession()).rejects.toMatchObject({ code: 'XPS_BUSY' })
    expect(await waiting).toMatchObject({ code: 'XPS_TIMEOUT', reason: 'queue' })
    await session.close()
  })

  it('closes connections that are not used, and all when it is closed', async () => {
    await using served = await serve()
    const state = clientOf(served, { idleTimeout: 100 })
    const [one, two] = [await state.createSession(), await state.createSession()]
    await one.close()
    await until(() => expect(state.stats()).toEqual({ connections: 1, idle: 0, waiting: 0, behind: 0 }))
    const closed = state.close()
    await expect(state.createSession()).rejects.toMatchObject({ code: 'XPS_CLOSED' })
    await two.close()
    expect(await closed).toBeUndefined()
    await until(() => expect(served.core.sessions).toHaveLength(0))
  })

  it('speaks to a server that knows the reference commands only, and sends it nothing that it cannot be told', async () => {
    await using served = await serve({ strict: false })
    // The same server, to whom everything is unknown that the reference does not know.
    const known = /^(new|open|close|commit|destroy|get|put|exists|remove|keys|get_all|put_all|regenerate_id)( |$)/
    const inner = new Map<Socket, Client>()
    const clients = [await served.client(), await served.client(), await served.client()]
    const old = createServer((socket) => {
      const client = clients.pop() as Client
      inner.set(socket, client)
      socket.on('close', () => client.peer.end())
      let chain = Promise.resolve()
      socket.on('data', (data) => {
        for (const line of data.toString().split('\r\n').slice(0, -1)) {
          chain = chain.then(async () => {
            socket.write(known.test(line) ? `${await client.ask(line)}\r\n` : 'err unknown command\r\n')
          })
        }
      })
    })
    await new Promise<void>((resolve) => old.listen(0, '127.0.0.1', resolve))
    const { port } = old.address() as AddressInfo
    try {
      await using state = clientOf({ port })
      const id = await state.newSession(async (session) => {
        await session.put('a', 'x y')
        await session.put('empty', '')
        await expect(session.put('two words', 'x')).rejects.toMatchObject({ code: 'XPS_INVALID_OPTION' })
        await expect(session.put('a', 'x\ny')).rejects.toMatchObject({ code: 'XPS_INVALID_OPTION' })
        await expect(session.putAll([['a', '1']])).rejects.toMatchObject({ code: 'XPS_BAD_REQUEST' })
        return session.id
      })
      await state.session(id, async (session) => {
        expect([await session.get('a'), await session.get('empty'), await session.keys()]).toEqual([
          'x y',
          '',
          ['a', 'empty'],
        ])
        expect(await session.entries()).toEqual(new Map([['a', 'x y'], ['empty', '']])) // biome-ignore format: one line
        await session.put('a', 'forgotten')
        session.abandon()
      })
      expect(await state.session(id, (session) => session.get('a'))).toBe('x y')
      await expect(state.read(id)).rejects.toMatchObject({ code: 'XPS_BAD_REQUEST' })
    } finally {
      for (const socket of inner.keys()) socket.destroy()
      await new Promise((resolve) => old.close(resolve))
    }
  })

  it('refuses options that cannot be', () => {
    const bad: [object, RegExp][] = [[{ bogus: 1 }, /bogus/], [{ auth: '' }, /auth/], [{ maxConnections: 0 }, /maxConnections/], [{ replyTimeout: 0 }, /replyTimeout/]] // biome-ignore format: one line
    for (const [options, message] of bad)
      expect(() => new StateClient('127.0.0.1:9', options as never)).toThrow(message)
    expect(() => new StateClient('nowhere')).toThrow(/address/)
  })
})
