import type { Duplex } from 'node:stream'
import type { Alarm } from '../../clock.ts'
import type { XpsError } from '../../errors.ts'
import type { Phase } from '../../lifetime/lifetime.ts'
import { type Slab, slabs } from '../../pipe/slab.ts'
import { PipeSource } from '../../pipe/source.ts'

/** What the source asks of the connection that it belongs to. */
export interface SourceOwner {
  readonly phase: Phase
  /** What the connection has failed of. */
  readonly failure: XpsError | undefined
  time(): number
}

/** The option of Node's by which a socket reads into memory of ours. */
export interface OnRead {
  buffer(): Buffer
  callback(count: number): boolean
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
  /** The socket; another attempt to connect has another one. */
  socket: Duplex | undefined
  readonly #owner: SourceOwner
  #paused = true
  #peerEnded = false
  #discarding = false
  #discarded = 0
  /** What was read and not taken; at most one read. */
  #rest: Uint8Array | undefined
  /** Who has to see the first bytes. */
  #looking: Looking | undefined
  /** Of a socket that we have dialled: the slab that its next read goes to, and the one that is lent until the pipe is empty. */
  #slab: Slab | undefined
  #lent: Slab | undefined

  constructor(owner: SourceOwner) {
    super()
    this.#owner = owner
  }

  /** Another attempt to connect goes on as the one before was asked to. */
  holdSocket(socket: Duplex): void {
    this.socket = socket
    if (this.#paused && !socket.isPaused()) socket.pause()
  }

  /** By which a socket that is going to be dialled reads into slabs. */
  onread(): OnRead {
    return { buffer: () => this.#point(), callback: (count) => this.#read(count) }
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
      if (this.#discarded > lingerBytes && this.#owner.phase === 'draining') this.socket?.destroy()
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

  /** The next bytes are held back. */
  get paused(): boolean {
    return this.#paused
  }

  /** Holds the next bytes back. */
  pause(): void {
    if (this.#paused) return
    this.#paused = true
    this.socket?.pause()
  }

  /** The pipe is empty again, or new: gives it what is left over, then lets the socket go on. */
  override pulled(): void {
    this.#giveBack()
    if (this.#rest !== undefined) {
      const rest = this.#rest
      const taken = this.write(rest)
      this.#rest = taken < rest.length ? rest.subarray(taken) : undefined
      if (this.#rest !== undefined) return
      if (this.#peerEnded || this.socket?.destroyed === true) return this.#end()
      if (!this.flushed) return
    }
    if (this.#paused) {
      this.#paused = false
      this.socket?.resume()
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
    if (this.#peerEnded || this.socket?.destroyed !== false) return this.#looked(undefined)
    this.#paused = false
    this.socket.resume()
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
    if (this.#slab !== undefined) {
      slabs.leave(this.#slab)
      this.#slab = undefined
    }
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
    this.#giveBack()
    this.#discarding = true
    this.#rest = undefined
    if (this.#paused && this.socket !== undefined && !this.socket.destroyed) {
      this.#paused = false
      this.socket.resume()
    }
  }

  /** Bytes that the socket read before it was destroyed, and that it would never tell of. */
  #salvage(): void {
    for (let chunk: Buffer | null = this.socket?.read(); chunk !== null && chunk !== undefined; ) {
      this.deliver(chunk)
      chunk = this.socket?.read()
    }
  }

  // The slabs of a dialled socket.

  /** The memory for the next read. */
  #point(): Buffer {
    if (this.#slab !== undefined) slabs.leave(this.#slab)
    this.#slab = slabs.point()
    return this.#slab.bytes
  }

  /** So many bytes are in the slab. */
  #read(count: number): boolean {
    const slab = this.#readable(this.#slab as Slab, count)
    const chunk = slab.first(count)
    if (this.deliver(chunk)) return true
    // What was not taken at all is copied; what was taken is in flight, and the slab with it.
    if (this.#rest !== undefined) this.#rest = Buffer.from(this.#rest)
    if (!this.flushed) {
      slab.lend(count)
      this.#lent = slab
    }
    this.#paused = true // By Node, if this is false.
    return false
  }

  /** The slab that was read into; or another, if the bytes there are lent and ours had to make way. */
  #readable(slab: Slab, count: number): Slab {
    if (!slab.lent) return slab
    const other = slabs.point()
    slab.rescue(count, other.bytes)
    slabs.leave(slab) // Not before: a slab that nobody points at forgets what it had to keep.
    this.#slab = other
    return other
  }

  #giveBack(): void {
    if (this.#lent === undefined) return
    slabs.giveBack(this.#lent)
    this.#lent = undefined
  }
}
