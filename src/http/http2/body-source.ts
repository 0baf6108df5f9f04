import type { ServerHttp2Stream } from 'node:http2'
import type { XpsError } from '../../errors.ts'
import { PipeSource } from '../../pipe/source.ts'

/** What a {@link BodySource} asks of the stream that it belongs to. */
export interface BodyTaker {
  /** Somebody reads it. */
  bodyWanted(): void
  /** Bytes of it have come; the whole so far. */
  bodyMoved(passed: number): XpsError | undefined
}

/**
 * The body of a request. The client's window opens as it is read, so that a client whose body nobody takes is held up, and
 * only for that stream.
 */
export class BodySource extends PipeSource {
  readonly #stream: ServerHttp2Stream
  readonly #taker: BodyTaker
  #listening = false
  /** What came and was not taken. */
  #rest: Uint8Array | undefined
  #passed = 0
  #all = false

  constructor(stream: ServerHttp2Stream, taker: BodyTaker) {
    super()
    this.#stream = stream
    this.#taker = taker
  }

  /** Bytes of it are waited for. */
  get awaited(): boolean {
    return this.active && this.#rest === undefined && !this.#stream.isPaused()
  }

  override pulled(): void {
    if (this.ended) return
    const rest = this.#rest
    if (rest !== undefined) {
      this.#rest = undefined
      this.#write(rest)
      if (this.#rest !== undefined) return
      if (this.#all) return this.end()
      if (!this.flushed) return
    }
    if (!this.#listening) this.#listen()
    this.#stream.resume()
  }

  #listen(): void {
    this.#listening = true
    this.#taker.bodyWanted()
    this.#stream.on('data', (chunk: Uint8Array) => this.#take(chunk))
  }

  #take(chunk: Uint8Array): void {
    this.#passed += chunk.length
    const error = this.#taker.bodyMoved(this.#passed)
    if (error !== undefined) return this.abort(error)
    if (this.ended) return // Nobody wants it any more.
    if (this.#rest !== undefined) this.#rest = Buffer.concat([this.#rest, chunk])
    else this.#write(chunk)
    if (this.#rest !== undefined || !this.flushed) this.#stream.pause()
  }

  #write(chunk: Uint8Array): void {
    const taken = this.write(chunk)
    if (taken < chunk.length) this.#rest = chunk.subarray(taken)
  }

  /** All of it has been read from the stream. */
  complete(): void {
    this.#all = true
    if (this.#rest === undefined) this.end()
  }

  /** The stream has closed: there is no more. */
  cut(error: XpsError): void {
    if (this.#all) return
    if (this.active) this.abort(error)
    else this.end(error)
  }
}
