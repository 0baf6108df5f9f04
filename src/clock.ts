/** Something that can be called off. */
export interface Alarm {
  /** Calls it off; does nothing once it has rung. */
  cancel(): void
}

/** Where all time comes from, so that a test can own it. */
export interface Clock {
  /** Milliseconds since some fixed moment; never goes back. */
  now(): number
  /** Runs `ring` once, `delay` milliseconds from now. Does not keep the process alive. */
  after(delay: number, ring: () => void): Alarm
}

class SystemAlarm implements Alarm {
  readonly #timer: NodeJS.Timeout
  constructor(delay: number, ring: () => void) {
    this.#timer = setTimeout(ring, delay)
    this.#timer.unref()
  }
  cancel(): void {
    clearTimeout(this.#timer)
  }
}

/** The clock of the machine: monotonic, with alarms on Node's timers. The only user of them in the library. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after: (delay, ring) => new SystemAlarm(delay, ring),
}
