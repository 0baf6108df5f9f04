import { Readable, Writable } from 'node:stream'
import type { ReadableStream as NodeReadableStream, WritableStream as NodeWritableStream } from 'node:stream/web'
import { XpsError } from '../errors.ts'
import { Pipe } from './pipe.ts'
import { PipeSink } from './sink.ts'
import { PipeSource } from './source.ts'

/** Reads a pipe source as a Node Readable. Destroying the stream closes the source's pipe. */
export function toReadable(source: PipeSource): Readable {
  let wanted = false
  const readable = new Readable({
    read() {
      wanted = true
      sink.ready = true
    },
    destroy(error, done) {
      sink.close(error ?? undefined)
      done(error)
    },
  })
  const sink = new PipeSink({
    write(chunk) {
      wanted = false
      // Copied, because a stream keeps what it is given.
      return readable.push(Buffer.from(chunk)) || wanted
    },
    end(error) {
      if (error === undefined) readable.push(null)
      else readable.destroy(error)
    },
    abort: (error) => void readable.destroy(error),
  })
  sink.ready = false
  new Pipe(source, sink)
  return readable
}

/** Writes into a pipe sink as a Node Writable. A write is done when its bytes have left the pipe. */
export function toWritable(sink: PipeSink): Writable {
  let rest: Uint8Array | undefined
  let done: ((error?: Error | null) => void) | undefined
  let ending = false
  const proceed = (): void => {
    if (rest !== undefined) {
      const taken = source.write(rest)
      rest = taken < rest.length ? rest.subarray(taken) : undefined
    }
    if (rest !== undefined || !source.flushed) return
    const finished = done
    done = undefined
    finished?.()
  }
  const source: PipeSource = new PipeSource({
    pull: proceed,
    close(error) {
      const finished = done
      done = undefined
      if (ending && error === undefined) return finished?.()
      // A write that is under way has failed; without one, the stream just takes no more.
      const reason = error ?? new XpsError('XPS_CLOSED', 'the sink takes no more')
      if (finished !== undefined) finished(reason)
      else writable.destroy(error)
    },
  })
  const writable = new Writable({
    write(chunk: Uint8Array, _encoding, callback) {
      rest = chunk
      done = callback
      proceed()
    },
    final(callback) {
      ending = true
      done = callback
      source.end()
      if (!source.active) proceed()
    },
    destroy(error, callback) {
      source.abort(error ?? new XpsError('XPS_ABORTED', 'writable stream destroyed'))
      callback(error)
    },
  })
  new Pipe(source, sink)
  return writable
}

/** Reads a pipe source as a web ReadableStream. */
export function toReadableStream(source: PipeSource): NodeReadableStream<Uint8Array> {
  return Readable.toWeb(toReadable(source))
}

/** Writes into a pipe sink as a web WritableStream. */
export function toWritableStream(sink: PipeSink): NodeWritableStream<Uint8Array> {
  return Writable.toWeb(toWritable(sink))
}
