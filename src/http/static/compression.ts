import { createRequire } from 'node:module'
import type { Transform } from 'node:stream'
import { promisify } from 'node:util'
import { brotliCompress, constants, createBrotliCompress, createGzip, gzip } from 'node:zlib'
import type { XpsError } from '../../errors.ts'
import type { SourceHandlers } from '../../pipe/ends.ts'
import { sourceHandlersOf } from '../../pipe/from.ts'
import { Pipe } from '../../pipe/pipe.ts'
import { PipeSink } from '../../pipe/sink.ts'
import { PipeSource } from '../../pipe/source.ts'
import { codings } from './codings.ts'
import type { StaticSettings } from './static-options.ts'

type Levels = NonNullable<StaticSettings['compress']>

/** The numbers of the codings that files are compressed to on the fly. */
export const compressedCodings: readonly number[] = [codings.indexOf('br'), codings.indexOf('gzip')]

/** Whether it is worth compressing a file of that type and size. */
export function isCompressible(contentType: string, size: number, levels: Levels): boolean {
  if (size < levels.minSize) return false
  // Loaded when it is needed for the first time, which is for few: its table of types takes two megabytes.
  compressible ??= createRequire(import.meta.url)('compressible') as (contentType: string) => boolean | undefined
  return compressible(contentType) === true
}

let compressible: ((contentType: string) => boolean | undefined) | undefined

const brotliOnce = promisify(brotliCompress)
const gzipOnce = promisify<Uint8Array, { level: number }, Buffer>(gzip)

/** Compresses bytes at one go, off the main thread. */
export function compressBytes(bytes: Uint8Array, coding: number, levels: Levels): Promise<Buffer> {
  if (codings[coding] === 'br') return brotliOnce(bytes, { params: brotliParams(bytes.length, levels) })
  return gzipOnce(bytes, { level: levels.gzip })
}

function brotliParams(size: number, levels: Levels): Record<number, number> {
  return {
    [constants.BROTLI_PARAM_QUALITY]: levels.brotli,
    [constants.BROTLI_PARAM_SIZE_HINT]: Math.min(size, 0x7fff_ffff),
  }
}

/**
 * A source that compresses what another one sends, while it is sent.
 *
 * Nothing is read or compressed before a pipe asks. Who does not put it into a pipe calls `end()`, which ends the other
 * one, too.
 */
export class CompressedSource extends PipeSource {
  readonly #file: PipeSource
  readonly #open: () => Transform
  #handlers: SourceHandlers | undefined
  #inner: Pipe | undefined
  #released = false

  constructor(file: PipeSource, size: number, coding: number, levels: Levels) {
    super()
    this.#file = file
    this.#open = () =>
      codings[coding] === 'br'
        ? createBrotliCompress({ params: brotliParams(size, levels) })
        : createGzip({ level: levels.gzip })
  }

  override pulled(): void {
    if (this.ended) return
    if (this.#handlers === undefined) {
      const codec = this.#open()
      this.#handlers = sourceHandlersOf(codec)
      this.#inner = new Pipe(this.#file, PipeSink.from(codec))
    }
    this.#handlers.pull?.(this)
  }

  override end(error?: XpsError): void {
    super.end(error)
    this.#release(error)
  }

  override over(error: XpsError | undefined): void {
    super.over(error)
    this.#release(error)
  }

  #release(error: XpsError | undefined): void {
    if (this.#released) return
    this.#released = true
    this.#inner?.abort(error)
    this.#file.end()
    this.#handlers?.close?.(error, this)
  }
}
