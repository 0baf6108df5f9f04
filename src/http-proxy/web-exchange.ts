import type { ServerResponse } from 'node:http'
import type { Deadlines } from '../admission/deadlines.ts'
import { XpsError } from '../errors.ts'
import type { ReadyHead, ResponseSink } from '../http/client-stream.ts'
import type { Fields } from '../http/fields.ts'
import type { ResponseHead } from '../http/messages.ts'
import {
  addTrailers,
  breakResponse,
  ClientSink,
  finishResponse,
  ListenerSink,
  NoSink,
  sendInterim,
  setHead,
  waitsForContinue,
} from './client-response.ts'
import { Exchange, type ExchangeParts } from './exchange.ts'
import type { ProxyServerOptions } from './options.ts'
import { ProxyError } from './proxy-error.ts'
import { ProxyResponse } from './proxy-response.ts'
import { rewriteResponse } from './response-rewrites.ts'
import type { Target } from './target.ts'

/** What a {@link WebExchange} tells whoever began it. */
export interface WebListener {
  /** Somebody wants to see responses. */
  readonly wantsResponses: boolean
  /** Whether a response is a redirect that is going to be followed, so that nobody sees it. */
  follows(response: ResponseHead): boolean
  /** The response was a redirect, and it is time to follow it; nothing else is told. */
  followed(): void
  /** A response has come. What it throws makes the request fail. */
  responded(response: ProxyResponse): void
  /** All of a response has come. */
  ended(response: ProxyResponse): void
  /** The client has left before the response was there. */
  left(error: ProxyError): void
  /** There is no response, or not all of one. */
  failed(error: ProxyError): void
  /** Nothing more comes; told last. */
  over(): void
}

/** Sends a request to a target, and its response to the client of Node's server. */
export class WebExchange extends Exchange {
  readonly #res: ServerResponse
  readonly #options: ProxyServerOptions
  readonly #target: Target
  readonly #listener: WebListener
  #response: ProxyResponse | undefined
  #sink: ClientSink | ListenerSink | undefined
  #failure: XpsError | undefined
  /** The fields that were set for a response. */
  #set: readonly string[] = []
  /** All of the response was handed over. */
  #done = false
  #followed = false
  /** The connection is not used again. */
  #last = false
  /** The program has answered by itself. */
  #answered = false
  #closed = false

  constructor(
    parts: ExchangeParts,
    res: ServerResponse,
    options: ProxyServerOptions,
    target: Target,
    listener: WebListener,
  ) {
    super(parts)
    this.#res = res
    this.#options = options
    this.#target = target
    this.#listener = listener
  }

  override start(): void {
    const res = this.#res
    res.once('close', () => this.#clientGone())
    res.on('error', this.#resFailed)
    super.start()
    if (res.destroyed || this.req.socket.destroyed) this.#clientGone()
  }

  override get expectsContinue(): boolean {
    return waitsForContinue(this.req, this.#res)
  }

  inform(head: ReadyHead): void {
    sendInterim(this.req, this.#res, head.status, head.fields())
  }

  respond(head: ReadyHead, length: number, body: Uint8Array | null): undefined
  respond(head: ReadyHead, length: number, body: undefined): ResponseSink
  respond(head: ReadyHead, length: number, body: Uint8Array | null | undefined): ResponseSink | undefined {
    const failure = this.transaction?.failure
    if (failure !== undefined) {
      // The machine's own answer: what the client is told is decided elsewhere.
      this.#failure = failure
      return body === undefined ? new NoSink(() => {}) : undefined
    }
    const raw = this.transaction?.response
    if (raw !== undefined && this.#listener.follows(raw)) {
      this.#followed = true
      return this.#unwanted(body)
    }
    const response = this.#tell()
    const res = this.#res
    if (res.writableEnded || res.destroyed) return this.#unwanted(body)
    const mine = this.#options.selfHandleResponse !== true
    if (mine && !res.headersSent) this.#setHead(head, length, body, response)
    const piped = response !== undefined && (!mine || response.tapped)
    if (body === undefined) return this.#sinkOf(piped ? response : undefined, mine)
    this.#done = true
    if (!piped) {
      if (body === null || body.length === 0) res.end()
      else res.end(Buffer.from(body))
      this.#endUnread()
      return undefined
    }
    if (mine) this.#pipe(response)
    if (body !== null && body.length > 0) response.push(Buffer.from(body))
    finishResponse(response, undefined)
    return undefined
  }

  endAfter(): void {
    this.#last = true
  }

  cut(error: XpsError): void {
    this.#failure ??= error
    const response = this.#response
    if (response !== undefined) breakResponse(response, error)
    // A client that is in the middle of a body sees that its connection ends before the body does.
    if (this.#res.headersSent) return this.#destroy()
    // Another answer will take its place.
    for (const name of this.#set) this.#res.removeHeader(name)
  }

  override closed(): void {
    this.#closed = true
    const { transaction } = this
    const failure = this.#failure
    if (this.#followed && failure === undefined && transaction?.left === false) return this.#listener.followed()
    // Whatever was given to the response is on its way; a late error of it has nothing to do with us.
    if (failure !== undefined) this.#listener.failed(new ProxyError(failure))
    else if (transaction?.left === true && !this.#answered) {
      const error = transaction.failure ?? new XpsError('XPS_RESET', 'the client has gone', { origin: 'client' })
      this.#listener.left(new ProxyError(error))
    }
    this.#listener.over()
  }

  protected override deadlines(deadlines: Deadlines): void {
    super.deadlines(deadlines)
    const stalledSince = this.#sink?.stalledSince
    if (stalledSince !== undefined) deadlines.offer(stalledSince, this.times.client, 'client-idle')
  }

  /** Shows the response to those who want to see it. */
  #tell(): ProxyResponse | undefined {
    const head = this.transaction?.response
    if (head === undefined) return undefined
    if (!this.#listener.wantsResponses && this.#options.selfHandleResponse !== true) return undefined
    const response = new ProxyResponse(head)
    this.#response = response
    response.once('end', () => this.#listener.ended(response))
    this.#listener.responded(response)
    return response
  }

  #setHead(
    head: ReadyHead,
    length: number,
    body: Uint8Array | null | undefined,
    response: ProxyResponse | undefined,
  ): void {
    const fields = head.fields()
    response?.edit(fields)
    const status = response?.statusCode ?? head.status
    rewriteResponse(fields, status, this.#options, this.#target, this.req.headers.host)
    for (const name of written) fields.delete(name)
    this.#set = setHead(this.req, this.#res, {
      status,
      reason: response?.statusMessage ?? head.reason,
      fields,
      length: response?.editedLength ?? length,
      body: body !== null,
      keepCase: this.#options.preserveHeaderKeyCase !== false,
      close: this.#last || this.abandoned,
    })
  }

  #sinkOf(response: ProxyResponse | undefined, mine: boolean): ResponseSink {
    const now = (): number => this.clock.now()
    const sent = (error: XpsError | undefined): void => this.#sent(error)
    if (response === undefined) this.#sink = new ClientSink(this.#res, now, sent)
    else {
      if (mine) this.#pipe(response)
      this.#sink = new ListenerSink(response, now, sent)
    }
    return this.#sink
  }

  /** A listener reads the response too: both go at the pace of the slower. */
  #pipe(response: ProxyResponse): void {
    response.once('end', () => addTrailers(this.#res, this.#trailersOf(response)))
    response.pipe(this.#res)
  }

  #trailersOf(response: ProxyResponse): Fields | undefined {
    return response.rawTrailers.length === 0 ? undefined : this.#sink?.trailersOf?.()
  }

  #sent(error: XpsError | undefined): void {
    if (error === undefined) {
      this.#done = true
      this.#endUnread()
    }
    this.transaction?.responded(error)
  }

  /** Whoever waits for the end of a response that nobody reads is told of it too. */
  #endUnread(): void {
    const response = this.#response
    if (response === undefined || response.complete) return
    finishResponse(response, this.#sink?.trailersOf?.())
    response.resume()
  }

  /** A listener has answered by itself: the target's answer is not read. */
  #unwanted(body: Uint8Array | null | undefined): ResponseSink | undefined {
    this.#done = true
    this.#endUnread()
    if (body !== undefined) return undefined
    const sink = new NoSink(() => {})
    sink.close()
    queueMicrotask(() => this.transaction?.responded(undefined))
    return sink
  }

  #clientGone(): void {
    if (this.#closed) return
    // HTTP/2's responses do not say the first.
    if (this.#res.writableFinished ?? this.#res.writableEnded) {
      // A listener may still read what the target sends.
      if (this.#response?.tapped === true) return
      this.#answered = true
    }
    const error = new XpsError('XPS_RESET', 'the client has gone', { origin: 'client' })
    if (!this.#done) {
      const response = this.#response
      if (response !== undefined) breakResponse(response, error)
      this.#sink?.close(error)
    }
    this.transaction?.clientLeft(error)
  }

  readonly #resFailed = (error: Error): void => {
    this.#sink?.close(
      new XpsError('XPS_STREAM', 'the response of the server failed', { origin: 'client', cause: error }),
    )
  }

  #destroy(): void {
    const res = this.#res as ServerResponse & { stream?: { close?(code: number): void } }
    // HTTP/2 has a stream for each request, and an error for that (RFC 9113, 7: INTERNAL_ERROR).
    if (this.req.httpVersionMajor >= 2) res.stream?.close?.(2)
    else res.destroy()
  }
}

/** What a server that frames and keeps connections by itself must not be told. */
const written = ['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'proxy-connection', 'upgrade']
