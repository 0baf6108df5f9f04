import { close, read } from 'node:fs'
import { asXpsError, XpsError } from '../../errors.ts'
import { PipeSource } from '../../pipe/source.ts'
import type { ByteRange } from './byte-ranges.ts'

/**
 * A source that sends parts of an open file, and text of ours between them, and closes the file.
 *
 * It is to a `FileSource` what a descriptor is to a path: the answer says what the open file is, so it is opened
 * before the answer is made.
 *
 * Who does not put it into a pipe calls `end()`. It ends with `XPS_TRUNCATED` if the file has become shorter.
 */
export class FileParts extends PipeSource {
  readonly #fd: number
  readonly #path: string
  readonly #pieces: readonly (Uint8Array | ByteRange)[]
  readonly #chunkSize: number
  #next = 0
  #position = 0
  #stop = 0
  #buffer: Buffer | undefined
  #rest: Uint8Array | undefined
  #busy = false
  #released = false

  /** Takes the descriptor over; the path is for messages. */
  constructor(fd: number, path: string, pieces: readonly (Uint8Array | ByteRange)[], chunkSize: number) {
    super()
    this.#fd = fd
    this.#path = path
    this.#pieces = pieces
    this.#chunkSize = chunkSize
  }

  override pulled(): void {
    if (!this.ended && !this.#busy) this.#proceed()
  }

  override end(error?: XpsError): void {
    super.end(error)
    this.#release()
  }

  override over(error: XpsError | undefined): void {
    super.over(error)
    this.#release()
  }

  #proceed(): void {
    for (;;) {
      if (this.#rest !== undefined) {
        const taken = this.write(this.#rest)
        this.#rest = taken < this.#rest.length ? this.#rest.subarray(taken) : undefined
      }
      // The buffer is used again only when nobody needs what is in it any more.
      if (this.#rest !== undefined || !this.flushed || this.ended) return
      if (this.#position < this.#stop) return this.#read()
      const piece = this.#pieces[this.#next++]
      if (piece === undefined) return this.end()
      if (piece instanceof Uint8Array) {
        this.#rest = piece
      } else {
        this.#position = piece.start
        this.#stop = piece.end
      }
    }
  }

  #read(): void {
    const left = this.#stop - this.#position
    if (this.#buffer === undefined || this.#buffer.length < Math.min(left, this.#chunkSize)) {
      this.#buffer = Buffer.allocUnsafeSlow(Math.min(left, this.#chunkSize))
    }
    this.#busy = true
    const length = Math.min(this.#buffer.length, left)
    read(this.#fd, this.#buffer, 0, length, this.#position, (error, count, buffer) => {
      this.#busy = false
      if (this.ended) return this.#release()
      if (error !== null) return this.end(asXpsError(error, 'XPS_READ', `cannot read ${this.#path}`))
      if (count === 0) {
        return this.end(new XpsError('XPS_TRUNCATED', `${this.#path} became shorter: ${left} bytes are missing`))
      }
      this.#position += count
      this.#rest = buffer.subarray(0, count)
      this.#proceed()
    })
  }

  /** Closes the descriptor, but never under a read: its number might be another file's by then. */
  #release(): void {
    if (this.#busy || this.#released) return
    this.#released = true
    close(this.#fd, () => {})
  }
}
