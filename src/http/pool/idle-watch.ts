import type { Alarm, Clock } from '../../clock.ts'
import type { UpstreamSession } from '../upstream-session.ts'

/** What an {@link IdleWatch} has to know. */
export interface IdleRules {
  readonly idleTimeout: number
  readonly minConnections: number
}

/** Ends connections that have had no work for long: one alarm for all, set for the one that has been so longest. */
export class IdleWatch {
  readonly #rules: IdleRules
  #alarm: Alarm | undefined

  constructor(rules: IdleRules) {
    this.#rules = rules
  }

  get set(): boolean {
    return this.#alarm !== undefined
  }

  /** Looks at connections that may be idle, of `count` in all, now and when the next is due. */
  look(clock: Clock, sessions: () => Iterable<UpstreamSession>, count: () => number): void {
    this.stop()
    const { idleTimeout, minConnections } = this.#rules
    const now = clock.now()
    let next = Number.POSITIVE_INFINITY
    let spare = count() - minConnections
    const ended: UpstreamSession[] = []
    for (const session of sessions()) {
      if (!isIdle(session) || !session.usable) continue
      const until = session.idleSince + idleTimeout
      if (until > now) next = Math.min(next, until)
      else if (spare-- > 0) ended.push(session)
    }
    for (const session of ended) end(session)
    if (next === Number.POSITIVE_INFINITY) return
    this.#alarm = clock.after(next - now, () => this.look(clock, sessions, count))
  }

  stop(): void {
    this.#alarm?.cancel()
    this.#alarm = undefined
  }
}

/** It carries nothing, and nobody has been promised it. */
export function isIdle(session: UpstreamSession): boolean {
  return session.busy === 0 && session.reserved === 0
}

/** Ends one that has no work, and gets none any more. */
export function end(session: UpstreamSession): void {
  if (session.multiplexed) void session.close()
  else session.abort()
}
