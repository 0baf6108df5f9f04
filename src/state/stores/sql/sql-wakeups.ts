import { systemClock } from '../../../clock.ts'
import type { SqlClient, SqlPool } from './sql-pool.ts'

/** How long to leave the database alone after it could not be listened to, in milliseconds. */
const pauseAfterFailure = 1_000

/**
 * Wakes those who wait for locks, by one connection that listens to the notifications of the database. It is taken from
 * the pool when somebody waits for the first time, and given back at the end; if it breaks, the next who waits gets another.
 */
export class SqlWakeups {
  readonly #pool: SqlPool
  readonly #channel: string
  readonly #able: boolean
  readonly #waiters = new Map<string, Wakeup>()
  #client: SqlClient | undefined
  #connecting = false
  #notBefore = 0
  #closed = false

  constructor(pool: SqlPool, channel: string, listen: boolean) {
    this.#pool = pool
    this.#channel = channel
    // The only connection of a pool is not to be taken away from it.
    this.#able = listen && pool.connect !== undefined && (pool.options?.max ?? 2) > 1
  }

  /** Whether notifications are heard. Those who wait without ask again and again. */
  get listening(): boolean {
    return this.#client !== undefined
  }

  open(): void {
    this.#closed = false
  }

  /** Somebody waits under this name, from now on until `end`. */
  add(token: string): Wakeup {
    const wakeup = new Wakeup(() => this.#waiters.delete(token))
    this.#waiters.set(token, wakeup)
    return wakeup
  }

  /** Begins to listen, unless that is done already or cannot be. */
  listen(): void {
    if (!this.#able || this.#connecting || this.#client !== undefined || systemClock.now() < this.#notBefore) return
    this.#connecting = true
    this.#connect()
      .catch(() => {
        this.#notBefore = systemClock.now() + pauseAfterFailure
      })
      .finally(() => {
        this.#connecting = false
      })
  }

  close(): void {
    this.#closed = true
    this.#drop(this.#client)
  }

  async #connect(): Promise<void> {
    const client = await this.#pool.connect?.()
    if (client === undefined) return
    client.on('error', () => this.#drop(client))
    client.on('end', () => this.#drop(client))
    client.on('notification', ({ payload }) => {
      if (payload !== undefined) this.#waiters.get(payload)?.wake()
    })
    try {
      if (!this.#closed) await client.query({ text: `LISTEN "${this.#channel}"` })
    } catch (error) {
      client.release(true)
      throw error
    }
    if (this.#closed) return client.release(true)
    this.#client = client
    // What was told before this was heard by nobody.
    for (const wakeup of this.#waiters.values()) wakeup.wake()
  }

  #drop(client: SqlClient | undefined): void {
    if (client === undefined || this.#client !== client) return
    this.#client = undefined
    client.release(true)
    for (const wakeup of this.#waiters.values()) wakeup.wake()
  }
}

/** One who waits, and may have been woken before it began to. */
export class Wakeup {
  readonly #left: () => void
  #woken = false
  #resume: (() => void) | undefined

  constructor(left: () => void) {
    this.#left = left
  }

  wake(): void {
    this.#woken = true
    this.#resume?.()
  }

  /** Resolves when it is woken, when so many milliseconds have passed, or when `signal` aborts. */
  async wait(milliseconds: number, signal: AbortSignal): Promise<void> {
    if (!this.#woken && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const over = (): void => {
          alarm.cancel()
          signal.removeEventListener('abort', over)
          resolve()
        }
        const alarm = systemClock.after(milliseconds, over, true)
        signal.addEventListener('abort', over)
        this.#resume = over
      })
    }
    this.#woken = false
    this.#resume = undefined
  }

  end(): void {
    this.#left()
  }
}
