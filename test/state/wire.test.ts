import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../src/testing/index.ts'
import { until } from '../support/until.ts'
import { serve, silent } from './support.ts'

// Numbers as in `F.1.19` are those of the list of checks of a session server that the protocol's first one was measured
// by. They stand beside the tests of them, in this folder and in test/cli/state.test.ts.

describe('on the wire', () => {
  // F.1.19
  it('a session that is open for reading cannot be changed, and says so', async () => {
    await using served = await serve()
    const [a, b] = [await served.client(), await served.client()]
    const id = await b.make({ v: '1' })
    expect(await a.askAll(`open ${id} r`, 'remove v', 'put_all a:0:{}', 'destroy', 'put v 2', 'mput v 2', 'close')).toEqual([
      'ok', 'err Session is read-only.', 'err Session is read-only.', 'err Could not destroy session.',
      'err Could not store value', 'err Could not store value', 'ok',
    ]) // biome-ignore format: pairs
    expect(await b.askAll(`open ${id}`, 'get v')).toEqual(['ok', 'ok 1'])
  })

  // F.1.24
  it('who waits gets in with a commit, while the one before can still read what it wrote', async () => {
    await using served = await serve()
    const [a, b] = [await served.client(), await served.client()]
    const id = await a.make({ v: '1' })
    await a.askAll(`open ${id}`, 'put v 2')
    void b.send(`open ${id}`)
    expect(await silent(b, 50)).toBe(true)
    expect(await a.ask('commit')).toBe('ok')
    expect(await b.line()).toBe('ok')
    expect(await b.askAll('get v', 'put v 3', 'close')).toEqual(['ok 2', 'ok', 'ok'])
    expect(await a.askAll('get v', 'close')).toEqual(['ok 2', 'ok'])
  })

  // F.1.40
  it('a line that never ends takes no memory, and disturbs nobody', async () => {
    await using served = await serve()
    const [client, other] = [await served.client(), await served.client()]
    await other.ask('new')
    const before = process.memoryUsage().rss
    for (let index = 0; index < 32; index++) void client.peer.write('x'.repeat(64 * 1024)).catch(() => {})
    expect(await client.line()).toBe('err Line is too long.')
    expect(process.memoryUsage().rss - before).toBeLessThan(16 * 1024 ** 2)
    expect(await other.askAll('put a 1', 'get a')).toEqual(['ok', 'ok 1'])
  })

  // F.1.41; keys, values, sessions and lines have their own in server.test.ts.
  it('a connection too many is refused, and the others go on', async () => {
    await using served = await serve({}, { maxConnectionsPerIp: 2 })
    const [a, b] = [await served.client(), await served.client()]
    expect([await a.ask('new'), await b.ask('new')]).toEqual(Array(2).fill(expect.stringMatching(/^ok /)))
    const third = await served.client()
    await third.peer.over()
    expect(third.peer.unread).toHaveLength(0)
    expect(await a.ask('put a 1')).toBe('ok')
  })

  // F.1.42; that a silent holder loses its lock: locks.test.ts.
  it('a holder that says nothing is closed in the end, and who waits gets the session as it was', async () => {
    const clock = new ManualClock()
    await using served = await serve({}, { tunnelIdleTimeout: 3_000 }, { clock })
    const [a, b] = [await served.client(), await served.client()]
    const id = await a.make({ n: '1' })
    await a.askAll(`open ${id}`, 'put n 2')
    // The other is heard of later, and so is still there when this one is closed.
    clock.advance(2_000)
    void b.send(`open ${id}`)
    await until(() => expect(served.server.stats().sessions.locks.waiting).toBe(1))
    clock.advance(1_500)
    expect(await b.line()).toBe('ok')
    expect(await b.ask('get n')).toBe('ok 1')
    await until(() => expect(served.server.stats().connections).toBe(1))
  })

  // F.1.49. Each call writes one line, encoded as UTF-8 and ended with CRLF, and reads one before the next.
  it('the client of the reference gets what it expects of each of its calls', async () => {
    await using served = await serve()
    const client = await served.client()
    const call = async (bytes: string): Promise<string> => {
      await client.peer.write(bytes)
      return client.peer.read('\r\n')
    }
    // create(), put(), exists(), getKeys(), getAll(), close()
    const created = await call('new\r\n')
    const id = /^ok ([0-9a-f]{32})\r\n$/.exec(created)?.[1] ?? ''
    expect(await call('put foo bar\r\n')).toBe('ok\r\n')
    expect(await call('put city caf\u00e9\r\n')).toBe('ok\r\n')
    expect(await call('exists foo\r\n')).toBe('ok\r\n')
    expect(await call('keys\r\n')).toBe('ok foo|city\r\n')
    expect(await call('get_all\r\n')).toBe('ok a:2:{s:3:"foo";s:3:"bar";s:4:"city";s:5:"caf\u00e9";}\r\n')
    expect(await call('close\r\n')).toBe('ok\r\n')
    // open() says its mode; putAll() serializes Latin-1, whose lengths are those of before it is encoded.
    expect(await call(`open ${id} rw\r\n`)).toBe('ok\r\n')
    expect(await call('get city\r\n')).toBe('ok caf\u00e9\r\n')
    expect(await call('put_all a:2:{s:4:"city";s:4:"caf\u00e9";i:7;b:1;}\r\n')).toBe('ok\r\n')
    expect(await call('get_all\r\n')).toBe('ok a:2:{s:4:"city";s:5:"caf\u00e9";i:7;b:1;}\r\n')
    expect(await call('remove 7\r\n')).toBe('ok\r\n')
    expect(await call('get 7\r\n')).toBe('err Key does not exist\r\n')
    // regenerateId(), commit(), open() for reading, destroy()
    const renewed = /^ok ([0-9a-f]{32})\r\n$/.exec(await call('regenerate_id\r\n'))?.[1] ?? ''
    expect(await call('commit\r\n')).toBe('ok\r\n')
    expect(await call('put foo bar\r\n')).toBe('err Could not store value\r\n')
    expect(await call('close\r\n')).toBe('ok\r\n')
    expect(await call(`open ${id} r\r\n`)).toBe('err Could not open session.\r\n')
    expect(await call(`open ${renewed} w\r\n`)).toBe('ok\r\n')
    expect(await call('get city\r\n')).toBe('ok caf\u00e9\r\n')
    expect(await call('destroy\r\n')).toBe('ok\r\n')
    expect(await call('close\r\n')).toBe('err No session opened.\r\n')
    expect(await call('frobnicate\r\n')).toBe('err unknown command\r\n')
  })
})
