import { describe, expect, it } from 'vitest'
import { ClientSession, Core } from '../../src/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { dial, TestServer, withCore } from '../support/net.ts'

describe('core.drain()', () => {
  it('only asks: listeners stay, protocols are told, and it can be taken back', async () => {
    const told: string[] = []
    class Listening extends ClientSession {
      protected override onOpen(): void {
        this.pipe(this.client.source, this.client.sink)
        told.push(`${this.client.entrance?.draining}`)
      }
      protected override onDraining(draining: boolean): void {
        told.push(`told ${draining}`)
      }
    }
    await using core = withCore()
    core.on('drain', (draining) => told.push(`core ${draining}`))
    const { port } = await core.listen({ port: 0, host: '127.0.0.1', protocol: (client) => new Listening(client) })
    const one = await dial(port)
    await one.write('x')
    await one.read(1)
    core.drain()
    core.drain()
    const two = await dial(port)
    await two.write('y')
    expect(await two.read(1)).toBe('y')
    core.drain(false)
    await one.write('z')
    expect(await one.read(1)).toBe('z')
    expect(told).toEqual(['false', 'told true', 'core true', 'true', 'told false', 'told false', 'core false'])
    one.reset()
    two.reset()
  })

  it('can be asked of one listener', async () => {
    await using core = withCore()
    const one = await core.listen(0)
    const two = await core.listen(0)
    one.drain()
    expect([one.draining, two.draining, core.draining]).toEqual([true, false, false])
    core.drain()
    const three = await core.listen(0)
    expect(three.draining).toBe(true)
  })
})

describe('core.close()', () => {
  it('ends idle sessions at once and lets busy ones finish, and tells how many are left', async () => {
    await using upstream = await TestServer.start()
    const core = new Core()
    const { port } = await core.listen({
      port: 0,
      host: '127.0.0.1',
      lingerTimeout: 50,
      route: { upstream: upstream.address, lingerTimeout: 50 },
    })
    const silent = await dial(port)
    const silentPeer = await upstream.accept()
    const busy = await dial(port)
    const busyPeer = await upstream.accept()
    await busy.write('a question')
    await busyPeer.read(10)
    const progress: [number, number][] = []
    const ofListener: [number, number][] = []
    core.on('progress', (left, of) => progress.push([left, of]))
    core.listeners[0]?.on('progress', (left, of) => ofListener.push([left, of]))
    const closed = core.close()
    expect(await silent.text()).toBe('')
    silent.end()
    silentPeer.end()
    // The one that waits for an answer is there as long as it takes.
    expect(core.sessions).toHaveLength(2)
    busyPeer.end('an answer')
    busy.end()
    expect(await busy.text()).toBe('an answer')
    expect(await closed).toBeUndefined()
    expect(progress[0]).toEqual([2, 2])
    expect(progress.at(-1)).toEqual([0, 2])
    expect(ofListener).toEqual(progress)
  })

  it('ends a session that becomes idle while it drains', async () => {
    await using upstream = await TestServer.start()
    const core = new Core()
    const { port } = await core.listen({
      port: 0,
      host: '127.0.0.1',
      lingerTimeout: 50,
      route: { upstream: upstream.address, lingerTimeout: 50 },
    })
    const client = await dial(port)
    const peer = await upstream.accept()
    await client.write('a question')
    await peer.read(10)
    const closed = core.close()
    await peer.write('an answer, and no end')
    await client.read('no end')
    // Nobody ends: a second later nothing is owed, and the session is not waited for.
    expect(await client.text()).toBe('')
    expect(await peer.text()).toBe('')
    expect(await closed).toBeUndefined()
    client.end()
    peer.end()
  })

  it('waits for an answer that is owed, though the one before has just come', async () => {
    await using upstream = await TestServer.start()
    const clock = new ManualClock()
    const core = new Core({ clock })
    const { port } = await core.listen({ port: 0, host: '127.0.0.1', route: { upstream: upstream.address } })
    const client = await dial(port)
    const peer = await upstream.accept()
    await client.write('one?')
    await peer.read(4)
    await peer.write('one!')
    await client.read(4)
    // In the same tick of the wheel as the answer.
    await client.write('two?')
    await peer.read(4)
    clock.advance(1_200)
    const closed = core.close({ deadline: 5_000 })
    clock.advance(600)
    expect(core.sessions).toHaveLength(1)
    peer.end('two!')
    client.end()
    expect(await client.text()).toBe('two!')
    expect(await closed).toBeUndefined()
  })

  it('resolves at once when there is nothing to wait for', async () => {
    const core = new Core()
    await core.listen(0)
    const progress: number[] = []
    core.on('progress', (left) => progress.push(left))
    expect(await core.close()).toBeUndefined()
    expect(progress).toEqual([])
  })
})
