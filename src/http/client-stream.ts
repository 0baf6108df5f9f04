import type { XpsError } from '../errors.ts'
import type { PipeSink } from '../pipe/sink.ts'
import type { PipeSource } from '../pipe/source.ts'
import type { Fields } from './fields.ts'
import type { Answer, RequestHead } from './messages.ts'
import type { Tunnel } from './tunnel.ts'

// What stands between a transaction and whatever version of HTTP its client speaks.

/** Where the body of a response goes. */
export interface ResponseSink extends PipeSink {
  /** Asked for what follows the body when that has ended, for a client that can be sent it. */
  trailersOf: (() => Fields | undefined) | undefined
}

/** A response's head, made ready for a client: without what is between two hops only. */
export interface ReadyHead {
  readonly status: number
  readonly reason: string
  /** With 101: what the connection is switched to, which HTTP/1 says in `Upgrade`. */
  readonly upgrade?: string | undefined
  /** The fields that HTTP/1 writes, without those that frame the body. */
  block(): string
  /** The same as a list. */
  fields(): Fields
  /** Adds the same to a list as HTTP/2 writes it: name, value, name, value, in lower case. */
  pairs(list: string[]): string[]
  /**
   * What was made of it when the same head was sent before with that length, by that version of HTTP (see {@link keep});
   * undefined if nothing is known.
   */
  kept?(length: number, http: 1 | 2): object | undefined
  /** What is made of it is of use for others. */
  readonly keeps?: boolean
  /** Keeps what was made of it, where that is of use. It must not be changed any more. */
  keep?(length: number, form: object, http: 1 | 2): void
  /** Something may follow the body that has been announced by nothing but its coming. */
  readonly trailed: boolean
  /** The same of a body whose length is known, which HTTP/1 never has. */
  readonly trailedDespiteLength?: boolean
}

/** The way of one request from its client, and of its response to it. */
export interface ClientStream {
  readonly request: RequestHead
  /** Bytes of the request's body: 0 for none, less if it is sent in chunks. */
  readonly requestLength: number
  /**
   * What the client wants to switch to, as it named it: `websocket`, or several with commas between; `connect` for
   * CONNECT; undefined for an ordinary request.
   */
  readonly upgrade: string | undefined
  /** The client waits for a 100 before it sends the body. */
  readonly expectsContinue: boolean
  /** All of the request's body, if it has come with the head and is small; read it anew after a wait. */
  readonly requestBytes: Uint8Array | undefined
  /** The request's body, to be read once. */
  requestBody(): PipeSource
  /** What followed the request's body, once that has ended. */
  readonly requestTrailers: Fields | undefined
  /** The request's body has come whole. */
  readonly requestComplete: boolean
  /** Sends an interim response (1xx), if the client can take one. */
  inform(head: ReadyHead): void
  /**
   * Sends a head. `length` is what the body's length is, or would be if there were one; less than 0 if nobody knows.
   * With `body` the response is complete; `null` says that there is none. Without it the body goes to the returned sink.
   */
  respond(head: ReadyHead, length: number, body: Uint8Array | null): undefined
  respond(head: ReadyHead, length: number, body: undefined): ResponseSink
  /** Sends a complete answer that is used again and again; false if it cannot be sent in one piece now. */
  respondAgain(answer: Answer): boolean
  /**
   * Sends the head that says yes (101, or 2xx to CONNECT), and gives the bytes of both directions from then on. Called
   * when nothing is being read from the client.
   */
  switchTo(head: ReadyHead): Tunnel
  /** No other request is taken on the connection; told before the head is sent. */
  endAfter(): void
  /** The response cannot be made whole, and the client must be able to see that. */
  cut(error: XpsError): void
}
