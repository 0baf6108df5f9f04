import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { plainAddress } from '../admission/plain-address.ts'
import { defaultTimeouts, type Timeouts } from '../admission/timeouts.ts'
import { type Alarm, type Clock, systemClock } from '../clock.ts'
import { type ErrorOrigin, systemCode, XpsError } from '../errors.ts'
import type { Lifetime } from '../lifetime/lifetime.ts'
import { Wheel } from '../lifetime/wheel.ts'
import { durationOption } from '../options.ts'
import type { PipeAccount } from '../pipe/pipe.ts'
import type { PipeSink } from '../pipe/sink.ts'
import type { PipeSource } from '../pipe/source.ts'
import { giveUp } from '../pipe/spent-chunk.ts'
import { formatAddress } from './address.ts'
import type { ConnectionOptions, DialOptions, Entrance } from './connection-options.ts'
import { Living } from './living.ts'
import type { ProxyHeader } from './proxy-protocol/proxy-header.ts'
import type { DialPlan } from './socket/dial-plan.ts'
import { Dialing } from './socket/dialing.ts'
import { leaveBytes, tellBytes, tellEvents } from './socket/socket-events.ts'
import { EncryptedSink, SocketSink } from './socket/socket-sink.ts'
import { type OnRead, SocketSource } from './socket/socket-source.ts'
import type { TlsState } from './tls/tls-state.ts'

/** What happens to a {@link Connection}. */
export interface ConnectionEvents {
  /** A dialled connection is connected. Accepted ones are open from the start. */
  open: []
  /** Told once and last. */
  close: [error: XpsError | undefined]
}

/** What a connection needs to know of the session that it belongs to. */
export interface ConnectionOwner extends Lifetime {
  readonly id: string
  readonly client: Connection
}

/** How long to wait for the peer's end by default, in milliseconds. */
export const defaultLingerTimeout: number = 2_000

let lastNumber = 0

/**
 * One connection to a peer, as bytes in (`source`) and bytes out (`sink`): accepted from a client or dialled to an
 * upstream. Nothing above it touches a socket.
 *
 * Each direction ends by itself. The connection is closed when both have ended. `close()` ends our direction after
 * what was written, and waits a little for the peer's; `abort()` does neither.
 */
export class Connection extends Living<ConnectionEvents> {
  readonly side: 'client' | 'upstream'
  /** The listener that accepted it. */
  readonly entrance: Entrance | undefined
  /** What its session may take. */
  readonly timeouts: Timeouts
  /** When it was accepted or dialled, by its clock. */
  readonly since: number
  /** @internal */
  readonly clock: Clock
  /** @internal */
  readonly account: PipeAccount | undefined
  readonly #number = ++lastNumber
  readonly #wheel: Wheel | undefined
  readonly #lingerTimeout: number
  readonly #source: SocketSource
  readonly #sink: SocketSink
  #address: string | undefined
  #dialing: Dialing | undefined
  #failure: XpsError | undefined
  /** What the socket failed of. */
  #cause: unknown
  #alarm: Alarm | undefined
  readonly #proxied: ProxyHeader | undefined
  #tls: TlsState | undefined
  /** The socket is somebody else's to speak on. */
  #taken = false

  /** Takes over a socket, or any Duplex that behaves like one. The socket must be paused or fresh. */
  constructor(socket: Duplex | undefined, options: ConnectionOptions = {}) {
    super()
    this.side = options.side ?? 'client'
    this.entrance = options.entrance
    const clock = options.clock ?? systemClock
    this.clock = clock
    this.#wheel = clock instanceof Wheel ? clock : undefined
    this.timeouts = options.timeouts ?? defaultTimeouts
    this.account = options.account
    this.since = clock.now()
    this.#lingerTimeout = durationOption('lingerTimeout', options.lingerTimeout, defaultLingerTimeout)
    this.#address = options.address
    this.#proxied = options.proxied
    this.#tls = options.tls
    this.#source = new SocketSource(this)
    const encrypts = options.tls !== undefined || (options as Partial<DialPlan>).encryption !== undefined
    this.#sink = encrypts ? new EncryptedSink(this) : new SocketSink(this)
    // The socket's own end is told later than anything else.
    this.hold()
    if (socket !== undefined) {
      this.holdSocket(socket)
      tellBytes(socket, this.#alone)
      this.opened()
    }
  }

  get #socket(): Duplex | undefined {
    return this.#source.socket
  }

  /** Nobody else listens to a socket that we have accepted: what it reads is ours alone. */
  get #alone(): boolean {
    return this.entrance !== undefined && this.#sink.kernels
  }

  /** Starts to connect and returns at once; `open` is told when it is connected. */
  static dial(options: DialOptions): Connection {
    const connection = new this(undefined, options)
    connection.#sink.ready = false
    connection.#dialing = new Dialing(options, connection)
    connection.#dialing.attempt()
    return connection
  }

  /** What the peer sends. */
  get source(): PipeSource {
    return this.#source
  }

  /** What the peer gets. */
  get sink(): PipeSink {
    return this.#sink
  }

  /** A name for logs, unique in the process. */
  get id(): string {
    return `${this.side}-${this.#number}`
  }

  /** The peer: `127.0.0.1:50312`, `unix:/run/app.sock`, or what the dialler was given. */
  get address(): string {
    if (this.#address === undefined) {
      const host = this.remoteAddress
      if (host === undefined) return 'unknown'
      this.#address = formatAddress({ host, port: this.remotePort ?? 0 })
    }
    return this.#address
  }

  /**
   * The peer's IP address, or that of the client for whom a proxy has connected; undefined for Unix-domain and in-process
   * sockets.
   */
  get remoteAddress(): string | undefined {
    const client = this.#proxied?.source
    // A path on the proxy's machine says nothing here, and must not be taken for one of ours.
    return client !== undefined && 'host' in client ? plainAddress(client.host) : this.peerAddress
  }

  /** The port that goes with {@link remoteAddress}. */
  get remotePort(): number | undefined {
    const client = this.#proxied?.source
    return client !== undefined && 'host' in client ? client.port : this.peerPort
  }

  /** The IP address of whoever is connected, be it a proxy or not; undefined for Unix-domain and in-process sockets. */
  get peerAddress(): string | undefined {
    return plainAddress((this.#socket as Partial<Socket> | undefined)?.remoteAddress)
  }

  /** The port that goes with {@link peerAddress}. */
  get peerPort(): number | undefined {
    return (this.#socket as Partial<Socket> | undefined)?.remotePort
  }

  /** The IP address of ours that the peer is connected to; undefined for Unix-domain sockets. */
  get localAddress(): string | undefined {
    return plainAddress((this.#socket as Partial<Socket> | undefined)?.localAddress)
  }

  /** The port that goes with {@link localAddress}. */
  get localPort(): number | undefined {
    return (this.#socket as Partial<Socket> | undefined)?.localPort
  }

  /** What the proxy that is connected has said of its client; undefined if there is no proxy that is trusted. */
  get proxied(): ProxyHeader | undefined {
    return this.#proxied
  }

  /** What the TLS handshake has come to; undefined in plain text, and before it. */
  get tls(): TlsState | undefined {
    return this.#tls
  }

  /** Whether it is encrypted. */
  get secure(): boolean {
    return this.#tls !== undefined
  }

  /** Bytes that came from the peer; decrypted ones, where it is encrypted. */
  get bytesIn(): number {
    return this.#taken
      ? ((this.#socket as Partial<Socket> | undefined)?.bytesRead ?? this.#source.bytes)
      : this.#source.bytes
  }

  /** Bytes that were handed to the peer's socket. */
  get bytesOut(): number {
    return this.#taken
      ? ((this.#socket as Partial<Socket> | undefined)?.bytesWritten ?? this.#sink.bytes)
      : this.#sink.bytes
  }

  /** When bytes last came from the peer, by its clock; 0 if none ever did. May be up to a tenth of a second late. */
  get lastIn(): number {
    return this.#source.lastTime
  }

  /** @internal Whose bytes came last is finer than time: of two connections, the one with the higher number. */
  get order(): number {
    return this.#source.order
  }

  /** When bytes were last given to the peer, or the peer last took all that waited for it; 0 if none ever were. */
  get lastOut(): number {
    return this.#sink.lastTime
  }

  /** @internal How long the peer is waited for after our own end, in milliseconds. */
  get lingerTimeout(): number {
    return this.#lingerTimeout
  }

  /** Bytes wait for the peer to take them. */
  get stalled(): boolean {
    return this.#dialing === undefined && this.phase !== 'closed' && !this.#sink.ready
  }

  /** The session that it belongs to. */
  get session(): ConnectionOwner | undefined {
    const owner = this.parent
    return owner !== undefined && 'client' in owner ? (owner as ConnectionOwner) : undefined
  }

  /**
   * Shows the first bytes to somebody who has to decide by them, and keeps them for whoever reads them then. `judge` is
   * called with all that there is whenever more has come, until it returns something. Resolves to that; to undefined if the
   * peer ended first, or let `firstByteTimeout` pass, in which case the connection is aborted. To be asked before a pipe is
   * on it, and once.
   */
  look<T>(judge: (bytes: Uint8Array) => T | undefined): Promise<T | undefined> {
    return new Promise((resolve) => {
      const { firstByteTimeout } = this.timeouts
      const late = (): void => {
        const message = `${this.address}: the first bytes took longer than ${firstByteTimeout} ms`
        this.abort(new XpsError('XPS_TIMEOUT', message, { origin: this.side, reason: 'first-byte' }))
      }
      this.#source.show({
        judge,
        resolve: resolve as (found: unknown) => void,
        alarm: firstByteTimeout === 0 ? undefined : this.clock.after(firstByteTimeout, late),
      })
    })
  }

  /** @internal Gives bytes back that were read from its source: whoever is attached to that next reads them first. */
  unshift(bytes: Uint8Array): void {
    this.#source.unshift(bytes)
  }

  /**
   * Hands the socket to somebody who speaks on it by himself, as `node:http2` does; it is paused, and what was read of it
   * already is in it again. The connection's source and sink are over without a word; it closes when the socket does, which is for the taker
   * to bring about, or for `abort()`. Throws `XPS_CLOSED` if there is no socket, or a pipe has been put on it.
   */
  takeSocket(): Duplex {
    const socket = this.#socket
    if (socket === undefined || socket.destroyed || this.#taken || this.#dialing !== undefined) {
      throw new XpsError('XPS_CLOSED', `${this.address}: there is no socket to take`)
    }
    if (this.#source.active || this.#sink.active) {
      throw new XpsError('XPS_CLOSED', `${this.address}: its bytes are somebody's already`)
    }
    this.#taken = true
    leaveBytes(socket)
    const rest = this.#source.takeRest()
    if (rest !== undefined) socket.unshift(rest)
    return socket
  }

  /** Whoever took the socket says that bytes came from the peer. */
  movedIn(): void {
    this.#source.moved()
  }

  /** Whoever took the socket says that bytes went to the peer. */
  movedOut(): void {
    this.#sink.lastTime = this.time()
  }

  protected override onDrain(): void {
    if (this.#taken) return
    const socket = this.#socket
    if (socket === undefined || this.#dialing !== undefined) {
      this.abort(new XpsError('XPS_CLOSED', `${this.address}: closed before it was connected`))
      return
    }
    this.#sink.close()
    if (!socket.writableEnded) socket.end()
    this.#source.linger()
    if (!socket.readableEnded || socket.writableLength > 0) {
      this.#alarm = this.clock.after(this.#lingerTimeout, () => socket.destroy())
    }
  }

  protected override onAbort(error: XpsError): void {
    this.#dialEnded()
    // First, because then no byte that is in flight is needed any more.
    this.#socket?.destroy()
    this.#source.abort(error)
    this.#sink.close(error)
    if (this.#socket === undefined) this.release()
  }

  protected override onClosed(error: XpsError | undefined): void {
    this.emit('close', error)
  }

  // For what dials it.

  /** @internal */
  onread(): OnRead {
    return this.#source.onread()
  }

  /** @internal */
  holdSocket(socket: Duplex): void {
    this.#sink.holdSocket(socket)
    this.#source.holdSocket(socket)
    tellEvents(socket, this)
  }

  /** @internal */
  secured(tls: TlsState): void {
    this.#tls = tls
  }

  /** @internal */
  connected(): void {
    if (this.#dialing === undefined || this.#socket?.destroyed === true) return
    this.#dialEnded()
    if (!this.opened()) return
    // First, so that what somebody writes as soon as it is open is sent, and not queued.
    this.#sink.ready = true
    this.emit('open')
  }

  /** @internal */
  giveUp(): void {
    this.#socket?.destroy()
  }

  /** @internal */
  timedOut(error: XpsError): void {
    this.#failure ??= error
    this.#dialEnded()
    this.giveUp()
  }

  #dialEnded(): void {
    this.#dialing?.end()
    this.#dialing = undefined
  }

  // For its socket.

  /** @internal */
  socketRead(chunk: Buffer): void {
    const source = this.#source
    if (!source.deliver(chunk)) source.pause()
    else if (this.#alone) giveUp(chunk)
  }

  /** @internal */
  socketPushed(chunk: Buffer): boolean {
    if (this.#source.paused) return false
    this.socketRead(chunk)
    return true
  }

  /** @internal The peer has ended its direction. */
  socketEnded(): void {
    this.#source.socketEnded()
  }

  /** @internal It has taken all that it was given. */
  socketDrained(): void {
    this.#sink.drained()
  }

  /** @internal It is going to close. */
  socketFailed(cause: unknown): void {
    this.#cause = cause
  }

  /** @internal */
  socketClosed(socket: Duplex): void {
    if (this.#socket !== socket) return // One of several attempts to connect.
    const cause = this.#cause
    this.#cause = undefined
    this.#socketClosed(cause)
  }

  #socketClosed(cause: unknown): void {
    if (this.#dialing !== undefined) {
      const failure = this.#dialing.failed(cause)
      if (failure === undefined) return // Another target is tried.
      this.#failure = failure
      this.#dialEnded()
    }
    this.#alarm?.cancel()
    this.#alarm = undefined
    const error = this.#failure ?? (cause === undefined ? undefined : this.#resetError(cause))
    this.#failure = error
    this.#source.socketClosed(this.#taken)
    this.#sink.close(error)
    this.finish(error)
    this.release()
  }

  #resetError(cause: unknown): XpsError {
    const origin: ErrorOrigin = this.side
    const message = `${this.side} ${this.address} broke the connection (${systemCode(cause) ?? 'error'})`
    return new XpsError('XPS_RESET', message, { origin, address: this.address, cause })
  }

  // For its ends.

  /** @internal The time, for as little as the clock allows: this is asked for each chunk. */
  time(): number {
    // Never 0, which means never.
    return (this.#wheel === undefined ? this.clock.now() : this.#wheel.time) || 1
  }

  /** @internal What it has failed of, once that is certain. */
  get failure(): XpsError | undefined {
    return this.#failure ?? this.error
  }
}
