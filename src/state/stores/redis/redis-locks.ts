import { randomBytes } from 'node:crypto'
import type { Clock } from '../../../clock.ts'
import { isXpsError, XpsError } from '../../../errors.ts'
import type { ContainerLock } from '../../container.ts'
import { abortedError, type RedisCaller } from './redis-caller.ts'
import type { Subscription } from './redis-client.ts'
import { redisError } from './redis-error.ts'
import { lockScript, releaseScript, renewScript } from './redis-scripts.ts'

/** How long the last fence of a session is remembered besides its lease, in milliseconds. */
export const fenceMemory: number = 3_600_000

/** How long other processes that wait may take to hear that a lock is free, before this one may have it again. */
const courtesy = '50'

/** How locks are asked for. */
export interface RedisLockRules {
  readonly clock: Clock
  /** How long one who waits may hear nothing before it looks by itself, in milliseconds. */
  readonly pollInterval: number
  /** Where it is published that a lock is free. */
  readonly channel: string
  keysOf(id: string): readonly string[]
  subscribe(told: (id: string) => void): Subscription
}

/**
 * Locks that Redis keeps, with a token each that nobody can guess.
 *
 * ```
 *   lock ──► script: free? ──► token, fence
 *              │ no: marked, so that the holder tells those who wait
 *              └──► heard that it is free, or its lease is over, or the poll interval ──► script again
 * ```
 *
 * All of a store hear on one channel, from the first wait to the end; it is published only where somebody waits.
 */
export class RedisLocks {
  readonly #caller: RedisCaller
  readonly #rules: RedisLockRules
  readonly #store: string = randomBytes(8).toString('hex')
  readonly #waiting = new Map<string, Set<Waiter>>()
  /** Locks that are being given up. */
  readonly #releasing = new Set<Promise<unknown>>()
  #subscription: Subscription | undefined
  #hearing: Promise<void> | undefined
  #heard = false
  #ending = new AbortController()

  constructor(caller: RedisCaller, rules: RedisLockRules) {
    this.#caller = caller
    this.#rules = rules
  }

  open(): void {
    this.#ending = new AbortController()
  }

  async lock(
    id: string,
    { wait, lease, signal }: { readonly wait: number; readonly lease: number; readonly signal: AbortSignal },
  ): Promise<ContainerLock | undefined> {
    const { clock, pollInterval } = this.#rules
    const until = clock.now() + wait
    const lock = new RedisLock(this, id, lease, this.#store + randomBytes(8).toString('hex'))
    const waiter = this.#join(id)
    const ending = this.#ending.signal
    try {
      for (;;) {
        if (signal.aborted) throw abortedError(signal)
        if (ending.aborted) throw closedError()
        // Whoever is heard from now on counts.
        const heard = this.#heard
        const answer = await this.#try(lock, wait > 0, signal)
        if (answer > 0) {
          lock.fence = answer
          return lock
        }
        const left = until - clock.now()
        if (left <= 0) return undefined
        if (heard) await waiter.wait(clock, Math.max(1, Math.min(left, pollInterval, -answer)), signal)
        else await this.#caller.wait(this.#hear(), { signal })
      }
    } catch (error) {
      // What was under way for all who wait has been called off, and not this one.
      throw ending.aborted && !signal.aborted ? closedError() : error
    } finally {
      this.#leave(id, waiter)
    }
  }

  /** Wakes who waits, and resolves when all is given up that was asked to. */
  async close(): Promise<void> {
    this.#ending.abort()
    for (const waiters of this.#waiting.values()) for (const waiter of waiters) waiter.wake()
    await Promise.all(this.#releasing)
    const subscription = this.#subscription
    this.#forget()
    await this.#end(subscription)
  }

  /** @internal */
  async renew(lock: RedisLock): Promise<boolean> {
    const { id, token, lease, fence } = lock
    const words = [token, String(lease), String(lease + fenceMemory), String(fence)]
    const renewed = Number(await this.#caller.run(renewScript, this.#rules.keysOf(id), words)) === 1
    // A script that Redis did not know yet is sent again, and may come behind the end of the lock, which it then brings back.
    if (renewed && lock.released) await this.release(lock)
    return renewed && !lock.released
  }

  /** @internal */
  release({ id, token }: RedisLock): Promise<void> {
    const { channel, keysOf } = this.#rules
    const released = this.#caller.run(releaseScript, keysOf(id), [token, channel, id, courtesy])
    const settled = released.then(
      () => {},
      () => {},
    )
    this.#releasing.add(settled)
    void settled.then(() => this.#releasing.delete(settled))
    return released.then(() => {})
  }

  /** The fence; or, below zero, how long the other's lease lasts. A lock that comes too late is given up again. */
  async #try(lock: RedisLock, waits: boolean, signal: AbortSignal): Promise<number> {
    const { id, token, lease } = lock
    const words = [token, String(lease), String(lease + fenceMemory), waits ? '1' : '0']
    const late = (answer: unknown): void => {
      if (Number(answer) > 0) this.release(lock).catch(() => {})
    }
    try {
      return Number(await this.#caller.run(lockScript, this.#rules.keysOf(id), words, { signal, late }))
    } catch (error) {
      // It may have been given.
      if (isXpsError(error, 'XPS_RESET')) this.release(lock).catch(() => {})
      throw error
    }
  }

  #hear(): Promise<void> {
    if (this.#hearing === undefined) {
      const hearing = this.#subscribe()
      this.#hearing = hearing
      // Those who wait next try again.
      hearing.catch(() => {
        if (this.#hearing === hearing) this.#forget()
      })
    }
    return this.#hearing
  }

  async #subscribe(): Promise<void> {
    const { signal } = this.#ending
    let subscription: Subscription | undefined
    try {
      subscription = this.#rules.subscribe((id) => {
        for (const waiter of this.#waiting.get(id) ?? []) waiter.wake()
      })
      this.#subscription = subscription
      await this.#caller.wait(subscription.ready, { signal })
      this.#heard = true
    } catch (error) {
      // Otherwise it is ended by who closes.
      if (!signal.aborted) await this.#end(subscription)
      throw redisError(error)
    }
  }

  async #end(subscription: Subscription | undefined): Promise<void> {
    if (subscription === undefined) return
    try {
      await this.#caller.wait(Promise.resolve(subscription.end()))
    } catch {
      // Its connection is gone, and it with that.
    }
  }

  #forget(): void {
    this.#subscription = this.#hearing = undefined
    this.#heard = false
  }

  #join(id: string): Waiter {
    const waiter = new Waiter()
    const waiters = this.#waiting.get(id)
    if (waiters === undefined) this.#waiting.set(id, new Set([waiter]))
    else waiters.add(waiter)
    return waiter
  }

  #leave(id: string, waiter: Waiter): void {
    const waiters = this.#waiting.get(id)
    waiters?.delete(waiter)
    if (waiters?.size === 0) this.#waiting.delete(id)
  }
}

function closedError(): XpsError {
  return new XpsError('XPS_CLOSED', 'the store is closed')
}

class RedisLock implements ContainerLock {
  readonly id: string
  readonly lease: number
  readonly token: string
  fence = 0
  released = false
  readonly #locks: RedisLocks

  constructor(locks: RedisLocks, id: string, lease: number, token: string) {
    this.#locks = locks
    this.id = id
    this.lease = lease
    this.token = token
  }

  renew(): Promise<boolean> {
    return this.#locks.renew(this)
  }

  release(): Promise<void> {
    this.released = true
    return this.#locks.release(this)
  }
}

/** One who waits to hear that a lock is free. What comes while it asks is not lost. */
class Waiter {
  #woken = false
  #wake: (() => void) | undefined

  wake(): void {
    this.#woken = true
    this.#wake?.()
  }

  wait(clock: Clock, limit: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        alarm.cancel()
        signal.removeEventListener('abort', wake)
        this.#wake = undefined
        this.#woken = false
        resolve()
      }
      const alarm = clock.after(limit, wake)
      signal.addEventListener('abort', wake)
      this.#wake = wake
      if (this.#woken || signal.aborted) wake()
    })
  }
}
