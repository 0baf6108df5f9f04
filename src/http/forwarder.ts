import type { Deadlines } from '../admission/deadlines.ts'
import type { XpsError } from '../errors.ts'
import type { PipeSource } from '../pipe/source.ts'
import type { ReadyHead, ResponseSink } from './client-stream.ts'
import type { ResponseHead } from './messages.ts'
import type { Tunnel } from './tunnel.ts'

/** A response that comes from somewhere else: its head can be edited, its body has not been read. */
export interface IncomingResponse {
  readonly head: ResponseHead
  readonly length: number
  readonly body: Uint8Array | PipeSource
  /** The other side has switched to what was asked for; the head says so, and there is no body. */
  readonly tunnel: Tunnel | undefined
  /** The head as it goes to the client, edits included. */
  ready(): ReadyHead
}

/** What a transaction asks of whoever gets it an answer that does not come at once. */
export interface Answerer {
  /** Nobody waits for the answer any more. */
  retreat(error: XpsError): void
  deadlines(deadlines: Deadlines): void
}

/** How long a tunnel may take, in milliseconds; 0 for ever. */
export interface TunnelTimes {
  /** Without a byte in either direction. */
  readonly tunnelIdleTimeout: number
  /** All of it, busy or not. */
  readonly tunnelTimeout: number
}

/** What brings a transaction's request to somebody else. */
export interface Forwarder extends Answerer {
  readonly address: string
  /** When a byte last moved between it and the other side, by the session's clock; 0 for never. */
  readonly lastActive: number
  /** Those that count before the ones of the session and the scope. */
  readonly tunnelTimes: Partial<TunnelTimes>
  /** A hook has chosen another address. */
  choose(address: string): void
  /** Gets a connection. */
  connect(): void
  /** Sends the request on it. */
  send(): void
  /** Where the response's body goes. */
  deliverTo(sink: ResponseSink): void
}
