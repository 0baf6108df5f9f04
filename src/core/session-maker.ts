import { XpsError } from '../errors.ts'
import type { Lifetime } from '../lifetime/lifetime.ts'
import { isPromiseLike } from '../lifetime/owned.ts'
import { invalidOption } from '../options.ts'
import { ClientSession, type Protocol } from './client-session.ts'
import type { Connection } from './connection.ts'

/** Whose the connections and sessions are. */
export interface SessionHost {
  adopt(child: Lifetime): void
  fault(error: unknown): void
}

/** Makes sessions by a protocol. Whatever that does, now or later, neither a client nor a session is lost. */
export class SessionMaker {
  readonly #options: { readonly protocol: Protocol }
  readonly #host: SessionHost

  constructor(options: { readonly protocol: Protocol }, host: SessionHost) {
    this.#options = options
    this.#host = host
  }

  /** Gives a connection its session, at once or when the protocol has one. */
  begin(client: Connection): void {
    // Its session will take it from us. If the protocol forgets to, it is not lost.
    this.#host.adopt(client)
    try {
      const made = this.#options.protocol(client)
      if (!isPromiseLike(made)) return this.#open(made)
      made.then(
        (session) => {
          try {
            this.#open(session)
          } catch (error) {
            this.#protocolFailed(client, error)
          }
        },
        (error: unknown) => {
          // A client that left is no fault of the protocol's.
          if (client.phase !== 'closed') this.#protocolFailed(client, error)
        },
      )
    } catch (error) {
      this.#protocolFailed(client, error)
    }
  }

  #open(session: unknown): void {
    if (!(session instanceof ClientSession)) {
      throw invalidOption('protocol', session, 'a function that returns a session')
    }
    this.#host.adopt(session)
    session.open()
  }

  #protocolFailed(client: Connection, error: unknown): void {
    this.#host.fault(error)
    // A session that failed while it was made has the client already, and nobody else has the session.
    const owner = client.session
    if (owner !== undefined) this.#host.adopt(owner)
    const failure = new XpsError('XPS_FAULT', 'the protocol failed', { cause: error })
    if (owner !== undefined) owner.abort(failure)
    client.abort(failure)
  }
}
