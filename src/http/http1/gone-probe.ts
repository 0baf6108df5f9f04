import type { Alarm, Clock } from '../../clock.ts'

/**
 * When a client that ended its direction is asked whether it has gone, in milliseconds, each after the one before. The
 * first question is what its kernel answers with a reset; the next finds that out.
 */
const waits = [200, 200, 1_000]

/**
 * Finds out whether a client that has ended its direction waits for its answer or has gone: TCP says the same for both.
 * It is sent a little, which a kernel without a reader refuses.
 */
export class GoneProbe {
  readonly #clock: Clock
  /** Sends a little; false if there is no need to know any more. */
  readonly #ask: () => boolean
  #alarm: Alarm | undefined

  constructor(clock: Clock, ask: () => boolean) {
    this.#clock = clock
    this.#ask = ask
    this.#next(0)
  }

  cancel(): void {
    this.#alarm?.cancel()
    this.#alarm = undefined
  }

  #next(time: number): void {
    const wait = waits[time]
    if (wait === undefined) return
    this.#alarm = this.#clock.after(wait, () => {
      this.#alarm = undefined
      if (this.#ask()) this.#next(time + 1)
    })
  }
}
