import type { Duplex } from 'node:stream'
import type { Alarm } from '../../clock.ts'
import type { XpsError } from '../../errors.ts'
import type { Phase } from '../../lifetime/lifetime.ts'
import { PipeSource } from '../../pipe/source.ts'
import { type OnRead, SlabReads } from './slab-reads.ts'

/** What the source asks of the connection that it belongs to. */
export interface SourceOwner {
  readonly phase: Phase
  /** What the connection has failed of. */
  readonly failure: XpsError | undefined
  time(): number
}

/** Somebody who has to see the first bytes. */
export interface Looking {
  judge(bytes: Uint8Array): unknown
  resolve(found: unknown): void
  readonly alarm: Alarm | undefined
}

/** How many bytes of the peer are thrown away after our own end, at most. */
const lingerBytes = 256 * 1024

let lastOrder = 0

/**
 * The bytes that the peer sends: reads the socket when the pipe wants them, keeps what the pipe does not take, and throws
 * away what nobody wants.
 */
export class SocketSource extends PipeSource {
  /** When bytes last came; 0 if none ever did. */
  lastTime = 0
  /** Bytes that came. */
  bytes = 0
  /** Of two sources, the one with the higher number had bytes last. */
  order = 0
  readonly #owner: SourceOwner
  #socket: Duplex | undefined
  #paused = true
  #peerEnded = false
  #discarding = false
  #discarded = 0
  /** What was read and not taken; at most one read. */
  #rest: Uint8Array | undefined
  /** Who has to see the first bytes. */
  #looking: Looking | undefined
  /** Where the socket reads to, if it is one that we have dialled. */
  #slabs: SlabReads | undefined

  constructor(owner: SourceOwner) {
    super()
    this.#owner = owner
  }

  /** The socket; another attempt to connect has another one. It goes on as the one before was asked to. */
  holdSocket(socket: Duplex): void {
    this.#socket = socket
    if (this.#paused && !socket.isPaused()) socket.pause()
  }

  /** By which a socket that is going to be dialled reads into memory of ours. */
  onread(): OnRead {
    this.#slabs ??= new SlabReads(this)
    return this.#slabs.onread()
  }

  /** Bytes came, by whatever way. */
  moved(): void {
    this.lastTime = this.#owner.time()
    this.order = ++lastOrder
  }

  /** Hands on what came; false asks the socket to hold the next bytes back. */
  deliver(chunk: Uint8Array): boolean {
    this.moved()
    this.bytes += chunk.length
    if (this.#discarding) {
      this.#discarded += chunk.length
      if (this.#discarded > lingerBytes && this.#owner.phase === 'draining') this.#socket?.destroy()
      return true
    }
    if (this.#looking !== undefined) {
      this.#rest = this.#rest === undefined ? Buffer.from(chunk) : Buffer.concat([this.#rest, chunk])
      const found = this.#looking.judge(this.#rest)
      if (found === undefined) return true
      this.#looked(found)
      return false
    }
    if (this.#rest !== undefined) {
      // Pausing does not recall what is under way already; it comes after what is left over.
      this.#rest = Buffer.concat([this.#rest, chunk])
      return false
    }
    const taken = this.write(chunk)
    if (taken < chunk.length) {
      this.#rest = chunk.subarray(taken)
      return false
    }
    return this.flushed
  }

  /** Holds the next bytes back. */
  pause(): void {
    if (this.#paused) return
    this.#paused = true
    this.#socket?.pause()
  }

  /** The socket holds the next bytes back by itself, and what is left over is in memory that is going to be used again. */
  stopped(): void {
    if (this.#rest !== undefined) this.#rest = Buffer.from(this.#rest)
    this.#paused = true
  }

  /** The pipe is empty again, or new: gives it what is left over, then lets the socket go on. */
  override pulled(): void {
    this.#slabs?.giveBack()
    if (this.#rest !== undefined) {
      const rest = this.#rest
      const taken = this.write(rest)
      this.#rest = taken < rest.length ? rest.subarray(taken) : undefined
      if (this.#rest !== undefined) return
      if (this.#peerEnded || this.#socket?.destroyed === true) return this.#end()
      if (!this.flushed) return
    }
    if (this.#paused) {
      this.#paused = false
      this.#socket?.resume()
    }
  }

  override over(error: XpsError | undefined): void {
    super.over(error)
    this.#unread()
  }

  /** Gives bytes back that were read: whoever is attached next reads them first. */
  unshift(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#rest = this.#rest === undefined ? bytes : Buffer.concat([bytes, this.#rest])
  }

  /** Takes out what was read and not taken. */
  takeRest(): Uint8Array | undefined {
    const rest = this.#rest
    this.#rest = undefined
    return rest
  }

  /** Shows the first bytes to somebody, and keeps them. */
  show(looking: Looking): void {
    this.#looking = looking
    if (this.#peerEnded || this.#socket?.destroyed !== false) return this.#looked(undefined)
    this.#paused = false
    this.#socket.resume()
  }

  /** We have ended our direction, and wait for the peer's end. */
  linger(): void {
    this.#discarded = 0 // What was thrown away before, by a session that wanted none of it, does not count.
    this.#unread()
  }

  /** The peer has ended its direction. */
  socketEnded(): void {
    this.#peerEnded = true
    this.#looked(undefined)
    if (this.#rest === undefined) this.end()
  }

  /** The socket has closed; `taken` says that its bytes were read by somebody else. */
  socketClosed(taken: boolean): void {
    this.#looked(undefined)
    this.#slabs?.leave()
    // A socket that was destroyed by one direction may still hold bytes of the other.
    if (!this.#peerEnded && !this.#discarding && !taken) this.#salvage()
    if (this.#rest === undefined) this.#end()
  }

  #looked(found: unknown): void {
    const looking = this.#looking
    this.#looking = undefined
    looking?.alarm?.cancel()
    looking?.resolve(found)
  }

  #end(): void {
    if (this.#peerEnded) this.end()
    else this.end(this.#owner.failure)
  }

  /** Nobody reads any more: what still comes is thrown away, so that the peer's end is seen. */
  #unread(): void {
    this.#slabs?.giveBack()
    this.#discarding = true
    this.#rest = undefined
    if (this.#paused && this.#socket !== undefined && !this.#socket.destroyed) {
      this.#paused = false
      this.#socket.resume()
    }
  }

  /** Bytes that the socket read before it was destroyed, and that it would never tell of. */
  #salvage(): void {
    for (let chunk: Buffer | null = this.#socket?.read(); chunk !== null && chunk !== undefined; ) {
      this.deliver(chunk)
      chunk = this.#socket?.read()
    }
  }
}
