import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { Slab } from '../../src/pipe/slab.ts'
import { TestServer, withCore } from '../support/net.ts'
import { Random } from '../support/random.ts'

describe('The slab that upstream sockets share', () => {
  it('mixes no bytes up when readers stall while others go on', async () => {
    const random = new Random()
    console.log(`shared slab: SEED=${random.seed}`)
    const total = 6_000_000
    const sessions = 24
    // Small pieces with pauses, so that many sockets point at the same slab while some of it is lent.
    await using upstream = await TestServer.start((_peer, socket) => {
      socket.once('data', (first) => {
        const fill = first[0] as number
        let sent = 0
        const send = (): void => {
          while (sent < total && !socket.destroyed) {
            const size = Math.min(total - sent, 1 + random.below(100_000))
            sent += size
            if (!socket.write(pattern(fill, sent - size, size))) {
              socket.once('drain', () => setImmediate(send))
              return
            }
          }
          socket.end()
        }
        send()
      })
    })
    await using core = withCore()
    const { port } = await core.listen({ port: 0, host: '127.0.0.1', route: { upstream: upstream.address } })
    let rescues = 0
    const rescue = Slab.prototype.rescue
    Slab.prototype.rescue = function (this: Slab, bytes: number, into?: Buffer) {
      rescues++
      return rescue.call(this, bytes, into)
    }
    try {
      const digests = await Promise.all(
        Array.from({ length: sessions }, (_, index) => download(port, index + 1, index % 3 === 0, random)),
      )
      digests.forEach((digest, index) => {
        expect(digest).toBe(
          createHash('sha1')
            .update(pattern(index + 1, 0, total))
            .digest('hex'),
        )
      })
    } finally {
      Slab.prototype.rescue = rescue
    }
    // Otherwise this test shows nothing: what it is about did not happen.
    expect(rescues).toBeGreaterThan(0)
  })
})

function pattern(fill: number, from: number, size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size)
  for (let index = 0; index < size; index++) bytes[index] = (fill * 31 + (from + index) * 7) & 255
  return bytes
}

/** Reads to the end, some with pauses long enough for the kernel to have no more room; resolves to the digest. */
function download(port: number, fill: number, slow: boolean, random: Random): Promise<string> {
  return new Promise((resolve, reject) => {
    const hash = createHash('sha1')
    const socket = connect({ port, host: '127.0.0.1' }, () => socket.write(Buffer.from([fill])))
    socket.on('data', (chunk) => {
      hash.update(chunk)
      if (!slow || random.below(6) > 0) return
      socket.pause()
      setTimeout(() => socket.resume(), random.below(15))
    })
    socket.once('end', () => resolve(hash.digest('hex')))
    socket.once('error', reject)
  })
}
