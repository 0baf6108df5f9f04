import { invalidOption } from '../../options.ts'
import type { ClientLimit } from './client-limit.ts'
import type { Origin } from './origin.ts'
import type { Sticky } from './sticky.ts'

/** How one of several addresses is chosen. */
export type Balance = 'round-robin' | 'client-address'

/** What a group of addresses has besides them. */
export interface UpstreamGroupParts {
  readonly balance: Balance
  readonly sticky: Sticky | undefined
  readonly limit: ClientLimit | undefined
  /** Any address, for hooks that choose one that the route does not name. */
  readonly find: (address: string) => Origin
}

/** The addresses that a route's requests go to, and how one of them is chosen. */
export class UpstreamGroup {
  readonly origins: readonly Origin[]
  readonly sticky: Sticky | undefined
  readonly limit: ClientLimit | undefined
  readonly #balance: Balance
  readonly #find: (address: string) => Origin
  #next = 0

  constructor(origins: readonly Origin[], { balance, sticky, limit, find }: UpstreamGroupParts) {
    if (balance !== 'round-robin' && balance !== 'client-address') {
      throw invalidOption('balance', balance, `'round-robin' or 'client-address'`)
    }
    this.origins = origins
    this.sticky = sticky
    this.limit = limit
    this.#balance = balance
    this.#find = find
  }

  /**
   * The address whose turn it is, or the client's; one that was tried or is down only if there is no other.
   */
  pick(now: number, whose: { clientAddress(): string }, tried: readonly Origin[] = []): Origin {
    const { origins } = this
    const only = origins[0] as Origin
    if (origins.length === 1) return only
    const first = this.#balance === 'round-robin' ? this.#next++ : hash(whose.clientAddress())
    let fallback: Origin | undefined
    for (let count = 0; count < origins.length; count++) {
      const origin = origins[(first + count) % origins.length] as Origin
      if (tried.includes(origin)) continue
      if (!origin.down(now)) return origin
      fallback ??= origin
    }
    return fallback ?? only
  }

  named(address: string): Origin {
    return this.origins.find((origin) => origin.address === address) ?? this.#find(address)
  }
}

/** FNV-1a, which spreads addresses that differ in one digit. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193)
  return value >>> 0
}
