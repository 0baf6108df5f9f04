import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Slab, SlabPool, slabSize } from '../../src/pipe/slab.ts'

describe('Slab', () => {
  it('keeps lent bytes for whoever reads over them: what was read moves away, what was lent comes back', () => {
    const slab = new Slab(16)
    slab.pointers = 2
    slab.bytes.write('lent-bytes')
    slab.lend(10)
    expect(slab.lent).toBe(true)
    slab.bytes.write('read')
    const read = slab.rescue(4)
    expect(read.toString()).toBe('read')
    expect(slab.bytes.toString('latin1', 0, 10)).toBe('lent-bytes')
    slab.bytes.write('and more than was lent'.slice(0, 16))
    expect(slab.rescue(16).toString()).toBe('and more than wa')
    expect(slab.bytes.toString('latin1', 0, 10)).toBe('lent-bytes')
  })

  it('gives bytes of their own to whoever is rescued', () => {
    const slab = new Slab(16)
    slab.pointers = 2
    slab.bytes.write('lent')
    slab.lend(4)
    slab.bytes.write('read')
    const read = slab.rescue(4)
    slab.bytes.fill(0)
    expect(read.toString()).toBe('read')
  })

  it('is as good as new when it is given back', () => {
    const slab = new Slab(16)
    slab.pointers = 2
    slab.bytes.write('old')
    slab.lend(3)
    slab.giveBack()
    expect(slab.lent).toBe(false)
    slab.bytes.write('new')
    slab.lend(3)
    slab.bytes.write('xxx')
    slab.rescue(3)
    expect(slab.bytes.toString('latin1', 0, 3)).toBe('new')
  })

  it('has memory of its own, not a part of Node’s pool', () => {
    expect(new Slab(100).bytes.buffer.byteLength).toBe(100)
  })
})

describe('SlabPool', () => {
  it('points all at one slab of 64 KiB', () => {
    const pool = new SlabPool()
    const slab = pool.point()
    expect(slab.bytes).toHaveLength(slabSize)
    expect(pool.point()).toBe(slab)
    expect(slab.pointers).toBe(2)
    pool.leave(slab)
    expect(slab.pointers).toBe(1)
  })

  it('points at another while the one is lent, and uses it again later', () => {
    const pool = new SlabPool()
    const first = pool.point()
    first.lend(1)
    const second = pool.point()
    expect(second).not.toBe(first)
    expect(pool.point()).toBe(second)
    pool.leave(first)
    pool.giveBack(first)
    second.lend(1)
    expect(pool.point()).toBe(first)
  })

  it('goes on with a slab that is given back before anybody else asked', () => {
    const pool = new SlabPool()
    const slab = pool.point()
    slab.lend(1)
    pool.giveBack(slab)
    expect(pool.point()).toBe(slab)
  })

  it('points at no slab that was lent again while it was spare', () => {
    const pool = new SlabPool()
    // Two sockets point at the first slab. One lends it, reads elsewhere from then on, and gives it back…
    const first = pool.point()
    pool.point()
    first.lend(10)
    const second = pool.point()
    pool.leave(first)
    pool.giveBack(first)
    // …then the other, which still points at it, lends it; and the current one is lent too.
    first.lend(10)
    second.lend(10)
    expect(pool.point().lent).toBe(false)
  })

  it('keeps only a few spare ones', () => {
    const pool = new SlabPool()
    const lent = Array.from({ length: 40 }, () => {
      const slab = pool.point()
      slab.lend(1)
      return slab
    })
    expect(new Set(lent).size).toBe(40)
    for (const slab of lent) pool.giveBack(slab)
    const again = Array.from({ length: 40 }, () => {
      const slab = pool.point()
      slab.lend(1)
      return slab
    })
    const kept = again.filter((slab) => lent.includes(slab)).length
    expect(kept).toBeGreaterThan(0)
    expect(kept).toBeLessThan(40)
  })

  it('mixes no bytes up, whoever reads, lends and gives back when', () => {
    // What a connection does with its slabs; see socket-source.ts.
    interface Socket {
      slab: Slab | undefined
      loan: { slab: Slab; bytes: Buffer } | undefined
    }
    const count = 6
    const which = fc.nat(count - 1)
    const step = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({ act: fc.constantFrom('read', 'readAndLend'), who: which, size: fc.nat(60) }),
      },
      { weight: 3, arbitrary: fc.record({ act: fc.constant('giveBack'), who: which, size: fc.constant(0) }) },
      { weight: 1, arbitrary: fc.record({ act: fc.constantFrom('open', 'close'), who: which, size: fc.constant(0) }) },
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120, size: 'max' }), (steps) => {
        const pool = new SlabPool()
        const point = (): Slab => {
          const slab = pool.point()
          expect(slab.lent).toBe(false)
          return slab
        }
        const giveBack = (socket: Socket): void => {
          if (socket.loan !== undefined) pool.giveBack(socket.loan.slab)
          socket.loan = undefined
        }
        const sockets = Array.from({ length: count }, (): Socket => ({ slab: point(), loan: undefined }))
        let fill = 0
        for (const { act, who, size } of steps) {
          const socket = sockets[who] as Socket
          const { slab } = socket
          if (act === 'open' && slab === undefined) socket.slab = point()
          else if (act === 'close' && slab !== undefined) {
            pool.leave(slab)
            socket.slab = undefined
            giveBack(socket)
          } else if (act === 'giveBack') giveBack(socket)
          else if (act.startsWith('read') && slab !== undefined && socket.loan === undefined) {
            // The kernel writes wherever the socket points.
            const bytes = Buffer.alloc(size + 1, ++fill & 255)
            slab.bytes.set(bytes)
            if (slab.lent) expect(slab.rescue(bytes.length).equals(bytes)).toBe(true)
            else if (act === 'readAndLend') {
              slab.lend(bytes.length)
              socket.loan = { slab, bytes }
            }
            pool.leave(slab)
            socket.slab = point()
          }
          for (const { loan } of sockets) {
            if (loan !== undefined) expect(loan.slab.bytes.subarray(0, loan.bytes.length).equals(loan.bytes)).toBe(true)
          }
        }
        for (const socket of sockets) {
          giveBack(socket)
          if (socket.slab !== undefined) pool.leave(socket.slab)
        }
        expect(pool.point().pointers).toBe(1)
      }),
      { numRuns: 100 },
    )
  })
})
