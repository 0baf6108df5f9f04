import { describe, expect, it } from 'vitest'
import { ClientSession, type Connection, type Deadlines, type Protocol, type Zombie } from '../../src/index.ts'
import { ManualClock, type TestPeer } from '../../src/testing/index.ts'
import { dial, withCore } from '../support/net.ts'

/** Takes bytes and gives none; with a defect or two. */
class Defective extends ClientSession {
  protected override onOpen(): void {
    this.pipe(this.client.source, this.client.sink)
  }
  /** The defect: none of its timeouts ever ends it. */
  protected override deadlines(_deadlines: Deadlines): void {}
}

/** What the watch found, in a core of this protocol on which `act` was done and some time has passed. */
async function watched(
  protocol: Protocol,
  act: (client: TestPeer, port: number, session: ClientSession) => unknown,
  passes: number,
) {
  const clock = new ManualClock()
  await using core = withCore({ clock, zombieInterval: 10_000, tunnelIdleTimeout: 1_000 })
  const zombies: Zombie[] = []
  core.on('zombie', (zombie) => zombies.push(zombie))
  const { port } = await core.listen({ port: 0, host: '127.0.0.1', protocol })
  const client = await dial(port)
  while (core.sessions.length === 0) await new Promise((resolve) => setImmediate(resolve))
  const [session] = core.sessions as [ClientSession]
  await act(client, port, session)
  clock.advance(passes)
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
  const result = { zombies, counted: core.stats().zombies, error: session.error?.code, left: core.sessions.length }
  client.reset()
  return result
}

describe('The watch', () => {
  it('finds a session that is silent and that no timeout has ended, logs it whole and aborts it', async () => {
    const found = await watched(
      (client) => new Defective(client),
      async (client) => {
        await client.write('12345')
        await client.read(5)
      },
      20_000,
    )
    expect(found.zombies).toHaveLength(1)
    expect(found.zombies[0]).toMatchObject({
      reason: 'silent',
      phase: 'open',
      bytesIn: 5,
      bytesOut: 5,
      upstream: undefined,
    })
    expect(found.zombies[0]?.id).toMatch(/^session-\d+$/)
    expect(found.zombies[0]?.client).toMatch(/^127\.0\.0\.1:\d+$/)
    expect(found.zombies[0]?.age).toBeGreaterThanOrEqual(20_000)
    expect(found).toMatchObject({ counted: 1, error: 'XPS_ZOMBIE', left: 0 })
  })

  it('finds a session that is stuck in draining', async () => {
    class Stuck extends Defective {
      protected override onDrain(): void {}
    }
    const found = await watched(
      (client) => new Stuck(client),
      (_client, _port, session) => void session.close(),
      20_000,
    )
    expect(found.zombies).toMatchObject([{ reason: 'stuck', phase: 'draining' }])
    expect(found).toMatchObject({ counted: 1, error: 'XPS_ZOMBIE', left: 0 })
  })

  it('finds a connection that belongs to no session', async () => {
    let first: ClientSession | undefined
    // The defect: every client gets the session of the first, so that the second connection is nobody's.
    const protocol = (client: Connection): ClientSession => {
      first ??= new Defective(client)
      return first
    }
    let second: TestPeer | undefined
    const found = await watched(
      protocol,
      async (client, port, session) => {
        second = await dial(port)
        await client.write('x')
        await client.read(1)
        while (session.lastActive === 0) await new Promise((resolve) => setImmediate(resolve))
      },
      20_000,
    )
    expect(found.zombies.map(({ reason }) => reason)).toContain('orphan')
    await second?.over()
    second?.end()
  })

  it('finds nothing in sessions that work, however long they are silent by permission', async () => {
    class Patient extends Defective {
      override get timeouts() {
        return { ...super.timeouts, tunnelIdleTimeout: 0 }
      }
    }
    const found = await watched(
      (client) => new Patient(client),
      () => {},
      100_000,
    )
    expect(found).toMatchObject({ zombies: [], counted: 0, error: undefined, left: 1 })
  })
})
