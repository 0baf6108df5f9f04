import type { Connection } from '../core/connection.ts'
import type { XpsError } from '../errors.ts'
import type { Lifetime } from '../lifetime/lifetime.ts'
import type { PipeSink } from '../pipe/sink.ts'
import type { PipeSource } from '../pipe/source.ts'
import type { Fields } from './fields.ts'
import type { ResponseHead } from './messages.ts'
import type { Tunnel } from './tunnel.ts'

// What stands between a transaction and whatever version of HTTP its upstream speaks.

/** A request, as it is put on a connection: what depends on the version of HTTP is made when it is asked for. */
export interface UpstreamRequest {
  /** Bytes of the body, 0 for none, less if nobody knows. */
  readonly length: number
  /** The body, if it is at hand. */
  readonly body: Uint8Array | undefined
  /** What the connection is to be switched to (`websocket`; `connect` for CONNECT); undefined for nothing. */
  readonly upgrade: string | undefined
  /** As HTTP/1.1 has it: start line, fields, framing and the empty line. */
  text(): string
  readonly method: string
  /** Path and query, `*`, or host and port for CONNECT. */
  target(): string
  /** What HTTP/2 has in `:authority`, and HTTP/1 in `Host`. */
  readonly authority: string
  /** The fields as a list, without `Host` and without what frames the body. */
  fields(): Fields
}

/** Where the body of a request goes. */
export interface RequestSink extends PipeSink {
  /** Asked for what follows the body when that has ended. */
  trailersOf: (() => Fields | undefined) | undefined
}

/** Who asked: what happens to its request is told here. After `done` nothing is told any more. */
export interface UpstreamExchange {
  /** The method decides whether a response has a body. */
  readonly method: string
  /** An interim response (1xx). */
  informed(head: ResponseHead): void
  /**
   * The response: its body whole (in memory that is valid only during the call), or as a source. `length` is what the
   * body's length is, or would be if there were one (HEAD, 304); less than 0 if nobody knows.
   */
  responded(head: ResponseHead, length: number, body: Uint8Array | PipeSource): void
  /** What followed the body; told before the body's source ends. */
  trailed(trailers: Fields): void
  /**
   * In place of a response: the connection has switched to what was asked for (101, or 2xx to CONNECT). The tunnel is
   * the asker's from now on, and the connection closes with it.
   */
  switched(head: ResponseHead, tunnel: Tunnel): void
  /** There will be no response. `seen` says that some of one has come. */
  failed(error: XpsError, seen: boolean): void
  /** The connection has no more to do with it. Told once and last. */
  done(): void
}

/** A connection to an upstream that speaks HTTP, of whatever version. */
export interface UpstreamSession extends Lifetime {
  readonly connection: Connection
  readonly requests: number
  readonly busy: number
  readonly usable: boolean
  readonly canSend: boolean
  /** It has been given to somebody who has not sent yet. */
  reserved: boolean
  readonly idleSince: number
  readonly lastIn: number
  readonly stalled: boolean
  send(exchange: UpstreamExchange, request: UpstreamRequest, batch?: boolean): RequestSink | undefined
  leave(exchange: UpstreamExchange, error: XpsError): void
}

/** What keeps the connections to an upstream. */
export interface UpstreamOwner {
  /** It is connected. */
  upstreamOpen(session: UpstreamSession): void
  /** It can carry another request. */
  upstreamFree(session: UpstreamSession): void
  /** It has closed; with an error if it was never connected, or broke. */
  upstreamClosed(session: UpstreamSession, error: XpsError | undefined): void
}
