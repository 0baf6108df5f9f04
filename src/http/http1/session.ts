import type { Deadlines } from '../../admission/deadlines.ts'
import type { Connection } from '../../core/connection.ts'
import { Input } from '../../core/input.ts'
import { Output } from '../../core/output.ts'
import { asXpsError, XpsError } from '../../errors.ts'
import type { Lifetime } from '../../lifetime/lifetime.ts'
import type { Pipe } from '../../pipe/pipe.ts'
import type { PipeSink } from '../../pipe/sink.ts'
import { PipeSource } from '../../pipe/source.ts'
import { ClientHttpSession, ofTransactions } from '../client-http-session.ts'
import type { ClientStream, ReadyHead, ResponseSink } from '../client-stream.ts'
import { bytesOf } from '../field-block.ts'
import { Fields } from '../fields.ts'
import { dropNominated } from '../forwarding/hop-by-hop.ts'
import { type Answer, type RequestHead, ResponseHead } from '../messages.ts'
import { OwnHead } from '../ready-head.ts'
import type { HttpScope } from '../scope.ts'
import type { Transaction } from '../transaction.ts'
import type { Tunnel } from '../tunnel.ts'
import { wholeBody } from './body-reader.ts'
import { BodySink } from './body-sink.ts'
import { GoneProbe } from './gone-probe.ts'
import { chunked, defaultHeadLimits, incomplete, untilClose } from './head-reader.ts'
import { RawSink } from './raw-sink.ts'
import { RequestBody } from './request-body.ts'
import { RequestReader } from './request-reader.ts'
import { statusLine } from './status-line.ts'
import { wireOf } from './wire.ts'

/**
 * The bound of what is on its way to the client. A body that comes in pieces never fills it, as one piece waits for the
 * one before; a file that is kept in memory is sent from there at once.
 */
const outputLimit = 512 * 1024
/** How many bytes of requests are kept that came before it is their turn. */
const mostAhead = 64 * 1024
/** When a client ends its direction so long after its request, it is leaving: who half-closes does so at once. */
const halfCloseWithin = 1_000
/** Of a connection that is silent for so long nothing is kept for the next head: there may be thousands. */
const forgetAfter = 5_000

/**
 * An HTTP/1.1 connection of a client: transactions, one after the other.
 *
 * ```
 *  client.source ─► pipe ─► Input ─► RequestReader ─► Transaction
 *                            └─ RequestBody ─► pipe ─► whoever answers
 *  client.sink  ◄── pipe ◄── Output ◄── head, BodySink ◄── pipe ◄── response
 * ```
 *
 * What follows a request is kept until its transaction has closed. A client that ends its direction has half-closed, and
 * waits for its answer, or it has gone: before an answer has begun it is asked ({@link GoneProbe}).
 */
export class Http1Session extends ClientHttpSession implements ClientStream {
  #reader: RequestReader
  #input: Input
  #output: Output
  #inbound: Pipe | undefined
  #outbound: Pipe | undefined
  #active: Transaction | undefined
  /** Since when a head is awaited or being read, by the clock; and whether any of it has come. */
  #waitingSince: number
  #started = false
  #requestEnded = 0
  #taking = false
  #keepAlive = true
  #inputEnded = false
  /** Requests that came before it is their turn. */
  #ahead: Buffer | undefined
  /** The last byte for the client has been written. */
  #finishing = false
  /** Why it comes to an end, where that is not as it should be. */
  #ending: XpsError | undefined
  #probe: GoneProbe | undefined

  // The request.
  #request: RequestHead = noRequest
  /** As it asked, whatever hooks made of it. */
  #forHead = false
  #requestLength = 0
  #expectsContinue = false
  #upgrade: string | undefined
  /** All of the body, if it came with the head and is small. */
  #bytes: Uint8Array | undefined
  /** The body that comes in pieces. */
  #body: RequestBody | undefined

  // The response.
  #sink: BodySink | undefined
  #responded = false

  /** The connection is about to be, or has been, switched to something else. */
  #switched = false
  /** Where its bytes for the client go, as long as they have to wait for the head. */
  #rawSink: RawSink | undefined

  constructor(client: Connection, scope: HttpScope) {
    super(client, scope)
    this.#reader = new RequestReader(scope.limits)
    this.#input = new Input(this)
    this.#output = new Output(this)
    this.#waitingSince = client.since
  }

  /** No transaction is under way, and no head. */
  override get idle(): boolean {
    return this.#active === undefined && this.#reader.empty
  }

  override get lastActive(): number {
    return Math.max(super.lastActive, this.#active?.lastActive ?? 0)
  }

  protected override listen(): void {
    this.#outbound = this.pipe(this.#output, this.client.sink, {
      limit: outputLimit,
      onClose: (error) => this.#outputOver(error),
    })
    this.#inbound = this.pipe(this.client.source, this.#input)
  }

  // The request comes.

  /** @internal Reads what has come; returns how much of it was taken. */
  receive(chunk: Buffer): number {
    if (this.#ahead !== undefined || this.#switched) {
      this.#keepAhead(this.#ahead === undefined ? Buffer.from(chunk) : Buffer.concat([this.#ahead, chunk]))
      return chunk.length
    }
    const at = this.#read(chunk)
    if (at === chunk.length || this.#inBody) return at
    this.#keepAhead(Buffer.from(chunk.subarray(at)))
    return chunk.length
  }

  /**
   * Keeps requests that came before it is their turn. The connection is read on, within limits, since otherwise nobody
   * would see that the client has gone.
   */
  #keepAhead(bytes: Buffer): void {
    this.#ahead = bytes
    if (bytes.length >= mostAhead && !this.#switched) this.#input.ready = false
  }

  /** @internal Whoever held the client's bytes up does so no more. */
  resume(): void {
    this.#input.ready = true
    // What is being read now is read on anyway.
    if (this.#taking || this.#ahead === undefined) return
    const ahead = this.#ahead
    this.#ahead = undefined
    const at = this.#read(ahead)
    if (at < ahead.length) this.#keepAhead(at === 0 ? ahead : Buffer.from(ahead.subarray(at)))
    else if (this.#inputEnded) this.#endOfInput()
  }

  #read(chunk: Buffer): number {
    this.#taking = true
    let at = 0
    try {
      while (at < chunk.length) {
        if (this.#body !== undefined && this.#inBody) {
          const before = at
          at = this.#readBody(this.#body, chunk, at)
          if (!this.#input.ready || at === before) break
        } else {
          // It waits until the transaction before it has closed, and the client has taken what was sent to it; after the
          // last one nothing more is read.
          if (this.#active !== undefined || this.#output.full) break
          at = this.#keepAlive ? this.#readHead(chunk, at) : chunk.length
          if (at === incomplete) at = chunk.length
        }
      }
    } catch (error) {
      this.#badRequest(asXpsError(error, 'XPS_BAD_REQUEST', 'the request cannot be read'))
      at = chunk.length
    }
    this.#taking = false
    this.#output.flush()
    if (this.#responded) this.#afterResponse()
    return at
  }

  #readHead(chunk: Buffer, at: number): number {
    if (!this.#started) {
      this.#started = true
      this.#waitingSince = this.time()
    }
    const reader = this.#reader
    const end = reader.read(chunk, at)
    if (end === incomplete) return incomplete
    const { length } = reader
    this.#request = reader.head
    this.#forHead = reader.head.method === 'HEAD'
    // Before any hook can add a field that the client would then have named.
    if (reader.nominates) dropNominated(reader.head.headers)
    this.#requestLength = length
    this.#expectsContinue = reader.expectsContinue
    this.#keepAlive = reader.keepAlive
    this.#upgrade = reader.upgrade
    // What it is good for went with `Connection` if that has named it, as it must.
    if (reader.upgrade !== undefined) reader.head.headers.delete('http2-settings')
    if (reader.head.method === 'CONNECT') this.#upgrade = 'connect'
    this.#responded = false
    this.#started = false
    this.#bytes = this.#body = undefined
    let after = end
    if (length > 0 && length <= wholeBody && end + length <= chunk.length) {
      after = end + length
      this.#bytes = chunk.subarray(end, after)
    } else if (length !== 0) this.#body = new RequestBody(this, length, this.scope.limits)
    if (this.#body === undefined) this.#requestEnded = this.time()
    this.#begin()
    return after
  }

  #begin(): void {
    const transaction = this.begin(this)
    this.#active = transaction
    transaction.start()
    // Somebody waits, and may still want the body when this memory holds something else.
    if (this.#bytes !== undefined) this.#bytes = this.#active === transaction ? Buffer.from(this.#bytes) : undefined
  }

  #readBody(body: RequestBody, chunk: Buffer, at: number): number {
    const stopped = body.read(chunk, at)
    if (body.complete) this.#requestEnded = this.time()
    if (body.overlong) this.#keepAlive = false
    return stopped
  }

  /** Some of the request's body has still to be read. */
  get #inBody(): boolean {
    return this.#body !== undefined && !this.#body.complete
  }

  /** What came is no request: the client is told so, if it is not in the middle of something, and nothing more is read. */
  #badRequest(error: XpsError): void {
    this.#keepAlive = false
    const body = this.#body
    this.#body = undefined
    if (this.#active === undefined) return this.#tell(error)
    this.#active.fail(error)
    body?.abort(error)
  }

  /** Answers what is no transaction. */
  #tell(error: XpsError): void {
    this.refusal(error, (answer, body) => {
      this.respond(
        new OwnHead(new ResponseHead(answer.status, '', '1.1', new Fields(answer.headers))),
        body.length,
        body,
      )
      this.#endOutput()
    })
  }

  /** @internal */
  get bodyLimit(): number {
    return this.#active?.bodyLimit ?? 0
  }

  /** @internal */
  holdUp(): void {
    this.#input.ready = false
  }

  /** @internal Asks the client for the body that it holds back, if nobody else does. */
  bodyWanted(): void {
    if (!this.#expectsContinue || this.#active?.forwarded === true) return
    this.#expectsContinue = false
    this.#sendContinue()
  }

  /** Sends a 100, unless the response has begun. */
  #sendContinue(): boolean {
    if (this.#sink !== undefined || this.#responded) return false
    this.#output.text('HTTP/1.1 100 Continue\r\n\r\n')
    this.#output.flush()
    return true
  }

  /** @internal The client's direction has ended, and all that came has been taken. */
  received(error: XpsError | undefined): void {
    this.#inputEnded = true
    if (this.#switched) return
    if (error !== undefined) return this.#gone(error)
    if (this.#ahead === undefined) this.#endOfInput()
    else this.#askWhetherGone()
  }

  /** There is nothing more to read. */
  #endOfInput(): void {
    const active = this.#active
    if (this.#inBody) {
      const reason = new XpsError('XPS_TRUNCATED', 'the client ended in the middle of a request', { origin: 'client' })
      if (active !== undefined) this.#leave(reason)
      this.#body?.abort(reason)
    }
    if (active === undefined) return this.#endOutput()
    this.#keepAlive = false
    this.#askWhetherGone()
  }

  /** It ended its direction and waits for an answer, or it has gone. */
  #askWhetherGone(): void {
    const gone = (): void => this.#leave(new XpsError('XPS_RESET', 'the client has gone', { origin: 'client' }))
    if (!this.scope.halfOpen) return gone()
    if (this.#sink !== undefined) {
      if (this.time() - this.#requestEnded > halfCloseWithin) gone()
      return
    }
    if (this.#request.version !== '1.1') return
    this.#probe?.cancel()
    this.#probe = new GoneProbe(this.clock, () => this.#active !== undefined && this.#sendContinue())
  }

  #leave(error: XpsError): void {
    this.#keepAlive = false
    this.client.abort(error)
    this.#active?.clientLeft(error)
  }

  // The way of a transaction.

  get request(): RequestHead {
    return this.#request
  }

  get requestLength(): number {
    return this.#requestLength
  }

  get expectsContinue(): boolean {
    return this.#expectsContinue
  }

  get upgrade(): string | undefined {
    return this.#upgrade
  }

  get requestBytes(): Uint8Array | undefined {
    return this.#bytes
  }

  get requestTrailers(): Fields | undefined {
    return this.#body?.trailers
  }

  get requestComplete(): boolean {
    return !this.#inBody
  }

  requestBody(): PipeSource {
    if (this.#bytes !== undefined) return PipeSource.from(Buffer.from(this.#bytes))
    return this.#body?.source ?? PipeSource.from('')
  }

  inform(head: ReadyHead): void {
    if (this.#request.version !== '1.1' || this.#responded || this.#sink !== undefined) return
    if (head.status === 100) this.#expectsContinue = false
    this.#output.text(`${statusLine(head.status, head.reason)}${head.block()}\r\n`)
    this.#output.flush()
  }

  respond(head: ReadyHead, length: number, body: Uint8Array | null): undefined
  respond(head: ReadyHead, length: number, body: undefined): ResponseSink
  respond(head: ReadyHead, length: number, body: Uint8Array | null | undefined): ResponseSink | undefined {
    const output = this.#output
    const modern = this.#request.version !== '1.0'
    this.#decideKeepAlive()
    let framing = ''
    let framed = length
    if (length >= 0) framing = `content-length: ${length}\r\n`
    else if (body === undefined) {
      if (modern) {
        framing = 'transfer-encoding: chunked\r\n'
        framed = chunked
      } else {
        framed = untilClose
        this.#keepAlive = false
      }
    }
    const usual = modern && this.#keepAlive && length >= 0
    const kept = usual ? (head.kept?.(length, 1) as Buffer | undefined) : undefined
    if (kept !== undefined) output.copy(kept)
    else {
      const connection = this.#connectionLine(modern)
      const text = `${statusLine(head.status, head.reason)}${head.block()}${framing}${connection}\r\n`
      output.text(text)
      if (usual && head.keeps === true) head.keep?.(length, bytesOf(text), 1)
    }
    if (body === undefined) {
      output.schedule()
      this.#sink = new BodySink(this, output, framed)
      // Whoever is told by then that the client has gone has still to learn that its body goes nowhere.
      if (output.ended) this.#sink.close(new XpsError('XPS_RESET', 'the client has gone', { origin: 'client' }))
      return this.#sink
    }
    if (body !== null && body.length > 0) output.whole(body)
    this.#complete()
    return undefined
  }

  respondAgain(answer: Answer): boolean {
    if (this.#request.version !== '1.1' || this.#forHead) return false
    this.#decideKeepAlive()
    if (!this.#keepAlive) return false
    const wire = wireOf(answer)
    if (wire === undefined) return false
    this.#output.whole(wire)
    this.#complete()
    return true
  }

  switchTo(head: ReadyHead): Tunnel {
    this.#keepAlive = false
    this.#probe?.cancel()
    this.#probe = undefined
    const source = this.#takeInput()
    const upgrade = head.status === 101 ? `connection: Upgrade\r\nupgrade: ${head.upgrade ?? ''}\r\n` : ''
    this.#output.text(`${statusLine(head.status, head.reason)}${head.block()}${upgrade}\r\n`)
    this.#output.flush()
    return { source, sink: this.#takeOutput() }
  }

  /** What the client sends from now on, and before it what has come already. */
  #takeInput(): PipeSource {
    this.#switched = true
    // What waits in the pipe comes to what was kept.
    this.#input.ready = true
    const ahead = this.#ahead
    this.#ahead = undefined
    if (this.#inputEnded) return PipeSource.from(ahead ?? '')
    const inbound = this.#inbound as Pipe
    this.letGo(inbound)
    if (inbound.detachSource() === undefined) throw new XpsError('XPS_FAULT', 'the client is being read')
    inbound.detachSink()
    this.#inbound = undefined
    if (ahead !== undefined) this.client.unshift(ahead)
    return this.client.source
  }

  /** The client itself, or, if it has not taken all that it was sent before, what stands behind that. */
  #takeOutput(): PipeSink {
    const outbound = this.#outbound as Pipe
    this.letGo(outbound)
    this.#outbound = undefined
    if (this.#output.empty && outbound.detachSink() !== undefined) {
      outbound.detachSource()
      // Nobody needs them any more, and there may be thousands.
      this.#reader = spent.reader
      this.#input = spent.input
      this.#output = spent.output
      return this.client.sink
    }
    this.#rawSink = new RawSink(this.#output)
    return this.#rawSink
  }

  endAfter(): void {
    this.#keepAlive = false
  }

  cut(error: XpsError): void {
    this.#keepAlive = false
    const sink = this.#sink
    this.#sink = undefined
    // A client that is in the middle of a body sees that its connection ends before the body does.
    this.client.abort(error)
    // Last, because what is in flight to the client may be in memory of whoever sends the body.
    sink?.close(error)
  }

  /** Whether another request may come, which has to be decided when the head is sent. */
  #decideKeepAlive(): void {
    if (this.lastRequest) this.#keepAlive = false
    // Whoever is refused a tunnel may have begun to use it: what has come behind the request need not be another.
    else if (this.#upgrade === 'connect' || (this.#upgrade !== undefined && this.#refusedEarly)) this.#keepAlive = false
    else if (this.#body === undefined || this.#body.complete) return
    // Told neither to send the body nor not to, a client may do either, and what comes next could be both.
    else if (this.#expectsContinue) this.#keepAlive = false
    // An upstream may read on while it answers; of what is answered here, a short rest is read and thrown away.
    else if (this.#active?.forwarded !== true && this.#body.long) this.#keepAlive = false
  }

  get #refusedEarly(): boolean {
    return this.#ahead !== undefined && this.#active?.forwarded === true
  }

  #connectionLine(modern: boolean): string {
    if (!this.#keepAlive) return 'connection: close\r\n'
    return modern ? '' : 'connection: keep-alive\r\n'
  }

  /** @internal */
  bodyWritten(error: XpsError | undefined): void {
    this.#sink = undefined
    const active = this.#active
    if (error === undefined) {
      this.#output.flush()
      this.#complete()
    }
    active?.responded(error)
  }

  /** @internal */
  outputReady(): void {
    this.#sink?.outputReady()
    this.#rawSink?.outputReady()
    if (this.#active === undefined && this.#ahead !== undefined) this.resume()
  }

  /** @internal Nothing can be sent any more. */
  outputOver(error: XpsError | undefined): void {
    const sink = this.#sink
    this.#sink = undefined
    const reason = error ?? new XpsError('XPS_RESET', 'the client takes no more', { origin: 'client' })
    if (this.#switched) return this.#rawSink?.close(error)
    this.#gone(reason)
    sink?.close(reason)
  }

  /** There is nobody to answer: what was asked ahead is not begun. */
  #gone(error: XpsError): void {
    this.#keepAlive = false
    this.#ahead = undefined
    this.#active?.clientLeft(error)
  }

  /** The response has been handed over. */
  #complete(): void {
    this.#responded = true
    this.#probe?.cancel()
    this.#probe = undefined
    if (this.#body?.wanted === false) this.#body.drop()
    if (!this.#taking) this.#output.flush()
  }

  protected override onChildClosed(child: Lifetime): void {
    if (child === this.#active) {
      this.#active = undefined
      if (this.#body !== undefined && this.#inBody) {
        // Whoever took the request's body has no use for the rest; nor has anybody, if there is much of it.
        if (this.#body.long) this.#keepAlive = false
        if (this.#body.wanted) this.#body.abort()
      }
      this.#waitingSince = this.time()
      this.counted(child as Transaction)
      if (this.#switched) this.#ending ??= (child as Transaction).failure
      if (!this.#taking) this.#afterResponse()
    }
    super.onChildClosed(child)
  }

  /** The transaction has closed: the next request, or the end. */
  #afterResponse(): void {
    if (this.#active !== undefined) return
    if (this.#switched) return this.finish(this.#ending)
    if (!this.#keepAlive || (this.#inputEnded && this.#ahead === undefined)) {
      // Also in the middle of a body that nobody wants: the connection is closed gently.
      this.#responded = false
      this.#endOutput()
      return
    }
    if (!this.#inBody) this.#responded = false
    this.resume()
  }

  /** Nothing more is sent. */
  #endOutput(): void {
    this.#finishing = true
    this.#output.end()
  }

  /** All has been sent: the connection is closed, but not before the client has had time to read it. */
  #outputOver(error: XpsError | undefined): void {
    if (this.#switched) return
    this.finish(error ?? this.#ending)
  }

  // Time.

  protected override deadlines(deadlines: Deadlines): void {
    const { client, timeouts: common } = this
    const { timeouts } = this.scope
    const active = this.#active
    if (active !== undefined) {
      active.deadlines(deadlines)
      if (active.state === 'tunnel') return this.#deadlinesOfTunnel(deadlines)
      if (this.#inBody && this.#body?.wanted === true && this.#input.ready) {
        deadlines.offer(Math.max(client.lastIn, active.since), timeouts.bodyTimeout, 'request-body')
      }
    } else if (this.#finishing) {
      // The client takes what is left, or does not: see below.
    } else if (this.#started) deadlines.offer(this.#waitingSince, timeouts.headTimeout, 'request-head')
    else if (this.transactions === 0) deadlines.offer(client.since, common.firstByteTimeout, 'first-byte')
    else {
      if (this.time() - this.#waitingSince > forgetAfter) this.#reader.forget()
      deadlines.offer(this.#waitingSince, timeouts.keepAliveTimeout, 'keep-alive')
    }
    super.deadlines(deadlines)
  }

  /** Nothing can begin but a stall: who has thousands of tunnels that are silent should not look at each every second. */
  #deadlinesOfTunnel(deadlines: Deadlines): void {
    const { client } = this
    const { clientIdleTimeout, upstreamIdleTimeout, maxSessionAge } = this.timeouts
    deadlines.offer(client.since, maxSessionAge, 'session-age')
    if (client.stalled) deadlines.offer(client.lastOut, clientIdleTimeout, 'client-idle')
    deadlines.mayBegin(clientIdleTimeout)
    deadlines.mayBegin(upstreamIdleTimeout)
  }

  protected override timedOut(error: XpsError): void {
    const { reason } = error
    if (reason === 'keep-alive') {
      this.#keepAlive = false
      this.#ending = error
      this.#endOutput()
    } else if (reason === 'request-head') {
      this.#keepAlive = false
      this.#ending = error
      this.#tell(error)
    } else if (reason !== undefined && ofTransactions.has(reason)) {
      if (reason === 'request-body') {
        this.#keepAlive = false
        this.#ending = error
      }
      this.#active?.timedOut(error)
    } else super.timedOut(error)
  }

  protected override onAbort(error: XpsError): void {
    this.#probe?.cancel()
    super.onAbort(error)
  }
}

const noRequest = {} as RequestHead

/** In the place of what a session needs no more that has switched to something else. */
const spent = {
  reader: new RequestReader(defaultHeadLimits),
  input: new Input({ receive: (chunk) => chunk.length, received() {} }),
  output: new Output({ outputReady() {}, outputOver() {} }),
}
