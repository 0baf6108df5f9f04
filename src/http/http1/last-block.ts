import { bytesOf, type FieldBlock } from '../field-block.ts'
import { CR, LF } from './grammar.ts'

/** Characters of a block that is kept. */
export const mostKept: number = 4 * 1024
/** So many blocks in a row, each unlike the one before, and none is kept any more. */
export const mostMisses = 8

/**
 * The fields of the last head of a connection. Clients say the same with each of their requests, and upstreams do within a
 * second: fields whose bytes are those of the head before need not be read again.
 *
 * Nothing is taken for the same but what is, byte by byte, including the empty line; and whoever reads anything else
 * forgets what was kept. A connection with one message, or whose messages differ, keeps nothing.
 */
export class LastBlock {
  #block: FieldBlock | undefined
  /** The same in bytes, once there was something to compare it with. */
  #bytes: Buffer | undefined
  /** Blocks since one was met again; before the first there is no point in keeping one. */
  #misses = -1

  /** The block that was kept, if the same stands there. If not it is forgotten, as its reader goes on to read another. */
  repeated(bytes: Buffer, from: number, end: number): FieldBlock | undefined {
    const block = this.#block
    if (block === undefined) return undefined
    const stop = from + block.text.length
    // The cheap looks first.
    if (stop + 2 <= end && bytes[stop] === CR && bytes[stop + 1] === LF && bytes[stop - 1] === LF) {
      this.#bytes ??= bytesOf(block.text)
      if (bytes.compare(this.#bytes, 0, this.#bytes.length, from, stop) === 0) {
        this.#misses = 0
        block.repeated = true
        return block
      }
    }
    this.forget()
    return undefined
  }

  /** Lets go of what was kept, for as long as no head comes. */
  forget(): void {
    this.#block = undefined
    this.#bytes = undefined
  }

  /** Keeps what has been read and found good, if that promises to be of use. */
  keep(block: FieldBlock): void {
    if (this.#misses > mostMisses) return
    this.#misses++
    if (this.#misses > 0 && this.#misses <= mostMisses && block.text.length <= mostKept) this.#block = block
  }
}
