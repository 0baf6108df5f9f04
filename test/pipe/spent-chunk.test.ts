import { type AddressInfo, createServer } from 'node:net'
import { beforeEach, describe, expect, it } from 'vitest'
import { ClientSession, type Connection, Core } from '../../src/index.ts'
import { giveUp, noteShown, noteWritten, worthwhile } from '../../src/pipe/spent-chunk.ts'
import { dial } from '../support/net.ts'

/** A chunk in memory of its own. */
function chunkOf(length = worthwhile): Uint8Array {
  return new Uint8Array(new ArrayBuffer(length)).fill(7)
}

describe('The memory of a chunk is given back', () => {
  // What tests before this one have shown to somebody, in the same process, is forgotten.
  beforeEach(() => giveUp(chunkOf()))

  it('when the kernel took all of it, in whatever pieces', () => {
    const chunk = chunkOf()
    noteWritten(chunk.subarray(0, 100), true)
    noteWritten(chunk.subarray(100), true)
    giveUp(chunk)
    expect(chunk.length).toBe(0)
    expect(chunk.buffer.byteLength).toBe(0)
  })

  it.each<[string, (chunk: Uint8Array) => void]>([
    ['none of it was written', () => {}],
    [
      'a program has seen it, though it was written then',
      (chunk) => {
        noteShown(chunk)
        noteWritten(chunk, true)
      },
    ],
    [
      'a program has seen it, and has written something else before it went on',
      (chunk) => {
        noteShown(chunk)
        noteWritten(chunkOf(), true)
        noteWritten(chunk, true)
      },
    ],
    [
      'a program has seen it, and has made something else that another has seen',
      (chunk) => {
        noteShown(chunk)
        noteShown(chunkOf())
        noteWritten(chunk, true)
      },
    ],
    ['some of it was not written', (chunk) => noteWritten(chunk.subarray(1), true)],
    ['some of it is still on its way', (chunk) => noteWritten(chunk, false)],
    [
      'some of it is still on its way, and more was written behind',
      (chunk) => {
        noteWritten(chunk.subarray(0, 100), false)
        noteWritten(chunk.subarray(100), true)
        noteWritten(chunk, true)
      },
    ],
    [
      'it was written twice',
      (chunk) => {
        noteWritten(chunk, true)
        noteWritten(chunk, true)
      },
    ],
    [
      'something else was written after it',
      (chunk) => {
        noteWritten(chunk, true)
        noteWritten(chunkOf(), true)
      },
    ],
  ])('but not when %s', (_, write) => {
    const chunk = chunkOf()
    write(chunk)
    giveUp(chunk)
    expect(chunk.length).toBe(worthwhile)
    expect(chunk[0]).toBe(7)
  })

  it('but not when other bytes are in it, too', () => {
    const memory = chunkOf(2 * worthwhile)
    const chunk = memory.subarray(0, worthwhile)
    noteWritten(memory, true)
    giveUp(chunk)
    expect(memory.length).toBe(2 * worthwhile)
  })

  it('once for each time that it is written', () => {
    const chunk = chunkOf()
    noteWritten(chunk, true)
    giveUp(chunkOf())
    giveUp(chunk)
    expect(chunk.length).toBe(0)
    giveUp(chunk)
  })
})

describe('What a client sends through a relay', () => {
  it('stays as it is for a stage that keeps it, against the rules', async () => {
    const kept: Uint8Array[] = []
    class Echo extends ClientSession {
      protected override onOpen(): void {
        const keep = (chunk: Uint8Array): Uint8Array => {
          kept.push(chunk)
          return chunk
        }
        this.pipe(this.client.source, this.client.sink, { through: [keep] })
      }
    }
    await using core = new Core()
    const protocol = (connection: Connection): Echo => new Echo(connection)
    const { port } = await core.listen({ port: 0, host: '127.0.0.1', protocol })
    const client = await dial(port)
    const size = 1024 * 1024
    void client.write(Buffer.alloc(size, 7))
    client.end()
    expect((await client.text()).length).toBe(size)
    expect(kept.some((chunk) => chunk.length >= worthwhile)).toBe(true)
    expect(kept.reduce((sum, chunk) => sum + chunk.length, 0)).toBe(size)
  })

  it('arrives whole, whether the server takes it at once or makes it wait', async () => {
    const size = 6 * 1024 * 1024
    const sent = Buffer.alloc(size)
    for (let at = 0; at < size; at += 4) sent.writeUInt32LE(at, at)
    const got: Buffer[] = []
    let pauses = 0
    const server = createServer((socket) => {
      socket.on('data', (chunk) => {
        got.push(chunk)
        // Now and then nothing is read until the kernel's buffers are full.
        if (++pauses % 16 !== 0) return
        socket.pause()
        setImmediate(() => setImmediate(() => socket.resume()))
      })
      socket.on('end', () => socket.end('done'))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const core = new Core()
    const listener = await core.listen({ port: 0, host: '127.0.0.1' }, { route: { upstream: `127.0.0.1:${port}` } })
    const client = await dial(listener.port)
    await client.write(sent)
    client.end()
    expect(await client.text()).toBe('done')
    expect(Buffer.concat(got).equals(sent)).toBe(true)
    core.abort()
    await core.closed
    await new Promise((resolve) => server.close(resolve))
  })
})
