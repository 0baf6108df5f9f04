import type { Alarm, Clock } from '../clock.ts'

/** A clock that stands still until a test moves it. */
export class ManualClock implements Clock {
  #now = 0
  #alarms = new Set<{ at: number; ring: () => void }>()

  now(): number {
    return this.#now
  }

  after(delay: number, ring: () => void): Alarm {
    const alarm = { at: this.#now + delay, ring }
    this.#alarms.add(alarm)
    return { cancel: () => void this.#alarms.delete(alarm) }
  }

  /** How many alarms are set: none should be left when all is closed. */
  get pending(): number {
    return this.#alarms.size
  }

  /** Moves the time on, and rings in order what becomes due meanwhile, also what is set meanwhile. */
  advance(milliseconds: number): void {
    const until = this.#now + milliseconds
    for (;;) {
      const due = [...this.#alarms].filter((alarm) => alarm.at <= until).sort((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#alarms.delete(due)
      this.#now = due.at
      due.ring()
    }
    this.#now = until
  }
}
