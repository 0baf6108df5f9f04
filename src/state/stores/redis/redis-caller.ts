import type { Clock } from '../../../clock.ts'
import { XpsError } from '../../../errors.ts'
import type { RedisPort, RedisWords } from './redis-client.ts'
import { isNoScript, redisError } from './redis-error.ts'
import type { RedisScript } from './redis-scripts.ts'

/** How one waits for an answer. */
export interface RedisPatience {
  /** Rejects when it aborts. */
  readonly signal?: AbortSignal
  /** What becomes of an answer for which nobody waits any more. */
  readonly late?: (answer: unknown) => void
}

/** Asks Redis, and waits for an answer no longer than it should. Rejects with an `XpsError`. */
export class RedisCaller {
  readonly port: RedisPort
  readonly #clock: Clock
  readonly #timeout: number

  constructor(port: RedisPort, clock: Clock, timeout: number) {
    this.port = port
    this.#clock = clock
    this.#timeout = timeout
  }

  /** Runs a script where the first key is. */
  run(script: RedisScript, keys: readonly string[], words: RedisWords, patience?: RedisPatience): Promise<unknown> {
    return this.wait(this.#run(script, keys[0] ?? '', [String(keys.length), ...keys, ...words]), patience)
  }

  async #run({ sha, text }: RedisScript, key: string, words: RedisWords): Promise<unknown> {
    try {
      return await this.port.ask(key, ['EVALSHA', sha, ...words])
    } catch (error) {
      if (!isNoScript(error)) throw error
      return this.port.ask(key, ['EVAL', text, ...words])
    }
  }

  /** Waits for something that Redis does. */
  wait<T>(work: Promise<T>, { signal, late }: RedisPatience = {}): Promise<T> {
    return new Promise((resolve, reject) => {
      let waiting = true
      const end = (): boolean => {
        if (!waiting) return false
        waiting = false
        alarm.cancel()
        signal?.removeEventListener('abort', aborted)
        return true
      }
      const aborted = (): void => {
        if (end()) reject(abortedError(signal))
      }
      const alarm = this.#clock.after(this.#timeout, () => {
        const options = { origin: 'upstream', reason: 'reply', elapsed: this.#timeout } as const
        if (end()) reject(new XpsError('XPS_TIMEOUT', `redis did not answer within ${this.#timeout} ms`, options))
      })
      work.then(
        (answer) => (end() ? resolve(answer) : late?.(answer)),
        (error: unknown) => end() && reject(redisError(error)),
      )
      if (signal?.aborted === true) aborted()
      else signal?.addEventListener('abort', aborted)
    })
  }
}

/** What a call rejects with that was called off. */
export function abortedError(signal: AbortSignal | undefined): XpsError {
  return new XpsError('XPS_ABORTED', 'waiting for a lock was called off', { cause: signal?.reason })
}
