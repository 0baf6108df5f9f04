import type { ProxySource } from '../../core/proxy-protocol/proxy-header.ts'
import type { Origin } from './origin.ts'

/** A client, as a server is told of it at the start of a connection (PROXY protocol). */
export interface PoolClient {
  readonly source: ProxySource
  /** Resolves when the client has left. */
  readonly closed: PromiseLike<unknown>
}

/**
 * The connections to an address that begin by saying who the client is. What they have said holds for all that follows, so
 * each client has its own, which end when it has left. How many there may be holds for all of them together.
 */
export class ClientOrigins {
  readonly #origins = new Map<PoolClient, Origin>()
  readonly #make: (client: PoolClient) => Origin

  constructor(make: (client: PoolClient) => Origin) {
    this.#make = make
  }

  [Symbol.iterator](): Iterator<Origin> {
    return this.#origins.values()
  }

  of(client: PoolClient): Origin {
    const known = this.#origins.get(client)
    if (known !== undefined) return known
    const made = this.#make(client)
    this.#origins.set(client, made)
    client.closed.then(() => {
      this.#origins.delete(client)
      made.retire()
    })
    return made
  }

  /** Ends a connection without work, of whoever came first; false if all have some. */
  endIdle(): boolean {
    for (const origin of this.#origins.values()) if (origin.endIdle()) return true
    return false
  }
}
