import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { PassThrough, Readable, Writable } from 'node:stream'
import { CountQueuingStrategy, ReadableStream, WritableStream } from 'node:stream/web'
import { describe, expect, it } from 'vitest'
import { XpsError } from '../../src/errors.ts'
import type { BodyLike } from '../../src/pipe/from.ts'
import { Pipe } from '../../src/pipe/pipe.ts'
import { PipeSink } from '../../src/pipe/sink.ts'
import { PipeSource } from '../../src/pipe/source.ts'
import { HandSink, HandSource, pattern, turns } from './hand-ends.ts'

const reset = new XpsError('XPS_RESET', 'broken')
const size = 300_000
const bytes = pattern(size)

function* slices(chunk: number): Generator<Uint8Array> {
  for (let from = 0; from < size; from += chunk) yield bytes.subarray(from, from + chunk)
}

async function* laterSlices(chunk: number): AsyncGenerator<Uint8Array> {
  for (const slice of slices(chunk)) {
    if (slice.byteOffset % 3 === 0) await turns(1)
    yield slice
  }
}

function webStream(chunk: number): ReadableStream {
  const iterator = slices(chunk)
  return new ReadableStream({
    pull(controller) {
      const { value, done } = iterator.next()
      if (done === true) controller.close()
      else controller.enqueue(value)
    },
  })
}

/** Reads a body to its end, by a sink that is busy with each chunk for a turn. */
async function readSlowly(body: BodyLike, limit: number): Promise<{ to: HandSink; error: XpsError | undefined }> {
  const to = new HandSink()
  to.busy = true
  const pipe = new Pipe(PipeSource.from(body), to.sink, { limit })
  let over = false
  void pipe.closed.then(() => {
    over = true
  })
  for (let round = 0; !over; round++) {
    if (round > 10_000) throw new Error(`it goes on after ${to.bytes.length} bytes`)
    expect(pipe.buffered).toBeLessThanOrEqual(limit)
    to.next()
    await turns(1)
  }
  return { to, error: await pipe.closed }
}

describe('PipeSource.from', () => {
  const bodies: Record<string, () => BodyLike> = {
    'a Buffer': () => Buffer.from(bytes),
    'a Uint8Array': () => new Uint8Array(bytes),
    'an array': () => [...slices(7_000)],
    'a generator': () => slices(7_000),
    'an async generator': () => laterSlices(7_000),
    'a Node stream': () => Readable.from(slices(7_000)),
    'a Node stream of bytes': () => new PassThrough({ highWaterMark: 5_000 }).end(bytes),
    'a web stream': () => webStream(7_000) as BodyLike,
    'a web stream of bytes': () => {
      const iterator = slices(7_000)
      return new ReadableStream({
        type: 'bytes',
        pull(controller) {
          const { value, done } = iterator.next()
          if (done === true) controller.close()
          else controller.enqueue(Uint8Array.from(value))
        },
      }) as BodyLike
    },
  }

  describe.each(Object.entries(bodies))('of %s', (_name, make) => {
    it('gives all bytes, and then the end', async () => {
      const to = new HandSink()
      const pipe = new Pipe(PipeSource.from(make()), to.sink)
      expect(await pipe.closed).toBeUndefined()
      expect(to.bytes.equals(bytes)).toBe(true)
      expect(to.ends).toEqual([undefined])
      expect(to.aborts).toEqual([])
    })

    it('gives all bytes to a slow sink, within the limit of the pipe', async () => {
      const { to, error } = await readSlowly(make(), 3_000)
      expect(error).toBeUndefined()
      expect(to.bytes.equals(bytes)).toBe(true)
      expect(to.ends).toEqual([undefined])
    })
  })

  it('goes on in another pipe, also with what came while it had none', async () => {
    const node = new PassThrough()
    const gates: (() => void)[] = []
    const later = (async function* () {
      for (const word of ['one ', 'two ', 'three']) {
        await new Promise<void>((resolve) => gates.push(resolve))
        yield word
      }
    })()
    const feeds: [BodyLike, (word: string) => void][] = [
      [node, (word) => void (word === 'three' ? node.end(word) : node.write(word))],
      [later, () => gates.shift()?.()],
    ]
    for (const [body, feed] of feeds) {
      const first = new HandSink()
      const second = new HandSink()
      const source = PipeSource.from(body)
      const pipe = new Pipe(source, first.sink)
      await turns()
      feed('one ')
      await turns()
      expect(pipe.detachSource()).toBe(source)
      feed('two ')
      await turns()
      const next = new Pipe(source, second.sink)
      await turns()
      feed('three')
      expect(await next.closed).toBeUndefined()
      expect(first.text).toBe('one ')
      expect(second.text).toBe('two three')
      expect(first.ends).toEqual([])
      expect(second.ends).toEqual([undefined])
    }
  })

  it.each([
    ['a text', 'grüße', 'grüße'],
    ['an empty text', '', ''],
    ['an array of texts', ['grü', 'ße'], 'grüße'],
    ['a set', new Set(['a', 'b']), 'ab'],
    ['an array of both', ['a', Buffer.from('b')], 'ab'],
    ['nothing', [], ''],
    ['empty parts', ['', 'a', new Uint8Array(0), 'b', ''], 'ab'],
    ['a Node stream of texts', Readable.from(['grü', 'ße']), 'grüße'],
    ['a Node stream of empty parts', Readable.from(['', 'a', Buffer.alloc(0), 'b']), 'ab'],
  ])('reads %s', async (_name, body, text) => {
    const to = new HandSink()
    expect(await new Pipe(PipeSource.from(body), to.sink).closed).toBeUndefined()
    expect(to.text).toBe(text)
    expect(to.ends).toEqual([undefined])
  })

  it('reads nothing before the sink is ready', async () => {
    let asked = 0
    const to = new HandSink()
    to.sink.ready = false
    const source = PipeSource.from({
      *[Symbol.iterator]() {
        asked++
        yield 'a'
      },
    })
    new Pipe(source, to.sink)
    await turns()
    expect(asked).toBe(0)
    to.next()
    expect(asked).toBe(1)
    expect(to.text).toBe('a')
  })

  it('asks an iterator for the next value only when the one before was taken whole', () => {
    let asked = 0
    function* parts(): Generator<Uint8Array> {
      for (;;) {
        asked++
        yield Buffer.alloc(100, asked)
      }
    }
    const to = new HandSink()
    to.busy = true
    const pipe = new Pipe(PipeSource.from(parts()), to.sink, { limit: 150 })
    expect(asked).toBe(2)
    to.next()
    expect(asked).toBe(2)
    to.next()
    expect(asked).toBe(3)
    pipe.abort()
  })

  it('cuts a text of many bytes a letter anywhere, and loses none', async () => {
    const text = 'äöü€🙂'.repeat(20)
    for (const limit of [1, 2, 3, 5, 7, 100]) {
      const stream = new PassThrough()
      stream.setEncoding('utf8')
      stream.end(text)
      const { to, error } = await readSlowly(stream, limit)
      expect(error).toBeUndefined()
      expect(to.text).toBe(text)
    }
  })

  describe('when the body fails', () => {
    const cause = new Error('disk on fire')
    const failing: Record<string, () => BodyLike> = {
      'a generator': () =>
        (function* () {
          yield 'some'
          throw cause
        })(),
      'an async generator': () =>
        (async function* () {
          yield 'some'
          await turns(1)
          throw cause
        })(),
      'an iterator that throws by itself': () => {
        let first = true
        return {
          [Symbol.iterator]: () => ({
            next() {
              if (!first) throw cause
              first = false
              return { done: false, value: 'some' }
            },
          }),
        }
      },
      'a Node stream': () => {
        let first = true
        return new Readable({
          read() {
            if (first) this.push('some')
            else this.destroy(cause)
            first = false
          },
        })
      },
      'a web stream': () => {
        let first = true
        return new ReadableStream(
          {
            pull(controller) {
              if (first) controller.enqueue(Buffer.from('some'))
              else controller.error(cause)
              first = false
            },
          },
          new CountQueuingStrategy({ highWaterMark: 0 }),
        ) as BodyLike
      },
    }

    it.each(Object.entries(failing))('%s ends the pipe with its error, after the last byte', async (_name, make) => {
      const to = new HandSink()
      const pipe = new Pipe(PipeSource.from(make()), to.sink)
      expect(await pipe.closed).toMatchObject({ code: 'XPS_STREAM', cause })
      expect(to.text).toBe('some')
      expect(to.ends).toEqual([await pipe.closed])
      expect(to.aborts).toEqual([])
    })

    it('an XpsError comes as it is', async () => {
      const body = (function* () {
        yield 'some'
        throw reset
      })()
      expect(await new Pipe(PipeSource.from(body), new HandSink().sink).closed).toBe(reset)
    })

    it('a Node stream that is closed before its end has lost bytes', async () => {
      const stream = new PassThrough()
      const to = new HandSink()
      const pipe = new Pipe(PipeSource.from(stream), to.sink)
      stream.write('half')
      await turns()
      stream.destroy()
      expect(await pipe.closed).toMatchObject({ code: 'XPS_STREAM' })
      expect(to.text).toBe('half')
      expect(to.ends).toMatchObject([{ code: 'XPS_STREAM' }])
    })

    it('a Node stream that is destroyed already has lost bytes', async () => {
      const stream = new PassThrough()
      stream.destroy()
      await once(stream, 'close')
      const to = new HandSink()
      expect(await new Pipe(PipeSource.from(stream), to.sink).closed).toMatchObject({ code: 'XPS_STREAM' })
      expect(to.ends).toHaveLength(1)
    })

    it('a Node stream that was read to its end already is empty', async () => {
      const stream = Readable.from(['x'])
      for await (const _ of stream);
      const to = new HandSink()
      expect(await new Pipe(PipeSource.from(stream), to.sink).closed).toBeUndefined()
      expect(to.text).toBe('')
    })

    it('a Node stream that fails before the pipe asks does not end the process, and the pipe tells why', async () => {
      const stream = createReadStream('/nowhere/at/all')
      const source = PipeSource.from(stream)
      // Without a listener the error below would be an uncaught one: hence that of the test, which does not count.
      const listeners = stream.listenerCount('error')
      stream.on('error', () => {})
      expect(listeners).toBeGreaterThan(0)
      await new Promise((resolve) => stream.once('close', () => resolve(undefined)))
      const to = new HandSink()
      const error = await new Pipe(source, to.sink).closed
      expect(error).toMatchObject({ code: 'XPS_STREAM', cause: { code: 'ENOENT' } })
      expect(to.ends).toEqual([error])
    })
  })

  describe('when the body gives garbage', () => {
    const garbage: Record<string, () => BodyLike> = {
      'an array of numbers': () => ['good', 42] as unknown as BodyLike,
      'an async generator of objects': () =>
        (async function* () {
          yield 'good'
          yield { bad: true }
        })() as unknown as BodyLike,
      'a Node stream of objects': () => Readable.from(['good', { bad: true }]),
      'a web stream of objects': () =>
        new ReadableStream({
          start(controller) {
            controller.enqueue(Buffer.from('good'))
            controller.enqueue({ bad: true })
          },
        }) as BodyLike,
      'an array with a hole in it': () => ['good', undefined] as unknown as BodyLike,
    }

    it.each(
      Object.entries(garbage),
    )('%s ends the pipe with XPS_STREAM, after the last good byte', async (_name, make) => {
      const to = new HandSink()
      const pipe = new Pipe(PipeSource.from(make()), to.sink)
      expect(await pipe.closed).toMatchObject({ code: 'XPS_STREAM' })
      expect((await pipe.closed)?.message).toContain('neither bytes nor text')
      expect(to.text).toBe('good')
      expect(to.ends).toEqual([await pipe.closed])
    })

    it('it is let go of', async () => {
      let returned = 0
      const iterator = {
        next: () => ({ done: false, value: 7 }),
        return: () => {
          returned++
          return { done: true, value: undefined }
        },
        [Symbol.iterator]: () => iterator,
      }
      await new Pipe(PipeSource.from(iterator as unknown as BodyLike), new HandSink().sink).closed
      expect(returned).toBe(1)
      const stream = Readable.from([{ bad: true }])
      await new Pipe(PipeSource.from(stream), new HandSink().sink).closed
      expect(stream.destroyed).toBe(true)
    })
  })

  describe('when the pipe ends early', () => {
    it('lets a generator clean up', async () => {
      for (const kind of ['sync', 'async']) {
        let cleaned = 0
        function* parts(): Generator<string> {
          try {
            for (;;) yield 'more'
          } finally {
            cleaned++
          }
        }
        async function* laterParts(): AsyncGenerator<string> {
          yield* parts()
        }
        const to = new HandSink()
        to.busy = true
        const pipe = new Pipe(PipeSource.from(kind === 'sync' ? parts() : laterParts()), to.sink)
        await turns()
        to.sink.close()
        await pipe.closed
        await turns()
        expect(cleaned).toBe(1)
      }
    })

    it('destroys a Node stream, and hears its late errors', async () => {
      for (const error of [undefined, reset]) {
        const stream = new Readable({
          read() {
            this.push('more')
          },
          destroy(_error, done) {
            done(new Error('late'))
          },
        })
        const to = new HandSink()
        to.busy = true
        const pipe = new Pipe(PipeSource.from(stream), to.sink)
        await turns()
        to.sink.close(error)
        await pipe.closed
        await turns()
        expect(stream.destroyed).toBe(true)
      }
    })

    it('destroys a Node stream that was never read', async () => {
      const stream = new PassThrough()
      const pipe = new Pipe(PipeSource.from(stream))
      pipe.abort(reset)
      await turns()
      expect(stream.destroyed).toBe(true)
    })

    it('cancels a web stream, also in the middle of a read', async () => {
      let cancelled = 0
      const stream = new ReadableStream({
        pull: () => new Promise(() => {}),
        cancel: () => {
          cancelled++
          throw new Error('late')
        },
      })
      const to = new HandSink()
      const pipe = new Pipe(PipeSource.from(stream as BodyLike), to.sink)
      await turns()
      pipe.abort(reset)
      await turns()
      expect(cancelled).toBe(1)
      expect(to.aborts).toEqual([reset])
    })

    it('gives nothing that an iterator brings too late', async () => {
      let give: (value: IteratorResult<string>) => void = () => {}
      const body = {
        [Symbol.asyncIterator]: () => ({
          next: () =>
            new Promise<IteratorResult<string>>((resolve) => {
              give = resolve
            }),
        }),
      }
      const to = new HandSink()
      const pipe = new Pipe(PipeSource.from(body), to.sink)
      pipe.abort(reset)
      give({ done: false, value: 'late' })
      await turns()
      expect(to.text).toBe('')
      expect(to.aborts).toEqual([reset])
    })
  })

  it.each([
    [42],
    [null],
    [undefined],
    [{}],
    [true],
    [() => {}],
    [new ArrayBuffer(1)],
    [Symbol('s')],
  ])('refuses %o', (body) => {
    expect(() => PipeSource.from(body as unknown as BodyLike)).toThrow(
      expect.objectContaining({ code: 'XPS_INVALID_OPTION' }),
    )
  })
})

describe('PipeSink.from', () => {
  it('writes all bytes into a Node stream, and ends it', async () => {
    const got: Buffer[] = []
    const stream = new Writable({
      highWaterMark: 1_000,
      write(chunk: Buffer, _encoding, done) {
        got.push(chunk)
        setImmediate(done)
      },
    })
    const finished = once(stream, 'finish')
    const from = HandSource.of(bytes, { chunk: 7_000 })
    const pipe = new Pipe(from.source, PipeSink.from(stream), { limit: 3_000 })
    await finished
    expect(await pipe.closed).toBeUndefined()
    expect(Buffer.concat(got).equals(bytes)).toBe(true)
    expect(from.closes).toEqual([undefined])
    expect(pipe.bytes).toBe(size)
  })

  it('writes all bytes into a web stream, and closes it', async () => {
    const got: Buffer[] = []
    let closed = 0
    const stream = new WritableStream({
      async write(chunk: Uint8Array) {
        await turns(1)
        got.push(Buffer.from(chunk))
      },
      close: () => void closed++,
    })
    const from = HandSource.of(bytes, { chunk: 7_000 })
    const pipe = new Pipe(from.source, PipeSink.from(stream as never), { limit: 3_000 })
    expect(await pipe.closed).toBeUndefined()
    // The pipe is over when the stream has the last byte; what the stream does with it takes its time.
    while (closed === 0) await turns(1)
    expect(Buffer.concat(got).equals(bytes)).toBe(true)
    expect(from.closes).toEqual([undefined])
  })

  it('takes several chunks before it waits, if the web stream does', async () => {
    const got: number[] = []
    const stream = new WritableStream(
      { write: (chunk: Uint8Array) => void got.push(chunk.length) },
      new CountQueuingStrategy({ highWaterMark: 10 }),
    )
    const to = PipeSink.from(stream as never)
    const from = new HandSource()
    new Pipe(from.source, to)
    for (let round = 0; round < 5; round++) from.source.write(pattern(10))
    expect(to.ready).toBe(true)
    from.source.end()
    await turns()
    expect(got).toEqual([10, 10, 10, 10, 10])
  })

  it('lets the source wait while the stream is full', async () => {
    let proceed: (() => void) | undefined
    const got: string[] = []
    const node = new Writable({
      highWaterMark: 4,
      write(chunk: Buffer, _encoding, done) {
        got.push(chunk.toString())
        proceed = done
      },
    })
    const web = new WritableStream({
      write(chunk: Uint8Array) {
        got.push(Buffer.from(chunk).toString())
        return new Promise<void>((resolve) => {
          proceed = resolve
        })
      },
    })
    for (const stream of [node, web]) {
      got.length = 0
      const from = new HandSource()
      const pipe = new Pipe(from.source, PipeSink.from(stream as never), { limit: 10 })
      await turns()
      from.source.write(Buffer.from('first'))
      from.source.write(Buffer.from('second'))
      await turns()
      expect(got).toEqual(['first'])
      expect(pipe.buffered).toBe(10)
      expect(from.source.ready).toBe(false)
      proceed?.()
      await turns()
      expect(got).toEqual(['first', 'secon'])
      expect(from.source.ready).toBe(true)
      pipe.abort()
      await turns()
    }
  })

  it('copies, so that a stream may keep what it is given', async () => {
    const kept: Uint8Array[] = []
    const node = new Writable({
      write(chunk: Buffer, _encoding, done) {
        kept.push(chunk)
        done()
      },
    })
    const web = new WritableStream({ write: (chunk: Uint8Array) => void kept.push(chunk) })
    for (const stream of [node, web]) {
      kept.length = 0
      const from = new HandSource()
      new Pipe(from.source, PipeSink.from(stream as never))
      await turns()
      const memory = Buffer.from('first')
      from.source.write(memory)
      await turns()
      expect(from.source.flushed).toBe(true)
      memory.write('xxxxx')
      from.source.end()
      await turns()
      expect(Buffer.concat(kept).toString()).toBe('first')
    }
  })

  it('tells the source of an error of the stream', async () => {
    const cause = new Error('disk full')
    const node = new Writable({ write: (_chunk, _encoding, done) => done(cause) })
    const web = new WritableStream({
      write() {
        throw cause
      },
    })
    for (const stream of [node, web]) {
      const from = new HandSource()
      const pipe = new Pipe(from.source, PipeSink.from(stream as never))
      from.source.write(Buffer.from('x'))
      expect(await pipe.closed).toMatchObject({ code: 'XPS_STREAM', cause })
      expect(from.closes).toEqual([await pipe.closed])
      expect(from.source.write(Buffer.from('late'))).toBe(0)
    }
  })

  it('tells the source when the stream is closed by somebody else', async () => {
    const from = new HandSource()
    const stream = new PassThrough()
    const pipe = new Pipe(from.source, PipeSink.from(stream))
    stream.destroy()
    expect(await pipe.closed).toMatchObject({ code: 'XPS_STREAM' })
    expect(from.closes).toHaveLength(1)
  })

  it('tells the source when the web stream is failed by its owner', async () => {
    const cause = new Error('no more')
    let controller: { error(reason: unknown): void } | undefined
    const stream = new WritableStream({ start: (it) => void (controller = it) })
    const from = new HandSource()
    const pipe = new Pipe(from.source, PipeSink.from(stream as never))
    controller?.error(cause)
    expect(await pipe.closed).toMatchObject({ code: 'XPS_STREAM', cause })
    expect(from.closes).toHaveLength(1)
  })

  it('fails the stream when the source was cut short or the pipe aborted', async () => {
    for (const end of [
      (from: HandSource) => from.source.end(reset),
      (_from: HandSource, pipe: Pipe) => pipe.abort(reset),
    ]) {
      const node = new PassThrough()
      const from = new HandSource()
      const pipe = new Pipe(from.source, PipeSink.from(node))
      const failed = once(node, 'error')
      from.source.write(Buffer.from('half'))
      end(from, pipe)
      expect((await failed)[0]).toBe(reset)
      expect(node.writableFinished).toBe(false)
      let reason: unknown
      const web = new WritableStream({ abort: (why) => void (reason = why) })
      const other = new HandSource()
      const otherPipe = new Pipe(other.source, PipeSink.from(web as never))
      end(other, otherPipe)
      await turns()
      expect(reason).toBe(reset)
    }
  })

  it('is closed from the start when the stream is', async () => {
    const destroyed = new PassThrough()
    destroyed.destroy()
    const ended = new PassThrough()
    ended.end()
    for (const stream of [destroyed, ended]) {
      const from = new HandSource()
      const pipe = new Pipe(from.source)
      pipe.attachSink(PipeSink.from(stream))
      expect(from.closes).toMatchObject([{ code: 'XPS_STREAM' }])
      expect(await pipe.closed).toMatchObject({ code: 'XPS_STREAM' })
    }
  })

  it('leaves the stream open after a pipe with { end: false }', async () => {
    const stream = new PassThrough()
    const sink = PipeSink.from(stream)
    await new Pipe(PipeSource.from('one '), sink, { end: false }).closed
    expect(stream.writableEnded).toBe(false)
    await new Pipe(PipeSource.from('two'), sink).closed
    expect(stream.writableEnded).toBe(true)
    let text = ''
    for (let chunk = stream.read(); chunk !== null; chunk = stream.read()) text += chunk
    expect(text).toBe('one two')
  })

  it.each([[42], [null], [undefined], [{}], ['file.txt'], [new Readable({ read() {} })]])('refuses %o', (stream) => {
    expect(() => PipeSink.from(stream as never)).toThrow(expect.objectContaining({ code: 'XPS_INVALID_OPTION' }))
  })
})
