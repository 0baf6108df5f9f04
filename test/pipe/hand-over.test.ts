import { describe, expect, it } from 'vitest'
import { XpsError } from '../../src/errors.ts'
import { HandOverSink, HandOverSource } from '../../src/pipe/hand-over.ts'
import { Pipe } from '../../src/pipe/pipe.ts'
import { HandSink, HandSource, pattern } from './hand-ends.ts'

const reset = new XpsError('XPS_RESET', 'broken')

/** Two pipes, one behind the other, of the limit given. */
function joined(limit = 100): { from: HandSource; to: HandSink; first: Pipe; second: Pipe } {
  const from = new HandSource()
  const to = new HandSink()
  const source = new HandOverSource()
  const sink = new HandOverSink(source)
  const first = new Pipe(from.source, sink, { limit })
  const second = new Pipe(source, to.sink, { limit })
  return { from, to, first, second }
}

describe('HandOverSink', () => {
  it('hands a chunk on in the same call, the very same memory', () => {
    const { from, to, first, second } = joined()
    const chunk = pattern(50)
    expect(from.source.write(chunk)).toBe(50)
    expect(to.chunks[0]).toBe(chunk)
    expect(from.source.flushed).toBe(true)
    expect(first.buffered + second.buffered).toBe(0)
  })

  it('is not ready before there is a ready pipe behind it', () => {
    const from = new HandSource()
    const to = new HandSink()
    const source = new HandOverSource()
    const sink = new HandOverSink(source)
    expect(sink.ready).toBe(false)
    new Pipe(from.source, sink)
    from.source.write(Buffer.from('early'))
    expect(from.pulls).toBe(0)
    new Pipe(source, to.sink)
    expect(to.text).toBe('early')
    expect(from.pulls).toBe(1)
  })

  it('is ready at once when there is one', () => {
    const source = new HandOverSource()
    const to = new HandSink()
    new Pipe(source, to.sink)
    const sink = new HandOverSink(source)
    expect(sink.ready).toBe(true)
  })

  it('does not let the memory of the source go before the last sink is done with it', () => {
    const { from, to } = joined()
    to.busy = true
    from.source.write(pattern(50))
    expect(from.source.flushed).toBe(false)
    to.next()
    expect(from.source.flushed).toBe(true)
    expect(from.pulls).toBe(2)
  })

  it('holds no more than the two limits', () => {
    const { from, to, first, second } = joined(100)
    to.sink.ready = false
    let taken = 0
    for (let round = 0; round < 10; round++) taken += from.source.write(pattern(1_000).subarray(taken))
    expect(taken).toBeLessThanOrEqual(200)
    expect(taken).toBeGreaterThanOrEqual(100)
    expect(first.buffered).toBeLessThanOrEqual(100)
    expect(second.buffered).toBeLessThanOrEqual(100)
    from.source.end()
    while (to.ends.length === 0) to.next()
    expect(to.bytes.equals(pattern(1_000).subarray(0, taken))).toBe(true)
  })

  it('brings every byte over, in order, also between pipes of different limits', () => {
    for (const [one, other] of [
      [10, 1_000],
      [1_000, 10],
      [7, 13],
    ] as const) {
      const bytes = pattern(5_000)
      const to = new HandSink()
      to.busy = true
      const source = new HandOverSource()
      const first = new Pipe(HandSource.of(bytes, { chunk: 333 }).source, new HandOverSink(source), { limit: one })
      const second = new Pipe(source, to.sink, { limit: other })
      while (to.ends.length === 0) {
        expect(first.buffered).toBeLessThanOrEqual(one)
        expect(second.buffered).toBeLessThanOrEqual(other)
        to.next()
      }
      expect(to.bytes.equals(bytes)).toBe(true)
      expect(first.bytes).toBe(5_000)
    }
  })

  it('brings the end over, with its error, after the last byte', async () => {
    const { from, to, first, second } = joined()
    to.busy = true
    from.source.write(pattern(50))
    from.source.end(reset)
    expect(to.ends).toEqual([])
    to.next()
    expect(to.ends).toEqual([reset])
    expect(from.closes).toEqual([undefined])
    expect(await first.closed).toBe(reset)
    expect(await second.closed).toBe(reset)
  })

  it('brings an abort over, both ways', () => {
    for (const which of ['first', 'second'] as const) {
      const pipes = joined()
      pipes[which].abort(reset)
      expect(pipes.to.aborts).toEqual([reset])
      expect(pipes.from.closes).toEqual([reset])
    }
  })

  it('brings the close of the sink back to the source', () => {
    for (const error of [reset, undefined]) {
      const { from, to } = joined()
      to.sink.close(error)
      expect(from.closes).toEqual([error])
    }
  })

  it('is closed from the start when its source has ended', () => {
    const source = new HandOverSource()
    source.end()
    const from = new HandSource()
    const pipe = new Pipe(from.source)
    pipe.attachSink(new HandOverSink(source))
    expect(from.closes).toEqual([undefined])
  })
})

describe('HandOverSource', () => {
  it('takes from more than one sink, and all wait for its pipe', () => {
    const source = new HandOverSource()
    const one = new HandSource()
    const other = new HandSource()
    const to = new HandSink()
    new Pipe(one.source, new HandOverSink(source))
    new Pipe(other.source, new HandOverSink(source))
    const pipe = new Pipe(source, to.sink, { limit: 10 })
    expect([one.pulls, other.pulls]).toEqual([1, 1])
    to.busy = true
    one.source.write(Buffer.from('one '))
    other.source.write(Buffer.from('other '))
    one.source.write(Buffer.from('two'))
    while (to.sink.ready === false) to.next()
    expect(pipe.buffered).toBe(0)
    expect([...to.text].sort().join('')).toBe([...'one other two'].sort().join(''))
    expect(to.text.indexOf('one ')).toBeLessThan(to.text.indexOf('two'))
  })

  it('closes each of them when its pipe is over', () => {
    const source = new HandOverSource()
    const feeds = [new HandSource(), new HandSource()]
    for (const feed of feeds) new Pipe(feed.source, new HandOverSink(source))
    const to = new HandSink()
    new Pipe(source, to.sink)
    to.sink.close(reset)
    expect(feeds.map((feed) => feed.closes)).toEqual([[reset], [reset]])
  })
})
