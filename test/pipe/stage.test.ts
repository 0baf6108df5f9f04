import { randomBytes } from 'node:crypto'
import { getDefaultHighWaterMark, PassThrough, Transform } from 'node:stream'
import { CompressionStream, DecompressionStream, TransformStream } from 'node:stream/web'
import { createGunzip, createGzip, gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { XpsError } from '../../src/errors.ts'
import { Pipe } from '../../src/pipe/pipe.ts'
import { PipeSink } from '../../src/pipe/sink.ts'
import { PipeSource } from '../../src/pipe/source.ts'
import type { ChunkFunction, Stage } from '../../src/pipe/stage.ts'
import { HandSink, HandSource, pattern, soon, turns } from './hand-ends.ts'

const reset = new XpsError('XPS_RESET', 'broken')
const same: ChunkFunction = (chunk) => chunk
const upper: ChunkFunction = (chunk) => Buffer.from(Buffer.from(chunk).toString('latin1').toUpperCase(), 'latin1')

/** One of each kind of stage that passes bytes on as they are. */
const kinds: Record<string, () => Stage> = {
  'a function': () => same,
  'a Node transform': () => new PassThrough(),
  'a web transform': () => new TransformStream() as Stage,
  'an object that opens': () => {
    return {
      open() {
        const stream = new PassThrough()
        return { sink: PipeSink.from(stream), source: PipeSource.from(stream) }
      },
    }
  },
}

describe('A stage', () => {
  describe.each(Object.entries(kinds))('that is %s', (kind, make) => {
    it('passes a million bytes on, and then the end', async () => {
      const bytes = pattern(1_000_000)
      const from = HandSource.of(bytes, { chunk: 33_000 })
      const to = new HandSink()
      const pipe = new Pipe(from.source, to.sink, { through: [make()], limit: 50_000 })
      expect(await pipe.closed).toBeUndefined()
      expect(to.bytes.equals(bytes)).toBe(true)
      expect(to.ends).toEqual([undefined])
      expect(to.aborts).toEqual([])
      expect(from.closes).toEqual([undefined])
      expect(pipe.bytes).toBe(1_000_000)
      expect(pipe.buffered).toBe(0)
    })

    it('passes the end on when there were no bytes', async () => {
      const from = new HandSource()
      const to = new HandSink()
      const pipe = new Pipe(from.source, to.sink, { through: [make(), make()] })
      from.source.end()
      expect(await pipe.closed).toBeUndefined()
      expect(to.ends).toEqual([undefined])
      expect(from.closes).toEqual([undefined])
    })

    it('keeps up with a sink that takes one chunk at a time', async () => {
      const bytes = pattern(30_000)
      const to = new HandSink()
      to.busy = true
      const from = HandSource.of(bytes, { chunk: 700 })
      const pipe = new Pipe(from.source, to.sink, { through: [make(), make()], limit: 1_000 })
      while (to.ends.length === 0) {
        to.next()
        await turns(1)
      }
      expect(await pipe.closed).toBeUndefined()
      expect(to.bytes.equals(bytes)).toBe(true)
    })

    it('lets the source wait when the sink takes nothing', async () => {
      let written = 0
      const chunk = pattern(10_000)
      const from = new HandSource((source) => {
        while (source.ready && written < 50_000_000) written += source.write(chunk)
      })
      const to = new HandSink()
      to.busy = true
      const pipe = new Pipe(from.source, to.sink, { through: [make(), make()], limit: 20_000 })
      let before = -1
      while (before !== written) {
        before = written
        await turns(20)
      }
      // Three pipes with their limit, and what two streams hold by themselves.
      expect(written).toBeGreaterThan(0)
      expect(written).toBeLessThan(3 * 20_000 + 2 * (100_000 + 2 * getDefaultHighWaterMark(false)))
      expect(pipe.buffered).toBeLessThanOrEqual(20_000)
      pipe.abort()
      await pipe.closed
    })

    it('brings an error at the end to the sink', async () => {
      const from = new HandSource()
      const to = new HandSink()
      const pipe = new Pipe(from.source, to.sink, { through: [make(), make()] })
      from.source.end(reset)
      expect(await pipe.closed).toBe(reset)
      expect(to.ends).toEqual([reset])
      expect(to.aborts).toEqual([])
      expect(from.closes).toEqual([undefined])
    })

    it('brings the close of the sink to the source, with its reason if it has one', async () => {
      // Ends that a host made by hand of a stream cannot tell a close without a reason from a break.
      for (const error of kind === 'an object that opens' ? [reset] : [reset, undefined]) {
        const from = new HandSource()
        const to = new HandSink()
        const pipe = new Pipe(from.source, to.sink, { through: [make(), make()] })
        from.source.write(pattern(100))
        to.sink.close(error)
        expect(await pipe.closed).toBe(error)
        await turns()
        expect(from.closes).toEqual([error])
        expect(to.ends).toEqual([])
        expect(to.aborts).toEqual([])
      }
    })

    it('passes an abort on both ways', async () => {
      for (const by of ['pipe', 'source']) {
        const from = new HandSource()
        const to = new HandSink()
        to.busy = true
        const pipe = new Pipe(from.source, to.sink, { through: [make(), make()] })
        from.source.write(pattern(100))
        await turns()
        if (by === 'pipe') pipe.abort(reset)
        else from.source.abort(reset)
        expect(from.closes).toEqual([reset])
        expect(to.aborts).toEqual([reset])
        expect(to.ends).toEqual([])
        expect(await pipe.closed).toBe(reset)
      }
    })
  })

  describe('that is a function', () => {
    it('changes the bytes, in the same call', () => {
      const from = new HandSource()
      const to = new HandSink()
      new Pipe(from.source, to.sink, { through: [upper] })
      from.source.write(Buffer.from('loud'))
      expect(to.text).toBe('LOUD')
    })

    it('hands the very same memory on if it returns it', () => {
      const from = new HandSource()
      const to = new HandSink()
      new Pipe(from.source, to.sink, { through: [same, same] })
      const chunk = pattern(100)
      from.source.write(chunk)
      expect(to.chunks[0]).toBe(chunk)
    })

    it('drops a chunk by undefined or by nothing', () => {
      const from = new HandSource()
      const to = new HandSink()
      const dropA: ChunkFunction = (chunk) => (chunk[0] === 97 ? undefined : chunk)
      const dropB: ChunkFunction = (chunk) => (chunk[0] === 98 ? new Uint8Array(0) : chunk)
      new Pipe(from.source, to.sink, { through: [dropA, dropB] })
      for (const word of ['a', 'b', 'c', 'a', 'd']) from.source.write(Buffer.from(word))
      from.source.end()
      expect(to.text).toBe('cd')
      expect(to.chunks).toHaveLength(2)
      expect(to.ends).toEqual([undefined])
    })

    it('may return more than the limit', () => {
      const ten: ChunkFunction = (chunk) => Buffer.from(Array.from(chunk).flatMap((byte) => new Array(10).fill(byte)))
      const bytes = pattern(400)
      const account = { held: 0 }
      const to = new HandSink()
      to.busy = true
      new Pipe(HandSource.of(bytes, { chunk: 50 }).source, to.sink, { through: [ten, ten], limit: 60, account })
      while (to.ends.length === 0) {
        expect(account.held).toBeLessThanOrEqual(180)
        to.next()
      }
      expect(to.chunks.every((chunk) => chunk.length <= 60)).toBe(true)
      expect(to.bytes.equals(Buffer.from(Array.from(bytes).flatMap((byte) => new Array(100).fill(byte))))).toBe(true)
    })

    it('aborts the pipe when it throws: both ends are told why', async () => {
      const cause = new Error('cannot change')
      const account = { held: 0 }
      const from = new HandSource()
      const to = new HandSink()
      const fails: ChunkFunction = () => {
        throw cause
      }
      const pipe = new Pipe(from.source, to.sink, { through: [same, fails, same], account })
      from.source.write(pattern(10))
      expect(from.closes).toMatchObject([{ code: 'XPS_FAULT', cause }])
      expect(to.aborts).toEqual(from.closes)
      expect(await pipe.closed).toBe(to.aborts[0])
      expect(pipe.buffered).toBe(0)
      expect(account.held).toBe(0)
    })

    it('is called in the order in which it stands', () => {
      const order: number[] = []
      const mark =
        (number: number): ChunkFunction =>
        (chunk) => {
          order.push(number)
          return chunk
        }
      const from = new HandSource()
      new Pipe(from.source, new HandSink().sink, { through: [mark(1), mark(2), mark(3)] })
      from.source.write(pattern(1))
      expect(order).toEqual([1, 2, 3])
    })

    it('gives the same bytes however they are cut and whenever the sink is ready', () => {
      // Each changes bytes one by one, so that the cuts make no difference.
      const changes: Record<string, (byte: number) => number[]> = {
        same: (byte) => [byte],
        xor: (byte) => [byte ^ 0x55],
        twice: (byte) => [byte, byte],
        odd: (byte) => (byte % 2 === 1 ? [byte] : []),
        none: () => [],
      }
      const names = fc.array(fc.constantFrom(...Object.keys(changes)), { minLength: 1, maxLength: 4 })
      const cuts = fc.array(fc.integer({ min: 1, max: 80 }), { minLength: 1, maxLength: 30 })
      const busy = fc.array(fc.boolean(), { minLength: 1, maxLength: 30 })
      fc.assert(
        fc.property(names, cuts, busy, fc.integer({ min: 1, max: 60 }), (names, cuts, busy, limit) => {
          const bytes = pattern(cuts.reduce((sum, cut) => sum + cut, 0))
          const account = { held: 0 }
          const through = names.map((name): ChunkFunction => {
            const change = changes[name] as (byte: number) => number[]
            return (chunk) => (name === 'same' ? chunk : Uint8Array.from([...chunk].flatMap(change)))
          })
          let position = 0
          let cut = 0
          const from = new HandSource((source) => {
            // The memory is the source's again when it is flushed: it is used for every chunk anew.
            while (source.ready && source.flushed && position < bytes.length) {
              const size = Math.min(cuts[cut++ % cuts.length] as number, bytes.length - position)
              const chunk = memory.subarray(0, size)
              bytes.copy(chunk, 0, position)
              position += source.write(chunk)
            }
            if (position === bytes.length && source.flushed) source.end()
          })
          const memory = Buffer.alloc(80)
          let turn = 0
          const to = new HandSink(() => !(busy[turn++ % busy.length] as boolean))
          const pipe = new Pipe(from.source, to.sink, { through, limit, account })
          for (let round = 0; to.ends.length === 0; round++) {
            if (round > 10_000) throw new Error('it hangs')
            expect(account.held).toBeLessThanOrEqual(limit * (names.length + 1))
            to.next()
          }
          const expected = names.reduce<number[]>(
            (all, name) => all.flatMap(changes[name] as (byte: number) => number[]),
            [...bytes],
          )
          expect(to.bytes.equals(Buffer.from(expected))).toBe(true)
          expect(pipe.bytes).toBe(expected.length)
          expect(account.held).toBe(0)
        }),
        { numRuns: 100 },
      )
    })
  })

  describe('that is a stream', () => {
    it('packs by zlib, and what comes out can be unpacked', async () => {
      const bytes = pattern(500_000)
      const to = new HandSink()
      await new Pipe(PipeSource.from(bytes), to.sink, { through: [createGzip()] }).closed
      expect(to.bytes.length).toBeLessThan(bytes.length)
      expect(gunzipSync(to.bytes).equals(bytes)).toBe(true)
    })

    it('packs and unpacks on one way, also mixed with functions and web streams', async () => {
      const bytes = randomBytes(300_000)
      const to = new HandSink()
      const pipe = new Pipe(PipeSource.from(bytes), to.sink, {
        limit: 10_000,
        through: [
          createGzip(),
          same,
          new CompressionStream('gzip') as Stage,
          new DecompressionStream('gzip') as Stage,
          createGunzip(),
        ],
      })
      expect(await pipe.closed).toBeUndefined()
      expect(to.bytes.equals(bytes)).toBe(true)
    })

    it('fails both ends when the stream fails', async () => {
      for (const stage of [createGunzip(), new DecompressionStream('gzip') as Stage]) {
        const from = new HandSource()
        const to = new HandSink()
        const pipe = new Pipe(from.source, to.sink, { through: [stage] })
        from.source.write(Buffer.from('this was never packed'))
        expect(await pipe.closed).toMatchObject({ code: 'XPS_STREAM' })
        await turns()
        expect(from.closes).toMatchObject([{ code: 'XPS_STREAM' }])
        expect([...to.ends, ...to.aborts]).toMatchObject([{ code: 'XPS_STREAM' }])
      }
    })

    it('fails both ends when the stream is destroyed by its owner', async () => {
      const stage = new PassThrough()
      const from = new HandSource()
      const to = new HandSink()
      const pipe = new Pipe(from.source, to.sink, { through: [stage] })
      from.source.write(Buffer.from('x'))
      stage.destroy()
      expect(await pipe.closed).toMatchObject({ code: 'XPS_STREAM' })
      expect(from.closes).toMatchObject([{ code: 'XPS_STREAM' }])
      expect([...to.ends, ...to.aborts]).toMatchObject([{ code: 'XPS_STREAM' }])
    })

    it('fails both ends when the stream fails before the sink is ready', async () => {
      const cause = new Error('early')
      const stage = new PassThrough()
      const from = new HandSource()
      const to = new HandSink()
      to.sink.ready = false
      const pipe = new Pipe(from.source, to.sink, { through: [stage] })
      stage.destroy(cause)
      await turns()
      expect(from.closes).toMatchObject([{ code: 'XPS_STREAM', cause }])
      to.next()
      expect(await pipe.closed).toMatchObject({ code: 'XPS_STREAM', cause })
    })

    it('may end by itself, and then the source need not go on', async () => {
      const head = new Transform({
        transform(chunk: Buffer, _encoding, done) {
          this.push(chunk.subarray(0, 4))
          this.push(null)
          done()
        },
      })
      const from = new HandSource()
      const to = new HandSink()
      new Pipe(from.source, to.sink, { through: [head] })
      from.source.write(Buffer.from('head and body'))
      await turns()
      expect(to.text).toBe('head')
      expect(to.ends).toEqual([undefined])
      expect(from.closes).toEqual([undefined])
    })

    it('is destroyed with the pipe', async () => {
      const stage = createGzip()
      const from = new HandSource()
      const pipe = new Pipe(from.source, new HandSink().sink, { through: [stage] })
      from.source.write(pattern(100))
      pipe.abort(reset)
      await pipe.closed
      await turns()
      expect(stage.destroyed).toBe(true)
    })
  })

  it('that opens ends may stand in many pipes', () => {
    let opened = 0
    const stage: Stage = {
      open() {
        opened++
        let sum = 0
        const source = new PipeSource({ pull: () => void (sink.ready = true), close: (error) => sink.close(error) })
        const sink: PipeSink = new PipeSink({
          write(chunk) {
            for (const byte of chunk) sum += byte
          },
          end(error) {
            source.write(Buffer.from(String(sum)))
            source.end(error)
          },
        })
        return { sink, source }
      },
    }
    for (const [text, sum] of [
      ['a', '97'],
      ['ab', '195'],
    ] as const) {
      const from = new HandSource()
      const to = new HandSink()
      new Pipe(from.source, to.sink, { through: [stage] })
      from.source.write(Buffer.from(text))
      from.source.end()
      expect(to.text).toBe(sum)
      expect(to.ends).toEqual([undefined])
    }
    expect(opened).toBe(2)
  })

  it('does not keep a sink from being attached, let go and attached again', () => {
    const from = new HandSource()
    const first = new HandSink()
    const second = new HandSink()
    const pipe = new Pipe(from.source, undefined, { through: [upper] })
    from.source.write(Buffer.from('early '))
    pipe.attachSink(first.sink)
    expect(first.text).toBe('EARLY ')
    from.source.write(Buffer.from('first'))
    expect(pipe.detachSink()).toBe(first.sink)
    from.source.write(Buffer.from('second'))
    pipe.attachSink(second.sink)
    from.source.end()
    expect(first.text).toBe('EARLY FIRST')
    expect(first.ends).toEqual([])
    expect(second.text).toBe('SECOND')
    expect(second.ends).toEqual([undefined])
  })

  it('leaves the sink alone at the end with { end: false }', async () => {
    const to = new HandSink()
    const first = new Pipe(PipeSource.from('one '), to.sink, { through: [upper, new PassThrough()], end: false })
    expect(await soon(first.closed)).toEqual({ value: undefined })
    expect(to.ends).toEqual([])
    expect(to.sink.active).toBe(false)
    await new Pipe(PipeSource.from('two'), to.sink, { through: [upper] }).closed
    expect(to.text).toBe('ONE TWO')
    expect(to.ends).toEqual([undefined])
  })

  it('tells onClose once, when the last pipe is over', async () => {
    const told: unknown[] = []
    const from = new HandSource()
    const to = new HandSink()
    to.busy = true
    const pipe = new Pipe(from.source, to.sink, { through: [same, same], onClose: (error) => void told.push(error) })
    from.source.write(Buffer.from('x'))
    from.source.end(reset)
    expect(told).toEqual([])
    to.next()
    expect(told).toEqual([reset])
    expect(await pipe.closed).toBe(reset)
  })

  it('tells a source that the sink behind it was closed before it began', async () => {
    const from = new HandSource()
    const to = new HandSink()
    to.sink.close(reset)
    const pipe = new Pipe(from.source, to.sink, { through: [same, same] })
    expect(from.closes).toEqual([reset])
    expect(await pipe.closed).toBe(reset)
  })

  it.each([[42], ['gzip'], [null], [undefined], [{}], [[]], [true]])('is refused if it is %o', (stage) => {
    expect(() => new Pipe(undefined, undefined, { through: [stage as never] })).toThrow(
      expect.objectContaining({ code: 'XPS_INVALID_OPTION' }),
    )
  })
})
