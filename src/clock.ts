/** Something that can be called off. */
export interface Alarm {
  /** Calls it off; does nothing once it has rung. */
  cancel(): void
}

/** Where all time comes from, so that a test can own it. */
export interface Clock {
  /** Milliseconds since some fixed moment, without fractions; never goes back. */
  now(): number
  /**
   * Runs `ring` once, `delay` milliseconds from now. The process does not stay alive for it, unless `hold` says that
   * work waits for it.
   */
  after(delay: number, ring: () => void, hold?: boolean): Alarm
}

class SystemAlarm implements Alarm {
  readonly #timer: NodeJS.Timeout
  constructor(delay: number, ring: () => void, hold: boolean) {
    this.#timer = setTimeout(ring, delay)
    if (!hold) this.#timer.unref()
  }
  cancel(): void {
    clearTimeout(this.#timer)
  }
}

/** The clock of the machine: monotonic, with alarms on Node's timers. The only user of them in the library. */
export const systemClock: Clock = {
  // Whole numbers: they are kept in every connection, and V8 keeps fractions in objects of their own.
  now: () => Math.floor(performance.now()),
  after: (delay, ring, hold = false) => new SystemAlarm(delay, ring, hold),
}
