import { XpsError } from '../../errors.ts'
import { Fields } from '../fields.ts'
import { CR, hexValues, LF, valueBytes } from './grammar.ts'
import { type HeadLimits, incomplete } from './head-reader.ts'
import { TrailerReader } from './trailer-reader.ts'

/** Where in a chunked body the next byte stands. */
type Place = 'size' | 'extension' | 'size-lf' | 'data' | 'data-cr' | 'data-lf' | 'trailers' | 'end'

/** Digits of a chunk's size, leading zeros included: what they can say is exact in a number. */
const mostDigits = 12
/** Bytes of the extensions of one chunk. */
const mostExtension = 256
/** Bytes of the extensions of one body: nobody has a use for them, and they cost more to read than what they go with. */
const mostExtensions = 16 * 1024

// RFC 9112, 7.1.1, without the blanks that it allows only for the sake of what was sent before it.
const extensions =
  /^(?:;[!#$%&'*+\-.^_`|~\dA-Za-z]+(?:=(?:[!#$%&'*+\-.^_`|~\dA-Za-z]+|"(?:[\t !#-[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"))?)+$/

/**
 * Reads a chunked body (RFC 9112, 7.1) from bytes that come in pieces.
 *
 * Call {@link step} until it has taken all there is or {@link done}; after each call `start` and `end` are the data
 * that it passed, which may be nothing.
 */
export class ChunkedDecoder {
  /** The last byte of the body, trailers included, has been read. */
  done = false
  /** Where the data lies that the last step passed. */
  start = 0
  end = 0
  /** What followed the last chunk; empty until then. */
  trailers: Fields = noTrailers
  readonly #of: 'request' | 'response'
  readonly #limits: HeadLimits
  #place: Place = 'size'
  #digits = 0
  #left = 0
  #extension = ''
  #extensions = 0
  #trailerReader: TrailerReader | undefined

  constructor(of: 'request' | 'response', limits: HeadLimits) {
    this.#of = of
    this.#limits = limits
  }

  /** Reads from `at` to the end of a piece of data, of the body or of the chunk; returns where it stopped. */
  step(chunk: Buffer, from: number): number {
    this.start = this.end = 0
    let at = from
    while (at < chunk.length) {
      const byte = chunk[at] as number
      switch (this.#place) {
        case 'size':
          at++
          this.#readSize(byte)
          break
        case 'extension':
          at++
          if (byte === CR) this.#extensionEnds()
          else this.#readExtension(byte)
          break
        case 'size-lf':
          at++
          if (byte !== LF) throw this.#bad('a bare CR in a chunk')
          this.#place = this.#left === 0 ? 'trailers' : 'data'
          break
        case 'data': {
          const stop = Math.min(chunk.length, at + this.#left)
          this.#left -= stop - at
          this.start = at
          this.end = stop
          if (this.#left === 0) this.#place = 'data-cr'
          return stop
        }
        case 'data-cr':
          at++
          if (byte !== CR) throw this.#bad('a chunk that is longer than its size')
          this.#place = 'data-lf'
          break
        case 'data-lf':
          at++
          if (byte !== LF) throw this.#bad('a bare CR after a chunk')
          this.#place = 'size'
          this.#digits = 0
          break
        case 'trailers':
          return this.#readTrailers(chunk, at)
        case 'end':
          return at
      }
    }
    return at
  }

  #readSize(byte: number): void {
    const value = hexValues[byte] as number
    if (value !== 255) {
      if (++this.#digits > mostDigits) throw this.#bad('a chunk size that is too large')
      this.#left = this.#left * 16 + value
      return
    }
    if (this.#digits === 0) throw this.#bad('a chunk without a size')
    if (byte === CR) this.#place = 'size-lf'
    else if (byte === 0x3b) {
      this.#place = 'extension'
      this.#extension = ';'
    } else throw this.#bad('a chunk size that is no number')
  }

  #readExtension(byte: number): void {
    if (valueBytes[byte] === 0) throw this.#bad('a control character in a chunk extension')
    if (this.#extension.length >= mostExtension || ++this.#extensions > mostExtensions) {
      throw this.#bad('a chunk extension that is too long')
    }
    this.#extension += String.fromCharCode(byte)
  }

  #extensionEnds(): void {
    if (!extensions.test(this.#extension)) throw this.#bad('an invalid chunk extension')
    this.#place = 'size-lf'
  }

  #readTrailers(chunk: Buffer, at: number): number {
    // Most often there are none.
    if (this.#trailerReader === undefined && chunk[at] === CR && chunk[at + 1] === LF) return this.#finish(at + 2)
    this.#trailerReader ??= new TrailerReader(this.#of, this.#limits)
    const end = this.#trailerReader.read(chunk, at)
    if (end === incomplete) return chunk.length
    this.trailers = this.#trailerReader.trailers
    return this.#finish(end)
  }

  #finish(at: number): number {
    this.#place = 'end'
    this.done = true
    return at
  }

  #bad(what: string): XpsError {
    const request = this.#of === 'request'
    return new XpsError(request ? 'XPS_BAD_REQUEST' : 'XPS_BAD_RESPONSE', `the ${this.#of}'s body has ${what}`, {
      origin: request ? 'client' : 'upstream',
      status: request ? 400 : 502,
    })
  }
}

const noTrailers = new Fields()
