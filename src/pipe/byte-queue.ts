// Small writes share a block, so that a queue of n bytes costs about n bytes however they came.
const blockSize = 16 * 1024

/** Bytes in order: copied in at one end, looked at and dropped at the other. */
export class ByteQueue {
  #blocks: Buffer[] = []
  #head = 0
  #tail = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  /** Copies bytes to the end. */
  push(bytes: Uint8Array): void {
    let from = 0
    while (from < bytes.length) {
      let block = this.#blocks[this.#blocks.length - 1]
      if (block === undefined || this.#tail === block.length) {
        block = Buffer.allocUnsafeSlow(Math.max(blockSize, bytes.length - from))
        this.#blocks.push(block)
        this.#tail = 0
      }
      const size = Math.min(block.length - this.#tail, bytes.length - from)
      block.set(bytes.subarray(from, from + size), this.#tail)
      this.#tail += size
      from += size
    }
    this.#length += bytes.length
  }

  /** The first bytes, at most `most` of them, as they lie in memory; empty only when the queue is. */
  peek(most: number): Buffer {
    const block = this.#blocks[0]
    if (block === undefined) return Buffer.alloc(0)
    const end = this.#blocks.length === 1 ? this.#tail : block.length
    return block.subarray(this.#head, Math.min(end, this.#head + most))
  }

  /** Forgets the first bytes. They must be part of what {@link peek} showed. */
  drop(count: number): void {
    this.#head += count
    this.#length -= count
    if (this.#length === 0) this.clear()
    else if (this.#head === this.#blocks[0]?.length) {
      this.#blocks.shift()
      this.#head = 0
    }
  }

  clear(): void {
    this.#blocks = []
    this.#head = 0
    this.#tail = 0
    this.#length = 0
  }
}
