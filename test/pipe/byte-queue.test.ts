import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteQueue } from '../../src/pipe/byte-queue.ts'
import { pattern } from './hand-ends.ts'

/** Takes everything out, in pieces of at most this size. */
function takeAll(queue: ByteQueue, most: number): Buffer {
  const pieces: Buffer[] = []
  while (queue.length > 0) {
    const piece = queue.peek(most)
    if (piece.length === 0) throw new Error(`nothing to see of ${queue.length} bytes`)
    pieces.push(Buffer.from(piece))
    queue.drop(piece.length)
  }
  return Buffer.concat(pieces)
}

describe('ByteQueue', () => {
  it('is empty at first', () => {
    const queue = new ByteQueue()
    expect(queue.length).toBe(0)
    expect(queue.peek(10)).toHaveLength(0)
  })

  it('copies what it is given', () => {
    const queue = new ByteQueue()
    const bytes = Buffer.from('original')
    queue.push(bytes)
    bytes.fill('x')
    expect(queue.peek(100).toString()).toBe('original')
  })

  it('shows no more than it was asked for, and keeps it until it is dropped', () => {
    const queue = new ByteQueue()
    queue.push(Buffer.from('abcdef'))
    expect(queue.peek(2).toString()).toBe('ab')
    expect(queue.peek(2).toString()).toBe('ab')
    queue.drop(1)
    expect(queue.peek(2).toString()).toBe('bc')
    expect(queue.length).toBe(5)
  })

  it('takes nothing for nothing', () => {
    const queue = new ByteQueue()
    queue.push(new Uint8Array(0))
    expect(queue.length).toBe(0)
    expect(queue.peek(1)).toHaveLength(0)
  })

  it.each([1, 16_383, 16_384, 16_385, 32_768, 100_000])('gives %i bytes back as they came', (size) => {
    const bytes = pattern(size)
    const queue = new ByteQueue()
    queue.push(bytes)
    expect(queue.length).toBe(size)
    expect(takeAll(queue, 65_536).equals(bytes)).toBe(true)
  })

  it('never overwrites what it has shown, so that a sink may be busy with it', () => {
    const queue = new ByteQueue()
    queue.push(Buffer.from('first'))
    const shown = queue.peek(100)
    queue.drop(shown.length)
    for (let round = 0; round < 10; round++) queue.push(Buffer.alloc(10_000, 'x'))
    expect(shown.toString()).toBe('first')
  })

  it('keeps a large piece in one', () => {
    const queue = new ByteQueue()
    queue.push(pattern(100_000))
    expect(queue.peek(100_000)).toHaveLength(100_000)
  })

  it('keeps small pieces in shared blocks', () => {
    const queue = new ByteQueue()
    for (let index = 0; index < 1_000; index++) queue.push(Buffer.from([index & 255]))
    expect(queue.peek(1_000)).toHaveLength(1_000)
  })

  it('can be used again after it was cleared', () => {
    const queue = new ByteQueue()
    queue.push(pattern(50_000))
    queue.drop(queue.peek(100).length)
    queue.clear()
    expect(queue.length).toBe(0)
    expect(queue.peek(1)).toHaveLength(0)
    queue.push(Buffer.from('again'))
    expect(queue.peek(100).toString()).toBe('again')
  })

  it('behaves like one long buffer, in any order of calls', () => {
    const size = fc.oneof(fc.nat(300), fc.constantFrom(16_383, 16_384, 16_385, 40_000))
    const step = fc.oneof(
      fc.record({ act: fc.constant('push' as const), size }),
      fc.record({ act: fc.constant('drop' as const), size: fc.oneof(size, fc.constant(1_000_000)) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const queue = new ByteQueue()
        let model = Buffer.alloc(0)
        let written = 0
        const source = pattern(100_000)
        for (const { act, size } of steps) {
          if (act === 'push') {
            const from = written % 50_000
            const bytes = source.subarray(from, from + size)
            written += size
            model = Buffer.concat([model, bytes])
            queue.push(bytes)
          } else {
            const shown = queue.peek(size)
            expect(shown.length).toBeLessThanOrEqual(size)
            if (size > 0) expect(shown.length === 0).toBe(model.length === 0)
            expect(shown.equals(model.subarray(0, shown.length))).toBe(true)
            queue.drop(shown.length)
            model = model.subarray(shown.length)
          }
          expect(queue.length).toBe(model.length)
        }
        expect(takeAll(queue, 7_000).equals(model)).toBe(true)
      }),
      { numRuns: 100 },
    )
  })
})
