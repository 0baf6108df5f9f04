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
  /** Writes that text in pieces that have been kept; false, and nothing is written, if there are none. */
  write?(output: RequestOutput): boolean
  readonly method: string
  /** Path and query, `*`, or host and port for CONNECT. */
  target(): string
  /** What HTTP/2 has in `:authority`, and HTTP/1 in `Host`. */
  readonly authority: string
  /** The fields as a list, without `Host` and without what frames the body. */
  fields(): Fields
}

/** Where a request's head goes that is written in pieces. */
export interface RequestOutput {
  text(text: string): void
  copy(bytes: Uint8Array): void
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

/** How far an exchange has come, by the clock of its connection. */
export interface ExchangeProgress {
  /** When the upstream last sent something for it; 0 if it never did. */
  readonly lastIn: number
  /** When something of it was last sent. */
  readonly lastOut: number
  /** The upstream does not take what is sent to it. */
  readonly stalled: boolean
}

/** A connection to an upstream that speaks HTTP, of whatever version. */
export interface UpstreamSession extends Lifetime {
  readonly connection: Connection
  /** How many requests it has carried. */
  readonly requests: number
  /** How many exchanges are under way. */
  readonly busy: number
  /** It can carry another request, now or later. */
  readonly usable: boolean
  /** A request may be sent now. */
  readonly canSend: boolean
  /** Exchanges are side by side on it, and do not wait for each other (HTTP/2). */
  readonly multiplexed: boolean
  /** How many exchanges may be under way at once. */
  readonly capacity: number
  /** How many requests wait for the end of this turn of the loop, to leave together. */
  readonly gathered: number
  /** To how many it has been given who have not sent yet. */
  reserved: number
  /** Since when it carries none, by its clock. */
  readonly idleSince: number
  /** Of an exchange that is under way on it. */
  progress(exchange: UpstreamExchange): ExchangeProgress | undefined
  /**
   * Sends a request. Returns where its body goes if that does not come with it; end the sink's pipe to end the body.
   * `batch` is for a request without a body: more may follow in this turn of the loop, and one write will do for all.
   */
  send(exchange: UpstreamExchange, request: UpstreamRequest, batch?: boolean): RequestSink | undefined
  /** Nobody waits for the exchange any more: it is told nothing more. */
  leave(exchange: UpstreamExchange, error: XpsError): void
}

/** What keeps the connections to an upstream. */
export interface UpstreamOwner {
  /** It is connected. */
  upstreamOpen(session: UpstreamSession): void
  /** It can carry another request; or it never will again, though some are under way. */
  upstreamFree(session: UpstreamSession): void
  /**
   * The upstream wants HTTP/1.1 in place of the HTTP/2 that it has chosen (RFC 9113, 7). Returns whether it may have that: then
   * those who ask from now on get it, for a while.
   */
  upstreamWantsHttp1(): boolean
  /** It has closed; with an error if it was never connected, or broke. */
  upstreamClosed(session: UpstreamSession, error: XpsError | undefined): void
}
