import { type Alarm, type Clock, systemClock } from '../clock.ts'
import { bytesOption, durationOption, knownOptions } from '../options.ts'
import { HandOverSink, HandOverSource } from './hand-over.ts'
import type { StageEnds } from './stage.ts'

/** Options of {@link throttle}. */
export interface ThrottleOptions {
  /**
   * The span over which the rate is kept, in milliseconds: after a pause, what the rate allows for so long goes at once.
   * @default 100
   */
  burst?: number
  /** @default the machine's */
  clock?: Clock
}

/**
 * A stage that lets bytes through at a rate, given as bytes a second or as text such as `'1 MB/s'`.
 *
 * The same stage may stand in many pipes; each gets the whole rate.
 */
export function throttle(rate: number | string, options: ThrottleOptions = {}): { open(): StageEnds } {
  const perSecond = bytesOption('throttle.rate', typeof rate === 'string' ? rate.replace(/\s*\/\s*s$/, '') : rate)
  knownOptions('throttle options', options, ['burst', 'clock'])
  const burst = durationOption('throttle.burst', options.burst, 100)
  const clock = options.clock ?? systemClock
  return {
    open() {
      const source = new HandOverSource()
      return { source, sink: new ThrottleSink(source, perSecond / 1000, burst, clock) }
    },
  }
}

/** A token bucket: what may pass now grows with time, up to what the rate allows in one burst. */
class ThrottleSink extends HandOverSink {
  readonly #rate: number
  readonly #burst: number
  readonly #clock: Clock
  #allowance: number
  #since: number
  #alarm: Alarm | undefined

  constructor(source: HandOverSource, bytesPerMs: number, burst: number, clock: Clock) {
    super(source)
    this.#rate = bytesPerMs
    this.#burst = Math.max(1, bytesPerMs * burst)
    this.#clock = clock
    this.#allowance = this.#burst
    this.#since = clock.now()
  }

  override take(chunk: Uint8Array): number {
    this.#refill()
    const allowed = Math.min(chunk.length, Math.floor(this.#allowance))
    const taken = allowed === 0 ? 0 : super.take(allowed < chunk.length ? chunk.subarray(0, allowed) : chunk)
    this.#allowance -= taken
    if (taken === allowed && allowed < chunk.length) this.#sleep(Math.min(chunk.length - taken, this.#burst))
    return taken
  }

  override pulled(): void {
    if (this.#alarm === undefined) super.pulled()
  }

  override close(error?: unknown): void {
    this.#wake()
    super.close(error)
  }

  /** Waits until so many bytes may pass. */
  #sleep(bytes: number): void {
    this.ready = false
    const wait = Math.max(1, Math.ceil((bytes - this.#allowance) / this.#rate))
    this.#alarm = this.#clock.after(
      wait,
      () => {
        this.#wake()
        // Otherwise the pipe behind is still busy, and its pull will come.
        if (this.next.flushed) super.pulled()
      },
      true,
    )
  }

  #wake(): void {
    this.#alarm?.cancel()
    this.#alarm = undefined
  }

  #refill(): void {
    const now = this.#clock.now()
    this.#allowance = Math.min(this.#burst, this.#allowance + (now - this.#since) * this.#rate)
    this.#since = now
  }
}
