import type { Connection } from '../../core/connection.ts'
import type { XpsError } from '../../errors.ts'
import type { UpstreamSession } from '../upstream-session.ts'
import type { Waiter } from './waiting.ts'

/** What a {@link Dial} tells of its connection. */
export interface DialOwner {
  /** It is open: what it speaks is known. */
  dialConnected(dial: Dial): void
  /** It could not be connected. */
  dialFailed(dial: Dial, error: XpsError | undefined): void
}

/** A connection that is being made, from the first try to the session that can be used. */
export class Dial {
  readonly connection: Connection
  /** Who made it necessary; somebody else may get it. */
  readonly waiter: Waiter
  /** How many of those who wait it will do for. */
  readonly covers: number
  /** It becomes one that carries requests one behind the other, if it speaks HTTP/1.1. */
  readonly lane: boolean
  /** There once it is connected, and not ready to be used yet. */
  session: UpstreamSession | undefined

  readonly #owner: DialOwner

  constructor(owner: DialOwner, connection: Connection, waiter: Waiter, covers: number, lane: boolean) {
    this.#owner = owner
    this.connection = connection
    this.waiter = waiter
    this.covers = covers
    this.lane = lane
    connection.on('open', this.#onOpen)
    connection.on('close', this.#onClose)
  }

  /** It is over: the connection, which may live for long, knows nothing more of it, nor of what it was made for. */
  end(): void {
    this.connection.off('open', this.#onOpen)
    this.connection.off('close', this.#onClose)
  }

  readonly #onOpen = (): void => this.#owner.dialConnected(this)

  readonly #onClose = (error: XpsError | undefined): void => {
    if (this.session === undefined) this.#owner.dialFailed(this, error)
  }
}
