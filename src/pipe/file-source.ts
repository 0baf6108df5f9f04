import { close, read } from 'node:fs'
import { asXpsError, XpsError } from '../errors.ts'
import { bytesOption, integerOption, invalidOption, knownOptions } from '../options.ts'
import { type OpenFile, openWithin } from './open-within.ts'
import { PipeSource } from './source.ts'

/** Options of a {@link FileSource}. */
export interface FileSourceOptions {
  /** The folder that the file must lie in, links resolved. @default the current folder */
  root?: string
  /** The first byte to send. @default 0 */
  start?: number
  /** The byte before which to stop. @default the size that the file has when it is opened */
  end?: number
  /** Bytes per read, and the memory it takes. A number, or text such as `'256 KiB'`. @default 65536 */
  chunkSize?: number | string
}

/**
 * A source that sends a regular file, or a range of it.
 *
 * The file is opened when a pipe first asks, once, and what is checked is what was opened. It ends with an error if
 * the file cannot be had (`XPS_NOT_FOUND`, `XPS_FORBIDDEN`), starts beyond its end (`XPS_RANGE`) or becomes shorter
 * while it is read (`XPS_TRUNCATED`). A file that is deleted meanwhile is still sent whole.
 */
export class FileSource extends PipeSource {
  readonly path: string
  readonly root: string
  readonly #start: number
  readonly #end: number | undefined
  readonly #chunkSize: number
  #file: OpenFile | undefined
  #opening: Promise<OpenFile> | undefined
  /** The descriptor is closed, or there never was one. */
  #gone = false
  #releasing = false
  #buffer: Buffer | undefined
  #position = 0
  #stop = 0
  #rest: Uint8Array | undefined
  #busy = false
  #closed: Promise<void> | undefined
  #tellClosed: (() => void) | undefined

  constructor(path: string, options: FileSourceOptions = {}) {
    super()
    knownOptions('file options', options, ['root', 'start', 'end', 'chunkSize'])
    if (typeof path !== 'string' || path === '') throw invalidOption('file.path', path, 'the path of a file')
    if (options.root !== undefined && (typeof options.root !== 'string' || options.root === '')) {
      throw invalidOption('file.root', options.root, 'the path of a folder')
    }
    const range = { min: 0, max: Number.MAX_SAFE_INTEGER }
    this.path = path
    this.root = options.root ?? '.'
    this.#start = integerOption('file.start', options.start, 0, range)
    this.#end =
      options.end === undefined
        ? undefined
        : integerOption('file.end', options.end, 0, { min: this.#start, max: range.max })
    this.#chunkSize = options.chunkSize === undefined ? 64 * 1024 : bytesOption('file.chunkSize', options.chunkSize)
  }

  /** The size of the whole file when it was opened; undefined before. */
  get size(): number | undefined {
    return this.#file?.size
  }

  /**
   * Resolves once the file is open and checked; rejects with the error that the pipe would end with. Whoever opens a
   * file and then wants none of it calls `end()`.
   */
  async open(): Promise<{ size: number; modified: Date; path: string }> {
    const { size, modified, path } = await this.#open()
    return { size, modified, path }
  }

  /** Resolves when the descriptor is closed, or at once if there is none. Never rejects. */
  get closed(): Promise<void> {
    if (this.#opening === undefined || this.#gone) return Promise.resolve()
    this.#closed ??= new Promise((resolve) => {
      this.#tellClosed = resolve
    })
    return this.#closed
  }

  override pulled(): void {
    if (this.ended || this.#busy) return
    if (this.#file !== undefined) return this.#proceed(this.#file)
    this.#busy = true
    this.#open().then(
      (file) => {
        this.#busy = false
        if (this.ended) this.#release()
        else this.#proceed(file)
      },
      (error: unknown) => {
        this.#busy = false
        this.end(asXpsError(error, 'XPS_READ', `cannot read ${this.path}`))
      },
    )
  }

  override end(error?: XpsError): void {
    super.end(error)
    this.#release()
  }

  override over(error: XpsError | undefined): void {
    super.over(error)
    this.#release()
  }

  #open(): Promise<OpenFile> {
    this.#opening ??= this.#openAndCheck()
    return this.#opening
  }

  async #openAndCheck(): Promise<OpenFile> {
    const file = await openWithin(this.root, this.path).catch((error: unknown) => {
      this.#tellGone()
      throw error
    })
    if (this.#start > file.size) {
      close(file.fd, () => this.#tellGone())
      throw new XpsError('XPS_RANGE', `${this.path} has ${file.size} bytes, none from ${this.#start} on`)
    }
    this.#file = file
    this.#position = this.#start
    this.#stop = Math.min(this.#end ?? file.size, file.size)
    if (this.ended && !this.#busy) this.#release()
    return file
  }

  #proceed(file: OpenFile): void {
    if (this.#rest !== undefined) {
      const taken = this.write(this.#rest)
      this.#rest = taken < this.#rest.length ? this.#rest.subarray(taken) : undefined
    }
    // The buffer is used again only when nobody needs what is in it any more.
    if (this.#rest !== undefined || !this.flushed) return
    const left = this.#stop - this.#position
    if (left === 0) return this.end()
    this.#buffer ??= Buffer.allocUnsafeSlow(Math.min(this.#chunkSize, left))
    this.#busy = true
    read(file.fd, this.#buffer, 0, Math.min(this.#buffer.length, left), this.#position, (error, count, buffer) => {
      this.#busy = false
      if (this.ended) return this.#release()
      if (error !== null) return this.end(asXpsError(error, 'XPS_READ', `cannot read ${this.path}`))
      if (count === 0) {
        const message = `${this.path} became shorter: ${left} of ${this.#stop - this.#start} bytes are missing`
        return this.end(new XpsError('XPS_TRUNCATED', message))
      }
      this.#position += count
      this.#rest = buffer.subarray(0, count)
      this.#proceed(file)
    })
  }

  /** Closes the descriptor, but never under a read: its number might be another file's by then. */
  #release(): void {
    if (this.#file === undefined || this.#busy || this.#gone || this.#releasing) return
    this.#releasing = true
    close(this.#file.fd, () => this.#tellGone())
  }

  #tellGone(): void {
    this.#gone = true
    this.#tellClosed?.()
  }
}
