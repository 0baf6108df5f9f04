import type { XpsError } from '../errors.ts'
import { Prefixes } from '../pipe/prefixes.ts'
import { PipeSource } from '../pipe/source.ts'

/** Bytes of a piece that is copied behind what waits, so that both leave in one write. */
const smallPiece = 8 * 1024
const scratchSize = 64 * 1024
/** Characters of a text that is written one by one: up to so many, that costs less than a call into Node does. */
const shortText = 24

/** What heads and small pieces are put together in. All outputs share it, because they write one after the other. */
let scratch: Buffer = Buffer.allocUnsafeSlow(scratchSize)
let prefixes = new Prefixes(scratch)
/** Takes its place while what is in it is being sent, since that may make others write. */
let spare: Prefixes | undefined
/** Whose bytes are in it. */
let writer: Output | undefined

/** What an {@link Output} tells the side of the connection that it belongs to. */
export interface OutputOwner {
  /** All that was written has left; more may come. */
  outputReady(): void
  /** Nobody takes bytes any more: with an error, or because all have been delivered after the end. */
  outputOver(error: XpsError | undefined): void
}

/** Writes heads and bodies to a peer: small pieces are gathered, so that a message is one write where it can be. */
export class Output extends PipeSource {
  readonly #owner: OutputOwner
  /** Bytes in the scratch memory. */
  #waiting = 0
  #scheduled = false
  /** What the pipe did not take; only ever small things, as large ones are not copied. */
  #rest: Buffer | undefined
  #ending = false

  constructor(owner: OutputOwner) {
    super()
    this.#owner = owner
  }

  /** Everything has left, so that memory which was handed over may be used again. */
  get empty(): boolean {
    return this.#waiting === 0 && this.#rest === undefined && this.flushed
  }

  /** The peer takes less than it is sent: what is added is kept, so nothing should be that need not. */
  get full(): boolean {
    return this.#rest !== undefined
  }

  /** Adds text (Latin-1, as heads are). It leaves with the next {@link flush}. */
  text(text: string): void {
    if (text.length > scratchSize) {
      this.flush()
      this.#send(Buffer.from(text, 'latin1'))
      return
    }
    this.#makeRoom(text.length)
    if (text.length > shortText) {
      this.#waiting += scratch.write(text, this.#waiting, 'latin1')
      return
    }
    const bytes = scratch
    const start = this.#waiting
    for (let index = 0; index < text.length; index++) bytes[start + index] = text.charCodeAt(index)
    this.#waiting = start + text.length
  }

  /** Adds a small piece, copied. */
  copy(bytes: Uint8Array): void {
    if (bytes.length > scratchSize) {
      this.flush()
      this.#send(Buffer.from(bytes))
      return
    }
    this.#makeRoom(bytes.length)
    scratch.set(bytes, this.#waiting)
    this.#waiting += bytes.length
  }

  /**
   * Adds a piece of a body and returns how much of it was taken. A small one is copied and leaves soon; a large one
   * is borrowed until {@link empty}.
   */
  body(bytes: Uint8Array): number {
    if (this.#rest !== undefined) return 0
    if (bytes.length <= smallPiece) {
      if (!this.ready) return 0
      this.copy(bytes)
      this.schedule()
      return bytes.length
    }
    if (this.#waiting > 0 && this.#sendBoth(bytes)) return bytes.length
    return this.#rest === undefined ? this.write(bytes) : 0
  }

  /** Adds a piece of a body that must be taken whole; a large one is borrowed until {@link empty}. */
  whole(bytes: Uint8Array): void {
    if (bytes.length <= smallPiece) return this.copy(bytes)
    if (this.#waiting > 0 && this.#sendBoth(bytes)) return
    this.#send(bytes)
  }

  /** Sends what waits. */
  flush(): void {
    const length = this.#waiting
    if (length === 0) return
    const memory = this.#takeScratch()
    this.#send(memory.first(length))
    this.#leaveScratch(memory)
  }

  /**
   * Takes back what waits, as a text to be added again: any other output that writes meanwhile would send it by itself.
   * More than so many bytes are sent instead.
   */
  takeBack(most: number): string {
    if (this.#waiting > most) this.flush()
    if (this.#waiting === 0) return ''
    const text = scratch.toString('latin1', 0, this.#waiting)
    this.#waiting = 0
    writer = undefined
    return text
  }

  /** The scratch memory is this output's own until the bytes in it have left. */
  #takeScratch(): Prefixes {
    const memory = prefixes
    this.#waiting = 0
    writer = undefined
    prefixes = spare ?? new Prefixes(Buffer.allocUnsafeSlow(scratchSize))
    scratch = prefixes.bytes
    spare = undefined
    return memory
  }

  /** What is in flight keeps its memory, and nobody else gets it. */
  #leaveScratch(memory: Prefixes): void {
    if (this.flushed) spare ??= memory
  }

  /** Sends what waits, and with it in the same write the large piece if that can be; false if it is still to be sent. */
  #sendBoth(bytes: Uint8Array): boolean {
    if (this.#rest !== undefined) {
      this.flush()
      return false
    }
    const length = this.#waiting
    const memory = this.#takeScratch()
    const sent = this.writeBoth(memory.first(length), bytes)
    if (!sent) this.#send(memory.first(length))
    this.#leaveScratch(memory)
    return sent
  }

  /** Sends what waits when the present call is over, unless it has left by then. */
  schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    process.nextTick(flushScheduled, this)
  }

  /** @internal */
  flushScheduled(): void {
    this.#scheduled = false
    this.flush()
  }

  /** There is no more; what waits is sent before. */
  override end(error?: XpsError): void {
    this.flush()
    if (this.#rest === undefined) super.end(error)
    else this.#ending = true
  }

  override pulled(): void {
    if (this.#rest !== undefined) {
      const rest = this.#rest
      this.#rest = undefined
      this.#send(rest)
      if (this.#rest !== undefined) return
      if (this.#ending) return super.end()
      if (!this.flushed) return
    }
    this.#owner.outputReady()
  }

  override over(error: XpsError | undefined): void {
    super.over(error)
    if (writer === this) writer = undefined
    this.#waiting = 0
    this.#rest = undefined
    this.#owner.outputOver(error)
  }

  /** Makes the scratch memory this output's, with room for so many bytes. */
  #makeRoom(length: number): void {
    // Looked at again after each flush: what is sent may make others write, in the same call.
    while (writer !== this || this.#waiting + length > scratchSize) {
      if (writer === undefined) writer = this
      else writer.flush()
    }
  }

  /** Hands bytes to the pipe; what it has no room for is kept. */
  #send(bytes: Uint8Array): void {
    if (this.#rest !== undefined) {
      this.#rest = Buffer.concat([this.#rest, bytes])
      return
    }
    const taken = this.write(bytes)
    if (taken < bytes.length && !this.ended) this.#rest = Buffer.from(bytes.subarray(taken))
  }
}

function flushScheduled(output: Output): void {
  output.flushScheduled()
}
