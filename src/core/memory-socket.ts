import { Duplex, type DuplexOptions } from 'node:stream'
import { type Alarm, systemClock } from '../clock.ts'

/**
 * One end of a connection within this process. It behaves as a TCP socket does, down to the parts of its interface that
 * `http.Server` and Express ask for: each direction ends by itself, and an end that is destroyed resets the other.
 */
export class MemorySocket extends Duplex {
  readonly remoteAddress: string = '127.0.0.1'
  readonly remoteFamily: string = 'IPv4'
  readonly remotePort: number = 0
  readonly localAddress: string = '127.0.0.1'
  readonly localPort: number = 0
  readonly connecting: boolean = false
  readonly encrypted: boolean = false
  bytesRead = 0
  bytesWritten = 0
  timeout = 0
  #peer: MemorySocket | undefined
  #waiting: (() => void) | undefined
  #alarm: Alarm | undefined
  #resetting = false

  constructor(options?: DuplexOptions) {
    super({ ...options, allowHalfOpen: true, emitClose: true })
  }

  /** Joins two ends. */
  static join(one: MemorySocket, other: MemorySocket): void {
    one.#peer = other
    other.#peer = one
  }

  override _read(): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const peer = this.#peer
    if (peer === undefined || peer.destroyed || peer.readableEnded) {
      done(socketError('EPIPE', 'write'))
      return
    }
    this.#busy()
    peer.#busy()
    this.bytesWritten += chunk.length
    peer.bytesRead += chunk.length
    // Copied: the writer may use its memory again when the write is done.
    if (peer.push(Buffer.from(chunk))) process.nextTick(done)
    else peer.#waiting = done
  }

  override _final(done: (error?: Error | null) => void): void {
    const peer = this.#peer
    if (peer !== undefined && !peer.destroyed) peer.push(null)
    process.nextTick(done)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#alarm?.cancel()
    const peer = this.#peer
    this.#peer = undefined
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.()
    if (peer !== undefined && !peer.destroyed) {
      // Like the kernel: closing is an end for the peer, unless something was not read.
      const reset = this.#resetting || error !== null || this.readableLength > 0
      process.nextTick(() => {
        if (reset) peer.destroy(socketError('ECONNRESET', 'read'))
        else if (!this.writableFinished && !peer.destroyed) peer.push(null)
      })
    }
    done(error)
  }

  /** As `net.Socket`'s: sends what is written, then ends both directions. */
  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', () => this.destroy())
  }

  resetAndDestroy(): this {
    this.#resetting = true
    return this.destroy()
  }

  setTimeout(timeout: number, listener?: () => void): this {
    this.timeout = timeout
    if (listener !== undefined) this.once('timeout', listener)
    this.#busy()
    return this
  }

  setNoDelay(): this {
    return this
  }

  setKeepAlive(): this {
    return this
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }

  address(): { address: string; family: string; port: number } {
    return { address: this.localAddress, family: 'IPv4', port: this.localPort }
  }

  #busy(): void {
    this.#alarm?.cancel()
    this.#alarm = this.timeout > 0 ? systemClock.after(this.timeout, () => this.emit('timeout')) : undefined
  }
}

/** Two sockets of this process that are connected to each other. */
export function memorySockets(options?: DuplexOptions): [MemorySocket, MemorySocket] {
  const one = new MemorySocket(options)
  const other = new MemorySocket(options)
  MemorySocket.join(one, other)
  return [one, other]
}

function socketError(code: string, call: string): Error {
  return Object.assign(new Error(`${call} ${code}`), { code, syscall: call })
}
