import type { TimeoutReason } from '../errors.ts'

/** Finds the first of several deadlines, and when to look again. */
export class Deadlines {
  readonly now: number
  /** The first deadline of all. */
  at: number = Number.POSITIVE_INFINITY
  reason: TimeoutReason | undefined
  /** When to look again at the latest, because by then there may be other deadlines. */
  look: number = Number.POSITIVE_INFINITY

  constructor(now: number) {
    this.now = now
  }

  /** Something must have happened `timeout` milliseconds after `since`; a timeout of 0 is none. */
  offer(since: number, timeout: number, reason: TimeoutReason): void {
    if (timeout === 0) return
    const at = since + timeout
    if (at < this.at) {
      this.at = at
      this.reason = reason
    }
  }

  /** Something may begin that must not last longer than `timeout`; 0 is none. */
  mayBegin(timeout: number): void {
    if (timeout !== 0) this.look = Math.min(this.look, this.now + timeout)
  }

  get passed(): boolean {
    return this.at <= this.now
  }

  /** How long to wait before the next look. */
  get wait(): number {
    return Math.max(0, Math.min(this.at, this.look) - this.now)
  }
}
