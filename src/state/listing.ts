import type { Summary } from './container.ts'

/** A list of all ids that is asked for in parts. */
export class Listing {
  readonly #all: AsyncIterator<Summary>

  constructor(all: AsyncIterable<Summary>) {
    this.#all = all[Symbol.asyncIterator]()
  }

  /** The next ids, each followed by when it expires (milliseconds since 1970, -1 for never). */
  async next(limit: number): Promise<{ words: string[]; done: boolean }> {
    const words: string[] = []
    while (words.length < 2 * limit) {
      const { value, done } = await this.#all.next()
      if (done === true) return { words, done }
      const { id, expires } = value as Summary
      words.push(id, expires === Number.POSITIVE_INFINITY ? '-1' : String(Math.round(expires)))
    }
    return { words, done: false }
  }

  /** It is not asked for the rest. */
  end(): void {
    this.#all.return?.().catch(() => {})
  }
}
