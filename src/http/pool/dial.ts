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

  constructor(owner: DialOwner, connection: Connection, waiter: Waiter, covers: number, lane: boolean) {
    this.connection = connection
    this.waiter = waiter
    this.covers = covers
    this.lane = lane
    connection.on('open', () => owner.dialConnected(this))
    connection.on('close', (error) => {
      if (this.session === undefined) owner.dialFailed(this, error)
    })
  }
}
