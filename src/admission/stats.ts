import type { TimeoutReason } from '../errors.ts'

/** Why a connection was closed without being served. */
export type RefusalReason = 'queue-full' | 'queue-timeout' | 'per-ip' | 'closing' | 'gone' | 'tls' | 'proxy-header'

/** What can end a session for taking too long. The other times are about a part of what a session does. */
export type SessionTimeout = Exclude<
  TimeoutReason,
  'transaction' | 'response-head' | 'queue' | 'handshake' | 'proxy-header' | 'lock' | 'reply'
>

/** How many values fell up to and including each bound; the last count is of those above all bounds. */
export interface Histogram {
  readonly bounds: readonly number[]
  readonly counts: readonly number[]
  readonly count: number
  readonly sum: number
}

/** Numbers of a core or of one listener. Counts only grow; `active` and `queued` are of now. */
export interface Stats {
  /** Connections taken from the kernel. */
  readonly accepted: number
  /** Connections that wait now. */
  readonly queued: number
  /** How long connections waited before they were served, in milliseconds. */
  readonly waitTime: Histogram
  /** Connections that were never served. */
  readonly refused: Readonly<Record<RefusalReason, number>>
  /** Connections of trusted proxies that ended without a word, as those do that look whether somebody is here. */
  readonly probes: number
  /** Sessions that are alive. */
  readonly active: number
  /** The most that were ever alive at a time. */
  readonly peak: number
  /** Sessions that made room for others. */
  readonly evicted: number
  /** Sessions that took too long. */
  readonly timedOut: Readonly<Record<SessionTimeout, number>>
  /** Lifetimes that the watch found and ended. Anything but 0 is a defect of a protocol. */
  readonly zombies: number
  /** Bytes from clients, of sessions past and present. */
  readonly bytesIn: number
  /** Bytes to clients. */
  readonly bytesOut: number
}

const waitBounds: readonly number[] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000]

/** Where a listener counts, and its core with it. */
export class Counters {
  accepted = 0
  probes = 0
  evicted = 0
  zombies = 0
  bytesIn = 0
  bytesOut = 0
  readonly refused: Record<RefusalReason, number> = {
    'queue-full': 0,
    'queue-timeout': 0,
    'per-ip': 0,
    closing: 0,
    gone: 0,
    tls: 0,
    'proxy-header': 0,
  }
  readonly timedOut: Record<SessionTimeout, number> = {
    'first-byte': 0,
    connect: 0,
    'client-idle': 0,
    'upstream-idle': 0,
    'tunnel-idle': 0,
    'tunnel-age': 0,
    'session-age': 0,
    drain: 0,
    'request-head': 0,
    'request-body': 0,
    'keep-alive': 0,
    login: 0,
    message: 0,
    stale: 0,
  }
  readonly #waits: number[] = new Array(waitBounds.length + 1).fill(0)
  #waited = 0
  #waitSum = 0

  /** A session took too long. */
  countTimeout(reason: TimeoutReason | undefined): void {
    if (reason !== undefined && reason in this.timedOut) this.timedOut[reason as SessionTimeout]++
  }

  wait(milliseconds: number): void {
    let index = 0
    while (index < waitBounds.length && milliseconds > (waitBounds[index] as number)) index++
    this.#waits[index] = (this.#waits[index] as number) + 1
    this.#waited++
    this.#waitSum += milliseconds
  }

  /** A copy of the counts, with those that are gauges given. */
  snapshot(now: { queued: number; active: number; peak: number; bytesIn: number; bytesOut: number }): Stats {
    return {
      accepted: this.accepted,
      queued: now.queued,
      waitTime: { bounds: waitBounds, counts: this.#waits.slice(), count: this.#waited, sum: this.#waitSum },
      refused: { ...this.refused },
      probes: this.probes,
      active: now.active,
      peak: now.peak,
      evicted: this.evicted,
      timedOut: { ...this.timedOut },
      zombies: this.zombies,
      bytesIn: this.bytesIn + now.bytesIn,
      bytesOut: this.bytesOut + now.bytesOut,
    }
  }
}
