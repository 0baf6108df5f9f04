import { type ClientHttp2Session, connect, type OutgoingHttpHeaders } from 'node:http2'
import type { Alarm } from '../../clock.ts'
import { type Connection, defaultLingerTimeout } from '../../core/connection.ts'
import { asXpsError, reasonOf, XpsError } from '../../errors.ts'
import { Lifetime } from '../../lifetime/lifetime.ts'
import type { HeadLimits } from '../http1/head-reader.ts'
import type {
  ExchangeProgress,
  RequestSink,
  UpstreamExchange,
  UpstreamOwner,
  UpstreamRequest,
  UpstreamSession,
} from '../upstream-session.ts'
import { codes, nameOfCode, StreamReset } from './codes.ts'
import { Http2UpstreamStream } from './upstream-stream.ts'
import { addFields } from './wire-fields.ts'

/** What an {@link Http2UpstreamSession} has to keep to. */
export interface Http2UpstreamRules {
  readonly limits: HeadLimits
  /** Exchanges at once, if the upstream does not want fewer. */
  readonly maxStreams: number
  /** How long the upstream may take to send its settings, in milliseconds. */
  readonly settingsTimeout: number
  /** See `PoolOptions`; 0 for never. */
  readonly pingInterval: number
}

/** How much of a body the upstream may send that nobody has read yet, in bytes: as much as a body's pipe holds. */
const streamWindow = 256 * 1024
/** The same for all streams together, as far as they are not stalled. */
const connectionWindow = 4 * streamWindow

/**
 * An HTTP/2 connection to an upstream: many exchanges side by side, on `node:http2`.
 *
 * It opens when the upstream's settings have come. It retires when the upstream says that it goes away (GOAWAY): what is
 * under way is finished, what the upstream has not looked at is told so, and may be sent again elsewhere.
 */
export class Http2UpstreamSession extends Lifetime implements UpstreamSession {
  readonly connection: Connection
  readonly multiplexed = true
  readonly gathered = 0
  requests = 0
  reserved = 0
  idleSince: number
  readonly #owner: UpstreamOwner
  readonly #rules: Http2UpstreamRules
  readonly #http2: ClientHttp2Session
  readonly #streams = new Map<UpstreamExchange, Http2UpstreamStream>()
  /** Streams that have not closed, those included that nobody waits for any more. */
  #open = 0
  #capacity = 0
  #retired = false
  /** The upstream sends nothing more. */
  #inputOver = false
  /** Streams above this have not been looked at. */
  #lastSeen = Number.POSITIVE_INFINITY
  #failure: XpsError | undefined
  #alarm: Alarm | undefined
  /** An answer to a PING is awaited. */
  #asking = false
  /** When something last came before the upstream was asked: it is asked once in a silence. */
  #askedAfter = -1
  /** Since when requests are under way. */
  #busySince = 0

  /** Throws `XPS_CLOSED` if the connection has broken already. */
  constructor(connection: Connection, owner: UpstreamOwner, rules: Http2UpstreamRules) {
    super()
    this.connection = connection
    this.#owner = owner
    this.#rules = rules
    this.idleSince = connection.time()
    const { limits, settingsTimeout } = rules
    const socket = connection.takeSocket()
    this.adopt(connection)
    const http2 = connect('http://upstream', {
      createConnection: () => socket,
      maxHeaderListPairs: limits.fields + 1,
      settings: {
        enablePush: false,
        initialWindowSize: streamWindow,
        maxHeaderListSize: limits.headBytes,
      },
    })
    this.#http2 = http2
    // It may have been paused before it was taken, and nobody else would let it go on.
    socket.resume()
    // It may be half-open, and node:http2 does not mind.
    socket.on('end', () => this.#ended())
    http2.on('connect', () => {
      if (!http2.destroyed) http2.setLocalWindowSize(connectionWindow)
    })
    http2.on('remoteSettings', ({ maxConcurrentStreams = Number.POSITIVE_INFINITY }) => {
      this.#settled(Math.min(maxConcurrentStreams, rules.maxStreams))
    })
    http2.on('goaway', (code, last) => this.#goneAway(code, last))
    http2.on('error', (cause) => this.broken(cause))
    http2.on('close', () => this.#retire())
    this.#alarm = connection.clock.after(settingsTimeout, () => {
      const { address } = connection
      const message = `upstream ${address} did not begin to speak HTTP/2 within ${settingsTimeout} ms`
      const about = { origin: 'upstream', reason: 'connect', address, retryable: true } as const
      this.abort(new XpsError('XPS_TIMEOUT', message, about))
    })
  }

  get busy(): number {
    return this.#open
  }

  get capacity(): number {
    return this.#capacity
  }

  get usable(): boolean {
    return !this.#retired && this.phase === 'open'
  }

  get canSend(): boolean {
    return this.usable && this.#open < this.#capacity
  }

  progress(exchange: UpstreamExchange): ExchangeProgress | undefined {
    return this.#streams.get(exchange)
  }

  send(exchange: UpstreamExchange, request: UpstreamRequest): RequestSink | undefined {
    const { length, body } = request
    const inPieces = length !== 0 && body === undefined
    this.requests++
    let stream: Http2UpstreamStream
    try {
      const http2 = this.#http2.request(this.#headers(request), { endStream: length === 0, waitForTrailers: inPieces })
      stream = new Http2UpstreamStream(this, exchange, http2)
      // Copied, for the memory is only lent.
      if (body !== undefined && length !== 0) http2.end(Buffer.from(body))
    } catch (error) {
      const gone = this.#http2.closed || this.#http2.destroyed
      if (gone) this.#retire()
      const about = { origin: gone ? 'upstream' : 'internal', retryable: gone } as const
      exchange.failed(asXpsError(error, gone ? 'XPS_RESET' : 'XPS_FAULT', 'the request cannot be sent', about), false)
      exchange.done()
      return undefined
    }
    this.#streams.set(exchange, stream)
    if (this.#open++ === 0) this.#busySince = this.connection.time()
    this.connection.movedOut()
    if (this.#alarm === undefined) this.#watch()
    return inPieces ? stream.sink(length) : undefined
  }

  #headers(request: UpstreamRequest): OutgoingHttpHeaders {
    const { method, length } = request
    const block: OutgoingHttpHeaders = {
      ':method': method,
      ':scheme': this.connection.secure ? 'https' : 'http',
      ':authority': request.authority,
      ':path': request.target(),
    }
    addFields(block, request.fields())
    // RFC 9110, 8.6: without it, a request that most often has a body is refused by some.
    if (length > 0 || (length === 0 && withBody.has(method))) block['content-length'] = length
    return block
  }

  leave(exchange: UpstreamExchange): void {
    const stream = this.#streams.get(exchange)
    this.#streams.delete(exchange)
    stream?.leave()
  }

  // What streams ask and tell.

  /** @internal */
  get limits(): HeadLimits {
    return this.#rules.limits
  }

  /** @internal */
  get failure(): XpsError | undefined {
    return this.#failure
  }

  /** @internal */
  broken(cause: unknown): void {
    this.#failure ??= this.#broken(cause)
  }

  /** @internal */
  time(): number {
    return this.connection.time()
  }

  /** @internal */
  moved(way: 'in' | 'out'): void {
    if (way === 'in') this.connection.movedIn()
    else this.connection.movedOut()
  }

  /** @internal */
  unseen(id: number | undefined): boolean {
    return id === undefined || id > this.#lastSeen
  }

  /** @internal */
  wantsHttp1(): boolean {
    return this.#owner.upstreamWantsHttp1()
  }

  /** @internal */
  streamClosed(exchange: UpstreamExchange, stream: Http2UpstreamStream): void {
    // Whoever asked may have asked again.
    if (this.#streams.get(exchange) === stream) this.#streams.delete(exchange)
    this.#open--
    if (this.#open === 0) this.idleSince = this.connection.time()
    const waitsFor = this.#inputOver ? this.#streams.size : this.#open
    if (this.#retired && waitsFor === 0 && this.phase === 'open') this.#finishWork()
    else if (this.phase === 'draining' && waitsFor === 0) this.#linger()
    else if (this.phase === 'open') this.#owner.upstreamFree(this)
  }

  // The connection.

  #settled(capacity: number): void {
    const more = capacity > this.#capacity
    this.#capacity = capacity
    if (this.phase === 'opening') {
      this.#unwatch()
      this.idleSince = this.connection.time()
      if (this.opened()) this.#owner.upstreamOpen(this)
    } else if (more && this.usable) this.#owner.upstreamFree(this)
  }

  #goneAway(code: number, last: number): void {
    this.#lastSeen = Math.min(this.#lastSeen, last)
    if (code !== codes.none) {
      const message = `the upstream has ended the connection (${nameOfCode(code)})`
      const retryable = code === codes.http1 && this.wantsHttp1()
      const about = { origin: 'upstream', cause: new StreamReset(code), retryable } as const
      this.#failure ??= new XpsError('XPS_RESET', message, about)
    }
    this.#retire()
  }

  /** The upstream sends nothing more: what has come whole is still delivered. */
  #ended(): void {
    if (this.phase === 'closed') return
    this.#failure ??= this.#broken(new Error('it was ended'))
    if (this.phase === 'opening') return this.abort(this.#failure)
    this.#inputOver = true
    this.#retire()
    for (const [exchange, stream] of [...this.#streams]) {
      if (stream.complete) continue
      this.#streams.delete(exchange)
      stream.fail(this.#failure)
    }
    if (this.#streams.size === 0) this.#finishWork()
  }

  /** No other request is sent on it. */
  #retire(): void {
    if (this.#retired) return
    this.#retired = true
    if (this.phase !== 'open') return
    if (this.#open === 0) this.#finishWork()
    else this.#owner.upstreamFree(this)
  }

  /** Says farewell. */
  #finishWork(): void {
    void this.close()
  }

  #broken(cause: unknown): XpsError {
    const { address } = this.connection
    if (this.phase !== 'opening') {
      return asXpsError(cause, 'XPS_RESET', `the connection to ${address} broke`, { origin: 'upstream', address })
    }
    // Before its settings came, nobody had asked it for anything.
    const reason = reasonOf(cause)
    const message = `upstream ${address} does not speak HTTP/2${reason === '' ? '' : ` (${reason})`}`
    return new XpsError('XPS_CONNECT', message, { origin: 'upstream', address, retryable: true, cause })
  }

  /**
   * Asks an upstream whether it is there that has been silent for long though requests are under way. Node 20 may have
   * given the connection up without a word: nothing comes, and nobody is told. Once in a silence, for some servers of
   * gRPC end connections on which they are asked more often.
   */
  #watch(): void {
    this.#alarm = undefined
    const { pingInterval } = this.#rules
    if (pingInterval === 0 || this.#open === 0 || this.phase === 'closed') return
    const { connection } = this
    if (this.#asking) {
      const message = `upstream ${connection.address} has not answered a PING for ${pingInterval} ms`
      const about = { origin: 'upstream', reason: 'upstream-idle', address: connection.address } as const
      return this.abort(new XpsError('XPS_TIMEOUT', message, about))
    }
    const left = Math.max(connection.lastIn, this.#busySince) + pingInterval - connection.time()
    if (left <= 0 && this.#askedAfter !== connection.lastIn && !this.#http2.destroyed) {
      this.#askedAfter = connection.lastIn
      this.#asking = true
      this.#http2.ping((error) => {
        if (error === null) this.#asking = false
      })
    }
    this.#alarm = connection.clock.after(left <= 0 ? pingInterval : left, () => this.#watch())
  }

  #unwatch(): void {
    this.#alarm?.cancel()
    this.#alarm = undefined
  }

  /** What is under way is finished; then the upstream is told (GOAWAY), and has a little time to end its side. */
  protected override onDrain(): void {
    this.#retired = true
    if (!this.#http2.destroyed) this.#http2.close()
    if (this.#open === 0 || this.#inputOver) this.#linger()
  }

  #linger(): void {
    this.#unwatch()
    this.#alarm = this.connection.clock.after(defaultLingerTimeout, () => this.abort())
  }

  protected override onAbort(error: XpsError): void {
    this.#retired = true
    this.#failure ??= error
    this.#unwatch()
    for (const stream of [...this.#streams.values()]) stream.fail(error)
    this.#streams.clear()
    // Says farewell (GOAWAY), as far as the socket takes it at once.
    if (!this.#http2.destroyed) this.#http2.destroy()
  }

  protected override onChildClosed(): void {
    const { error } = this.connection
    // Why streams could not be finished is known, and they have not closed yet.
    if (this.#streams.size > 0 || this.phase !== 'draining') {
      this.#failure ??= this.#broken(error)
      for (const stream of [...this.#streams.values()]) stream.fail(this.#failure)
      this.#streams.clear()
    }
    this.#unwatch()
    this.finish(this.#failure)
  }

  protected override onClosed(error: XpsError | undefined): void {
    this.#unwatch()
    if (!this.#http2.destroyed) this.#http2.destroy()
    this.#owner.upstreamClosed(this, error)
  }
}

/** Methods whose requests most often have a body. */
const withBody: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH'])
