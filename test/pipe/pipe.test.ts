import { once } from 'node:events'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { XpsError } from '../../src/errors.ts'
import { defaultPipeLimit, Pipe } from '../../src/pipe/pipe.ts'
import { PipeSink } from '../../src/pipe/sink.ts'
import { PipeSource } from '../../src/pipe/source.ts'
import { HandSink, HandSource, pattern, soon, turns } from './hand-ends.ts'

const reset = new XpsError('XPS_RESET', 'broken')

describe('Pipe', () => {
  describe('and its bytes', () => {
    it('hands a chunk on in the same call, the very same memory, while the sink is ready', () => {
      const from = new HandSource()
      const to = new HandSink()
      const pipe = new Pipe(from.source, to.sink)
      const chunk = pattern(1_000)
      expect(from.source.write(chunk)).toBe(1_000)
      expect(to.chunks).toHaveLength(1)
      expect(to.chunks[0]).toBe(chunk)
      expect(from.source.flushed).toBe(true)
      expect(pipe.buffered).toBe(0)
      expect(pipe.bytes).toBe(1_000)
    })

    it('hands two chunks on at once to a sink that can take them so, and otherwise takes neither', () => {
      class Gathering extends PipeSink {
        readonly pairs: string[] = []
        hold = false
        constructor() {
          super({ write: () => {} })
        }
        override takeBoth(head: Uint8Array, chunk: Uint8Array): boolean {
          this.pairs.push(`${head}|${chunk}`)
          if (this.hold) this.ready = false
          return true
        }
      }
      const from = new HandSource()
      const to = new Gathering()
      const pipe = new Pipe(from.source, to, { limit: 10 })
      const [head, body] = [Buffer.from('head'), Buffer.from('body')]
      expect(from.source.writeBoth(head, body)).toBe(true)
      expect(to.pairs).toHaveLength(1)
      expect([pipe.bytes, pipe.buffered]).toEqual([8, 0])
      expect(from.source.writeBoth(head, Buffer.from('too long'))).toBe(false)
      to.hold = true
      expect(from.source.writeBoth(head, body)).toBe(true)
      expect([pipe.bytes, pipe.buffered]).toEqual([16, 8])
      expect(from.source.writeBoth(head, body)).toBe(false)
      to.ready = true
      expect(pipe.buffered).toBe(0)
      const plain = new HandSource()
      const sink = new HandSink()
      new Pipe(plain.source, sink.sink)
      expect(plain.source.writeBoth(head, body)).toBe(false)
      expect(sink.chunks).toHaveLength(0)
      plain.source.end()
      expect(plain.source.writeBoth(head, body)).toBe(false)
    })

    it('copies what has to wait, so that the memory can be used again', () => {
      const from = new HandSource()
      const to = new HandSink()
      to.sink.ready = false
      new Pipe(from.source, to.sink)
      const chunk = Buffer.from('original')
      expect(from.source.write(chunk)).toBe(8)
      chunk.fill('x')
      expect(to.chunks).toHaveLength(0)
      to.next()
      expect(to.text).toBe('original')
    })

    it('holds no more than its limit, and says how many bytes it took', () => {
      const from = new HandSource()
      const to = new HandSink()
      to.sink.ready = false
      const pipe = new Pipe(from.source, to.sink, { limit: 100 })
      expect(pipe.room).toBe(100)
      expect(from.source.write(pattern(60))).toBe(60)
      expect(pipe.room).toBe(40)
      expect(from.source.ready).toBe(true)
      expect(from.source.write(pattern(1_000_000))).toBe(40)
      expect(pipe.buffered).toBe(100)
      expect(pipe.room).toBe(0)
      expect(from.source.ready).toBe(false)
      expect(from.source.write(pattern(1))).toBe(0)
      to.next()
      expect(to.bytes.equals(Buffer.concat([pattern(60), pattern(40)]))).toBe(true)
      expect(pipe.buffered).toBe(0)
      expect(pipe.room).toBe(100)
    })

    it('counts what a busy sink has as inside', () => {
      const from = new HandSource()
      const to = new HandSink()
      to.busy = true
      const pipe = new Pipe(from.source, to.sink, { limit: 100 })
      expect(from.source.write(pattern(70))).toBe(70)
      expect(pipe.buffered).toBe(70)
      expect(from.source.flushed).toBe(false)
      expect(from.source.write(pattern(70))).toBe(30)
      expect(pipe.buffered).toBe(100)
      to.next()
      expect(pipe.buffered).toBe(30)
      to.next()
      expect(pipe.buffered).toBe(0)
      expect(from.source.flushed).toBe(true)
      expect(pipe.bytes).toBe(100)
    })

    it('gives a write beyond its limit in parts, and no part after the sink is busy', () => {
      const sizes: number[] = []
      const to = new HandSink((chunk) => {
        sizes.push(chunk.length)
        return sizes.length < 3
      })
      const from = new HandSource()
      const pipe = new Pipe(from.source, to.sink, { limit: 100 })
      expect(from.source.write(pattern(1_000))).toBe(300)
      expect(sizes).toEqual([100, 100, 100])
      expect(pipe.buffered).toBe(100)
      expect(to.bytes.equals(pattern(300))).toBe(true)
    })

    it('gives a write beyond its limit whole to a sink that stays ready', () => {
      const from = new HandSource()
      const to = new HandSink()
      new Pipe(from.source, to.sink, { limit: 100 })
      expect(from.source.write(pattern(1_050))).toBe(1_050)
      expect(to.chunks.map((chunk) => chunk.length)).toEqual([...new Array(10).fill(100), 50])
      expect(to.bytes.equals(pattern(1_050))).toBe(true)
    })

    it('keeps the order of what waits and what comes after', () => {
      const from = new HandSource()
      const to = new HandSink()
      to.sink.ready = false
      new Pipe(from.source, to.sink)
      for (const word of ['one ', 'two ', 'three']) from.source.write(Buffer.from(word))
      to.next()
      from.source.write(Buffer.from(' four'))
      expect(to.text).toBe('one two three four')
    })

    it('takes 64 KiB by default, or what it is told in words', () => {
      expect(defaultPipeLimit).toBe(65_536)
      expect(new Pipe().limit).toBe(65_536)
      expect(new Pipe(undefined, undefined, { limit: '1 KiB' }).limit).toBe(1_024)
    })

    it('refuses options that make no sense', () => {
      for (const options of [{ limit: 0 }, { limit: -1 }, { limit: 'much' }, { limt: 5 }, { limit: 1.5 }]) {
        expect(() => new Pipe(undefined, undefined, options)).toThrow(
          expect.objectContaining({ code: 'XPS_INVALID_OPTION' }),
        )
      }
    })

    it('takes nothing without a pipe, and is not ready then', () => {
      const source = new PipeSource()
      expect(source.active).toBe(false)
      expect(source.ready).toBe(false)
      expect(source.write(Buffer.from('lost'))).toBe(0)
      expect(source.flushed).toBe(true)
    })

    it('adds to an account what it holds, and takes it off again', async () => {
      const account = { held: 1_000 }
      const from = new HandSource()
      const to = new HandSink()
      to.busy = true
      const pipe = new Pipe(from.source, to.sink, { limit: 100, account })
      from.source.write(pattern(30))
      expect(account.held).toBe(1_030)
      from.source.write(pattern(200))
      expect(account.held).toBe(1_100)
      to.next()
      expect(account.held).toBe(1_000 + pipe.buffered)
      expect(pipe.buffered).toBe(70)
      pipe.abort()
      expect(account.held).toBe(1_000)
      await pipe.closed
    })

    it('holds nothing, in its account either, when its sink closes while it is given bytes', () => {
      const account = { held: 0 }
      const from = new HandSource()
      const to = new HandSink((_chunk, sink) => {
        sink.close()
        return false
      })
      const pipe = new Pipe(from.source, to.sink, { account })
      from.source.write(pattern(10))
      expect(pipe.buffered).toBe(0)
      expect(pipe.flushed).toBe(true)
      expect(account.held).toBe(0)
    })

    it('delivers each byte once and in order, within its bound and on memory that is safe, whatever happens when', () => {
      const step = fc.oneof(
        fc.record({ act: fc.constant('write' as const), size: fc.oneof(fc.nat(40), fc.nat(400)) }),
        fc.record({ act: fc.constantFrom('ready', 'busy', 'free', 'hold'), size: fc.constant(0) }),
      )
      fc.assert(
        fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 150 }), (steps, limit) => {
          const all = pattern(40_000)
          const account = { held: 0 }
          const from = new HandSource()
          const to = new HandSink()
          const pipe = new Pipe(from.source, to.sink, { limit, account })
          let position = 0
          const lent: Buffer[] = []
          const check = (): void => {
            expect(pipe.buffered).toBeLessThanOrEqual(limit)
            expect(pipe.room).toBe(limit - pipe.buffered)
            expect(pipe.flushed).toBe(pipe.buffered === 0)
            expect(account.held).toBe(pipe.buffered)
            expect(pipe.bytes).toBe(to.bytes.length)
            expect(all.subarray(0, pipe.bytes).equals(to.bytes)).toBe(true)
            // What was taken has left or waits; what a busy sink has is inside although it has left.
            expect(pipe.bytes + pipe.buffered - to.lent).toBe(position)
            // Once all is flushed the memory is the source's again.
            if (from.source.flushed) for (const chunk of lent.splice(0)) chunk.fill(0)
          }
          for (const { act, size } of steps) {
            if (act === 'write') {
              const chunk = Buffer.from(all.subarray(position, position + size))
              lent.push(chunk)
              const taken = from.source.write(chunk)
              expect(taken).toBeLessThanOrEqual(size)
              if (taken < size) expect(from.source.ready).toBe(false)
              position += taken
            } else if (act === 'ready') to.next()
            else if (act === 'hold') to.sink.ready = false
            else to.busy = act === 'busy'
            check()
          }
          to.busy = false
          from.source.end()
          to.next()
          expect(to.bytes.equals(all.subarray(0, position))).toBe(true)
          expect(to.ends).toEqual([undefined])
          expect(from.closes).toEqual([undefined])
          expect(account.held).toBe(0)
        }),
        { numRuns: 100 },
      )
    })
  })

  describe('and its asking', () => {
    it('asks a source as soon as both ends are attached, in either order', () => {
      for (const order of ['source', 'sink']) {
        const from = new HandSource()
        const to = new HandSink()
        const pipe = new Pipe()
        if (order === 'source') pipe.attachSource(from.source)
        else pipe.attachSink(to.sink)
        expect(from.pulls).toBe(0)
        if (order === 'source') pipe.attachSink(to.sink)
        else pipe.attachSource(from.source)
        expect(from.pulls).toBe(1)
      }
    })

    it('asks nothing before the sink is ready', () => {
      const from = new HandSource()
      const to = new HandSink()
      to.sink.ready = false
      new Pipe(from.source, to.sink)
      expect(from.pulls).toBe(0)
      expect(from.source.ready).toBe(true)
      to.next()
      expect(from.pulls).toBe(1)
    })

    it('asks again only when it is empty and the sink ready', () => {
      const from = new HandSource()
      const to = new HandSink()
      to.busy = true
      new Pipe(from.source, to.sink, { limit: 100 })
      expect(from.pulls).toBe(1)
      from.source.write(pattern(60))
      from.source.write(pattern(60))
      to.next()
      expect(from.pulls).toBe(1)
      to.next()
      expect(from.pulls).toBe(2)
    })

    it('does not ask while a source writes to a sink that keeps up', () => {
      const from = new HandSource()
      new Pipe(from.source, new HandSink().sink)
      for (let round = 0; round < 10; round++) from.source.write(pattern(10))
      expect(from.pulls).toBe(1)
    })

    it('does not ask a source that has ended', () => {
      const from = new HandSource()
      const to = new HandSink()
      to.busy = true
      new Pipe(from.source, to.sink)
      from.source.write(pattern(10))
      from.source.end()
      to.next()
      expect(from.pulls).toBe(1)
      expect(to.ends).toEqual([undefined])
    })

    it('is asked again after a hold that the sink made by itself', () => {
      const from = new HandSource()
      const to = new HandSink()
      new Pipe(from.source, to.sink)
      to.sink.ready = false
      from.source.write(Buffer.from('held'))
      expect(to.text).toBe('')
      to.next()
      expect(to.text).toBe('held')
      expect(from.pulls).toBe(2)
    })

    it('moves a million bytes from a source that only writes when asked', async () => {
      const bytes = pattern(1_000_000)
      const from = HandSource.of(bytes, { chunk: 700 })
      const to = new HandSink()
      to.busy = true
      const pipe = new Pipe(from.source, to.sink, { limit: 3_000 })
      while (to.ends.length === 0) {
        expect(pipe.buffered).toBeLessThanOrEqual(3_000)
        to.next()
      }
      expect(to.bytes.equals(bytes)).toBe(true)
      expect(pipe.bytes).toBe(1_000_000)
      expect(await pipe.closed).toBeUndefined()
    })
  })

  describe('and its end', () => {
    it('tells the sink after the last byte, and the source that all was delivered', async () => {
      const told: string[] = []
      const source = new PipeSource({ close: (error) => void told.push(`source ${error}`) })
      const sink = new PipeSink({
        write: (chunk) => {
          told.push(`write ${chunk}`)
          return false
        },
        end: (error) => void told.push(`sink ${error}`),
      })
      const pipe = new Pipe(source, sink, { onClose: (error) => void told.push(`pipe ${error}`) })
      source.write(Buffer.from('a'))
      source.write(Buffer.from('b'))
      source.end()
      expect(source.ended).toBe(true)
      expect(source.ready).toBe(false)
      expect(source.active).toBe(true)
      expect(told).toEqual(['write a'])
      sink.ready = true
      expect(told).toEqual(['write a', 'write b'])
      sink.ready = true
      expect(told).toEqual(['write a', 'write b', 'sink undefined', 'source undefined', 'pipe undefined'])
      expect(source.active).toBe(false)
      expect(sink.active).toBe(false)
      expect(await pipe.closed).toBeUndefined()
    })

    it('brings an error of the source to the sink, after the last byte', async () => {
      const from = new HandSource()
      const to = new HandSink()
      to.sink.ready = false
      const pipe = new Pipe(from.source, to.sink)
      from.source.write(Buffer.from('all there is'))
      from.source.end(reset)
      expect(to.ends).toEqual([])
      to.next()
      expect(to.text).toBe('all there is')
      expect(to.ends).toEqual([reset])
      expect(to.aborts).toEqual([])
      // The source got everything delivered; that it was cut short it knows itself.
      expect(from.closes).toEqual([undefined])
      expect(await pipe.closed).toBe(reset)
    })

    it('ends once: what the source says later has no effect', () => {
      const from = new HandSource()
      const to = new HandSink()
      new Pipe(from.source, to.sink)
      from.source.end()
      from.source.end(reset)
      from.source.abort()
      expect(from.source.write(Buffer.from('late'))).toBe(0)
      expect(to.ends).toEqual([undefined])
      expect(to.aborts).toEqual([])
      expect(to.text).toBe('')
      expect(from.closes).toEqual([undefined])
    })

    it('reaches the source when the sink closes, and what waits is dropped', async () => {
      const from = new HandSource()
      const to = new HandSink()
      to.sink.ready = false
      const pipe = new Pipe(from.source, to.sink)
      from.source.write(pattern(10))
      to.sink.close(reset)
      to.sink.close(new Error('again'))
      expect(from.closes).toEqual([reset])
      expect(from.source.ended).toBe(true)
      expect(from.source.write(pattern(1))).toBe(0)
      expect(pipe.buffered).toBe(0)
      expect(pipe.room).toBe(0)
      to.sink.ready = true
      expect(to.chunks).toEqual([])
      expect(to.ends).toEqual([])
      expect(to.aborts).toEqual([])
      expect(await pipe.closed).toBe(reset)
    })

    it('is no error when the sink has had enough', async () => {
      const from = new HandSource()
      const to = new HandSink()
      const pipe = new Pipe(from.source, to.sink)
      to.sink.close()
      expect(from.closes).toEqual([undefined])
      expect(await pipe.closed).toBeUndefined()
    })

    it('says how many bytes were lost when the sink has had enough and some still waited', async () => {
      const from = new HandSource()
      const to = new HandSink()
      to.busy = true
      const pipe = new Pipe(from.source, to.sink)
      from.source.write(pattern(10))
      from.source.write(pattern(15))
      from.source.end()
      to.sink.close()
      expect(from.closes).toMatchObject([{ code: 'XPS_TRUNCATED' }])
      expect(from.closes[0]?.message).toContain('15 bytes were not delivered')
      expect(await pipe.closed).toBe(from.closes[0])
    })

    it('keeps the reason that a sink closed for: anything but an XpsError is the cause of one', () => {
      const from = new HandSource()
      const to = new HandSink()
      new Pipe(from.source, to.sink)
      const cause = new Error('why')
      to.sink.close(cause)
      expect(from.closes).toMatchObject([{ code: 'XPS_ABORTED', cause }])
    })

    it('tells both ends of an abort, now, once, and drops what is inside', async () => {
      for (const abort of ['pipe', 'source']) {
        const from = new HandSource()
        const to = new HandSink()
        to.sink.ready = false
        const pipe = new Pipe(from.source, to.sink)
        from.source.write(pattern(10))
        from.source.end()
        if (abort === 'pipe') pipe.abort(reset)
        else from.source.abort(reset)
        pipe.abort(new Error('again'))
        from.source.abort(new Error('again'))
        to.next()
        expect(to.chunks).toEqual([])
        expect(to.ends).toEqual([])
        expect(to.aborts).toEqual([reset])
        expect(from.closes).toEqual([reset])
        expect(pipe.buffered).toBe(0)
        expect(await pipe.closed).toBe(reset)
      }
    })

    it('gives an abort a code when it is given no reason', async () => {
      const to = new HandSink()
      const pipe = new Pipe(new HandSource().source, to.sink)
      pipe.abort()
      expect(to.aborts).toMatchObject([{ code: 'XPS_ABORTED' }])
      expect((await pipe.closed)?.code).toBe('XPS_ABORTED')
    })

    it('tells a sink without an abort of its own by its end', () => {
      const ends: unknown[] = []
      const sink = new PipeSink({ write: () => {}, end: (error) => void ends.push(error) })
      new Pipe(new HandSource().source, sink).abort(reset)
      expect(ends).toEqual([reset])
    })

    it('needs none of the handlers that may be left out', async () => {
      for (const end of [(pipe: Pipe) => pipe.abort(reset), (_pipe: Pipe, source: PipeSource) => source.end(reset)]) {
        const source = new PipeSource()
        const pipe = new Pipe(source, new PipeSink({ write: () => {} }))
        end(pipe, source)
        expect(await pipe.closed).toBe(reset)
      }
    })

    it('tells onClose once, with itself, however the pipe ends', async () => {
      const endings: Record<string, (from: HandSource, to: HandSink, pipe: Pipe) => void> = {
        end: (from) => from.source.end(),
        'end with an error': (from) => from.source.end(reset),
        'abort by the source': (from) => from.source.abort(reset),
        'close by the sink': (_from, to) => to.sink.close(reset),
        abort: (_from, _to, pipe) => pipe.abort(reset),
      }
      for (const [name, end] of Object.entries(endings)) {
        const told: unknown[] = []
        const from = new HandSource()
        const to = new HandSink()
        const pipe = new Pipe(from.source, to.sink, { onClose: (error, which) => told.push(error, which) })
        const early = pipe.closed
        end(from, to, pipe)
        for (const again of Object.values(endings)) again(from, to, pipe)
        const error = name === 'end' ? undefined : reset
        expect(told).toEqual([error, pipe])
        expect(from.closes).toHaveLength(1)
        expect(to.ends.length + to.aborts.length).toBe(name === 'close by the sink' ? 0 : 1)
        expect(await early).toBe(error)
        expect(await pipe.closed).toBe(error)
      }
    })

    it('only lets go of the sink with { end: false }, after the last byte', () => {
      const first = new HandSource()
      const to = new HandSink()
      to.busy = true
      new Pipe(first.source, to.sink, { end: false })
      first.source.write(Buffer.from('first '))
      first.source.end()
      expect(to.sink.active).toBe(true)
      to.next()
      expect(to.sink.active).toBe(false)
      expect(first.closes).toEqual([undefined])
      expect(to.ends).toEqual([])
      const second = new HandSource()
      new Pipe(second.source, to.sink)
      second.source.write(Buffer.from('second'))
      to.next()
      second.source.end()
      expect(to.text).toBe('first second')
      expect(to.ends).toEqual([undefined])
    })

    it('tells the sink of an abort even with { end: false }', () => {
      const to = new HandSink()
      new Pipe(new HandSource().source, to.sink, { end: false }).abort(reset)
      expect(to.aborts).toEqual([reset])
    })
  })

  describe('and its attaching', () => {
    it('lets go of a source, still delivers what it wrote, and takes another', () => {
      const first = new HandSource()
      const second = new HandSource()
      const to = new HandSink()
      to.sink.ready = false
      const pipe = new Pipe(first.source, to.sink)
      first.source.write(Buffer.from('first '))
      expect(pipe.detachSource()).toBe(first.source)
      expect(pipe.detachSource()).toBeUndefined()
      expect(first.source.active).toBe(false)
      expect(first.source.write(Buffer.from('lost'))).toBe(0)
      pipe.attachSource(second.source)
      second.source.write(Buffer.from('second'))
      second.source.end()
      to.next()
      expect(to.text).toBe('first second')
      expect(first.closes).toEqual([])
      expect(second.closes).toEqual([undefined])
    })

    it('moves a source to another pipe', () => {
      const from = new HandSource()
      const one = new HandSink()
      const other = new HandSink()
      const pipe = new Pipe(from.source, one.sink)
      from.source.write(Buffer.from('a'))
      pipe.detachSource()
      new Pipe(from.source, other.sink)
      from.source.write(Buffer.from('b'))
      from.source.end()
      expect(one.text).toBe('a')
      expect(one.ends).toEqual([])
      expect(other.text).toBe('b')
      expect(other.ends).toEqual([undefined])
    })

    it('does not call the memory of a source free while its sink is busy with it, also after letting go', () => {
      const from = new HandSource()
      const to = new HandSink()
      to.busy = true
      const pipe = new Pipe(from.source, to.sink)
      const chunk = pattern(100)
      from.source.write(chunk)
      pipe.detachSource()
      expect(from.source.flushed).toBe(false)
      to.next()
      expect(from.source.flushed).toBe(true)
    })

    it('keeps queued bytes for the next sink', () => {
      const from = new HandSource()
      const first = new HandSink()
      const second = new HandSink()
      const pipe = new Pipe(from.source, first.sink)
      from.source.write(Buffer.from('first'))
      expect(pipe.detachSink()).toBe(first.sink)
      expect(pipe.detachSink()).toBeUndefined()
      expect(first.sink.active).toBe(false)
      from.source.write(Buffer.from('second'))
      from.source.end()
      expect(pipe.buffered).toBe(6)
      pipe.attachSink(second.sink)
      expect(first.text).toBe('first')
      expect(second.text).toBe('second')
      expect(first.ends).toEqual([])
      expect(second.ends).toEqual([undefined])
    })

    it('does not let go of a sink that is busy', () => {
      const from = new HandSource()
      const to = new HandSink()
      to.busy = true
      const pipe = new Pipe(from.source, to.sink)
      from.source.write(Buffer.from('x'))
      expect(pipe.detachSink()).toBeUndefined()
      expect(to.sink.active).toBe(true)
      to.next()
      expect(pipe.detachSink()).toBe(to.sink)
    })

    it('does not let go of a sink that is being given bytes', () => {
      for (const busy of [true, false]) {
        const detached: unknown[] = []
        const from = new HandSource()
        const to = new HandSink(() => {
          detached.push(pipe.detachSink())
          return !busy
        })
        const pipe: Pipe = new Pipe(from.source, to.sink, { limit: 4 })
        to.sink.ready = false
        from.source.write(Buffer.from('ab'))
        from.source.write(Buffer.from('cd'))
        to.next()
        if (busy) to.next()
        from.source.end()
        expect(detached.every((sink) => sink === undefined)).toBe(true)
        expect(to.text).toBe('abcd')
        expect(to.ends).toEqual([undefined])
      }
    })

    it('gives no byte twice when a source is attached while the sink is given bytes', async () => {
      const first = new HandSource()
      const second = HandSource.of(Buffer.from('second'))
      const to = new HandSink(() => {
        if (!second.source.active && second.closes.length === 0) pipe.attachSource(second.source)
        return undefined
      })
      to.sink.ready = false
      const pipe: Pipe = new Pipe(first.source, to.sink)
      first.source.write(Buffer.from('first '))
      pipe.detachSource()
      to.next()
      await turns()
      expect(to.text).toBe('first second')
      expect(pipe.buffered).toBe(0)
      expect(to.ends).toEqual([undefined])
    })

    it('refuses a second source, a second sink, and ends that are attached elsewhere', () => {
      const from = new HandSource()
      const to = new HandSink()
      const pipe = new Pipe(from.source, to.sink)
      const closed = expect.objectContaining({ code: 'XPS_CLOSED' })
      expect(() => pipe.attachSource(new PipeSource())).toThrow(closed)
      expect(() => pipe.attachSink(new HandSink().sink)).toThrow(closed)
      expect(() => new Pipe().attachSource(from.source)).toThrow(closed)
      expect(() => new Pipe().attachSink(to.sink)).toThrow(closed)
    })

    it('refuses new ends when it is over', async () => {
      const pipe = new Pipe()
      pipe.abort()
      const closed = expect.objectContaining({ code: 'XPS_CLOSED' })
      expect(() => pipe.attachSource(new PipeSource())).toThrow(closed)
      expect(() => pipe.attachSink(new HandSink().sink)).toThrow(closed)
      await pipe.closed
    })

    it('refuses a new source after the end of the one it had', () => {
      const from = new HandSource()
      const to = new HandSink()
      to.sink.ready = false
      const pipe = new Pipe(from.source, to.sink)
      from.source.write(Buffer.from('x'))
      from.source.end()
      pipe.detachSource()
      expect(() => pipe.attachSource(new PipeSource())).toThrow(expect.objectContaining({ code: 'XPS_CLOSED' }))
      to.next()
      expect(to.text).toBe('x')
      expect(to.ends).toEqual([undefined])
    })

    it('takes another source after one that it had to refuse', () => {
      const used = new HandSource()
      new Pipe(used.source, new HandSink().sink)
      used.source.end()
      const from = new HandSource()
      const to = new HandSink()
      const pipe = new Pipe(undefined, to.sink)
      expect(() => pipe.attachSource(used.source)).toThrow(expect.objectContaining({ code: 'XPS_CLOSED' }))
      pipe.attachSource(from.source)
      from.source.write(Buffer.from('x'))
      expect(to.text).toBe('x')
    })

    it('brings the end of a source that ended before it was attached', async () => {
      for (const error of [undefined, reset]) {
        const from = new HandSource()
        const to = new HandSink()
        from.source.end(error)
        const pipe = new Pipe(from.source, to.sink)
        expect(to.ends).toEqual([error])
        expect(from.closes).toEqual([undefined])
        expect(from.pulls).toBe(0)
        expect(await pipe.closed).toBe(error)
      }
    })

    it('brings the abort of a source that was aborted before it was attached, as an end with an error', () => {
      const from = new HandSource()
      const to = new HandSink()
      from.source.abort(reset)
      new Pipe(from.source, to.sink)
      expect(to.ends).toEqual([reset])
    })

    it('keeps an end that comes before there is a sink', async () => {
      for (const error of [undefined, reset]) {
        const from = new HandSource()
        const to = new HandSink()
        const pipe = new Pipe(from.source)
        from.source.end(error)
        pipe.attachSink(to.sink)
        expect(to.ends).toEqual([error])
        expect(from.closes).toEqual([undefined])
        expect(await pipe.closed).toBe(error)
      }
    })

    it('tells a source that its sink was closed before it was attached', async () => {
      for (const error of [undefined, reset]) {
        const from = new HandSource()
        const to = new HandSink()
        to.sink.close(error)
        const told: unknown[] = []
        const pipe = new Pipe(from.source, to.sink, { onClose: (reason) => void told.push(reason) })
        expect(from.closes).toEqual([error])
        expect(told).toEqual([error])
        expect(await pipe.closed).toBe(error)
      }
    })

    it('tells a source that is attached already of a sink that is closed', async () => {
      const from = new HandSource()
      const to = new HandSink()
      const pipe = new Pipe(from.source)
      to.sink.close(reset)
      pipe.attachSink(to.sink)
      expect(from.closes).toEqual([reset])
      expect(await pipe.closed).toBe(reset)
    })

    it('does not wait for a source whose pipe is over', async () => {
      const from = new HandSource()
      new Pipe(from.source, new HandSink().sink)
      from.source.end()
      let outcome: unknown
      try {
        outcome = (await soon(new Pipe(from.source, new HandSink().sink).closed))?.value
      } catch (error) {
        outcome = error
      }
      expect(outcome).toMatchObject({ code: 'XPS_CLOSED' })
    })
  })

  describe('and its handlers', () => {
    it('asks a source again that wrote while its sink was given bytes, and keeps the order', async () => {
      const words = ['two ', 'three']
      const from = new HandSource((source) => {
        while (words.length > 0 && source.write(Buffer.from(words[0] as string)) > 0) words.shift()
      })
      const taken: number[] = []
      const to = new HandSink(() => {
        if (taken.length < 2) taken.push(from.source.write(Buffer.from(words[0] as string)))
        return undefined
      })
      to.sink.ready = false
      new Pipe(from.source, to.sink)
      from.source.write(Buffer.from('one '))
      to.next()
      await turns()
      expect(taken[0]).toBe(0)
      expect(to.text).toBe('one two three')
    })

    it('asks a source again that wrote at the wrong time, also when the sink was busy then', async () => {
      let left = 1
      const from = new HandSource((source) => {
        if (left > 0 && source.write(Buffer.from('second')) > 0) left--
      })
      const to = new HandSink(() => {
        from.source.write(Buffer.from('second'))
        return false
      })
      to.sink.ready = false
      new Pipe(from.source, to.sink)
      from.source.write(Buffer.from('first '))
      to.next()
      await turns()
      expect(to.text).toBe('first ')
      to.next()
      await turns()
      expect(to.text).toBe('first second')
    })

    it('is not ready while it takes nothing, so that a loop over `ready` ends', () => {
      let rounds = 0
      const from = new HandSource()
      const to = new HandSink(() => {
        while (from.source.ready && rounds < 10 && from.source.write(Buffer.from('more')) === 0) rounds++
        return undefined
      })
      new Pipe(from.source, to.sink)
      from.source.write(Buffer.from('first'))
      expect(rounds).toBeLessThan(10)
    })

    it('asks a source again that found it not ready while its sink was given bytes', async () => {
      const waiting: string[] = []
      const send = (): void => {
        while (waiting.length > 0 && from.source.ready) from.source.write(Buffer.from(waiting.shift() as string))
      }
      const from = new HandSource(send)
      const to = new HandSink(() => {
        if (to.chunks.length === 1) {
          waiting.push(', then more')
          send()
        }
        return undefined
      })
      new Pipe(from.source, to.sink)
      from.source.write(Buffer.from('first'))
      await turns()
      expect(to.text).toBe('first, then more')
    })

    it('ends after a chunk during which the source ended', () => {
      const from = new HandSource()
      const to = new HandSink(() => {
        from.source.end()
        return undefined
      })
      new Pipe(from.source, to.sink)
      expect(from.source.write(Buffer.from('last'))).toBe(4)
      expect(to.text).toBe('last')
      expect(to.ends).toEqual([undefined])
      expect(from.closes).toEqual([undefined])
    })

    it('ends after all that waited when the source ends while the sink is given it', () => {
      const from = new HandSource()
      const to = new HandSink(() => {
        from.source.end()
        return undefined
      })
      to.sink.ready = false
      new Pipe(from.source, to.sink, { limit: 40_000 })
      from.source.write(pattern(40_000))
      to.next()
      expect(to.bytes.equals(pattern(40_000))).toBe(true)
      expect(to.chunks.length).toBeGreaterThan(0)
      expect(to.ends).toEqual([undefined])
    })

    it('can be aborted and closed from within any handler', async () => {
      const ends: Record<string, (pipe: Pipe, from: HandSource, to: HandSink) => void> = {
        abort: (pipe) => pipe.abort(reset),
        'source abort': (_pipe, from) => from.source.abort(reset),
        'sink close': (_pipe, _from, to) => to.sink.close(reset),
      }
      for (const end of Object.values(ends)) {
        for (const where of ['pull', 'write', 'write of the queue']) {
          const account = { held: 0 }
          const from: HandSource = new HandSource(() => {
            if (where === 'pull') end(pipe, from, to)
          })
          const to: HandSink = new HandSink(() => {
            end(pipe, from, to)
            return undefined
          })
          const pipe: Pipe = new Pipe(undefined, to.sink, { limit: 100, account })
          if (where === 'write of the queue') to.sink.ready = false
          pipe.attachSource(from.source)
          if (where !== 'pull') from.source.write(pattern(300))
          to.sink.ready = true
          expect(from.closes).toEqual([reset])
          expect(to.chunks.length).toBe(where === 'pull' ? 0 : 1)
          expect(pipe.buffered).toBe(0)
          expect(account.held).toBe(0)
          expect(await pipe.closed).toBe(reset)
        }
      }
    })

    it('aborts when the asking throws, and tells both ends why', async () => {
      const cause = new Error('cannot read')
      const from = new HandSource(() => {
        throw cause
      })
      const to = new HandSink()
      const pipe = new Pipe(from.source, to.sink)
      expect(to.aborts).toMatchObject([{ code: 'XPS_FAULT', cause }])
      expect(from.closes).toEqual(to.aborts)
      expect(await pipe.closed).toBe(to.aborts[0])
    })

    it('closes when the writing throws, and tells the source why', async () => {
      const cause = new Error('cannot write')
      const from = new HandSource()
      const to = new HandSink(() => {
        throw cause
      })
      const pipe = new Pipe(from.source, to.sink)
      from.source.write(pattern(10))
      expect(from.closes).toMatchObject([{ code: 'XPS_FAULT', cause }])
      expect(to.ends).toEqual([])
      expect(to.aborts).toEqual([])
      expect(await pipe.closed).toBe(from.closes[0])
    })

    it('warns when a handler throws at the end, and ends all the same', async () => {
      const fail = (name: string) => (): never => {
        throw new Error(`${name} failed`)
      }
      const kinds: Record<string, () => Pipe> = {
        end: () => {
          const source = new PipeSource()
          const pipe = new Pipe(source, new PipeSink({ write: () => {}, end: fail('end') }))
          source.end()
          return pipe
        },
        abort: () => {
          const pipe = new Pipe(new PipeSource(), new PipeSink({ write: () => {}, abort: fail('abort') }))
          pipe.abort()
          return pipe
        },
        close: () => {
          const source = new PipeSource({ close: fail('close') })
          const pipe = new Pipe(source, new HandSink().sink)
          source.end()
          return pipe
        },
      }
      for (const [name, run] of Object.entries(kinds)) {
        const warned = once(process, 'warning')
        await run().closed
        expect((await warned)[0]).toMatchObject({
          code: 'XPS_FAULT',
          message: `a handler in a pipe failed: ${name} failed`,
        })
      }
    })

    it('resolves closed even if onClose throws, which harms nobody else', async () => {
      const from = new HandSource()
      const to = new HandSink()
      const pipe = new Pipe(from.source, to.sink, {
        onClose() {
          throw new Error('onClose failed')
        },
      })
      const closed = soon(pipe.closed)
      const warned = soon(once(process, 'warning'))
      expect(() => from.source.end()).not.toThrow()
      expect(to.ends).toEqual([undefined])
      expect(await closed).toEqual({ value: undefined })
      expect((await warned)?.value[0]).toMatchObject({ code: 'XPS_FAULT' })
    })
  })
})
