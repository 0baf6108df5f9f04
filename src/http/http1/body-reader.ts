import type { Fields } from '../fields.ts'
import { ChunkedDecoder } from './chunked-decoder.ts'
import { chunked, type HeadLimits } from './head-reader.ts'

/** A body that is not longer, and has come whole with its head, is handed on whole: it needs no reader, and no pipe. */
export const wholeBody: number = 8 * 1024

/** Takes data of a body, and returns how much of it was taken. */
export interface BodyTaker {
  takeBody(chunk: Buffer, start: number, stop: number): number
}

/** Finds the data of a body in the bytes of a connection, however the body is framed (RFC 9112, 6 and 7). */
export class BodyReader {
  /** The last byte of the body, trailers included, has been read. */
  done = false
  /** Bytes that are still to come; infinite if nobody said how many. */
  left: number
  readonly #taker: BodyTaker
  readonly #decoder: ChunkedDecoder | undefined
  /** What is left of a chunk's data that was not taken whole. */
  #untaken = 0

  /** `length` is a number of bytes, `chunked`, or `untilClose`. */
  constructor(taker: BodyTaker, of: 'request' | 'response', length: number, limits: HeadLimits) {
    this.#taker = taker
    this.left = length < 0 ? Number.POSITIVE_INFINITY : length
    this.#decoder = length === chunked ? new ChunkedDecoder(of, limits) : undefined
  }

  /** It lasts until the connection ends. */
  get untilClose(): boolean {
    return this.#decoder === undefined && this.left === Number.POSITIVE_INFINITY
  }

  /** What followed the last chunk; undefined before, and for a body that is not in chunks. */
  get trailers(): Fields | undefined {
    return this.#decoder?.done === true ? this.#decoder.trailers : undefined
  }

  /** Reads from `at` on, and returns where it stopped: at the end of a piece, of the chunk, or of what was taken. */
  read(chunk: Buffer, at: number): number {
    return this.#decoder === undefined ? this.#readPlain(chunk, at) : this.#readChunks(this.#decoder, chunk, at)
  }

  #readPlain(chunk: Buffer, at: number): number {
    const taken = this.#taker.takeBody(chunk, at, Math.min(chunk.length, at + this.left))
    this.left -= taken
    this.done = this.left === 0
    return at + taken
  }

  #readChunks(decoder: ChunkedDecoder, chunk: Buffer, from: number): number {
    if (this.#untaken > 0) {
      const taken = this.#taker.takeBody(chunk, from, Math.min(chunk.length, from + this.#untaken))
      this.#untaken -= taken
      return from + taken
    }
    const at = decoder.step(chunk, from)
    const { start, end } = decoder
    if (end > start) {
      const taken = this.#taker.takeBody(chunk, start, end)
      if (taken < end - start) {
        this.#untaken = end - start - taken
        return start + taken
      }
    }
    this.done = decoder.done
    return at
  }
}
