const nothing = Buffer.alloc(0)
const firstSize = 4 * 1024

/**
 * Finds the lines in what a client sends, wherever it is split: each ends with LF, and CR, blanks and the like at
 * either end of it do not count.
 *
 * ```
 *   add(chunk) ─► next() ─► bytes[start … end)     in place, while the chunk is borrowed
 *                 next() ─► false: keep()          what is left is copied, and goes before the next chunk
 * ```
 */
export class LineReader {
  /** Where the line lies that {@link next} has found. */
  bytes: Buffer = nothing
  start = 0
  end = 0
  /** A line is longer than the limit; nothing more is read. */
  tooLong = false
  readonly #limit: number
  /** What is being read: a chunk that is borrowed, or the part of our own memory that is filled. */
  #from: Buffer = nothing
  #at = 0
  /** Up to here there is no LF. */
  #searched = 0
  #memory: Buffer | undefined

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Bytes that are there and are no part of a line that was found. */
  get left(): number {
    return this.#from.length - this.#at
  }

  /** Takes what has come. It is read in place until {@link keep}. */
  add(chunk: Buffer): void {
    if (this.left === 0) {
      this.#from = chunk
      this.#at = this.#searched = 0
    } else this.#append(chunk)
  }

  /** Goes to the next line; false if it is not there yet. */
  next(): boolean {
    if (this.tooLong) return false
    const from = this.#from
    const lf = this.#searched < from.length ? from.indexOf(10, this.#searched) : -1
    const end = lf < 0 ? from.length : lf
    if (end - this.#at > this.#limit) {
      this.tooLong = true
      return false
    }
    if (lf < 0) {
      this.#searched = end
      return false
    }
    this.#found(end)
    this.#at = this.#searched = end + 1
    return true
  }

  /** What is left is a line, since nothing follows it; false if nothing is left. */
  last(): boolean {
    if (this.tooLong || this.left === 0) return false
    this.#found(this.#from.length)
    this.#at = this.#searched = this.#from.length
    return true
  }

  /** Copies what is left, because the chunk's memory is about to hold something else. */
  keep(): void {
    if (this.left === 0) {
      this.#from = nothing
      this.#at = this.#searched = 0
      // What a long line needed is not kept for a client that may never send another.
      if (this.#memory !== undefined && this.#memory.length > firstSize) this.#memory = undefined
    } else if (this.#memory === undefined || this.#from.buffer !== this.#memory.buffer) this.#append(nothing)
  }

  /** Trims as the reference does: blanks, tabs, CR, LF, NUL and VT. */
  #found(end: number): void {
    const bytes = this.#from
    let start = this.#at
    let stop = end
    while (stop > start && isBlank(bytes[stop - 1] as number)) stop--
    while (start < stop && isBlank(bytes[start] as number)) start++
    this.bytes = bytes
    this.start = start
    this.end = stop
  }

  /** Puts a chunk behind what is left, in memory of our own. */
  #append(chunk: Buffer): void {
    const left = this.left
    const needed = left + chunk.length
    const from = this.#from
    let memory = this.#memory
    if (memory === undefined || memory.length < this.#at + needed || from.buffer !== memory.buffer) {
      // Twice as much as is needed, so that a line which comes byte by byte is not copied byte by byte.
      if (memory === undefined || memory.length < needed)
        memory = Buffer.allocUnsafeSlow(Math.max(firstSize, 2 * needed))
      from.copy(memory, 0, this.#at)
      this.#searched -= this.#at
      this.#at = 0
      this.#memory = memory
    }
    chunk.copy(memory, this.#at + left)
    this.#from = memory.subarray(0, this.#at + needed)
  }
}

function isBlank(byte: number): boolean {
  return byte === 32 || (byte <= 13 && (byte === 13 || byte === 10 || byte === 9 || byte === 0 || byte === 11))
}
