import type { ServerHttp2Stream } from 'node:http2'
import { XpsError } from '../../errors.ts'
import { PipeSink } from '../../pipe/sink.ts'
import type { ResponseSink } from '../client-stream.ts'
import type { Fields } from '../fields.ts'

/** What a {@link BodySink} tells the stream that it belongs to. */
export interface BodyWriter {
  /** Bytes were given to the stream, or the client took some. */
  bodyMoved(): void
  /** The body is complete, and so is the message; or it was cut short, with an error. */
  bodyWritten(error: XpsError | undefined): void
}

/** How many bytes may be with `node:http2`, which takes as many as it is given, before it is given no more. */
const mostInFlight = 64 * 1024
const noHandlers = { write(): void {} }

/**
 * Where the body of a response goes. What it is given is copied: `node:http2` needs the memory until the bytes have left, also
 * those of a stream that has been reset, and of that it tells nobody.
 */
export class BodySink extends PipeSink implements ResponseSink {
  trailersOf: (() => Fields | undefined) | undefined
  readonly #stream: ServerHttp2Stream
  readonly #writer: BodyWriter
  /** Bytes that are still to come; infinite if nobody said. */
  #left: number
  /** Something may follow the last byte. */
  readonly #trailed: boolean

  /** `length` is a number of bytes, or less than 0 if nobody knows. */
  constructor(stream: ServerHttp2Stream, writer: BodyWriter, length: number, trailed = false) {
    super(noHandlers)
    this.#stream = stream
    this.#writer = writer
    this.#trailed = trailed
    this.#left = length < 0 ? Number.POSITIVE_INFINITY : length
  }

  override take(chunk: Uint8Array): number {
    const { length } = chunk
    if (length > this.#left) {
      const error = new XpsError('XPS_FAULT', 'the body is longer than its content-length says')
      this.close(error)
      this.#writer.bodyWritten(error)
      return length
    }
    if (length === 0) return 0
    this.#left -= length
    const stream = this.#stream
    const copy = Buffer.from(chunk)
    // The last piece takes the end of the stream with it, where that is known to be one.
    if (this.#left === 0 && !this.#trailed) stream.end(copy)
    else if (stream.writableLength + length < mostInFlight) stream.write(copy)
    else {
      this.ready = false
      stream.write(copy, this.#onTaken)
    }
    this.#writer.bodyMoved()
    return length
  }

  /** The client has taken all that there was. */
  readonly #onTaken = (error?: Error | null): void => {
    if (error) return // The stream has closed, and tells so.
    this.#writer.bodyMoved()
    this.ready = true
  }

  override sourceEnded(error: XpsError | undefined): void {
    super.sourceEnded(error)
    if (error === undefined && this.#left > 0 && this.#left !== Number.POSITIVE_INFINITY) {
      const message = `the body ended ${this.#left} bytes short of its content-length`
      return this.#writer.bodyWritten(new XpsError('XPS_TRUNCATED', message))
    }
    this.#writer.bodyWritten(error)
  }

  override aborted(error: XpsError): void {
    super.aborted(error)
    this.#writer.bodyWritten(error)
  }
}
