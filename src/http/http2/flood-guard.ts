import type { Flood, Http2Rules } from './options.ts'

/** Counts what a client may do, but not too often: by windows of time, one after the other. */
export class FloodGuard {
  readonly #rules: Http2Rules
  readonly #counts: Record<Exclude<Flood, 'frames'>, number> = { resets: 0, pings: 0, settings: 0, priorities: 0 }
  #since: number

  constructor(rules: Http2Rules, now: number) {
    this.#rules = rules
    this.#since = now
  }

  /** One more; true if it is one too many. */
  count(what: Exclude<Flood, 'frames'>, now: number): boolean {
    const counts = this.#counts
    if (now - this.#since >= this.#rules.floodWindow) {
      this.#since = now
      counts.resets = counts.pings = counts.settings = counts.priorities = 0
    }
    return ++counts[what] > this.#rules.most[what]
  }
}
