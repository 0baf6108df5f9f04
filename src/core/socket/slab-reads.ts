import { type Slab, slabs } from '../../pipe/slab.ts'

/** Who gets what is read. */
export interface SlabReader {
  /** Takes bytes, which are borrowed; false asks to stop. */
  deliver(chunk: Uint8Array): boolean
  /** Reading has stopped: what was not taken at all is to be copied. */
  stopped(): void
  /** What was taken is not needed any more. */
  readonly flushed: boolean
}

/** The option of Node's by which a socket reads into memory of ours. */
export interface OnRead {
  buffer(): Buffer
  callback(count: number): boolean
}

/**
 * The reads of a dialled socket into memory that many share: points the socket at a slab, and lends the slab while bytes of
 * it are in flight.
 */
export class SlabReads {
  readonly #reader: SlabReader
  /** The slab that the next read goes to, and the one that is lent until the pipe is empty. */
  #slab: Slab | undefined
  #lent: Slab | undefined

  constructor(reader: SlabReader) {
    this.#reader = reader
  }

  /** For one socket; another attempt to connect has another one. */
  onread(): OnRead {
    return { buffer: () => this.#point(), callback: (count) => this.#read(count) }
  }

  /** The bytes in flight have left. */
  giveBack(): void {
    if (this.#lent === undefined) return
    slabs.giveBack(this.#lent)
    this.#lent = undefined
  }

  /** Nothing will be read any more. */
  leave(): void {
    if (this.#slab === undefined) return
    slabs.leave(this.#slab)
    this.#slab = undefined
  }

  /** The memory for the next read. */
  #point(): Buffer {
    if (this.#slab !== undefined) slabs.leave(this.#slab)
    this.#slab = slabs.point()
    return this.#slab.bytes
  }

  /** So many bytes are in the slab. */
  #read(count: number): boolean {
    const slab = this.#readable(this.#slab as Slab, count)
    const reader = this.#reader
    if (reader.deliver(slab.first(count))) return true
    reader.stopped()
    // What was taken is in flight, and the slab with it.
    if (!reader.flushed) {
      slab.lend(count)
      this.#lent = slab
    }
    return false
  }

  /** The slab that was read into; or another, if the bytes there are lent and ours had to make way. */
  #readable(slab: Slab, count: number): Slab {
    if (!slab.lent) return slab
    const other = slabs.point()
    slab.rescue(count, other.bytes)
    slabs.leave(slab) // Not before: a slab that nobody points at forgets what it had to keep.
    this.#slab = other
    return other
  }
}
