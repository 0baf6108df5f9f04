import type { Clock } from '../../clock.ts'
import { networkOf } from '../../core/network-of.ts'

/** How refused logins cost time. */
export interface ThrottleLimits {
  /** The delay after the first refusal, in milliseconds; it doubles with each. */
  readonly first: number
  /** The longest delay, in milliseconds. */
  readonly longest: number
}

/** How many refusals a user is allowed before his name costs time to all who use it, so that others cannot lock him out. */
const freeRefusals = 5
/** How long a refusal is remembered, in milliseconds. */
const memory = 10 * 60_000
/** How many networks and users are remembered, each. */
const mostKnown = 10_000

interface Entry {
  refusals: number
  last: number
  /** When the next one may be tried. */
  next: number
}

/**
 * Makes logins wait after refused ones: of the same network from the first refusal on, of the same user from the fifth.
 * Those that wait do so one after the other, so that many connections are no faster than one.
 */
export class LoginThrottle {
  readonly #clock: Clock
  readonly #limits: ThrottleLimits
  readonly #networks = new Map<string, Entry>()
  readonly #users = new Map<string, Entry>()

  constructor(clock: Clock, limits: ThrottleLimits) {
    this.#clock = clock
    this.#limits = limits
  }

  /**
   * How long a login has to wait before it is looked at, in milliseconds; undefined if that is too long, or longer than
   * the `patience` of who asks. Who comes back with a token names no user.
   */
  admit(address: string, user?: string, patience: number = Number.POSITIVE_INFINITY): number | undefined {
    const network = networkOf(address)
    const byAddress = this.#wait(this.#networks, network)
    const byUser = user === undefined ? 0 : this.#wait(this.#users, user)
    const wait = Math.max(byAddress, byUser)
    if (wait > this.#limits.longest || (wait > 0 && wait >= patience)) return undefined
    this.#reserve(this.#networks, network, 0, byAddress)
    if (user !== undefined) this.#reserve(this.#users, user, freeRefusals, byUser)
    return wait
  }

  refused(address: string, user?: string): void {
    this.#count(this.#networks, networkOf(address), 0)
    if (user !== undefined) this.#count(this.#users, user, freeRefusals)
  }

  /** Forgets what a user has done. Not the address: whoever has one login of his own could try others between. */
  accepted(user: string): void {
    this.#users.delete(user)
  }

  #wait(entries: Map<string, Entry>, key: string): number {
    const entry = entries.get(key)
    if (entry === undefined) return 0
    const now = this.#clock.now()
    if (now - entry.last <= memory) return Math.max(0, entry.next - now)
    entries.delete(key)
    return 0
  }

  /** The next one comes after this one. */
  #reserve(entries: Map<string, Entry>, key: string, free: number, wait: number): void {
    const entry = entries.get(key)
    if (entry === undefined || entry.refusals <= free) return
    entry.next = this.#clock.now() + wait + this.#delay(entry.refusals - free)
  }

  #count(entries: Map<string, Entry>, key: string, free: number): void {
    const now = this.#clock.now()
    const entry = entries.get(key) ?? { refusals: 0, last: now, next: now }
    entry.refusals++
    entry.last = now
    if (entry.refusals > free) entry.next = Math.max(entry.next, now + this.#delay(entry.refusals - free))
    // The latest last, so that the oldest are forgotten first.
    entries.delete(key)
    entries.set(key, entry)
    if (entries.size > mostKnown) entries.delete(entries.keys().next().value as string)
  }

  #delay(refusals: number): number {
    return Math.min(this.#limits.longest, this.#limits.first * 2 ** Math.min(refusals - 1, 30))
  }
}
