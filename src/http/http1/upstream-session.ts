import type { Connection } from '../../core/connection.ts'
import { Input } from '../../core/input.ts'
import { Output } from '../../core/output.ts'
import { XpsError } from '../../errors.ts'
import { Lifetime } from '../../lifetime/lifetime.ts'
import { pieceOf } from '../../pipe/piece.ts'
import { Pipe } from '../../pipe/pipe.ts'
import { PipeSource } from '../../pipe/source.ts'
import type { ResponseHead } from '../messages.ts'
import { answersUpgrade } from '../upgrade.ts'
import type {
  ExchangeProgress,
  UpstreamExchange,
  UpstreamOwner,
  UpstreamRequest,
  UpstreamSession,
} from '../upstream-session.ts'
import { BodyReader, wholeBody } from './body-reader.ts'
import { BodySink } from './body-sink.ts'
import { BodySource } from './body-source.ts'
import { Forgotten, readAway } from './forgotten.ts'
import { type HeadLimits, incomplete } from './head-reader.ts'
import { ResponseReader } from './response-reader.ts'

/** Interim responses (1xx) to one request. */
const mostInterim = 32
/** How many bytes of another protocol are kept until the connection is switched to it. */
const mostEarly = 64 * 1024

/**
 * An HTTP/1.1 connection to an upstream: requests out, responses in, in order.
 *
 * Made on a connection that is open. It carries one exchange at a time, or several one behind the other if its owner sends on before the first is
 * answered. It retires, and is used no more, when its peer says so, sends what nobody asked for, or breaks.
 */
export class Http1UpstreamSession extends Lifetime implements UpstreamSession {
  readonly connection: Connection
  requests = 0
  idleSince: number
  reserved = 0
  readonly multiplexed = false
  readonly capacity = 1
  readonly #owner: UpstreamOwner
  readonly #reader: ResponseReader
  readonly #limits: HeadLimits
  readonly #input: Input
  readonly #inbound: Pipe
  readonly #outbound: Pipe
  readonly #output: Output
  /** All that the upstream sent has been read, or never will be. */
  #inputOver = false
  /** Those that are under way, the one whose response comes next first. */
  readonly #exchanges: UpstreamExchange[] = []
  /** The exchange whose request's body is being sent, and where it goes. */
  #sending: BodySink | undefined
  /** Finds the response's body, as long as some of it is to come, and hands it on. */
  #bodyReader: BodyReader | undefined
  #body: BodySource | undefined
  /** All of the response has been read; its body is still being delivered. */
  #delivering = false
  #headSeen = false
  /** Interim responses of the exchange that is first. */
  #interim = 0
  #retired = false
  /** Requests that leave together when this turn of the loop is over. */
  #batch = ''
  #gathered = 0
  /** What the only request asks the connection to be switched to; and what has come behind the answer that it is. */
  #upgrade: string | undefined
  #switching: ResponseHead | undefined
  #early: Buffer | undefined

  constructor(connection: Connection, limits: HeadLimits, owner: UpstreamOwner) {
    super()
    this.connection = connection
    this.#owner = owner
    this.#limits = limits
    this.#reader = new ResponseReader(limits)
    this.#input = new Input(this)
    this.#output = new Output(this)
    this.idleSince = connection.time()
    this.adopt(connection)
    this.opened()
    this.#inbound = new Pipe(connection.source, this.#input)
    this.#outbound = new Pipe(this.#output, connection.sink)
  }

  /** How many exchanges are under way. */
  get busy(): number {
    return this.#exchanges.length
  }

  get gathered(): number {
    return this.#gathered
  }

  /** Another request may be sent when those under way are answered, or before if it may be sent behind them. */
  get usable(): boolean {
    return !this.#retired && this.phase === 'open'
  }

  /** No request's body is under way: another request may be written behind. */
  get canSend(): boolean {
    return this.usable && this.reserved === 0 && this.#sending === undefined
  }

  /** Exchanges come one after the other: what moves on the connection is the first one's. */
  progress(): ExchangeProgress {
    return this.connection
  }

  send(exchange: UpstreamExchange, request: UpstreamRequest, batch = false): BodySink | undefined {
    this.#exchanges.push(exchange)
    this.requests++
    const { length, body } = request
    if (request.upgrade !== undefined) {
      // Also if the upstream refuses: who knows what it does with the connection then.
      this.#upgrade = request.upgrade
      this.#retired = true
    }
    if (batch) {
      if (this.#batch === '') setImmediate(flushBatch, this)
      this.#batch += request.text()
      this.#gathered++
      return undefined
    }
    if (this.#batch !== '') this.flushBatch()
    const output = this.#output
    if (request.write?.(output) !== true) output.text(request.text())
    if (length === 0 || body !== undefined) {
      if (body !== undefined) output.copy(body)
      output.flush()
      return undefined
    }
    output.schedule()
    this.#sending = new BodySink(this, output, length)
    return this.#sending
  }

  /** @internal */
  flushBatch(): void {
    const text = this.#batch
    if (text === '') return
    this.#batch = ''
    this.#gathered = 0
    if (this.phase !== 'open') return
    this.#output.text(text)
    this.#output.flush()
  }

  /**
   * Nobody waits for the exchange any more. If others are under way on the connection its response is read all the
   * same, and thrown away; if not, there is no other way to stop it but to close the connection.
   */
  leave(exchange: UpstreamExchange, error: XpsError): void {
    const index = this.#exchanges.indexOf(exchange)
    if (index < 0) return
    if (this.#exchanges.length === 1) {
      this.#exchanges.length = 0
      this.abort(error)
      return
    }
    this.#exchanges[index] = new Forgotten(exchange.method)
    if (index === 0 && this.#body !== undefined) {
      const rest = new BodySource(this)
      const former = this.#body
      this.#body = rest
      former.abort(error)
      readAway(rest)
      if (this.#delivering) rest.end() // All of it had been read.
    }
  }

  // The response comes.

  /** @internal Reads what has come; returns how much of it was taken. */
  receive(chunk: Buffer): number {
    if (this.#early !== undefined) {
      this.#early = Buffer.concat([this.#early, chunk])
      if (this.#early.length >= mostEarly) this.#input.ready = false
      return chunk.length
    }
    let at = 0
    try {
      while (at < chunk.length) {
        const from = at
        if (this.#delivering) {
          // What follows waits until the body has been delivered, since its memory may be needed till then.
          this.#input.ready = false
          this.#surplus()
          return at
        }
        at = this.#bodyReader === undefined ? this.#readHead(chunk, at) : this.#readBody(this.#bodyReader, chunk, at)
        if (at === incomplete) return chunk.length
        if (!this.#input.ready) return at
        if (at === from && this.#exchanges.length === 0) return chunk.length
      }
    } catch (error) {
      this.#fail(error as XpsError)
      return chunk.length
    }
    return at
  }

  #readHead(chunk: Buffer, at: number): number {
    const exchange = this.#exchanges[0]
    if (exchange === undefined) {
      throw new XpsError('XPS_BAD_RESPONSE', 'the upstream sent what nobody asked for', { origin: 'upstream' })
    }
    const reader = this.#reader
    reader.forHead = exchange.method === 'HEAD'
    this.#headSeen = true
    const end = reader.read(chunk, at)
    if (end === incomplete) return incomplete
    const { head } = reader
    if (head.status < 200) {
      if (++this.#interim > mostInterim) {
        throw new XpsError('XPS_BAD_RESPONSE', 'the upstream sends interim responses without end', {
          origin: 'upstream',
          status: 502,
        })
      }
      if (head.status === 101) {
        this.#checkUpgrade()
        // Whatever has come with it is not HTTP any more.
        this.#early = end < chunk.length ? Buffer.from(chunk.subarray(end)) : nothing
        // Its pipes can be taken from it when it does not read any more.
        this.#switching = head
        process.nextTick(switchOver, this)
        return chunk.length
      }
      this.#headSeen = false
      exchange.informed(head)
      return end
    }
    this.#interim = 0
    if (!reader.keepAlive) this.#retired = true
    return this.#begin(exchange, head, chunk, end)
  }

  /** RFC 9110, 7.8: a server must not switch to what the client has not named. */
  #checkUpgrade(): void {
    if (this.#upgrade !== undefined && answersUpgrade(this.#upgrade, this.#reader.upgrade)) return
    throw new XpsError('XPS_BAD_RESPONSE', 'the upstream switched protocols without being asked to', {
      origin: 'upstream',
      status: 502,
    })
  }

  /** @internal The connection becomes the asker's. */
  switchOver(): void {
    const { connection } = this
    const head = this.#switching
    const exchange = this.#exchanges[0]
    if (head === undefined || exchange === undefined) return
    // An upstream of this process may answer before its socket says that the request has left.
    if (!this.#output.empty || this.#outbound.detachSink() === undefined) return
    this.#switching = undefined
    this.#exchanges.length = 0
    // What waits in the pipe comes to what was kept.
    this.#input.ready = true
    const early = this.#early ?? nothing
    let source: PipeSource = connection.source
    if (this.#inputOver || this.#inbound.detachSource() === undefined) source = PipeSource.from(early)
    else connection.unshift(early)
    exchange.switched(head, { source, sink: connection.sink, connection })
    exchange.done()
    // The connection goes on without it; unless nobody has taken it over.
    this.finish()
  }

  #begin(exchange: UpstreamExchange, head: ResponseHead, chunk: Buffer, at: number): number {
    const { length, declared } = this.#reader
    if (length === 0 || (length > 0 && length <= wholeBody && at + length <= chunk.length)) {
      if (at + length < chunk.length) this.#surplus()
      // Free before it is told, so that whoever comes next finds it; the memory is good until the call returns.
      this.#release()
      exchange.responded(head, declared, length === 0 ? nothing : pieceOf(chunk, at, at + length))
      exchange.done()
      return at + length
    }
    const body = new BodySource(this)
    this.#body = body
    this.#bodyReader = new BodyReader(this, 'response', length, this.#limits)
    exchange.responded(head, length, body)
    return at
  }

  #readBody(reader: BodyReader, chunk: Buffer, from: number): number {
    const at = reader.read(chunk, from)
    if (reader.done) {
      if (reader.trailers !== undefined) this.#exchanges[0]?.trailed(reader.trailers)
      if (at < chunk.length) this.#surplus()
      this.#bodyRead()
    }
    return at
  }

  /** @internal Hands a piece of the body on; holds the connection up when it was not all taken, or is still needed. */
  takeBody(chunk: Buffer, start: number, stop: number): number {
    const body = this.#body as BodySource
    const taken = body.write(chunk.subarray(start, stop))
    if (taken < stop - start || !body.flushed) this.#input.ready = false
    return taken
  }

  /** Something follows a response. If it is the last that was asked for, that is nobody's, and never the next one's. */
  #surplus(): void {
    if (this.#exchanges.length === 1) this.#retired = true
  }

  /** The last byte of the body is in its pipe. */
  #bodyRead(): void {
    this.#bodyReader = undefined
    this.#delivering = true
    this.#body?.end()
  }

  /** @internal */
  bodyPulled(body: BodySource): void {
    if (body === this.#body) this.#input.ready = true
  }

  /** @internal */
  bodyOver(error: XpsError | undefined, body: BodySource): void {
    if (body !== this.#body) return
    this.#body = undefined
    const exchange = this.#exchanges[0]
    if (exchange === undefined) return
    if (!this.#delivering) {
      // Nobody wants the rest of it.
      this.#body = body
      this.leave(exchange, error ?? new XpsError('XPS_ABORTED', 'the response was not wanted'))
      return
    }
    this.#delivering = false
    this.#release()
    exchange.done()
    this.#input.ready = true
  }

  /** The exchange that was first is over for this connection, and it is free for the next. */
  #release(): void {
    this.#exchanges.shift()
    this.#headSeen = false
    const last = this.#exchanges.length === 0
    // A request that was answered before it was sent whole leaves the connection useless.
    if (last && this.#sending !== undefined) this.#retired = true
    if (!this.#retired) {
      if (last) this.idleSince = this.connection.time()
      this.#owner.upstreamFree(this)
    } else if (last) this.#retire()
    else this.#fail(new XpsError('XPS_RESET', 'the upstream closed', { origin: 'upstream' }))
  }

  #retire(): void {
    if (this.phase === 'closed') return
    // What it still sends is not wanted, and nothing that it was sent is unanswered.
    this.abort(new XpsError('XPS_CLOSED', 'the upstream connection has done its work'))
  }

  /** @internal The request's body is sent, or was cut short. */
  bodyWritten(error: XpsError | undefined): void {
    this.#sending = undefined
    if (error !== undefined) return this.#fail(error)
    this.#output.flush()
    if (this.usable && this.#exchanges.length > 0) this.#owner.upstreamFree(this)
  }

  /** @internal */
  outputReady(): void {
    this.#sending?.outputReady()
    if (this.#switching !== undefined) process.nextTick(switchOver, this)
  }

  /** @internal Nothing more can be sent; what comes may still be an answer. */
  outputOver(error: XpsError | undefined): void {
    this.#retired = true
    this.#sending?.close(error ?? new XpsError('XPS_RESET', 'the upstream takes no more', { origin: 'upstream' }))
    this.#sending = undefined
  }

  /** @internal The upstream has ended its direction, and all of it has been read. */
  received(error: XpsError | undefined): void {
    this.#inputOver = true
    this.#retired = true
    // All of it has come, and the tunnel is going to have it.
    if (this.#early !== undefined && error === undefined) return
    if (this.#bodyReader?.untilClose === true && error === undefined) {
      this.#bodyRead() // It is how a body ends whose length nobody said.
    } else if (!this.#delivering) {
      this.#fail(error ?? new XpsError('XPS_RESET', 'the upstream ended the connection', { origin: 'upstream' }))
    }
    this.#settle()
  }

  /** Nothing that is under way can be answered. */
  #fail(error: XpsError): void {
    this.#retired = true
    const [first, ...others] = this.#exchanges.splice(0)
    if (first !== undefined) {
      const body = this.#body
      this.#body = undefined
      if (body !== undefined) body.end(asTruncated(error))
      else first.failed(error, this.#headSeen)
      first.done()
    }
    if (others.length > 0) {
      const lost = new XpsError('XPS_RESET', 'the connection broke before it was their turn', { origin: 'upstream' })
      for (const other of others) {
        other.failed(lost, false)
        other.done()
      }
    }
    this.abort(error)
  }

  protected override onAbort(error: XpsError): void {
    this.#retired = true
    if (this.#exchanges.length > 0) this.#fail(error)
    this.#inbound.abort(error)
  }

  protected override onChildClosed(): void {
    this.#settle()
  }

  /** What came before the connection closed is still read, as fast as it is wanted. */
  #settle(): void {
    if (this.#inputOver && !this.#delivering && this.connection.phase === 'closed') this.finish(this.connection.error)
  }

  protected override onClosed(error: XpsError | undefined): void {
    this.#owner.upstreamClosed(this, error)
  }
}

const nothing = Buffer.alloc(0)

/** A body that was cut short must never look whole to whoever it is sent on to. */
function asTruncated(error: XpsError): XpsError {
  return new XpsError('XPS_TRUNCATED', `the upstream's response was cut short: ${error.message}`, {
    origin: 'upstream',
    cause: error,
  })
}

function flushBatch(session: Http1UpstreamSession): void {
  session.flushBatch()
}

function switchOver(session: Http1UpstreamSession): void {
  session.switchOver()
}
