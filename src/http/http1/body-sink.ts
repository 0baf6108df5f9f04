import type { Output } from '../../core/output.ts'
import { XpsError } from '../../errors.ts'
import { PipeSink } from '../../pipe/sink.ts'
import type { Fields } from '../fields.ts'
import { chunked } from './head-reader.ts'

/** What a {@link BodySink} tells the side of a connection that it writes to. */
export interface BodyWriter {
  /** The body is complete, and so is the message; or it was cut short, with an error. */
  bodyWritten(error: XpsError | undefined): void
}

const noHandlers = { write(): void {} }

/** Where the body of a message goes that is being sent: it is framed, and never longer than was said. */
export class BodySink extends PipeSink {
  /** Asked for what follows a body that is sent in chunks, when that has ended. */
  trailersOf: (() => Fields | undefined) | undefined
  readonly #writer: BodyWriter
  readonly #output: Output
  readonly #inChunks: boolean
  /** Bytes that are still to come; infinite if nobody said. */
  #left: number

  /** `length` is a number of bytes, {@link chunked}, or less for a body that lasts until the connection ends. */
  constructor(writer: BodyWriter, output: Output, length: number) {
    super(noHandlers)
    this.#writer = writer
    this.#output = output
    this.#inChunks = length === chunked
    this.#left = length < 0 ? Number.POSITIVE_INFINITY : length
    if (!output.ready) this.ready = false
  }

  override take(chunk: Uint8Array): number {
    const output = this.#output
    if (chunk.length > this.#left) {
      const error = tooLong()
      this.close(error)
      this.#writer.bodyWritten(error)
      return chunk.length
    }
    const taken = this.#inChunks ? this.#takeChunk(chunk) : output.body(chunk)
    this.#left -= taken
    if (taken < chunk.length || !output.flushed) this.ready = false
    return taken
  }

  /** The output is empty again. */
  outputReady(): void {
    this.ready = true
  }

  override sourceEnded(error: XpsError | undefined): void {
    super.sourceEnded(error)
    if (error !== undefined) return this.#writer.bodyWritten(error)
    if (this.#inChunks) {
      const trailers = this.trailersOf?.()
      this.#output.text(trailers === undefined ? lastChunk : `0\r\n${trailers.serialize(0)}\r\n`)
    } else if (this.#left > 0 && this.#left !== Number.POSITIVE_INFINITY)
      return this.#writer.bodyWritten(tooShort(this.#left))
    this.#writer.bodyWritten(undefined)
  }

  override aborted(error: XpsError): void {
    super.aborted(error)
    this.#writer.bodyWritten(error)
  }

  #takeChunk(bytes: Uint8Array): number {
    const output = this.#output
    if (bytes.length === 0 || !output.ready) return 0
    // All or nothing is taken, since a size that was sent must be kept; what the pipe has no room for, the output keeps.
    output.text(`${bytes.length.toString(16)}\r\n`)
    output.whole(bytes)
    output.text('\r\n')
    output.schedule()
    return bytes.length
  }
}

const lastChunk = '0\r\n\r\n'

function tooLong(): XpsError {
  return new XpsError('XPS_FAULT', 'the body is longer than its content-length says')
}

function tooShort(left: number): XpsError {
  return new XpsError('XPS_TRUNCATED', `the body ended ${left} bytes short of its content-length`)
}
