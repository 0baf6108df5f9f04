import { Writable } from 'node:stream'
import { asXpsError, XpsError } from '../errors.ts'
import { invalidOption } from '../options.ts'
import type { SinkEnd, SinkHandlers } from './ends.ts'

/** What bytes can be written to: a Node Writable or a web WritableStream. */
export type WritableLike = Writable | WritableStream

/** Makes a sink (by `make`) that writes into a stream, and tells it when the stream closes. */
export function sinkInto<S extends SinkEnd>(writable: WritableLike, make: (handlers: SinkHandlers) => S): S {
  if (writable instanceof Writable) return intoNodeStream(writable, make)
  if (typeof writable?.getWriter === 'function') return intoWebStream(writable, make)
  throw invalidOption('PipeSink.from', writable, 'a writable stream')
}

function failed(error: unknown): XpsError {
  return asXpsError(error, 'XPS_STREAM', 'writable stream failed')
}

function intoNodeStream<S extends SinkEnd>(writable: Writable, make: (handlers: SinkHandlers) => S): S {
  const sink = make({
    // A stream may keep what it is given for as long as it likes, a sink may not: hence the copy.
    write: (chunk) => writable.write(Buffer.from(chunk)),
    end(error) {
      if (error === undefined) writable.end()
      else writable.destroy(error)
    },
    abort: (error) => void writable.destroy(error),
  })
  writable.on('drain', () => {
    sink.ready = true
  })
  writable.on('error', (error) => sink.close(failed(error)))
  writable.on('close', () => sink.close(new XpsError('XPS_STREAM', 'writable stream closed')))
  if (writable.destroyed || writable.writableEnded) sink.close(new XpsError('XPS_STREAM', 'writable stream is closed'))
  return sink
}

function intoWebStream<S extends SinkEnd>(stream: WritableStream, make: (handlers: SinkHandlers) => S): S {
  const writer = stream.getWriter()
  const ignore = (): void => {} // Every failure also rejects `writer.closed`, which is where it is heard.
  const sink = make({
    write(chunk) {
      writer.write(new Uint8Array(chunk)).catch(ignore)
      if ((writer.desiredSize ?? 0) > 0) return true
      writer.ready.then(() => {
        sink.ready = true
      }, ignore)
      return false
    },
    end: (error) => void (error === undefined ? writer.close() : writer.abort(error)).catch(ignore),
    abort: (error) => void writer.abort(error).catch(ignore),
  })
  writer.closed.then(
    () => sink.close(),
    (error: unknown) => sink.close(failed(error)),
  )
  return sink
}
