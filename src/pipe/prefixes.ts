// A power of two, so that the place of a length is a mask away.
const places = 8

/**
 * The beginnings of a piece of memory that is used again and again. Messages of one kind are often of the same length, and
 * an object that says how much of the memory is meant costs more than a look whether there is one already.
 */
export class Prefixes {
  readonly bytes: Buffer
  readonly #known: (Buffer | undefined)[] = new Array<Buffer | undefined>(places).fill(undefined)

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  /** The first so many bytes. */
  first(length: number): Buffer {
    const place = length & (places - 1)
    const known = this.#known[place]
    if (known !== undefined && known.length === length) return known
    const made = this.bytes.subarray(0, length)
    this.#known[place] = made
    return made
  }
}
