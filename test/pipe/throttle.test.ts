import { execFileSync } from 'node:child_process'
import { buildSync } from 'esbuild'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { XpsError } from '../../src/errors.ts'
import { Pipe } from '../../src/pipe/pipe.ts'
import type { Stage } from '../../src/pipe/stage.ts'
import { throttle } from '../../src/pipe/throttle.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { HandSink, HandSource, pattern } from './hand-ends.ts'

const reset = new XpsError('XPS_RESET', 'broken')

/** A pipe that is throttled by a clock of the test's, from a source that always has more. */
function throttled(
  rate: number | string,
  options: { burst?: number; size?: number; limit?: number; chunk?: number; more?: Stage[] } = {},
): { clock: ManualClock; from: HandSource; to: HandSink; pipe: Pipe; bytes: Buffer } {
  const clock = new ManualClock()
  const bytes = pattern(options.size ?? 1_000_000)
  const from = HandSource.of(bytes, { chunk: options.chunk ?? 65_536 })
  const to = new HandSink()
  const stage = throttle(rate, { clock, ...(options.burst === undefined ? {} : { burst: options.burst }) })
  const pipe = new Pipe(from.source, to.sink, {
    through: [stage, ...(options.more ?? [])],
    limit: options.limit ?? 65_536,
  })
  return { clock, from, to, pipe, bytes }
}

describe('throttle', () => {
  it('lets a burst through at once, and then so many bytes a millisecond', () => {
    const { clock, to, pipe, bytes } = throttled(1_000)
    expect(pipe.bytes).toBe(100)
    clock.advance(99)
    expect(pipe.bytes).toBe(100)
    clock.advance(1)
    expect(pipe.bytes).toBe(200)
    clock.advance(10_000)
    expect(pipe.bytes).toBe(10_200)
    expect(to.bytes.equals(bytes.subarray(0, 10_200))).toBe(true)
    pipe.abort()
  })

  it('delivers all in the time that it takes, and then the end', async () => {
    const { clock, from, to, pipe, bytes } = throttled('10 KB/s', { size: 50_000 })
    clock.advance(4_800)
    expect(to.ends).toEqual([])
    clock.advance(100)
    expect(to.bytes.equals(bytes)).toBe(true)
    expect(to.ends).toEqual([undefined])
    expect(from.closes).toEqual([undefined])
    expect(clock.pending).toBe(0)
    expect(await pipe.closed).toBeUndefined()
  })

  it('saves up no more than one burst in a pause', () => {
    const clock = new ManualClock()
    const from = new HandSource()
    const to = new HandSink()
    const pipe = new Pipe(from.source, to.sink, { through: [throttle(1_000, { clock, burst: 50 })] })
    clock.advance(3_600_000)
    from.source.write(pattern(500))
    expect(pipe.bytes).toBe(50)
    clock.advance(20)
    pipe.abort()
    expect(clock.pending).toBe(0)
  })

  it('lets small writes through as they come while they are within the rate', () => {
    const clock = new ManualClock()
    const from = new HandSource()
    const to = new HandSink()
    new Pipe(from.source, to.sink, { through: [throttle(1_000, { clock })] })
    for (let round = 0; round < 50; round++) {
      from.source.write(pattern(10))
      expect(to.chunks).toHaveLength(round + 1)
      expect(clock.pending).toBe(0)
      clock.advance(10)
    }
  })

  it.each([
    ['1 MB/s', 100_000],
    ['1 MB / s', 100_000],
    ['1MB/s', 100_000],
    ['1 MB', 100_000],
    [1_000_000, 100_000],
    ['64 KiB/s', 6_553],
    ['1 B/s', 1],
    [5, 1],
  ])('reads the rate %o', (rate, burst) => {
    const { pipe, clock } = throttled(rate)
    expect(pipe.bytes).toBe(burst)
    pipe.abort()
    expect(clock.pending).toBe(0)
  })

  it.each([
    [0],
    [-5],
    [1.5],
    [Number.NaN],
    ['fast'],
    [''],
    ['/s'],
    ['1 MB/min'],
    ['0 B/s'],
  ])('refuses the rate %o', (rate) => {
    expect(() => throttle(rate)).toThrow(expect.objectContaining({ code: 'XPS_INVALID_OPTION' }))
  })

  it.each([[0], [-1], [0.5], ['100']])('refuses the burst %o', (burst) => {
    expect(() => throttle(1_000, { burst: burst as number })).toThrow(
      expect.objectContaining({ code: 'XPS_INVALID_OPTION' }),
    )
  })

  it('refuses an option that it does not know', () => {
    expect(() => throttle(1_000, { brust: 5 } as object)).toThrow(
      expect.objectContaining({ code: 'XPS_INVALID_OPTION' }),
    )
  })

  it('manages one byte a second', () => {
    const { clock, pipe } = throttled('1 B/s')
    expect(pipe.bytes).toBe(1)
    clock.advance(999)
    expect(pipe.bytes).toBe(1)
    clock.advance(1)
    expect(pipe.bytes).toBe(2)
    clock.advance(10_000)
    expect(pipe.bytes).toBe(12)
    pipe.abort()
  })

  it('keeps the process alive while bytes wait for their time', () => {
    const contents = `
      import { Pipe } from './src/pipe/pipe.ts'
      import { PipeSink } from './src/pipe/sink.ts'
      import { PipeSource } from './src/pipe/source.ts'
      import { throttle } from './src/pipe/throttle.ts'
      const sink = new PipeSink({ write() {}, end: () => console.log('delivered', pipe.bytes) })
      const pipe = new Pipe(PipeSource.from('x'.repeat(300)), sink, { through: [throttle(2_000, { burst: 50 })] })
    `
    const options = { bundle: true, write: false, platform: 'node', format: 'esm' } as const
    const [program] = buildSync({ ...options, stdin: { contents, resolveDir: process.cwd() } }).outputFiles
    const run = ['--input-type=module', '--eval', program?.text ?? '']
    expect(execFileSync(process.execPath, run, { timeout: 15_000 }).toString()).toBe('delivered 300\n')
  })

  it('gives each pipe the whole rate, from its own start', () => {
    const clock = new ManualClock()
    const stage = throttle(1_000, { clock })
    const pipes = [0, 1].map(() => {
      clock.advance(1_000)
      return new Pipe(HandSource.of(pattern(10_000)).source, new HandSink().sink, { through: [stage] })
    })
    clock.advance(1_000)
    expect(pipes.map((pipe) => pipe.bytes)).toEqual([2_100, 1_100])
    for (const pipe of pipes) pipe.abort()
    expect(clock.pending).toBe(0)
  })

  it('sets no alarm when it ends before the rate is reached', () => {
    const { clock, to } = throttled(1_000_000, { size: 1_000 })
    expect(to.ends).toEqual([undefined])
    expect(clock.pending).toBe(0)
  })

  it('calls its alarm off however the pipe ends', () => {
    const endings: Record<string, (it: ReturnType<typeof throttled>) => void> = {
      abort: ({ pipe }) => pipe.abort(reset),
      'abort by the source': ({ from }) => from.source.abort(reset),
      'close by the sink': ({ to }) => to.sink.close(reset),
    }
    for (const end of Object.values(endings)) {
      const it = throttled(1_000)
      expect(it.clock.pending).toBe(1)
      end(it)
      expect(it.clock.pending).toBe(0)
      expect(it.from.closes).toEqual([reset])
      const { bytes } = it.pipe
      it.clock.advance(10_000)
      expect(it.pipe.bytes).toBe(bytes)
    }
  })

  it('brings an error at the end to the sink, in its time', async () => {
    const clock = new ManualClock()
    const from = HandSource.of(pattern(300), { error: reset })
    const to = new HandSink()
    const pipe = new Pipe(from.source, to.sink, { through: [throttle(1_000, { clock })] })
    clock.advance(100)
    expect(to.ends).toEqual([])
    clock.advance(100)
    expect(to.bytes).toHaveLength(300)
    expect(to.ends).toEqual([reset])
    expect(clock.pending).toBe(0)
    expect(await pipe.closed).toBe(reset)
  })

  it('waits for a sink that is slower than the rate', () => {
    const { clock, to, pipe, bytes } = throttled(1_000, { size: 1_000 })
    to.busy = true
    clock.advance(100)
    expect(pipe.bytes).toBe(200)
    clock.advance(5_000)
    expect(pipe.bytes).toBe(200)
    to.next()
    // The pause was long enough for one burst, and no more.
    expect(pipe.bytes).toBe(300)
    for (let round = 0; round < 20; round++) {
      to.next()
      clock.advance(100)
    }
    to.next()
    expect(to.bytes.equals(bytes)).toBe(true)
    expect(to.ends).toEqual([undefined])
    expect(clock.pending).toBe(0)
  })

  it('stores nothing but lets the source wait', () => {
    const { from, pipe } = throttled(1_000, { limit: 500, chunk: 50 })
    expect(pipe.buffered).toBeLessThanOrEqual(500)
    expect(from.source.ready).toBe(false)
    pipe.abort()
  })

  it('takes the lesser of two rates when it stands in a pipe twice', () => {
    const clock = new ManualClock()
    const through = [throttle(5_000, { clock }), throttle(1_000, { clock })]
    const pipe = new Pipe(HandSource.of(pattern(100_000)).source, new HandSink().sink, { through })
    clock.advance(10_000)
    expect(pipe.bytes).toBe(10_100)
    pipe.abort()
    expect(clock.pending).toBe(0)
  })

  it('never lets more through than a burst and the rate, nor much less', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 200, max: 2_000_000 }),
        fc.integer({ min: 20, max: 500 }),
        fc.integer({ min: 1, max: 5_000 }),
        fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 20 }),
        (rate, burst, chunk, advances) => {
          const { clock, to, pipe, bytes } = throttled(rate, { burst, chunk, limit: 2_000, size: 400_000 })
          const atOnce = Math.max(1, (rate * burst) / 1_000)
          for (const advance of advances) {
            clock.advance(advance)
            expect(pipe.bytes).toBeLessThanOrEqual(atOnce + (rate * clock.now()) / 1_000 + 1e-6)
          }
          // Whole bytes and whole milliseconds cost a little.
          const due = Math.min(bytes.length, (0.85 * (rate * clock.now())) / 1_000 - atOnce)
          expect(pipe.bytes).toBeGreaterThanOrEqual(due)
          expect(to.bytes.equals(bytes.subarray(0, pipe.bytes))).toBe(true)
          pipe.abort()
          expect(clock.pending).toBe(0)
        },
      ),
      { numRuns: 100 },
    )
  })
})
