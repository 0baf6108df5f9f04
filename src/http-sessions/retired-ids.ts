import type { Alarm, Clock } from '../clock.ts'

/** How many ids are remembered; the oldest goes when there are more. */
const mostRetired = 1_000

/** The session that an id stood for. */
interface Retired {
  /** What was in it, before it got another id. */
  readonly entries: ReadonlyMap<string, string>
  readonly until: number
  /** The id that it has now. */
  now: string
  /** Resolves when that is known. */
  readonly renaming: Promise<void>
}

/**
 * Ids that were replaced a moment ago, and what was read under them then: requests that were under way with such an id are
 * answered by what they would have found. Nobody sees by it what came later.
 */
export class RetiredIds {
  readonly #clock: Clock
  readonly #grace: number
  /** Oldest first. */
  readonly #retired = new Map<string, Retired>()
  /** Rings when the grace of the oldest is over. */
  #alarm: Alarm | undefined

  /** `grace` is in milliseconds; 0 for none. */
  constructor(clock: Clock, grace: number) {
    this.#clock = clock
    this.#grace = grace
  }

  /** How many ids are remembered. */
  get size(): number {
    return this.#retired.size
  }

  /** What was in the session of the id; undefined if it has not been replaced, or too long ago. */
  entries(id: string): ReadonlyMap<string, string> | undefined {
    const retired = this.#retired.get(id)
    return retired !== undefined && retired.until > this.#clock.now() ? retired.entries : undefined
  }

  /** The id that took the place of the given one; undefined if that has not been replaced yet, or too long ago. */
  successor(id: string): string | undefined {
    const retired = this.#retired.get(id)
    return retired !== undefined && retired.until > this.#clock.now() && retired.now !== id ? retired.now : undefined
  }

  /** The id that the session has now, or is just about to get: the given one if that has not been replaced, or too long ago. */
  async current(id: string): Promise<string> {
    const retired = this.#retired.get(id)
    if (retired === undefined || retired.until <= this.#clock.now()) return id
    for (let known: string | undefined; known !== retired.now; ) {
      known = retired.now
      await (this.#retired.get(known) ?? retired).renaming
    }
    return retired.now
  }

  /**
   * A session is about to get another id: who waits for it is told that it is gone before we are told the new one. Returns
   * what is to be told of it, or of nothing if it keeps its id.
   */
  replacing(id: string, entries: ReadonlyMap<string, string>): (by: string | undefined) => void {
    if (this.#grace === 0) return () => {}
    let known = (): void => {}
    const renaming = new Promise<void>((resolve) => {
      known = resolve
    })
    const retired: Retired = { entries, until: this.#clock.now() + this.#grace, now: id, renaming }
    // Behind the others, also if it was there.
    this.#forget(id)
    const [oldest] = this.#retired.keys()
    if (oldest !== undefined && this.#retired.size >= mostRetired) this.#forget(oldest)
    this.#retired.set(id, retired)
    this.#alarm ??= this.#clock.after(this.#grace, () => this.#forgetOld())
    return (by) => {
      if (by === undefined) this.#forget(id)
      else for (const one of this.#retired.values()) if (one.now === id) one.now = by
      known()
    }
  }

  /** A session is no more, and so it is under its ids before. */
  destroyed(id: string): void {
    for (const [before, retired] of this.#retired) if (retired.now === id) this.#forget(before)
  }

  /** Forgets all of them. */
  clear(): void {
    this.#retired.clear()
    this.#alarm?.cancel()
    this.#alarm = undefined
  }

  #forget(id: string): void {
    if (this.#retired.delete(id) && this.#retired.size === 0) this.clear()
  }

  /** What is in them is not kept in memory for longer than it can be asked for. */
  #forgetOld(): void {
    this.#alarm = undefined
    for (const [oldest, { until }] of this.#retired) {
      const left = until - this.#clock.now()
      if (left > 0) {
        this.#alarm = this.#clock.after(left, () => this.#forgetOld())
        return
      }
      this.#retired.delete(oldest)
    }
  }
}
