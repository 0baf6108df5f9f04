import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Container } from '../../src/state/container.ts'
import { FileStore, MemoryStore, StateClient, stateServer } from '../../src/state/index.ts'
import { inMemory, ManualClock, sessionContract, type TestPeer } from '../../src/testing/index.ts'
import { TestAuthority } from '../support/certificates.ts'
import { fuzzing } from '../support/fuzzing.ts'
import { until } from '../support/until.ts'
import { Client, serve, silent } from './support.ts'

const unknown = '0'.repeat(32)
const idOf = (answer: string): string => /^ok ([0-9a-f]{32})$/.exec(answer)?.[1] ?? `no id: ${answer}`

/** A store whose commits wait for something. */
function slowStore(ready: () => Promise<void>): Container {
  const memory = new MemoryStore()
  return {
    name: 'slow',
    read: (id) => memory.read(id),
    commit: (...all) => ready().then(() => memory.commit(...all)),
    destroy: (id) => memory.destroy(id),
    touch: (id, expires) => memory.touch(id, expires),
    list: () => memory.list(),
  }
}

describe('StateSession', () => {
  const kind = {
    protocol: stateServer({ store: new MemoryStore() }),
    exchange: async (client: TestPeer) => {
      await client.write('new\r\n')
      expect(await client.read('\r\n')).toMatch(/^ok [0-9a-f]{32}\r\n$/)
    },
  }
  for (const { name, run } of sessionContract(kind)) it(name, run)
})

describe('the state server', () => {
  // F.1.2, F.1.3, F.1.13
  it('answers what the talk printed', async () => {
    await using served = await serve()
    const { peer } = await served.client()
    const talk = ['new', 'put foo bar', 'put today 2004-11-09', 'keys', 'get today', 'close', 'get foo']
    void peer.write(talk.map((line) => `${line}\r\n`).join(''))
    const printed =
      /^ok [0-9a-f]{32}\r\nok\r\nok\r\nok foo\|today\r\nok 2004-11-09\r\nok\r\nerr No session opened\.\r\n$/
    expect(await peer.read('opened.\r\n')).toMatch(printed)
    expect(peer.unread).toHaveLength(0)
  })

  // F.1.14
  it('answers the same with LF only, and byte by byte', async () => {
    await using served = await serve()
    const { peer } = await served.client()
    for (const byte of 'new\nput foo bar\nget foo\nclose\nget foo\n') await peer.write(byte)
    expect(await peer.read('opened.\r\n')).toMatch(
      /^ok [0-9a-f]{32}\r\nok\r\nok bar\r\nok\r\nerr No session opened\.\r\n$/,
    )
  })

  it('sends what was answered before a commit with the answer of the commit, however many commit at a time', async () => {
    const commits: (() => void)[] = []
    await using served = await serve({ store: slowStore(() => new Promise((resolve) => commits.push(resolve))) })
    const clients = await Promise.all([served.client(), served.client(), served.client()])
    for (const { peer } of clients) await peer.write('new\r\nput a b\r\nclose\r\nkeys\r\n')
    await until(() => expect(commits).toHaveLength(clients.length))
    for (const client of clients) expect(await silent(client, 10)).toBe(true)
    for (const commit of commits) commit()
    const answer = /^ok [0-9a-f]{32}\r\nok\r\nok\r\nok \r\n$/
    for (const { peer } of clients) expect(await peer.read('ok \r\n')).toMatch(answer)
  })

  it('does not keep a long answer until a commit is done', async () => {
    let commit = (): void => {}
    const asked = new Promise<void>((resolve) => {
      commit = resolve
    })
    await using served = await serve({ store: slowStore(() => asked) })
    const { peer } = await served.client()
    const long = 'v'.repeat(3_000)
    await peer.write(`new\r\nput a ${long}\r\nget a\r\nclose\r\n`)
    expect(await peer.read(`${long}\r\n`)).toMatch(/^ok [0-9a-f]{32}\r\nok\r\nok v+\r\n$/)
    commit()
    expect(await peer.read('\r\n')).toBe('ok\r\n')
  })

  // F.1.1
  it('says nothing before it is asked', async () => {
    await using served = await serve()
    expect(await silent(await served.client(), 50)).toBe(true)
  })

  // F.1.4, F.1.5, F.1.7
  it('answers commands that need a session, where none is open, as the reference does', async () => {
    await using served = await serve()
    const client = await served.client()
    const asked = [
      'get x',
      'put x y',
      'close',
      'commit',
      'get_all',
      'put_all a:0:{}',
      'destroy',
      'regenerate_id',
      'PUT a b',
    ]
    for (const command of asked) expect(await client.ask(command), command).toBe('err No session opened.')
    expect(await client.askAll('exists foo', 'remove foo', 'keys')).toEqual([
      'err Key does not exist',
      'err Key does not exist',
      'ok ',
    ])
  })

  // F.1.6
  it('does not know other commands, and goes on', async () => {
    await using served = await serve()
    const client = await served.client()
    expect(await client.askAll('bogus', '', 'put\ta b', 'newer')).toEqual(Array(4).fill('err unknown command'))
    expect(await client.ask('NEW')).toMatch(/^ok /)
  })

  // F.1.8, F.1.9, F.1.10, F.1.12
  it('keeps values as they are: blanks, UTF-8, and what others would escape', async () => {
    await using served = await serve()
    const client = await served.client()
    await client.ask('new')
    const answers = await client.askAll(
      'put k a  b c', 'get k', 'put k2  x', 'get k2', 'put e', 'get e', 'exists e',
      'put p a=b|c&d%20+', 'get p', 'put u café €😀', 'get u', 'put  v empty key', 'get', 'get none', 'remove e', 'remove e',
    ) // biome-ignore format: pairs
    expect(answers).toEqual([
      'ok', 'ok a  b c', 'ok', 'ok  x', 'ok', 'ok ', 'ok',
      'ok', 'ok a=b|c&d%20+', 'ok', 'ok café €😀', 'ok', 'ok v empty key', 'err Key does not exist', 'ok', 'err Key does not exist',
    ]) // biome-ignore format: pairs
  })

  // F.1.45, F.1.46
  it('speaks PHP in both directions, and takes nothing but data', async () => {
    await using served = await serve()
    const client = await served.client()
    await client.ask('new')
    const array = 'a:3:{s:1:"a";s:1:"1";i:7;s:1:"x";s:1:"n";i:5;}'
    expect(await client.askAll(`put_all ${array}`, 'keys', 'get 7', 'get n', 'get_all')).toEqual([
      'ok', 'ok a|7|n', 'ok x', 'ok 5', `ok ${array}`,
    ]) // biome-ignore format: one line
    for (const garbage of ['garbage', 'O:8:"stdClass":0:{}', 'a:1000000000:{}', '', 'a:0:{}x']) {
      expect(await client.ask(`put_all ${garbage}`)).toBe('err Not a serialized array of scalars and arrays.')
    }
    expect(await client.ask('get_all')).toBe(`ok ${array}`)
    expect(await client.askAll('put_all a:1:{s:1:"l";a:0:{}}', 'get l')).toEqual(['ok', 'err Value is an array.'])
    expect(await client.askAll('put u caf\u00e9', 'remove l', 'get_all')).toEqual([
      'ok',
      'ok',
      'ok a:1:{s:1:"u";s:5:"caf\u00e9";}',
    ])
  })

  it('refuses to say in a line what does not fit in one', async () => {
    await using served = await serve()
    const client = await served.client()
    await client.ask('new')
    expect(
      await client.askAll('mput two%20lines a%0d%0ab x 1', 'get_all', 'get two lines', 'mget two%20lines x none'),
    ).toEqual(['ok', 'err Could not get session data.', 'err Key does not exist', 'ok =a%0d%0ab =1 -'])
    expect(await client.askAll('mput k a%0ab', 'get k', 'mput a|b 1', 'keys', 'mkeys')).toEqual([
      'ok',
      'err Value does not fit in a line.',
      'ok',
      'err Could not retrieve keys.',
      'ok two%20lines x k a|b',
    ])
  })

  it('answers what came before the client ended, also a line without an end', async () => {
    await using served = await serve()
    const { peer } = await served.client()
    peer.end('new\nput a 1\nget a')
    expect(await peer.text()).toMatch(/^ok [0-9a-f]{32}\r\nok\r\nok 1\r\n$/)
  })

  // F.1.23
  it('answers in order what comes while a command waits', async () => {
    await using served = await serve()
    const [holder, client] = [await served.client(), await served.client()]
    const id = await holder.make({ n: '1' })
    await holder.ask(`open ${id}`)
    void client.peer.write(`get n\r\nopen ${id}\r\nget n\r\nclose\r\n`)
    expect(await client.line()).toBe('err No session opened.')
    expect(await silent(client, 50)).toBe(true)
    await holder.askAll('put n 2', 'close')
    expect([await client.line(), await client.line(), await client.line()]).toEqual(['ok', 'ok 2', 'ok'])
  })

  // F.1.16
  it('forgets what was not closed when its client goes, and lets the next one in', async () => {
    await using served = await serve()
    const [one, other] = [await served.client(), await served.client()]
    const id = await one.make({ n: '1' })
    const third = await served.client()
    await third.askAll(`open ${id}`, 'put n 9')
    third.peer.reset()
    expect(await other.askAll(`open ${id}`, 'get n', 'close')).toEqual(['ok', 'ok 1', 'ok'])
    const fourth = await served.client()
    await fourth.askAll(`open ${id}`, 'put n 9')
    fourth.peer.end()
    expect(await other.askAll(`open ${id}`, 'get n')).toEqual(['ok', 'ok 1'])
  })

  // F.1.17
  it('commits: the lock is given up, and what was committed can still be read', async () => {
    await using served = await serve()
    const [a, b] = [await served.client(), await served.client()]
    const id = idOf(await a.ask('new'))
    expect(
      await a.askAll('put v 1', 'commit', 'put v 2', 'get v', 'commit', 'regenerate_id', 'remove v', 'put_all a:0:{}', 'destroy'),
    ).toEqual([
      'ok', 'ok', 'err Could not store value', 'ok 1', 'err Could not commit session.',
      'err Could not regenerate session id.', 'err Session is read-only.', 'err Session is read-only.', 'err Could not destroy session.',
    ]) // biome-ignore format: pairs
    expect(await b.askAll(`open ${id}`, 'get v', 'put v 2', 'close')).toEqual(['ok', 'ok 1', 'ok', 'ok'])
    expect(await a.askAll('get v', 'close', 'close')).toEqual(['ok 1', 'ok', 'err No session opened.'])
  })

  // F.1.28
  it('lets readers in without waiting, to what was last committed', async () => {
    await using served = await serve()
    const [a, b] = [await served.client(), await served.client()]
    const id = await a.make({ n: '1' })
    await a.askAll(`open ${id} rw`, 'put n 2')
    expect(await b.askAll(`open ${id} r`, 'get n', 'put n 3', 'close')).toEqual([
      'ok',
      'ok 1',
      'err Could not store value',
      'ok',
    ])
    await a.ask('close')
    expect(await b.askAll(`open ${id} r`, 'get n')).toEqual(['ok', 'ok 2'])
  })

  // F.1.20, F.1.21
  it('adopts no id that it did not make, unless it is told to', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'xps-state-'))
    try {
      await using served = await serve({ store: new FileStore(folder) })
      const client = await served.client()
      for (const id of [unknown, `../${unknown}`, 'short', `${unknown}\0`, '/etc/passwd', '']) {
        expect(await client.askAll(`open ${id}`, `open ${id} r`)).toEqual(Array(2).fill('err Could not open session.'))
      }
      expect(await readdir(folder)).toEqual(['.xps-lock'])
      await using lax = await serve({ strict: false })
      const other = await lax.client()
      expect(await other.askAll(`open ${unknown} r`, `open ${unknown}`, 'put a 1', 'close', `open ${unknown} r`, 'get a')).toEqual([
        'err Could not open session.', 'ok', 'ok', 'ok', 'ok', 'ok 1',
      ]) // biome-ignore format: one line
      expect(await other.ask('open ../../etc/passwd')).toBe('err Could not open session.')
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  // F.1.35
  it('loses nothing silently when another session is opened', async () => {
    await using served = await serve()
    const client = await served.client()
    const other = await client.make({ who: 'B' })
    const id = idOf(await client.ask('new'))
    const refused = 'err Session has unsaved changes, close it first.'
    expect(await client.askAll('put who A', 'new', `open ${other}`, `open ${other} r`, 'get who', 'close')).toEqual([
      'ok', refused, refused, refused, 'ok A', 'ok',
    ]) // biome-ignore format: one line
    expect(await client.askAll(`open ${id}`, `open ${other} r`, 'get who', `open ${id}`, 'get who')).toEqual([
      'ok', 'ok', 'ok B', 'ok', 'ok A',
    ]) // biome-ignore format: one line
  })

  it('never commits what was made and not closed', async () => {
    await using served = await serve()
    const [a, b] = [await served.client(), await served.client()]
    const id = idOf(await a.ask('new'))
    expect(await b.askAll(`open ${id} r`, 'keys', 'close')).toEqual(['ok', 'ok ', 'ok'])
    a.peer.reset()
    await until(async () => expect(await b.ask(`open ${id} r`)).toBe('err Could not open session.'))
    expect(await b.ask(`open ${id}`)).toBe('err Could not open session.')
  })

  it('destroys for all, and those who wait are told', async () => {
    await using served = await serve()
    const [a, b, c] = [await served.client(), await served.client(), await served.client()]
    const id = await a.make({ n: '1' })
    await a.ask(`open ${id}`)
    void b.send(`open ${id}`)
    void c.send(`drop ${id}`)
    expect(await silent(b, 30)).toBe(true)
    expect(await a.askAll('destroy', 'get n')).toEqual(['ok', 'err No session opened.'])
    expect([await b.line(), await c.line()]).toEqual(Array(2).fill('err Could not open session.'))
    expect(await b.ask(`open ${id} r`)).toBe('err Could not open session.')
  })

  // F.1.32
  it('gives a session another id, with its data, also what is not saved yet', async () => {
    await using served = await serve()
    const [a, b] = [await served.client(), await served.client()]
    const id = await a.make({ n: '1' })
    await a.askAll(`open ${id}`, 'put m 2')
    void b.send(`open ${id}`)
    expect(await silent(b, 30)).toBe(true)
    const other = idOf(await a.ask('regenerate_id'))
    expect(other).not.toBe(id)
    expect(await b.line()).toBe('err Could not open session.')
    // What was committed is there at once, in case that its holder never comes back.
    expect(await b.askAll(`open ${other} r`, 'keys', `open ${id} r`)).toEqual([
      'ok',
      'ok n',
      'err Could not open session.',
    ])
    expect(await a.askAll('get m', 'close')).toEqual(['ok 2', 'ok'])
    expect(await b.askAll(`open ${other} r`, 'keys')).toEqual(['ok', 'ok n|m'])
  })

  it('lets the old id be read for a while, if it is told to', async () => {
    const clock = new ManualClock()
    await using served = await serve({ graceLifetime: 150, clock })
    const [a, b] = [await served.client(), await served.client()]
    const id = await a.make({ n: '1' })
    await a.ask(`open ${id}`)
    await a.askAll('regenerate_id', 'put n 2', 'close')
    expect(await b.askAll(`open ${id}`, `open ${id} r`, 'get n', 'close')).toEqual([
      'err Could not open session.',
      'ok',
      'ok 1',
      'ok',
    ])
    clock.advance(1_000)
    expect(await b.ask(`open ${id} r`)).toBe('err Could not open session.')
  })

  it('keeps the last ids of a session that gets another one again and again, and not all', async () => {
    const store = new MemoryStore()
    await using served = await serve({ graceLifetime: 60_000, store })
    const [a, b] = [await served.client(), await served.client()]
    const ids = [await a.make({ n: '1' })]
    await a.ask(`open ${ids[0]}`)
    while (ids.length < 40) ids.push((await a.ask('regenerate_id')).slice(3))
    await a.ask('close')
    expect(store.size).toBe(17)
    expect(await b.askAll(`open ${ids.at(-18)} r`, `open ${ids.at(-17)} r`, `open ${ids.at(-1)} r`)).toEqual([
      'err Could not open session.', 'ok', 'ok',
    ]) // biome-ignore format: one line
    await b.askAll(`open ${ids.at(-1)}`, 'destroy')
    expect(store.size).toBe(0)
  })

  // F.1.41
  it('bounds keys, values, sessions and lines, and says which it was', async () => {
    await using served = await serve({
      maxKeyLength: 10, maxValueLength: 100, maxSessionSize: 200, maxKeys: 4, maxLineLength: 300,
      store: new MemoryStore({ maxSessions: 1 }),
    }) // biome-ignore format: limits
    const client = await served.client()
    await client.ask('new')
    expect(
      await client.askAll(
        `put ${'k'.repeat(11)} v`,
        `put k ${'v'.repeat(101)}`,
        `put a ${'v'.repeat(100)}`,
        `put b ${'v'.repeat(100)}`,
      ),
    ).toEqual(['err Key is too long.', 'err Value is too long.', 'ok', 'err Session is too large.'])
    expect(await client.askAll('put b 1', 'put c 1', 'put d 1', 'put e 1', 'put a 1', 'put e 1')).toEqual([
      'ok', 'ok', 'ok', 'err Too many keys.', 'ok', 'err Too many keys.',
    ]) // biome-ignore format: one line
    expect(await client.askAll('mput e 1 a 2', 'get a', 'put_all a:5:{i:1;N;i:2;N;i:3;N;i:4;N;i:5;N;}', 'get a')).toEqual([
      'err Too many keys.', 'ok 1', 'err Too many keys.', 'ok 1',
    ]) // biome-ignore format: one line
    expect(await client.askAll('close', 'new', 'close')).toEqual([
      'ok',
      expect.stringMatching(/^ok/),
      'err Too many sessions.',
    ])
    void client.peer.write('x'.repeat(2_000_000))
    expect(await client.peer.text()).toBe('err Line is too long.\r\n')
  })

  it('has a command line of more, and tells what it can', async () => {
    await using served = await serve({ commands: { incr: () => '1' } })
    const client = await served.client()
    const [ok, version, ...names] = (await client.ask('help')).split(' ')
    expect([ok, version]).toEqual(['ok', 'xps/1'])
    expect(names).toEqual(expect.arrayContaining(['mput', 'patch', 'touch', 'ttl', 'auth', 'stats', 'incr']))
  })

  it('changes many keys at once without a session open, or none of them', async () => {
    await using served = await serve()
    const client = await served.client()
    const id = await client.make({ a: '1', b: '2' })
    const [ok, version, ...words] = (await client.ask(`read ${id}`)).split(' ')
    expect([ok, ...words]).toEqual(['ok', 'a', '1', 'b', '2'])
    const [, next] = (await client.ask(`patch ${id} version ${version} put a 3 put c a%20b remove b`)).split(' ')
    expect(await client.ask(`read ${id}`)).toBe(`ok ${next} a 3 c a%20b`)
    expect(await client.askAll(`patch ${id} version ${version} put a 4`, `patch ${id} put a`, `patch ${id} bogus`)).toEqual([
      'err Session has changed.', 'err Arguments cannot be read.', 'err Arguments cannot be read.',
    ]) // biome-ignore format: one line
    expect(await client.askAll(`patch ${unknown} put a 1`, `read ${unknown}`, `drop ${unknown}`)).toEqual(
      Array(3).fill('err Could not open session.'),
    )
    expect(await client.ask(`patch ${unknown} create put a 1`)).toMatch(/^ok /)
    expect(await client.ask(`read ${unknown}`)).toMatch(/ a 1$/)
    expect(await client.askAll(`drop ${unknown}`, `create ${id}`, `create ${unknown}`, 'close')).toEqual([
      'ok', 'err Session exists.', `ok ${unknown}`, 'ok',
    ]) // biome-ignore format: one line
  })

  it('lets a client say how long its session may be unused, and nothing that is beyond any time', async () => {
    await using served = await serve({ idleLifetime: 0 })
    const client = await served.client()
    await client.ask('new')
    expect(await client.askAll('ttl', 'ttl 60000', 'close', 'ttl')).toEqual([
      'ok -1',
      'ok',
      'ok',
      'err No session opened.',
    ])
    await client.ask('new')
    expect(await client.askAll('ttl 60000', 'commit', 'ttl 1')).toEqual(['ok', 'ok', 'err Session is read-only.'])
    const [, left = ''] = (await client.ask('ttl')).split(' ')
    expect(Number(left)).toBeGreaterThan(59_000)
    expect(
      await client.askAll('ttl 999999999999999', 'ttl -1', 'ttl soon', `patch ${unknown} idle 999999999999999`),
    ).toEqual(Array(4).fill('err Arguments cannot be read.'))
  })

  it('runs commands of the host, with the words and the open session', async () => {
    const faults: string[] = []
    await using served = await serve({
      commands: {
        async incr([key = ''], session) {
          if (session === undefined) throw new Error('a secret of the host')
          session.put(key, String(Number(session.get(key) ?? 0) + 1))
          return session.get(key)
        },
        say: (words) => words.join('/'),
        nothing: () => undefined,
        lines: () => 'a\r\nok b',
      },
    })
    served.core.on('fault', ({ message }) => faults.push(message))
    const client = await served.client()
    expect(await client.askAll('incr n', 'new', 'incr n', 'incr n')).toEqual([
      'err Command failed.', expect.stringMatching(/^ok/), 'ok 1', 'ok 2',
    ]) // biome-ignore format: one line
    expect(await client.askAll('say one two  three', 'SAY', 'nothing', 'lines')).toEqual([
      'ok one/two  three', 'ok ', 'ok', 'err Value does not fit in a line.',
    ]) // biome-ignore format: one line
    expect(faults).toEqual([expect.stringContaining('a secret of the host')])
  })

  // F.1.43
  it('asks for a secret first, and hears those no longer who guess', async () => {
    await using served = await serve({ auth: ['open sesame', 'other'] })
    const client = await served.client()
    expect(await client.askAll('new', 'stats', 'bogus', 'auth wrong', 'new', 'auth open%20sesame', 'new')).toEqual([
      'err Not authenticated.', 'err Not authenticated.', 'err unknown command', 'err Wrong secret.', 'err Not authenticated.',
      'ok', expect.stringMatching(/^ok/),
    ]) // biome-ignore format: one line
    const guesser = await served.client()
    await guesser.peer.write('auth no\r\n'.repeat(12))
    expect(await guesser.peer.text()).toBe('err Wrong secret.\r\n'.repeat(11))
    await using asking = await serve({ auth: async (secret) => secret === 'later' })
    const [right, wrong] = [await asking.client(), await asking.client()]
    expect([await right.ask('auth later'), await wrong.ask('auth sooner')]).toEqual(['ok', 'err Wrong secret.'])
  })

  it('listens on this machine only, unless there is a secret or it is told otherwise', async () => {
    await using served = await serve()
    expect(served.address).toBe(`127.0.0.1:${served.port}`)
    for (const host of ['0.0.0.0', '::', '192.0.2.1']) {
      await expect(serve({}, { host })).rejects.toMatchObject({ code: 'XPS_INVALID_OPTION' })
    }
    await using guarded = await serve({ auth: 'secret' }, { host: '0.0.0.0' })
    await using open = await serve({ public: true }, { host: '0.0.0.0' })
    expect([guarded.address, open.address]).toEqual([`0.0.0.0:${guarded.port}`, `0.0.0.0:${open.port}`])
  })

  it('tells all ids, and what happens, to those who may know', async () => {
    await using served = await serve({ admin: true })
    const [watcher, client] = [await served.client(), await served.client()]
    expect(await watcher.ask('watch')).toBe('ok')
    const id = await client.make({ a: '1' })
    expect(await watcher.line()).toBe(`* committed ${id}`)
    await client.ask(`open ${id}`)
    const other = idOf(await client.ask('regenerate_id'))
    expect(await watcher.line()).toBe(`* regenerated ${other} ${id}`)
    await client.ask('destroy')
    expect(await watcher.line()).toBe(`* destroyed ${other}`)
    const ids = [await client.make(), await client.make(), await client.make()]
    const pages = await client.askAll('list 2', 'list 2', 'list')
    expect(pages.map((page) => page.split(' ').filter((word) => /^(more|end|[0-9a-f]{32})$/.test(word)))).toEqual([
      ['more', ids[0], ids[1]],
      ['end', ids[2]],
      ['end', ...ids],
    ])
    await using closed = await serve()
    const nobody = await closed.client()
    expect(await nobody.askAll('list', 'watch')).toEqual(Array(2).fill('err Not allowed.'))
  })

  // F.1.49
  it('serves the clients of the reference: as its save handler speaks, with an empty key', async () => {
    await using served = await serve()
    const maker = await served.client()
    const id = await maker.make()
    const { peer } = await served.client()
    // What PHP's session module says for one request: open, read, write, close. The trailing blank is the empty name.
    await peer.write(`open ${id}\r\nget \r\nput  user|s:3:"ali";n|i:1;\r\nclose\r\n`)
    expect(await peer.read('ok\r\nok\r\n')).toBe('ok\r\nerr Key does not exist\r\nok\r\nok\r\n')
    await peer.write(`open ${id}\r\nget \r\nclose\r\nopen ${id}\r\ndestroy\r\nopen ${id}\r\n`)
    expect(await peer.read('err Could not open session.\r\n')).toBe(
      'ok\r\nok user|s:3:"ali";n|i:1;\r\nok\r\nok\r\nok\r\nerr Could not open session.\r\n',
    )
  })

  // F.1.43
  it('encrypts, if its listener does', async () => {
    using authority = new TestAuthority()
    await using served = await serve({ auth: 'secret' }, { tls: authority.issue('127.0.0.1').pem })
    await using state = new StateClient(`tls://127.0.0.1:${served.port}`, {
      auth: 'secret',
      tls: { ca: authority.ca.pem.cert },
    })
    const id = await state.newSession(async (session) => {
      await session.put('n', '1')
      return session.id
    })
    expect((await state.read(id))?.entries.get('n')).toBe('1')
    await using plain = new StateClient(`127.0.0.1:${served.port}`, { auth: 'secret' })
    await expect(plain.read(id)).rejects.toMatchObject({ code: /XPS_(RESET|BAD_RESPONSE)/ })
  })

  const random = fuzzing(150)
  it(`answers every line with one, whatever is in it (seed ${random.seed})`, { timeout: random.timeout }, async () => {
    const word = fc.oneof(
      fc.constantFrom(
        ...['new', 'open', 'close', 'commit', 'get', 'put', 'exists', 'remove', 'keys', 'get_all', 'put_all'],
      ),
      fc.constantFrom(
        ...['destroy', 'regenerate_id', 'help', 'mput', 'mget', 'mkeys', 'mall', 'patch', 'read', 'ttl', 'drop'],
      ),
      fc.constantFrom(
        ...['rollback', 'create', 'acquire', 'touch', 'stats', 'a', '%', '%0a', 'put', 'a:0:{}', unknown, '', 'r'],
      ),
      fc.string({ unit: fc.constantFrom(' ', '%', '|', '\0', '\u00ff', '7', 'k'), maxLength: 5 }),
    )
    const lines = fc.array(
      fc.array(word, { maxLength: 5 }).map((words) => words.join(' ')),
      { maxLength: 30 },
    )
    await fc.assert(
      fc.asyncProperty(lines, async (all) => {
        const server = stateServer({ store: new MemoryStore(), lockTimeout: 0, strict: false })
        const { client, session } = inMemory(server)
        client.end(Buffer.from(all.map((line) => `${line}\n`).join(''), 'latin1'))
        const answers = (await client.bytes()).toString('latin1').split('\r\n')
        expect(answers.pop()).toBe('')
        expect(answers).toHaveLength(all.length)
        for (const answer of answers) expect(answer).toMatch(/^(ok( .*)?|err .+)$/s)
        expect(await session.closed).toBeUndefined()
        expect(server.sessions.stats().locks).toMatchObject({ held: 0, waiting: 0 })
        await server.sessions.close()
      }),
      random.parameters as fc.Parameters<[string[]]>,
    )
  })

  it('counts', async () => {
    await using served = await serve()
    const client = await served.client()
    await client.make({ n: '1' })
    await client.ask('bogus')
    const stats = JSON.parse((await client.ask('stats')).slice(3))
    expect(stats).toMatchObject({
      connections: 1,
      commands: 5,
      errors: 1,
      sessions: { container: 'memory', opened: 1, created: 1, committed: 1, locks: { held: 0, waiting: 0, given: 1 } },
    })
    expect(served.server.stats()).toMatchObject({ connections: 1 })
  })

  it('drains: idle clients are let go, others when they have closed their session', async () => {
    const store = new MemoryStore()
    await using served = await serve({ store })
    const [idle, busy] = [await served.client(), await served.client()]
    const id = await idle.make()
    await busy.askAll(`open ${id}`, 'put a 1')
    const closed = served.core.close()
    expect(await idle.peer.text()).toBe('')
    idle.peer.end()
    expect(await busy.ask('close')).toBe('ok')
    busy.peer.end()
    expect(await closed).toBeUndefined()
    expect(store.read(id)?.data.get('a')).toBe('1')
  })

  it('goes on with the same store when it listens again', async () => {
    const server = stateServer({ store: new MemoryStore() })
    const { client, session } = inMemory(server)
    const id = await new Client(client).make({ a: '1' })
    session.abort()
    await server.sessions.close()
    const again = new Client(inMemory(server).client)
    expect(await again.askAll(`open ${id} r`, 'get a')).toEqual(['ok', 'ok 1'])
    await server.sessions.close()
  })

  it('refuses options that cannot be', () => {
    const store = new MemoryStore()
    const bad: [object, RegExp][] = [
      [{ store: {} }, /store/],
      [{ store, bogus: 1 }, /bogus/],
      [{ store, auth: '' }, /auth/],
      [{ store, auth: [] }, /auth/],
      [{ store, lockTimeout: -1 }, /lockTimeout/],
      [{ store, idleLifetime: 1.5 }, /idleLifetime/],
      [{ store, strict: 'yes' }, /strict/],
      [{ store, admin: 1 }, /admin/],
      [{ store, public: 1 }, /public/],
      [{ store, maxLineLength: '1 foot' }, /maxLineLength/],
      [{ store, commands: { get: () => '' } }, /commands/],
      [{ store, commands: { 'A b': () => '' } }, /commands/],
      [{ store, commands: { a: 1 } }, /commands\.a/],
    ]
    for (const [options, message] of bad) expect(() => stateServer(options as never), String(message)).toThrow(message)
  })
})
