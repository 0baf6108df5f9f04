import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { XpsError } from '../../errors.ts'
import { PipeSink } from '../../pipe/sink.ts'
import { noteWritten, worthwhile } from '../../pipe/spent-chunk.ts'

/** What the sink asks of the connection that it belongs to. */
export interface SinkOwner {
  time(): number
}

const noHandlers = { write(): void {} }
const nothing = new Uint8Array(0)

/** The bytes that the peer gets. */
export class SocketSink extends PipeSink {
  /** When it was last given bytes, or last became ready again. */
  lastTime = 0
  /** Bytes that it was given. */
  bytes = 0
  protected socket: Duplex | undefined
  /** The socket is one of the kernel's, which has copied what it has taken. */
  kernels = false
  readonly #owner: SinkOwner
  #closing: { error: unknown } | undefined

  constructor(owner: SinkOwner) {
    super(noHandlers)
    this.#owner = owner
  }

  /** The socket; another attempt to connect has another one. */
  holdSocket(socket: Duplex): void {
    this.socket = socket
    this.kernels = socket instanceof Socket
  }

  /** The peer has taken all that waited for it. */
  drained(): void {
    this.lastTime = this.#owner.time()
    if (this.#closing !== undefined) super.close(this.#closing.error)
    else this.ready = true
  }

  /** Takes no more; but while bytes are in flight their memory is needed, so that their source learns of it later. */
  override close(error?: unknown): void {
    const { socket } = this
    const inFlight = !this.ready && socket !== undefined && socket.writableLength > 0 && !socket.destroyed
    if (inFlight) this.#closing = { error }
    else super.close(error)
  }

  override take(chunk: Uint8Array): number {
    const socket = this.socket as Duplex
    socket.write(chunk)
    this.wrote(chunk.length)
    // Zero: the kernel has it all, and the memory is free again. Otherwise the rest is in flight.
    const whole = socket.writableLength === 0
    if (chunk.length >= worthwhile && this.kernels) noteWritten(chunk, whole)
    if (!whole) this.#wait(socket)
    return chunk.length
  }

  /** In one system call, where the socket has one for it. */
  override takeBoth(head: Uint8Array, chunk: Uint8Array): boolean {
    const socket = this.socket as Duplex
    socket.cork()
    socket.write(head)
    socket.write(chunk)
    socket.uncork()
    this.wrote(head.length + chunk.length)
    if (socket.writableLength > 0) this.#wait(socket)
    return true
  }

  override sourceEnded(error: XpsError | undefined): void {
    super.sourceEnded(error)
    // A source that was cut short ends the direction all the same: a raw stream has no better way to say so.
    this.socket?.end()
  }

  override aborted(error: XpsError): void {
    super.aborted(error)
    this.socket?.destroy()
  }

  protected wrote(length: number): void {
    this.lastTime = this.#owner.time()
    this.bytes += length
  }

  #wait(socket: Duplex): void {
    this.ready = false
    // 'drain' only comes when more than the stream's high-water mark waits; an empty write tells of less.
    if (!socket.writableNeedDrain) {
      socket.write(nothing, () => {
        if (socket.writableLength === 0) this.drained()
      })
    }
  }
}

/**
 * The same for a socket that encrypts, which is never done when the call returns. Large chunks are in flight until it is; small
 * ones it is given as copies, since waiting for each costs more than copying it.
 */
export class EncryptedSink extends SocketSink {
  override take(chunk: Uint8Array): number {
    const socket = this.socket as Duplex
    const small = socket.writableLength + chunk.length < socket.writableHighWaterMark
    this.#write(socket, small ? Buffer.from(chunk) : chunk)
    return chunk.length
  }

  /** As one record, if it is small. */
  override takeBoth(head: Uint8Array, chunk: Uint8Array): boolean {
    this.#write(this.socket as Duplex, Buffer.concat([head, chunk]))
    return true
  }

  #write(socket: Duplex, bytes: Uint8Array): void {
    // False says that 'drain' will come.
    const more = socket.write(bytes)
    this.wrote(bytes.length)
    if (!more) this.ready = false
  }
}
