import { once } from 'node:events'
import { PassThrough, Readable, Writable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { describe, expect, it } from 'vitest'
import { XpsError } from '../../src/errors.ts'
import { Pipe } from '../../src/pipe/pipe.ts'
import { PipeSink } from '../../src/pipe/sink.ts'
import { PipeSource } from '../../src/pipe/source.ts'
import { toReadable, toReadableStream, toWritable, toWritableStream } from '../../src/pipe/streams.ts'
import { HandSink, HandSource, pattern, soon, turns } from './hand-ends.ts'

const reset = new XpsError('XPS_RESET', 'broken')
const bytes = pattern(3_000_000)

/** What a promise is rejected with; undefined if it is not, within a few turns. */
async function rejection(promise: Promise<unknown>): Promise<unknown> {
  const outcome = await soon(
    promise.then(
      () => undefined,
      (error: unknown) => error,
    ),
  )
  return outcome === undefined ? 'still pending' : outcome.value
}

describe('toReadable', () => {
  it('gives 3 MB, and then the end', async () => {
    const from = HandSource.of(bytes, { chunk: 50_000 })
    expect((await buffer(toReadable(from.source))).equals(bytes)).toBe(true)
    expect(from.closes).toEqual([undefined])
  })

  it('reads a body of any kind, by a pipeline into a slow stream', async () => {
    const got: Buffer[] = []
    const slow = new Writable({
      highWaterMark: 1_000,
      write(chunk: Buffer, _encoding, done) {
        got.push(chunk)
        setImmediate(done)
      },
    })
    await pipeline(toReadable(PipeSource.from(new PassThrough().end(bytes))), slow)
    expect(Buffer.concat(got).equals(bytes)).toBe(true)
  })

  it('asks for nothing before somebody reads, and for no more than is read', async () => {
    let written = 0
    const from = new HandSource((source) => {
      while (source.ready) written += source.write(Buffer.alloc(1_000))
    })
    const readable = toReadable(from.source)
    await turns()
    expect(from.pulls).toBe(0)
    readable.read(0)
    await turns()
    // The stream's own buffer, one chunk that it could not stop, and the pipe.
    const bound = readable.readableHighWaterMark + 1_000 + 65_536
    expect(written).toBeGreaterThan(0)
    expect(written).toBeLessThanOrEqual(bound)
    let read = 0
    for (let round = 0; round < 50; round++) {
      // One read may bring all that there is or a part of it, by the version of Node.
      for (let some = 0; some < 200; some++) read += (readable.read() as Buffer | null)?.length ?? 0
      await turns(1)
      expect(written).toBeLessThanOrEqual(read + bound)
    }
    expect(read).toBeGreaterThan(2 * bound)
    readable.destroy()
  })

  it('copies, so that the source may use its memory again', async () => {
    const from = new HandSource()
    const readable = toReadable(from.source)
    readable.read(0)
    const memory = Buffer.from('first')
    from.source.write(memory)
    expect(from.source.flushed).toBe(true)
    memory.write('xxxxx')
    from.source.end()
    expect(await text(readable)).toBe('first')
  })

  it('fails with the error that the source ended with, or was aborted with', async () => {
    for (const end of [(from: HandSource) => from.source.end(reset), (from: HandSource) => from.source.abort(reset)]) {
      const from = new HandSource()
      const readable = toReadable(from.source)
      const reading = rejection(text(readable))
      from.source.write(Buffer.from('half'))
      end(from)
      expect(await reading).toBe(reset)
      expect(from.closes).toHaveLength(1)
    }
  })

  it('fails at once for a source that was cut short before', async () => {
    const source = new PipeSource()
    source.end(reset)
    expect(await rejection(text(toReadable(source)))).toBe(reset)
  })

  it('is empty for a source that has ended before', async () => {
    const source = new PipeSource()
    source.end()
    expect(await text(toReadable(source))).toBe('')
  })

  it('tells the source when it is destroyed, with the error if there was one', async () => {
    const cause = new Error('no more')
    const from = new HandSource()
    const readable = toReadable(from.source)
    readable.on('error', () => {})
    readable.destroy(cause)
    await turns()
    expect(from.closes).toMatchObject([{ code: 'XPS_ABORTED', cause }])
    const other = new HandSource()
    toReadable(other.source).destroy()
    await turns()
    expect(other.closes).toEqual([undefined])
    expect(other.source.write(Buffer.from('late'))).toBe(0)
  })

  it('tells the source when a pipeline fails behind it', async () => {
    const cause = new Error('disk full')
    const from = HandSource.of(bytes, { chunk: 50_000 })
    const failing = new Writable({ write: (_chunk, _encoding, done) => done(cause) })
    expect(await rejection(pipeline(toReadable(from.source), failing))).toBe(cause)
    await turns()
    expect(from.closes).toHaveLength(1)
  })

  it('refuses a source that is attached elsewhere', () => {
    const from = new HandSource()
    new Pipe(from.source, new HandSink().sink)
    expect(() => toReadable(from.source)).toThrow(expect.objectContaining({ code: 'XPS_CLOSED' }))
  })
})

describe('toWritable', () => {
  it('takes 3 MB by a pipeline, and then the end', async () => {
    const to = new HandSink()
    await pipeline(Readable.from([bytes.subarray(0, 1_000_000), bytes.subarray(1_000_000)]), toWritable(to.sink))
    expect(to.bytes.equals(bytes)).toBe(true)
    expect(to.ends).toEqual([undefined])
    expect(to.aborts).toEqual([])
  })

  it('takes what is longer than its pipe by and by', async () => {
    const to = new HandSink()
    to.busy = true
    const writable = toWritable(to.sink)
    let done = false
    writable.end(bytes.subarray(0, 500_000), () => {
      done = true
    })
    while (!done) {
      to.next()
      await turns(1)
    }
    expect(to.bytes.equals(bytes.subarray(0, 500_000))).toBe(true)
    expect(to.chunks.every((chunk) => chunk.length <= 65_536)).toBe(true)
    expect(to.ends).toEqual([undefined])
  })

  it('has written only when the sink is done with it, and the memory is free', async () => {
    const to = new HandSink()
    to.busy = true
    const writable = toWritable(to.sink)
    const told: string[] = []
    writable.write('first', () => told.push('first'))
    writable.write('second', () => told.push('second'))
    await turns()
    expect(told).toEqual([])
    expect(to.text).toBe('first')
    to.next()
    await turns()
    expect(told).toEqual(['first'])
    expect(to.text).toBe('firstsecond')
    to.next()
    await turns()
    expect(told).toEqual(['first', 'second'])
    writable.end()
    await once(writable, 'finish')
    expect(to.ends).toEqual([undefined])
  })

  it('finishes after the sink has had the last byte', async () => {
    const to = new HandSink()
    to.busy = true
    const writable = toWritable(to.sink)
    let finished = false
    writable.once('finish', () => {
      finished = true
    })
    writable.end('last')
    await turns()
    expect(finished).toBe(false)
    expect(to.ends).toEqual([])
    to.next()
    await turns()
    expect(finished).toBe(true)
    expect(to.ends).toEqual([undefined])
  })

  it('fails when the sink closes with an error, also in the middle of a write', async () => {
    for (const when of ['idle', 'writing', 'ending']) {
      const to = new HandSink()
      to.busy = true
      const writable = toWritable(to.sink)
      const failed = rejection(once(writable, 'close'))
      if (when === 'writing') writable.write('x')
      if (when === 'ending') writable.end('x')
      to.sink.close(reset)
      expect(await failed).toBe(reset)
      expect(writable.writableFinished).toBe(false)
      expect(to.ends).toEqual([])
    }
  })

  it('closes when the sink has had enough', async () => {
    const to = new HandSink()
    const writable = toWritable(to.sink)
    to.sink.close()
    expect(await soon(once(writable, 'close'))).toBeDefined()
    expect(writable.destroyed).toBe(true)
  })

  it('leaves no write pending when the sink has had enough in the middle of one', async () => {
    const to = new HandSink()
    to.busy = true
    const writable = toWritable(to.sink)
    writable.on('error', () => {})
    const told: string[] = []
    const closed = soon(once(writable, 'close').catch(() => []))
    writable.write('first', () => told.push('first'))
    writable.write('second', () => told.push('second'))
    to.sink.close()
    writable.write('third', () => told.push('third'))
    await closed
    expect(told).toEqual(['first', 'second', 'third'])
    expect(writable.destroyed).toBe(true)
  })

  it('does not say that all was written when the sink has had enough before the last byte', async () => {
    const to = new HandSink()
    to.busy = true
    const writing = pipeline(Readable.from([bytes.subarray(0, 200_000)]), toWritable(to.sink))
    const failed = rejection(writing)
    await turns()
    to.sink.close()
    const error = await failed
    expect(error).toBeInstanceOf(Error)
    expect(error).not.toBe('still pending')
  })

  it('aborts the pipe when it is destroyed', async () => {
    const cause = new Error('no more')
    const to = new HandSink()
    const writable = toWritable(to.sink)
    writable.on('error', () => {})
    writable.write('half')
    writable.destroy(cause)
    await turns()
    expect(to.aborts).toMatchObject([{ code: 'XPS_ABORTED', cause }])
    const other = new HandSink()
    toWritable(other.sink).destroy()
    await turns()
    expect(other.aborts).toMatchObject([{ code: 'XPS_ABORTED' }])
    expect(other.ends).toEqual([])
  })

  it('aborts the pipe when a pipeline fails in front of it', async () => {
    const cause = new Error('disk on fire')
    const failing = new Readable({
      read() {
        this.destroy(cause)
      },
    })
    const to = new HandSink()
    expect(await rejection(pipeline(failing, toWritable(to.sink)))).toBe(cause)
    await turns()
    expect(to.aborts).toHaveLength(1)
    expect(to.ends).toEqual([])
  })

  it('is of no use, but harmless, when the sink was closed before', async () => {
    const to = new HandSink()
    to.sink.close(reset)
    const writable = toWritable(to.sink)
    expect(await rejection(once(writable, 'close'))).toBe(reset)
  })

  it('is the way back of toReadable', async () => {
    const to = new HandSink()
    await pipeline(toReadable(PipeSource.from(bytes)), new PassThrough(), toWritable(to.sink))
    expect(to.bytes.equals(bytes)).toBe(true)
    expect(to.ends).toEqual([undefined])
  })
})

describe('toReadableStream', () => {
  it('gives 3 MB, and then the end', async () => {
    const from = HandSource.of(bytes, { chunk: 50_000 })
    expect((await buffer(toReadableStream(from.source))).equals(bytes)).toBe(true)
    expect(from.closes).toEqual([undefined])
  })

  it('gives byte arrays', async () => {
    for await (const chunk of toReadableStream(PipeSource.from('text'))) expect(chunk).toBeInstanceOf(Uint8Array)
  })

  it('fails with the error that the source ended with', async () => {
    const from = new HandSource()
    const reading = rejection(text(toReadableStream(from.source)))
    from.source.end(reset)
    expect(await reading).toBe(reset)
  })

  it('tells the source when it is cancelled', async () => {
    const from = new HandSource()
    const stream = toReadableStream(from.source)
    await stream.cancel(new Error('no more'))
    await turns()
    expect(from.closes).toHaveLength(1)
    expect(from.source.write(Buffer.from('late'))).toBe(0)
  })
})

describe('toWritableStream', () => {
  it('takes 3 MB from a web stream, and then the end', async () => {
    const to = new HandSink()
    await toReadableStream(PipeSource.from(bytes)).pipeTo(toWritableStream(to.sink))
    expect(to.bytes.equals(bytes)).toBe(true)
    expect(to.ends).toEqual([undefined])
  })

  it('waits for a busy sink', async () => {
    const to = new HandSink()
    to.busy = true
    const writer = toWritableStream(to.sink).getWriter()
    let written = false
    // More than the stream would keep by itself.
    const writing = writer.write(bytes.subarray(0, 200_000)).then(() => {
      written = true
    })
    await turns(5)
    expect(to.bytes.length).toBeGreaterThan(0)
    expect(written).toBe(false)
    while (!written) {
      to.next()
      await turns(1)
    }
    await writing
    await writer.close()
    expect(to.ends).toEqual([undefined])
  })

  it('aborts the pipe when it is aborted', async () => {
    const to = new HandSink()
    await toWritableStream(to.sink).abort(reset)
    await turns()
    expect(to.aborts).toEqual([reset])
  })

  it('fails when the sink closes with an error', async () => {
    const to = new HandSink()
    const writer = toWritableStream(to.sink).getWriter()
    const closed = rejection(writer.closed)
    to.sink.close(reset)
    expect(await closed).toBe(reset)
  })
})

describe('The adapters', () => {
  it('carry bytes from a Node stream to a web stream and back, through pipes', async () => {
    const to = new HandSink()
    const web = toReadableStream(PipeSource.from(Readable.from([bytes])))
    const pipe = new Pipe(PipeSource.from(web as never), to.sink, { limit: 10_000 })
    expect(await pipe.closed).toBeUndefined()
    expect(to.bytes.equals(bytes)).toBe(true)
    const sink = new HandSink()
    const back = new Pipe(PipeSource.from(bytes), PipeSink.from(toWritable(sink.sink)), { limit: 10_000 })
    await back.closed
    while (sink.ends.length === 0) await turns(1)
    expect(sink.bytes.equals(bytes)).toBe(true)
  })
})
