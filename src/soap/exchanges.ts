import type { Alarm, Clock } from '../clock.ts'
import { XpsError } from '../errors.ts'
import type { SoapMessage } from './message.ts'

interface Exchange {
  readonly resolve: (message: SoapMessage) => void
  readonly reject: (error: XpsError) => void
  readonly alarm: Alarm
}

/** Requests that wait for their answers, each for so long. */
export class Exchanges {
  readonly #clock: Clock
  readonly #waiting = new Map<string, Exchange>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** How many wait. */
  get size(): number {
    return this.#waiting.size
  }

  /** Waits for the answer to a message; a fault rejects. */
  begin(messageId: string, action: string, timeout: number): Promise<SoapMessage> {
    return new Promise((resolve, reject) => {
      const alarm = this.#clock.after(timeout, () => {
        this.#waiting.delete(messageId)
        reject(
          new XpsError('XPS_TIMEOUT', `no answer to ${action} within ${timeout} ms`, {
            origin: 'upstream',
            reason: 'reply',
            elapsed: timeout,
          }),
        )
      })
      this.#waiting.set(messageId, { resolve, reject, alarm })
    })
  }

  /** Gives the message to whom it answers; false if nobody waits for it. */
  answer(message: SoapMessage): boolean {
    const { relatesTo } = message.addressing
    const exchange = relatesTo === undefined ? undefined : this.#waiting.get(relatesTo)
    if (exchange === undefined) return false
    this.#waiting.delete(relatesTo as string)
    exchange.alarm.cancel()
    if (message.fault === undefined) exchange.resolve(message)
    else exchange.reject(message.fault)
    return true
  }

  /** Nobody is going to be answered. */
  fail(error: XpsError): void {
    for (const { reject, alarm } of this.#waiting.values()) {
      alarm.cancel()
      reject(error)
    }
    this.#waiting.clear()
  }
}
