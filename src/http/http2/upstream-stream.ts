import type { ClientHttp2Stream } from 'node:http2'
import { systemCode, XpsError } from '../../errors.ts'
import type { PipeSink } from '../../pipe/sink.ts'
import type { Fields } from '../fields.ts'
import { wholeBody } from '../http1/body-reader.ts'
import { BodySource } from '../http1/body-source.ts'
import type { HeadLimits } from '../http1/head-reader.ts'
import type { ResponseHead } from '../messages.ts'
import type { ExchangeProgress, UpstreamExchange } from '../upstream-session.ts'
import { codes, nameOfCode, StreamReset } from './codes.ts'
import { Http2RequestSink } from './request-sink.ts'
import { badResponse, checkedFields, declaredLength, responseHead } from './upstream-head.ts'

/** What a stream asks of the connection that it is on. */
export interface StreamOwner {
  readonly limits: HeadLimits
  /** By the clock, as cheap as it can be had. */
  time(): number
  /** Something came on the stream, or was sent. */
  moved(way: 'in' | 'out'): void
  /** Why the connection broke, if it did. */
  readonly failure: XpsError | undefined
  /** It has broken. */
  broken(cause: unknown): void
  /** The upstream has said that it has not looked at the stream, and never will. */
  unseen(id: number | undefined): boolean
  /** The upstream wants HTTP/1.1, and can be asked by that. */
  wantsHttp1(): boolean
  /** It is over, and counts no more. */
  streamClosed(exchange: UpstreamExchange, stream: Http2UpstreamStream): void
}

/** Interim responses (1xx) to one request. */
const mostInterim = 32

/** One request on a connection of HTTP/2, and its response. */
export class Http2UpstreamStream implements ExchangeProgress {
  lastIn = 0
  lastOut: number
  /** The upstream has said that the response is complete. */
  complete = false
  readonly #owner: StreamOwner
  readonly #stream: ClientHttp2Stream
  readonly #asker: UpstreamExchange
  /** Nobody any more, when all was told or nobody wants to be. */
  #exchange: UpstreamExchange | undefined
  #sink: Http2RequestSink | undefined
  #body: BodySource | undefined
  /** What the body's pipe did not take. */
  #rest: Buffer | undefined
  #trailers: Fields | undefined
  /** The response's head has been handed on. */
  #headSeen = false
  #interim = 0
  #failure: XpsError | undefined
  /** What node:http2 says that it failed of; told with its close. */
  #cause: unknown

  constructor(owner: StreamOwner, exchange: UpstreamExchange, stream: ClientHttp2Stream) {
    this.#owner = owner
    this.#asker = this.#exchange = exchange
    this.#stream = stream
    this.lastOut = owner.time()
    noteCompletion(stream, () => {
      this.complete = true
    })
    // Third, after the fields as an object and flags, comes the block as it was.
    stream.on('headers', (...told: unknown[]) => this.#informed(told[2] as string[]))
    stream.on('response', (...told: unknown[]) => this.#responded(told[2] as string[]))
    stream.on('trailers', (...told: unknown[]) => this.#trailed(told[2] as string[]))
    stream.on('error', (cause) => {
      this.#cause = cause
    })
    stream.on('close', () => this.#closed())
  }

  /** The upstream does not take the request's body. */
  get stalled(): boolean {
    return this.#sink?.ready === false
  }

  /** Where the request's body goes. */
  sink(length: number): PipeSink & Http2RequestSink {
    this.#sink = new Http2RequestSink(this, this.#stream, length)
    return this.#sink
  }

  /** Nobody waits for it any more. */
  leave(): void {
    this.#exchange = undefined
    const body = this.#body
    this.#body = undefined
    body?.abort(new XpsError('XPS_ABORTED', 'the response was not wanted'))
    this.#reset(codes.cancel)
  }

  /** The connection is over; whoever asked is told now. */
  fail(error: XpsError): void {
    this.#failure ??= this.#owner.unseen(this.#stream.id) ? unseen() : error
    this.#tellFailure()
    this.#done()
  }

  // The request.

  /** @internal */
  requestMoved(): void {
    this.lastOut = this.#owner.time()
    this.#owner.moved('out')
  }

  /** @internal */
  requestCut(error: XpsError): void {
    this.#sink = undefined
    if (this.#stream.closed) return
    this.#failure ??= error
    this.#reset(codes.cancel)
    this.#tellFailure()
  }

  /**
   * Resets the stream; not before node:http2 is done with what it reads. Where a request is not complete it would end that
   * as if it were (Node 24), or end the process (an assertion of Node 22 and 26 about trailers).
   */
  #reset(code: number): void {
    const stream = this.#stream
    if (stream.closed) return
    if (stream.writableEnded) stream.close(code)
    else setImmediate(() => void (stream.closed || stream.close(code)))
    // What came, and is not wanted, would hold up its end.
    stream.resume()
  }

  // The response.

  #came(): void {
    this.lastIn = this.#owner.time()
    this.#owner.moved('in')
  }

  #informed(raw: readonly string[]): void {
    this.#came()
    if (this.#exchange === undefined) return
    try {
      const head = responseHead(raw, this.#owner.limits)
      if (head.status === 101) throw badResponse('a switch of protocols, which HTTP/2 does not have')
      if (++this.#interim > mostInterim) throw badResponse('interim responses without end before it')
      this.#exchange.informed(head)
    } catch (error) {
      this.#refuse(error as XpsError)
    }
  }

  #responded(raw: readonly string[]): void {
    this.#came()
    const exchange = this.#exchange
    if (exchange === undefined) return
    let head: ResponseHead
    let length: number
    try {
      head = responseHead(raw, this.#owner.limits)
      if (head.status < 200) throw badResponse('an end after an interim response')
      length = declaredLength(head.headers)
    } catch (error) {
      return this.#refuse(error as XpsError)
    }
    const stream = this.#stream
    const bodiless = exchange.method === 'HEAD' || head.status === 204 || head.status === 304
    if (bodiless) {
      this.#tellWhole(exchange, head, length, nothing)
    } else if (
      this.complete &&
      stream.readableLength <= wholeBody &&
      (length < 0 || length === stream.readableLength)
    ) {
      // All of it has come at once; and if trailers have, they are told next.
      process.nextTick(() => this.#deliver(head, length))
    } else this.#begin(exchange, head, length)
  }

  #deliver(head: ResponseHead, length: number): void {
    const exchange = this.#exchange
    if (exchange === undefined) return
    if (this.#trailers !== undefined) return this.#begin(exchange, head, length)
    const bytes = (this.#stream.read() as Buffer | null) ?? nothing
    this.#tellWhole(exchange, head, bytes.length, bytes)
  }

  #tellWhole(exchange: UpstreamExchange, head: ResponseHead, length: number, bytes: Uint8Array): void {
    this.#headSeen = true
    this.#requestUseless()
    exchange.responded(head, length, bytes)
    this.#stream.resume()
  }

  #begin(exchange: UpstreamExchange, head: ResponseHead, length: number): void {
    const body = new BodySource(this)
    this.#body = body
    this.#headSeen = true
    const stream = this.#stream
    stream.pause()
    stream.on('data', (chunk: Buffer) => this.#received(chunk))
    stream.on('end', () => this.#ended())
    exchange.responded(head, length, body)
  }

  #received(chunk: Buffer): void {
    this.#came()
    const body = this.#body
    if (body === undefined) return
    const taken = body.write(chunk)
    if (taken < chunk.length) this.#rest = taken === 0 ? chunk : chunk.subarray(taken)
    if (this.#rest !== undefined || !body.flushed) this.#stream.pause()
  }

  /** @internal */
  bodyPulled(body: BodySource): void {
    if (body !== this.#body) return
    const rest = this.#rest
    if (rest !== undefined) {
      const taken = body.write(rest)
      this.#rest = taken < rest.length ? rest.subarray(taken) : undefined
      if (this.#rest !== undefined) return
    }
    if (this.#stream.readableEnded) this.#ended()
    else if (body.flushed) this.#stream.resume()
  }

  /** @internal */
  bodyOver(_error: XpsError | undefined, body: BodySource): void {
    if (body !== this.#body) return
    this.#body = undefined
    this.leave()
  }

  #trailed(raw: readonly string[]): void {
    this.#came()
    try {
      this.#trailers = checkedFields(raw, this.#owner.limits)
      this.#exchange?.trailed(this.#trailers)
    } catch (error) {
      this.#refuse(error as XpsError)
    }
  }

  /** All that came has been read. */
  #ended(): void {
    const body = this.#body
    if (body === undefined || this.#rest !== undefined) return
    // node:http2 ends a body also when the upstream has reset the stream with no error.
    if (!this.complete) return this.#reset(codes.cancel)
    this.#body = undefined
    this.#requestUseless()
    body.end()
  }

  /** The response is complete: what there still is of the request is of no use (RFC 9113, 8.1). */
  #requestUseless(): void {
    const sink = this.#sink
    if (sink === undefined || this.#stream.writableEnded) return
    this.#sink = undefined
    sink.close(new XpsError('XPS_ABORTED', 'the upstream answered before it had all of the request'))
    this.#reset(codes.cancel)
  }

  /** It is no response. */
  #refuse(error: XpsError): void {
    this.#failure ??= error
    this.#reset(codes.protocol)
    this.#tellFailure()
  }

  /** @internal The stream is over, one way or the other. */
  #closed(): void {
    // Of streams it is told first that a connection has broken.
    if (this.#cause !== undefined && systemCode(this.#cause) !== 'ERR_HTTP2_STREAM_ERROR') {
      this.#owner.broken(this.#cause)
    }
    if (this.#exchange !== undefined && (!this.#headSeen || this.#body !== undefined)) {
      this.#failure ??= this.#reason()
      this.#tellFailure()
    }
    this.#done()
    this.#owner.streamClosed(this.#asker, this)
  }

  #reason(): XpsError {
    const { rstCode, id } = this.#stream
    if (rstCode === codes.refused || this.#owner.unseen(id)) return unseen()
    const { failure } = this.#owner
    if (failure !== undefined) return failure
    const cause = new StreamReset(rstCode)
    if (rstCode === codes.http1 && this.#owner.wantsHttp1()) {
      const message = 'the upstream wants the request by HTTP/1.1'
      return new XpsError('XPS_RESET', message, { origin: 'upstream', retryable: true, cause })
    }
    // The same code stands for a reset by the upstream, and for what node:http2 found wrong with its response.
    if (rstCode === codes.protocol || rstCode === codes.calm) {
      const message = `the upstream's response cannot be, or it has reset the stream (${nameOfCode(rstCode)})`
      return new XpsError('XPS_BAD_RESPONSE', message, { origin: 'upstream', status: 502, cause })
    }
    return new XpsError('XPS_RESET', `the upstream has reset the stream (${nameOfCode(rstCode)})`, {
      origin: 'upstream',
      cause,
    })
  }

  #tellFailure(): void {
    const error = this.#failure
    const exchange = this.#exchange
    if (exchange === undefined || error === undefined) return
    const body = this.#body
    this.#body = undefined
    if (body !== undefined) return body.end(asTruncated(error))
    if (this.#headSeen) return
    this.#exchange = undefined
    // A reset is an answer of a kind: only what was not looked at may be sent again.
    exchange.failed(error, !error.retryable && this.#owner.failure === undefined)
    exchange.done()
  }

  #done(): void {
    const exchange = this.#exchange
    this.#exchange = undefined
    this.#rest = undefined
    this.#sink?.close(this.#failure ?? new XpsError('XPS_RESET', 'the upstream takes no more', { origin: 'upstream' }))
    this.#sink = undefined
    exchange?.done()
  }
}

const nothing = new Uint8Array(0)

function unseen(): XpsError {
  return new XpsError('XPS_RESET', 'the upstream did not look at the request', {
    origin: 'upstream',
    retryable: true,
    cause: new StreamReset(codes.refused),
  })
}

/** A body that was cut short must never look whole to whoever it is sent on to. */
function asTruncated(error: XpsError): XpsError {
  return new XpsError('XPS_TRUNCATED', `the upstream's response was cut short: ${error.message}`, {
    origin: 'upstream',
    cause: error,
  })
}

/**
 * Notes END_STREAM. The event `end` is no proof of it, since node:http2 tells it also of a stream that was reset with
 * NO_ERROR in the middle of its body, as its own servers do when a handler destroys the response. But then it has marked
 * the stream as closed before.
 */
function noteCompletion(stream: ClientHttp2Stream, complete: () => void): void {
  const push = stream.push
  stream.push = (chunk: unknown, encoding?: BufferEncoding) => {
    if (chunk === null && !stream.closed) complete()
    return push.call(stream, chunk, encoding)
  }
}
