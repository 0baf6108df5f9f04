import type { OutgoingHttpHeaders, ServerHttp2Stream, ServerStreamResponseOptions } from 'node:http2'
import type { Deadlines } from '../../admission/deadlines.ts'
import type { Clock } from '../../clock.ts'
import { XpsError } from '../../errors.ts'
import { PipeSource } from '../../pipe/source.ts'
import type { ClientStream, ReadyHead, ResponseSink } from '../client-stream.ts'
import { Fields } from '../fields.ts'
import { type Answer, type RequestHead, ResponseHead } from '../messages.ts'
import { OwnHead } from '../ready-head.ts'
import type { Transaction } from '../transaction.ts'
import type { Tunnel } from '../tunnel.ts'
import { BodySink, type BodyWriter } from './body-sink.ts'
import { BodySource, type BodyTaker } from './body-source.ts'
import { codeOfCut, codes, nameOfCode } from './codes.ts'
import type { ReadRequest } from './request-head.ts'
import { fieldMap, fieldsOf, type NodeFields, responseFields, tamed } from './response-head.ts'
import { sentAnswer } from './sent-answer.ts'
import { sendLasting, sendWhole } from './whole-body.ts'

/** What a {@link Http2Stream} asks of its session. */
export interface StreamOwner {
  /** Bytes came from the client, or went to it. */
  moved(direction: 'in' | 'out'): void
  /** It has closed, whatever else is going on. `early` says that the client did not wait for its end. */
  streamClosed(stream: Http2Stream, early: boolean): void
  /** No other request is to come on the connection. */
  endAfter(): void
  /** A stream that was reset does not close. */
  stuck(): void
  time(): number
  readonly clock: Clock
}

/**
 * One request of a client and its response, on a stream of `node:http2`.
 *
 * ```
 *  'stream' ─► readRequest ─► Transaction
 *  'data'   ─► BodySource ─► pipe ─► whoever answers
 *  respond  ◄── head                                end   ◄── a body that is at hand
 *  write    ◄── BodySink  ◄── pipe ◄── response     sendTrailers ◄── what follows it
 * ```
 *
 * It may outlive its transaction, while the client takes what was handed over.
 */
export class Http2Stream implements ClientStream, BodyTaker, BodyWriter {
  readonly request: RequestHead
  readonly requestLength: number
  readonly upgrade: string | undefined
  expectsContinue: boolean
  requestComplete: boolean
  requestTrailers: Fields | undefined
  /** What it is about; undefined before it has begun. */
  transaction: Transaction | undefined
  /** Those that its session has besides it. */
  previous: Http2Stream | undefined
  next: Http2Stream | undefined
  readonly #stream: ServerHttp2Stream
  readonly #owner: StreamOwner
  /** As it asked, whatever hooks made of it. */
  readonly #forHead: boolean
  #body: BodySource | undefined
  #sink: BodySink | undefined
  /** Where the body goes that nobody has a sink for any more: it is complete, or cut. */
  #responded = false
  /** When bytes last moved, by the session's clock. */
  #lastIn: number
  #lastOut = 0
  #cut = false
  /** All of the client's direction has come. */
  #clientEnded: boolean
  /** It has been switched to something else. */
  #switched = false

  constructor(stream: ServerHttp2Stream, read: ReadRequest, owner: StreamOwner) {
    this.#stream = stream
    this.#owner = owner
    this.request = read.head
    this.requestLength = read.length
    this.#forHead = read.head.method === 'HEAD'
    this.expectsContinue = read.expectsContinue
    this.upgrade = read.upgrade
    this.requestComplete = read.length === 0
    this.#clientEnded = read.ended
    this.#lastIn = owner.time()
    ;(stream as Owned)[owned] = this
    stream.on('close', onClose)
    if (!read.ended) {
      stream.on('trailers', onTrailers)
      stream.on('end', onEnd)
    }
    // Node resets what nobody has begun to read as soon as it was answered, and the reset overtakes the end of the answer if
    // the client is slow to take that. What is paused it leaves alone.
    stream.pause()
  }

  // The request.

  /** It is never at hand whole: what follows a head comes later, be it in the same packet. */
  get requestBytes(): undefined {
    return undefined
  }

  requestBody(): PipeSource {
    if (this.requestComplete && this.#body === undefined) return PipeSource.from('')
    this.#body ??= new BodySource(this.#stream, this)
    return this.#body
  }

  /** @internal Asks the client for the body that it holds back, if nobody else does. */
  bodyWanted(): void {
    if (!this.expectsContinue || this.transaction?.forwarded === true) return
    this.#continue()
  }

  #continue(): void {
    if (this.#stream.headersSent || this.#closed || !this.expectsContinue) return
    this.expectsContinue = false
    this.#stream.additionalHeaders({ ':status': 100 })
  }

  /** @internal */
  bodyMoved(passed?: number): XpsError | undefined {
    if (passed === undefined) {
      this.#lastOut = this.#owner.time()
      this.#owner.moved('out')
      return undefined
    }
    this.#lastIn = this.#owner.time()
    this.#owner.moved('in')
    const limit = this.#switched ? 0 : (this.transaction?.bodyLimit ?? 0)
    if (limit === 0 || passed <= limit) return undefined
    const error = new XpsError('XPS_TOO_LARGE', 'the body of the request is too long', {
      origin: 'client',
      status: 413,
    })
    this.transaction?.fail(error)
    return error
  }

  /** @internal All of the body has been read. It is told of an empty one that nobody has read, too. */
  ended(): void {
    // A stream that was destroyed ends as well.
    if (this.#stream.rstCode !== 0 || this.#stream.aborted) return
    this.requestComplete = this.#clientEnded = true
    this.#body?.complete()
  }

  /** @internal */
  trailed(raw: readonly string[]): void {
    this.requestTrailers = new Fields()
    for (let at = 0; at < raw.length; at += 2) this.requestTrailers.append(raw[at] as string, raw[at + 1] as string)
  }

  // The response.

  inform(head: ReadyHead): void {
    const stream = this.#stream
    if (this.#closed || stream.headersSent) return
    if (head.status === 100) return this.#continue()
    stream.additionalHeaders(fieldMap(head.pairs([':status', String(head.status)])))
    this.#owner.moved('out')
  }

  respond(head: ReadyHead, length: number, body: Uint8Array | null): undefined
  respond(head: ReadyHead, length: number, body: undefined): ResponseSink
  respond(head: ReadyHead, length: number, body: Uint8Array | null | undefined): ResponseSink | undefined {
    const stream = this.#stream
    // The client would take it for a yes.
    if (this.upgrade !== undefined && head.status < 300) throw noSwitch(head.status)
    const ended = body === null || body?.length === 0
    const trailed = body === undefined && head.trailed && (length < 0 || head.trailedDespiteLength === true)
    this.#sendHead(responseFields(head, length), ended ? endOfStream : trailed ? withTrailers : moreToCome)
    this.#lastOut = this.#owner.time()
    this.#owner.moved('out')
    if (body === undefined) {
      const sink = new BodySink(stream, this, stream.writableEnded ? 0 : length, trailed)
      this.#sink = sink
      if (trailed) stream.on('wantTrailers', onWantTrailers)
      // Whoever is told by then that the client has gone has still to learn that its body goes nowhere.
      if (this.#closed) sink.close(gone())
      return sink
    }
    if (!ended && !stream.writableEnded) sendWhole(stream, body as Uint8Array)
    this.#complete()
    return undefined
  }

  #sendHead(fields: NodeFields, options: ServerStreamResponseOptions): void {
    if (this.#closed) return
    try {
      // The declarations of older versions know no lists.
      this.#stream.respond(fields as OutgoingHttpHeaders, options)
    } catch {
      if (this.#closed) return
      try {
        this.#stream.respond(tamed(fields), options)
      } catch (error) {
        throw new XpsError('XPS_BAD_RESPONSE', 'the head of the response cannot be sent in HTTP/2', {
          origin: 'upstream',
          status: 502,
          cause: error,
        })
      }
    }
  }

  respondAgain(answer: Answer): boolean {
    if (this.#forHead || this.upgrade !== undefined) return false
    const sent = sentAnswer(answer)
    if (sent === undefined) return false
    const { fields, body } = sent
    this.#sendHead(fields, body.length === 0 ? endOfStream : moreToCome)
    this.#lastOut = this.#owner.time()
    this.#owner.moved('out')
    if (body.length > 0 && !this.#stream.writableEnded) sendLasting(this.#stream, body)
    this.#complete()
    return true
  }

  /** Says yes: to an extended CONNECT 2xx does so, where HTTP/1.1 has 101 and a proof that it was understood. */
  switchTo(head: ReadyHead): Tunnel {
    const status = head.status === 101 ? 200 : head.status
    const pairs = head.pairs([':status', String(status)])
    const proof = pairs.indexOf('sec-websocket-accept')
    if (proof >= 0) pairs.splice(proof, 2)
    this.#sendHead(fieldsOf(pairs), moreToCome)
    this.#switched = this.#responded = true
    this.#owner.moved('out')
    this.#body = new BodySource(this.#stream, this)
    this.#sink = new BodySink(this.#stream, this, -1)
    if (this.#clientEnded) this.#body.complete()
    if (this.#closed) this.#sink.close(gone())
    return { source: this.#body, sink: this.#sink }
  }

  endAfter(): void {
    this.#owner.endAfter()
  }

  cut(error: XpsError): void {
    const sink = this.#sink
    this.#sink = undefined
    this.reset(codeOfCut(error))
    sink?.close(error)
  }

  /** Ends the stream now, whatever of it is under way. */
  reset(code: number): void {
    const stream = this.#stream
    if (this.#cut) return this.#owner.stuck()
    this.#cut = true
    this.#lastOut = this.#owner.time()
    // Node ends a stream before it resets it, and what was cut short would look whole. It does not while a write is under way.
    if (stream.headersSent && !stream.writableEnded && !this.#closed) stream.write(nothing)
    stream.close(code)
  }

  /** Lets go of it, without a word to the client. */
  discard(): void {
    this.#cut = true
    this.#stream.destroy()
  }

  /** Answers what is no transaction. */
  refuse(answer: Answer, body: Uint8Array): void {
    const head = new OwnHead(new ResponseHead(answer.status, '', '2', new Fields(answer.headers)))
    this.respond(head, body.length, this.#forHead ? null : body)
  }

  /** @internal The response's body has been handed over, or never will be. */
  bodyWritten(error: XpsError | undefined): void {
    const { transaction } = this
    this.#lastOut = this.#owner.time()
    if (this.#switched) {
      this.#sink = undefined
      if (error !== undefined) this.reset(codeOfCut(error))
      else if (!this.#stream.writableEnded) this.#stream.end()
      return
    }
    if (error === undefined && !this.#closed) {
      const { trailersOf } = this.#sink as BodySink
      this.#trailersOf = trailersOf
      if (!this.#stream.writableEnded) this.#stream.end()
      this.#complete()
    }
    this.#sink = undefined
    transaction?.responded(error)
  }

  #trailersOf: (() => Fields | undefined) | undefined

  /** @internal All of the body is on its way. */
  sendTrailers(): void {
    const trailers = this.#trailersOf?.()
    // An empty list ends the stream with an empty frame.
    this.#stream.sendTrailers(trailers === undefined ? {} : fieldMap(trailers.pairs([], 0)))
  }

  /** The response has been handed over. A client that is still sending is told to stop, when it has it all. */
  #complete(): void {
    this.#responded = true
    if (!this.#clientEnded) this.#stopLater()
  }

  /** A reset overtakes what has not left. */
  #stopLater(): void {
    this.#owner.clock.after(stopLook, () => {
      if (this.#closed) return
      if (this.#stream.state.localClose === 1) this.#stream.close(codes.none)
      else this.#stopLater()
    })
  }

  get #closed(): boolean {
    return this.#stream.closed || this.#stream.destroyed
  }

  // Its end.

  /** @internal */
  closed(): void {
    const early = !this.#cut && !this.#switched && (!this.#responded || this.#stream.rstCode !== 0)
    this.#owner.streamClosed(this, early)
    const sink = this.#sink
    this.#sink = undefined
    if (this.#responded && this.#body === undefined) return
    const error = gone(this.#stream.rstCode)
    if (!this.#responded) this.transaction?.clientLeft(error)
    this.#body?.cut(error)
    sink?.close(error)
  }

  deadlines(deadlines: Deadlines, bodyTimeout: number, clientIdleTimeout: number): void {
    const { transaction } = this
    if (transaction !== undefined && transaction.phase !== 'closed') {
      transaction.deadlines(deadlines)
      if (!this.requestComplete && this.#body?.awaited === true) {
        deadlines.offer(Math.max(this.#lastIn, transaction.stateSince), bodyTimeout, 'request-body')
      }
      if (this.#sink?.ready === false) deadlines.offer(this.#lastOut, clientIdleTimeout, 'client-idle')
    } else deadlines.offer(this.#lastOut, clientIdleTimeout, 'client-idle')
  }

  timedOut(error: XpsError): void {
    if (this.transaction !== undefined && this.transaction.phase !== 'closed') this.transaction.timedOut(error)
    else this.reset(codes.cancel)
  }
}

/** Where a stream of Node's has ours, so that all can share their listeners. */
const owned = Symbol('xps stream')
type Owned = ServerHttp2Stream & { [owned]?: Http2Stream | undefined }

function onClose(this: ServerHttp2Stream): void {
  const stream = (this as Owned)[owned]
  // Node's is found by V8 to be garbage only when all of the heap is looked through: ours need not wait for that with it.
  ;(this as Owned)[owned] = undefined
  stream?.closed()
}

function onEnd(this: ServerHttp2Stream): void {
  ;(this as Owned)[owned]?.ended()
}

function onWantTrailers(this: ServerHttp2Stream): void {
  ;(this as Owned)[owned]?.sendTrailers()
}

function onTrailers(this: ServerHttp2Stream, _headers: unknown, _flags: number, raw?: readonly string[]): void {
  ;(this as Owned)[owned]?.trailed(raw ?? [])
}

/** How often it is looked whether an answer has left, in milliseconds. */
const stopLook = 20
const nothing = new Uint8Array(0)
const endOfStream: ServerStreamResponseOptions & { sendDate: boolean } = { endStream: true, sendDate: false }
const moreToCome: ServerStreamResponseOptions & { sendDate: boolean } = { endStream: false, sendDate: false }
const withTrailers = { waitForTrailers: true, sendDate: false }

function noSwitch(status: number): XpsError {
  const message = `what was to be switched to was answered ${status} in its place`
  return new XpsError('XPS_BAD_RESPONSE', message, { status: 502 })
}

function gone(code = codes.cancel): XpsError {
  return new XpsError('XPS_RESET', `the client took its request back (${nameOfCode(code)})`, { origin: 'client' })
}
