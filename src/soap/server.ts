import type { ClientSession, Protocol } from '../core/client-session.ts'
import type { Connection } from '../core/connection.ts'
import { mustBeCalled } from '../core/must-be-called.ts'
import type { XpsError } from '../errors.ts'
import { SoapScope, type SoapServerEvents, type SoapStats } from './scope.ts'
import { ServerChannel } from './server-channel.ts'
import { type SoapServerOptions, serverRules } from './server-options.ts'
import type { SoapSession } from './session.ts'

/** A client's connection to a server, as its listener has it; and the session of the client, once it is logged in. */
export interface SoapChannel extends ClientSession {
  readonly session: SoapSession | undefined
}

/** The protocol that speaks SOAP with clients that log in, and what can be asked of it while it runs. */
export interface SoapServer extends Protocol, AsyncDisposable {
  (client: Connection): SoapChannel
  on<E extends keyof SoapServerEvents>(event: E, listener: (...args: SoapServerEvents[E]) => void): this
  once<E extends keyof SoapServerEvents>(event: E, listener: (...args: SoapServerEvents[E]) => void): this
  off<E extends keyof SoapServerEvents>(event: E, listener: (...args: SoapServerEvents[E]) => void): this
  /** The sessions of clients that are logged in, by their ids. */
  readonly sessions: ReadonlyMap<string, SoapSession>
  stats(): SoapStats
  /**
   * Ends all sessions when what is under way is done, then disposes of the processors. Resolves when that has happened.
   * `core.own(server)` does so when the core has closed.
   */
  close(): Promise<XpsError | undefined>
  /** Ends all sessions now. */
  abort(error?: unknown): void
}

/**
 * Makes a protocol for a listener: SOAP 1.1 and 1.2 over TCP, framed as DIME or NMF, for clients that log in.
 *
 * ```
 * await core.listen(8081, { protocol: soapServer({ login, entitled, processors }) })
 * ```
 *
 * Throws `XPS_INVALID_OPTION`.
 */
export function soapServer(options: SoapServerOptions): SoapServer {
  const scope = new SoapScope(serverRules(options))
  const listen =
    (how: 'on' | 'once' | 'off') =>
    (event: keyof SoapServerEvents, listener: () => void): SoapServer => {
      scope[how](event, listener)
      return server
    }
  const server = Object.assign((client: Connection): SoapChannel => new ServerChannel(client, scope), {
    on: listen('on'),
    once: listen('once'),
    off: listen('off'),
    sessions: scope.sessions,
    stats: () => scope.stats(),
    close: () => scope.close(),
    abort: (error?: unknown) => scope.abort(error),
    [Symbol.asyncDispose]: async () => void (await scope.close()),
  }) as unknown as SoapServer
  return server
}

mustBeCalled('soapServer', soapServer)
