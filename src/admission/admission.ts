import type { Alarm, Clock } from '../clock.ts'
import type { PipeAccount } from '../pipe/pipe.ts'
import { Gate } from './gate.ts'
import type { Limits } from './limits.ts'
import { Counters } from './stats.ts'

/** A door as the admission sees it. */
export interface Doorway {
  /** How many wait there. */
  readonly queued: number
  /** Since when the one waits that would be served next. */
  readonly nextSince: number
  /** Whether somebody waits there, and could come in as far as that door is concerned. */
  canServe(): boolean
  /** Whether its next one is to be served before that of another door. */
  goesBefore(other: Doorway): boolean
  serveNext(): void
}

/** How often it is looked whether buffers have become smaller, while somebody waits for that, in milliseconds. */
const bufferLook = 100

/**
 * What the doors of all listeners of a core have in common: how many are inside, how many of each address, how much
 * their pipes hold, and who is served next.
 */
export class Admission {
  readonly clock: Clock
  readonly gate: Gate
  readonly counters: Counters = new Counters()
  /** What all pipes of all sessions hold. */
  readonly account: PipeAccount = { held: 0 }
  /** True while the core is closing: nobody is evicted any more. */
  draining = false
  /** Sessions that were told to make room and have not closed yet. */
  evicting = 0
  readonly #doors = new Set<Doorway>()
  readonly #perIp = new Map<string, number>()
  #maxBytes: number
  #heavy = false
  #look: Alarm | undefined
  #serving = false

  constructor(clock: Clock, limits: Limits, maxBytes: number) {
    this.clock = clock
    this.gate = new Gate(limits.maxConnections)
    this.#maxBytes = maxBytes
  }

  set maxBytes(bytes: number) {
    this.#maxBytes = bytes
    this.serveWaiting()
  }

  /** How many wait at all doors. */
  get queued(): number {
    let sum = 0
    for (const door of this.#doors) sum += door.queued
    return sum
  }

  join(door: Doorway): void {
    this.#doors.add(door)
  }

  quit(door: Doorway): void {
    this.#doors.delete(door)
    if (this.#doors.size > 0) return
    this.#look?.cancel()
    this.#look = undefined
  }

  /** How many connections of an address there are, waiting or served. */
  countOf(ip: string): number {
    return this.#perIp.get(ip) ?? 0
  }

  enter(ip: string | undefined): void {
    if (ip !== undefined) this.#perIp.set(ip, this.countOf(ip) + 1)
  }

  leave(ip: string | undefined): void {
    if (ip === undefined) return
    const count = this.countOf(ip) - 1
    if (count > 0) this.#perIp.set(ip, count)
    else this.#perIp.delete(ip)
  }

  /** Whether one more may come in, through whichever door. */
  hasRoom(): boolean {
    // Both are asked: a gate that turns somebody away shuts, until 90 % are left.
    const light = this.#isLight()
    return this.gate.hasRoom() && light
  }

  /** Serves those that wait, as many as may come in. */
  serveWaiting(): void {
    if (this.#serving) return
    this.#serving = true
    try {
      for (let door = this.#next(); door !== undefined && this.hasRoom(); door = this.#next()) door.serveNext()
    } finally {
      this.#serving = false
    }
    if (this.#heavy && this.#next() !== undefined) this.#lookAgain()
  }

  /** The door whose next one is served first: the newest or the oldest of all, each by its own order. */
  #next(): Doorway | undefined {
    let best: Doorway | undefined
    for (const door of this.#doors) {
      if (!door.canServe()) continue
      if (best === undefined || door.goesBefore(best)) best = door
    }
    return best
  }

  #isLight(): boolean {
    const { held } = this.account
    if (this.#maxBytes === 0) this.#heavy = false
    else if (held >= this.#maxBytes) this.#heavy = true
    else if (held < this.#maxBytes * 0.9) this.#heavy = false
    return !this.#heavy
  }

  /** Buffers empty without a word, so somebody who waits for that has to look. */
  #lookAgain(): void {
    if (this.#look !== undefined) return
    this.#look = this.clock.after(bufferLook, () => {
      this.#look = undefined
      this.serveWaiting()
    })
  }
}
