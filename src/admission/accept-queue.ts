/** Something that waits, and since when. */
export interface Waiting<T> {
  readonly item: T
  readonly since: number
}

/** Those that wait to be served, in the order in which they came. */
export class AcceptQueue<T> {
  // Taken from either end; the array is moved up only when half of it is gone.
  #entries: (Waiting<T> | undefined)[] = []
  #first = 0

  get length(): number {
    return this.#entries.length - this.#first
  }

  /** The one that waits the longest. */
  get oldest(): Waiting<T> | undefined {
    return this.#entries[this.#first]
  }

  /** The one that came last. */
  get newest(): Waiting<T> | undefined {
    return this.length === 0 ? undefined : this.#entries[this.#entries.length - 1]
  }

  push(item: T, since: number): void {
    this.#entries.push({ item, since })
  }

  /** Takes out the next to be served. */
  take(order: 'newest' | 'oldest'): Waiting<T> | undefined {
    if (this.length === 0) return undefined
    if (order === 'newest') return this.#entries.pop()
    const entry = this.#entries[this.#first]
    this.#entries[this.#first++] = undefined
    if (this.#first > 32 && this.#first * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first)
      this.#first = 0
    }
    return entry
  }
}
