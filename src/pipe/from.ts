import { Readable } from 'node:stream'
import { asXpsError, XpsError } from '../errors.ts'
import { invalidOption } from '../options.ts'
import type { SourceEnd, SourceHandlers } from './ends.ts'

/** What bytes can be read from: streams, bytes, a text, or an iterable (also asynchronous) of bytes and texts. */
export type BodyLike =
  | Readable
  | ReadableStream
  | Uint8Array
  | string
  | Iterable<Uint8Array | string>
  | AsyncIterable<Uint8Array | string>

/** The handlers with which a pipe source reads a body. Nothing is read before the first pull. */
export function sourceHandlersOf(body: BodyLike): SourceHandlers {
  if (typeof body === 'string' || body instanceof Uint8Array) return iterate([body][Symbol.iterator]())
  if (body instanceof Readable) return readNodeStream(body)
  if (typeof body !== 'object' || body === null) throw invalidOption('PipeSource.from', body, bodyShape)
  // Before the iterators: a web stream's reader can be cancelled in the middle of a read, its iterator cannot.
  if ('getReader' in body) return readWebStream(body)
  if (Symbol.asyncIterator in body) return iterate(body[Symbol.asyncIterator]())
  if (Symbol.iterator in body) return iterate(body[Symbol.iterator]())
  throw invalidOption('PipeSource.from', body, bodyShape)
}

const bodyShape = 'a readable stream, bytes, a text or an iterable of these'

function readNodeStream(readable: Readable): SourceHandlers {
  let reading = false
  let rest: Uint8Array | undefined
  let failure: XpsError | undefined
  let source: SourceEnd | undefined
  // From the start: a stream may fail before it is asked for anything.
  readable.once('error', (error) => {
    failure = asXpsError(error, 'XPS_STREAM', 'readable stream failed')
    source?.end(failure)
  })
  // Returns false when the pipe has no room for all of it.
  const write = (end: SourceEnd, bytes: Uint8Array): boolean => {
    const taken = end.write(bytes)
    rest = taken < bytes.length ? bytes.subarray(taken) : undefined
    return rest === undefined
  }
  const read = (): void => {
    if (source === undefined || (rest !== undefined && !write(source, rest))) return
    while (source.ready) {
      const chunk: unknown = readable.read()
      if (chunk === null) return
      const bytes = toBytes(chunk)
      if (bytes === undefined) {
        source.end(notBytes(chunk))
        readable.destroy()
        return
      }
      if (!write(source, bytes)) return
    }
  }
  let ending: { error: XpsError | undefined } | undefined
  const ended = (error?: XpsError): void => {
    // What is left over is written first, by the next pull.
    if (rest === undefined) source?.end(error)
    else ending = { error }
  }
  return {
    pull(end) {
      source = end
      if (!reading) {
        reading = true
        readable.on('readable', read)
        readable.once('end', () => ended())
        // A stream that is destroyed without an error and without its end has lost bytes.
        readable.once('close', () => {
          if (!readable.readableEnded)
            ended(failure ?? new XpsError('XPS_STREAM', 'readable stream closed before its end'))
        })
        if (readable.readableEnded) return end.end()
        if (readable.destroyed) return end.end(failure ?? new XpsError('XPS_STREAM', 'readable stream is destroyed'))
      }
      read()
      if (ending !== undefined && rest === undefined) end.end(ending.error)
    },
    close(error) {
      readable.off('readable', read)
      if (error === undefined && readable.readableEnded) return
      readable.on('error', () => {}) // Its end has been told; a late error has no address any more.
      readable.destroy(error)
    },
  }
}

function readWebStream(stream: ReadableStream): SourceHandlers {
  const reader = stream.getReader()
  return iterate({
    next: () => reader.read() as Promise<IteratorResult<unknown>>,
    return: async () => {
      await reader.cancel()
      return { done: true, value: undefined }
    },
  })
}

type AnyIterator = {
  next(): IteratorResult<unknown> | Promise<IteratorResult<unknown>>
  return?(): unknown
}

/** Reads an iterator one value at a time, and the next only when the one before has been taken whole. */
function iterate(iterator: AnyIterator): SourceHandlers {
  let rest: Uint8Array | undefined
  let waiting = false
  let done = false

  const failed = (source: SourceEnd, error: unknown): void => {
    done = true
    source.end(asXpsError(error, 'XPS_STREAM', 'readable stream failed'))
  }
  /** Returns false when there is nothing more to do before the next pull. */
  const accept = (source: SourceEnd, result: IteratorResult<unknown>): boolean => {
    if (result.done === true) {
      done = true
      source.end()
      return false
    }
    const bytes = toBytes(result.value)
    if (bytes === undefined) {
      failed(source, notBytes(result.value))
      stop()
      return false
    }
    return write(source, bytes)
  }
  const write = (source: SourceEnd, bytes: Uint8Array): boolean => {
    const taken = source.write(bytes)
    rest = taken < bytes.length ? bytes.subarray(taken) : undefined
    return rest === undefined
  }
  const stop = (): void => {
    done = true
    rest = undefined
    Promise.resolve(iterator.return?.()).catch(() => {}) // Its end has been told; a late error has no address.
  }
  const pull = (source: SourceEnd): void => {
    if (waiting || done) return
    if (rest !== undefined && !write(source, rest)) return
    while (source.ready && !done) {
      let result: IteratorResult<unknown> | Promise<IteratorResult<unknown>>
      try {
        result = iterator.next()
      } catch (error) {
        return failed(source, error)
      }
      if (result instanceof Promise) {
        waiting = true
        result.then(
          (value) => {
            waiting = false
            if (!done && accept(source, value)) pull(source)
          },
          (error: unknown) => {
            waiting = false
            if (!done) failed(source, error)
          },
        )
        return
      }
      if (!accept(source, result)) return
    }
  }
  return {
    pull,
    close: () => {
      if (!done) stop()
    },
  }
}

function toBytes(value: unknown): Uint8Array | undefined {
  if (value instanceof Uint8Array) return value
  return typeof value === 'string' ? Buffer.from(value) : undefined
}

function notBytes(value: unknown): XpsError {
  return new XpsError('XPS_STREAM', `readable stream gave ${typeof value}, neither bytes nor text`)
}
