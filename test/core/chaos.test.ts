import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type ClientSession, Core, type Route } from '../../src/index.ts'
import { openDescriptors } from '../support/descriptors.ts'
import { closedPort, TestServer } from '../support/net.ts'
import { Random } from '../support/random.ts'

const count = 2_000
const parallel = 100

describe('2,000 sessions of random behaviour', () => {
  it('leave no counter, descriptor, session or rejection behind, and each close is told once and last', async () => {
    const random = new Random()
    console.log(`chaos: SEED=${random.seed}`)
    const rejections: unknown[] = []
    const note = (error: unknown): void => void rejections.push(error)
    process.on('unhandledRejection', note)
    const folder = await mkdtemp(join(tmpdir(), 'xps-'))
    await writeFile(join(folder, 'file.bin'), Buffer.alloc(200_000, 'f'))
    const before = openDescriptors().filter((name) => name.startsWith('socket:') || name.includes(folder)).length
    {
      await using upstream = await TestServer.start((peer, socket) => misbehaveAsUpstream(random, peer, socket))
      const refused = await closedPort()
      const core = new Core()
      const told = new Map<ClientSession, number>()
      const seen = new Set<string>()
      const closedEarly: string[] = []
      const faults: Error[] = []
      core.on('fault', (error) => faults.push(error))
      core.on('session', (session) => {
        told.set(session, 0)
        seen.add(session.client.address)
        session.on('close', () => {
          told.set(session, (told.get(session) ?? 0) + 1)
          if (session.size > 0 || session.phase !== 'closed') closedEarly.push(session.id)
          for (const connection of session.connections) closedEarly.push(connection.id)
        })
      })
      const good: Route = { upstream: upstream.address, lingerTimeout: 50 }
      const routes: Route[] = [
        good,
        good,
        good,
        good,
        { upstream: `127.0.0.1:${refused}` },
        { upstream: [`127.0.0.1:${refused}`, upstream.address], lingerTimeout: 50 },
        { file: 'file.bin', root: folder },
        { file: 'absent.bin', root: folder },
        { refuse: 'by chance' },
      ]
      const { port } = await core.listen({
        port: 0,
        host: '127.0.0.1',
        lingerTimeout: 50,
        route: () => {
          const route = random.below(20) === 0 ? undefined : random.pick(routes)
          return random.below(4) === 0 ? Promise.resolve(route) : route
        },
      })
      let started = 0
      const worker = async (): Promise<void> => {
        while (started++ < count) await misbehaveAsClient(random, port, core)
      }
      await Promise.all(Array.from({ length: parallel }, worker))
      // A client that broke off before the listener came to it may never be seen. But the kernel hands connections over
      // in the order in which they came, so when one more has been accepted there are none left to come.
      const last = connect({ port, host: '127.0.0.1' })
      last.on('error', () => {})
      await once(last, 'connect')
      while (!seen.has(`127.0.0.1:${last.localPort}`)) await new Promise((resolve) => setImmediate(resolve))
      last.destroy()
      await core.close({ deadline: 2_000 })
      expect(core.sessions).toHaveLength(0)
      expect(core.size).toBe(0)
      const stats = core.stats()
      expect(told.size + stats.refused.gone).toBe(stats.accepted)
      expect(stats.accepted).toBeGreaterThan(count * 0.9)
      expect(told.size).toBeGreaterThan(count / 2)
      expect([...told.values()].every((times) => times === 1)).toBe(true)
      expect(closedEarly).toEqual([])
      expect(faults).toEqual([])
      for (const session of told.keys()) expect(session.pipes).toHaveLength(0)
    }
    await new Promise((resolve) => setImmediate(resolve))
    const after = openDescriptors().filter((name) => name.startsWith('socket:') || name.includes(folder)).length
    expect(after).toBeLessThanOrEqual(before)
    expect(rejections).toEqual([])
    process.off('unhandledRejection', note)
    await rm(folder, { recursive: true })
  }, 60_000)
})

/** One client: says something or nothing, reads or not, and leaves in one of five ways. */
function misbehaveAsClient(random: Random, port: number, core: Core): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: random.below(2) === 0 })
    socket.on('error', () => {})
    socket.once('close', () => resolve())
    const leave = random.pick([
      () => socket.end(),
      () => socket.destroy(),
      () => socket.resetAndDestroy(),
      () => socket.end(Buffer.alloc(random.below(100_000), 'e')),
      () => {
        for (const session of core.sessions.slice(0, 1)) session.abort()
        socket.end()
      },
    ])
    const read = random.below(4)
    if (read === 0) socket.pause()
    else if (read === 1) readSlowly(socket)
    else socket.resume()
    socket.once('connect', () => {
      for (let times = random.below(4); times > 0; times--) socket.write(Buffer.alloc(random.below(90_000), 'c'))
      setTimeout(leave, random.below(20))
      // Whoever is still here a little later is let go, so that the test ends.
      setTimeout(() => socket.destroy(), 60 + random.below(60)).unref()
    })
  })
}

function misbehaveAsUpstream(random: Random, peer: { pause(): void; reset(): void }, socket: Socket): void {
  socket.on('error', () => {})
  const act = random.pick([
    () => socket.on('data', (chunk) => socket.write(chunk)).once('end', () => socket.end()),
    () => socket.end(Buffer.alloc(random.below(300_000), 'u')),
    () => socket.write(Buffer.alloc(random.below(300_000), 'u'), () => peer.reset()),
    () => peer.reset(),
    () => socket.destroy(),
    () => peer.pause(),
    () => socket.end(),
  ])
  act()
  setTimeout(() => socket.destroy(), 50 + random.below(100)).unref()
}

function readSlowly(socket: Socket): void {
  socket.on('data', () => {
    socket.pause()
    setTimeout(() => socket.resume(), 2)
  })
}
