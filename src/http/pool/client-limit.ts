import { XpsError } from '../../errors.ts'
import { integerOption } from '../../options.ts'

/** How many requests of one client may be under way at an upstream. */
export interface ClientLimitOptions {
  /** Requests of one client at once, over all of the route's addresses; more are answered with 429. 0 for any. @default 0 */
  maxPerClient?: number
  /** What `Retry-After` says then, in seconds; 0 for nothing. @default 0 */
  retryAfter?: number
}

/** The names of the options. */
export const clientLimitNames: readonly (keyof ClientLimitOptions)[] = ['maxPerClient', 'retryAfter']

/** Counts the requests of each client that are under way. */
export class ClientLimit {
  readonly #most: number
  readonly #retryAfter: number
  /** Of clients that have any, so never more than there are requests. */
  readonly #counts = new Map<string, number>()

  /** Throws `XPS_INVALID_OPTION`, with `name` in it. */
  constructor(name: string, options: ClientLimitOptions) {
    const most = Number.MAX_SAFE_INTEGER
    this.#most = integerOption(`${name}.maxPerClient`, options.maxPerClient, 0, { min: 0, max: most })
    this.#retryAfter = integerOption(`${name}.retryAfter`, options.retryAfter, 0, { min: 0, max: most })
  }

  /** There is none. */
  get none(): boolean {
    return this.#most === 0
  }

  /** One more of a client, until what is returned is called. Throws `XPS_BUSY` (429) if it has as many as it may. */
  enter(client: string): () => void {
    const count = this.#counts.get(client) ?? 0
    if (count >= this.#most) {
      throw new XpsError('XPS_BUSY', `${client} has ${count} requests under way here`, {
        origin: 'client',
        status: 429,
        ...(this.#retryAfter === 0 ? {} : { headers: { 'retry-after': String(this.#retryAfter) } }),
      })
    }
    this.#counts.set(client, count + 1)
    return () => {
      const left = (this.#counts.get(client) ?? 1) - 1
      if (left === 0) this.#counts.delete(client)
      else this.#counts.set(client, left)
    }
  }
}
