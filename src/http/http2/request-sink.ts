import type { ClientHttp2Stream, OutgoingHttpHeaders } from 'node:http2'
import { XpsError } from '../../errors.ts'
import { PipeSink } from '../../pipe/sink.ts'
import type { Fields } from '../fields.ts'
import type { RequestSink } from '../upstream-session.ts'
import { addFields } from './wire-fields.ts'

/** What a {@link Http2RequestSink} tells the stream that it belongs to. */
export interface RequestWriter {
  /** Some of the body was handed over. */
  requestMoved(): void
  /** The body is cut short, or is not as long as was said. */
  requestCut(error: XpsError): void
}

const noHandlers = { write(): void {} }

/** The body of a request on its way to a stream. */
export class Http2RequestSink extends PipeSink implements RequestSink {
  trailersOf: (() => Fields | undefined) | undefined
  readonly #writer: RequestWriter
  readonly #stream: ClientHttp2Stream
  /** Bytes that are still to come; infinite if nobody said. */
  #left: number

  constructor(writer: RequestWriter, stream: ClientHttp2Stream, length: number) {
    super(noHandlers)
    this.#writer = writer
    this.#stream = stream
    this.#left = length < 0 ? Number.POSITIVE_INFINITY : length
    stream.on('drain', () => {
      writer.requestMoved()
      this.ready = true
    })
    stream.on('wantTrailers', () => this.#sendTrailers())
  }

  /** Copied: a stream that is reset may still send what it was given, and the memory is only lent. */
  override take(chunk: Uint8Array): number {
    if (chunk.length > this.#left) {
      this.#cut(new XpsError('XPS_FAULT', 'the body is longer than its content-length says'))
      return chunk.length
    }
    this.#left -= chunk.length
    if (!this.#stream.write(Buffer.from(chunk))) this.ready = false
    this.#writer.requestMoved()
    return chunk.length
  }

  override sourceEnded(error: XpsError | undefined): void {
    super.sourceEnded(error)
    if (error !== undefined) return this.#writer.requestCut(error)
    if (this.#left > 0 && this.#left !== Number.POSITIVE_INFINITY) {
      const message = `the body ended ${this.#left} bytes short of its content-length`
      return this.#writer.requestCut(new XpsError('XPS_TRUNCATED', message))
    }
    this.#stream.end()
  }

  override aborted(error: XpsError): void {
    super.aborted(error)
    this.#writer.requestCut(error)
  }

  #cut(error: XpsError): void {
    this.close(error)
    this.#writer.requestCut(error)
  }

  #sendTrailers(): void {
    if (this.#stream.closed) return
    const block: OutgoingHttpHeaders = {}
    const trailers = this.trailersOf?.()
    if (trailers !== undefined) addFields(block, trailers)
    // An empty block only ends the stream.
    this.#stream.sendTrailers(block)
  }
}
