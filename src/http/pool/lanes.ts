import type { UpstreamSession } from '../upstream-session.ts'

/** Requests of one turn of the loop that go to the same lane before the next one has its turn. */
const mostTogether = 16

/**
 * Connections of HTTP/1.1 that carry requests one behind the other: in turn, each up to a depth. Requests that come in the
 * same turn of the loop go to the same one, some at a time, since they leave in one write.
 */
export class Lanes {
  readonly #most: number
  readonly #depth: number
  readonly #lanes: UpstreamSession[] = []
  /** How many are being dialled. */
  #dialled = 0
  #last = 0

  constructor(most: number, depth: number) {
    this.#most = most
    this.#depth = depth
  }

  /** Requests may be sent one behind the other. */
  get used(): boolean {
    return this.#depth > 1
  }

  get depth(): number {
    return this.#depth
  }

  /** There are as many as there may be, those included that are being dialled. */
  get full(): boolean {
    return this.#lanes.length + this.#dialled >= this.#most
  }

  /** How many have no work. */
  get idle(): number {
    return this.#lanes.filter((lane) => lane.busy === 0 && lane.reserved === 0).length
  }

  [Symbol.iterator](): Iterator<UpstreamSession> {
    return this.#lanes[Symbol.iterator]()
  }

  has(session: UpstreamSession): boolean {
    return this.#lanes.includes(session)
  }

  /** The next one that takes another request. */
  next(fits: (session: UpstreamSession) => boolean): UpstreamSession | undefined {
    const lanes = this.#lanes
    const same = lanes[this.#last]
    if (same !== undefined && same.gathered > 0 && same.gathered < mostTogether && this.#takes(same) && fits(same)) {
      return same
    }
    for (let count = 0; count < lanes.length; count++) {
      this.#last = (this.#last + 1) % lanes.length
      const lane = lanes[this.#last] as UpstreamSession
      if (this.#takes(lane) && fits(lane)) return lane
    }
    return undefined
  }

  #takes(lane: UpstreamSession): boolean {
    return lane.canSend && lane.busy < this.#depth
  }

  /** Takes one that has no work out, for somebody who wants it alone. */
  takeOut(fits: (session: UpstreamSession) => boolean): UpstreamSession | undefined {
    const lane = this.#lanes.find((one) => one.busy === 0 && one.canSend && fits(one))
    if (lane !== undefined) this.remove(lane)
    return lane
  }

  add(session: UpstreamSession): void {
    this.#lanes.push(session)
  }

  remove(session: UpstreamSession): void {
    const index = this.#lanes.indexOf(session)
    if (index >= 0) this.#lanes.splice(index, 1)
  }

  /** One is being dialled, or is not any more. */
  dialling(change: 1 | -1): void {
    this.#dialled += change
  }
}
