import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RemoteSession, StateClient } from '../../src/state/index.ts'
import { Cli, said } from '../support/cli.ts'
import { Postgres } from '../support/postgres.ts'
import { until } from '../support/until.ts'

const listening = /listening on (127\.0\.0\.1:\d+) → (.*)\n/
const lease = 600

let postgres: Postgres
let servers: Cli[]
let clients: StateClient[]
let texts: (string | undefined)[]
beforeAll(async () => {
  postgres = await Postgres.start()
  const args = ['state', '--port', '0', '--store', postgres.url, '--lock-lease', String(lease)]
  servers = [new Cli(args), new Cli(args)]
  const lines = await Promise.all(servers.map((server) => server.line(listening)))
  texts = lines.map(([, , text]) => text)
  clients = lines.map(([, address = '']) => new StateClient(address))
})
afterAll(async () => {
  for (const client of clients) client.abort()
  for (const server of servers) await server[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})

async function make(n = 0): Promise<string> {
  return first().newSession(async (session) => {
    await session.put('n', String(n))
    return session.id
  })
}
const clientOf = (index: number): StateClient => clients[index % 2] as StateClient
const first = (): StateClient => clientOf(0)
const second = (): StateClient => clientOf(1)
const countOf = async (id: string): Promise<string | undefined> => (await second().read(id))?.entries.get('n')

async function addOne(session: RemoteSession): Promise<void> {
  await session.put('n', String(Number(await session.get('n')) + 1))
}

describe('two servers over one Postgres', () => {
  it('say where they keep sessions, and nothing that could be secret', () => {
    expect(texts).toEqual(Array(2).fill(`Postgres on 127.0.0.1:${postgres.port}/postgres`))
  })

  it('count to fifty when fifty add one at the same time', async () => {
    const id = await make()
    await Promise.all(Array.from({ length: 50 }, (_, index) => clientOf(index).session(id, addOne)))
    expect(await countOf(id)).toBe('50')
    const [row] = await postgres.query(`SELECT count(*)::int AS n FROM xps_sessions_locks WHERE token <> ''`)
    expect(row).toEqual({ n: 0 })
  })

  it('give a session to those who wait in both in the order in which they came', async () => {
    const id = await make()
    const holder = await first().openSession(id)
    const order: string[] = []
    const waiting: Promise<void>[] = []
    for (const [index, name] of ['second', 'first', 'second again'].entries()) {
      waiting.push(clientOf(index + 1).session(id, () => void order.push(name)))
      if (name !== 'second') continue
      await until(async () => {
        const [row] = await postgres.query('SELECT cardinality(queue) AS n FROM xps_sessions_locks WHERE id = $1', [id])
        expect(row).toEqual({ n: 1 })
      })
    }
    await holder.close()
    await Promise.all(waiting)
    // Each server stands in the queue once, for all who wait in it.
    expect(order[0]).toBe('second')
    expect(order).toHaveLength(3)
  })

  it('give a lock on when its holder is silent for longer than the lease, and refuse what that still says', async () => {
    const id = await make(1)
    const holder = await first().openSession(id)
    await holder.put('n', 'late')
    servers[0]?.process.kill('SIGSTOP')
    const began = performance.now()
    await second().session(id, addOne)
    expect(performance.now() - began).toBeLessThan(lease + 1_500)
    servers[0]?.process.kill('SIGCONT')
    await expect(holder.close()).rejects.toMatchObject({ code: 'XPS_LOCK_LOST' })
    expect(await countOf(id)).toBe('2')
  })

  it('give on the lock of a server that was killed, and lose nothing that it had acknowledged', async () => {
    const id = await make(5)
    const holder = await first().openSession(id)
    await holder.put('n', 'never committed')
    servers[0]?.process.kill('SIGKILL')
    await servers[0]?.exited
    await second().session(id, addOne)
    expect(await countOf(id)).toBe('6')
  })

  it('leave no connection behind when they stop', async () => {
    await second().close()
    servers[1]?.process.kill('SIGTERM')
    expect(await servers[1]?.exited).toBe(0)
    expect(servers[1]?.stderr).toBe('')
    await until(async () => expect(await postgres.connections()).toBe(0))
  })
})

describe('xps state --store postgres://', () => {
  it('says in one line that it cannot start, and why', async () => {
    const port = new URL(postgres.url).port
    const wrong: [string, RegExp, number][] = [
      ['postgres://xps@127.0.0.1:1/postgres', /^xps: Postgres: connect ECONNREFUSED 127\.0\.0\.1:1\n$/, 1],
      [`postgres://xps:secret@127.0.0.1:${port}/nowhere`, /^xps: Postgres: database "nowhere" does not exist\n$/, 1],
    ]
    await Promise.all(
      wrong.map(async ([store, message, code]) => {
        await using cli = new Cli(['state', '--port', '0', '--store', store])
        expect(await cli.exited, store).toBe(code)
        expect(cli.stderr).toMatch(message)
      }),
    )
    expect(await said(['state', '--port', '0', '--store', 'postgres://x:secret@[/'])).toEqual({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/^xps: --store postgres:\/\/… is no address/),
    })
  })
})
