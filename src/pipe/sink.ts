import { asXpsError, type XpsError } from '../errors.ts'
import type { SinkHandlers, SinkSide } from './ends.ts'
import { hostFault } from './host-fault.ts'
import { sinkInto, type WritableLike } from './into.ts'
import { noteShown } from './spent-chunk.ts'

/** Where bytes leave a pipe. */
export class PipeSink {
  #handlers: SinkHandlers
  #pipe: SinkSide | undefined
  #ready = true
  #state: 'free' | 'ended' | 'closed' = 'free'
  #error: XpsError | undefined

  constructor(handlers: SinkHandlers) {
    this.#handlers = handlers
  }

  /** Makes a sink of a Node Writable or a web WritableStream. Its chunks are copies, so the stream may keep them. */
  static from(writable: WritableLike): PipeSink {
    return sinkInto(writable, (handlers) => new this(handlers))
  }

  /** Attached to a pipe that may still bring bytes. */
  get active(): boolean {
    return this.#pipe !== undefined
  }

  /** Takes bytes now. Set it to true when it can take more; set it to false to hold the pipe up. */
  get ready(): boolean {
    return this.#ready
  }

  set ready(ready: boolean) {
    if (this.#ready === ready) return
    this.#ready = ready
    if (ready) this.#pipe?.sinkReady()
  }

  /** Takes nothing more: the source learns of it, and what waits in the pipe is dropped. */
  close(error?: unknown): void {
    if (this.#state !== 'free') return
    this.#state = 'closed'
    if (error !== undefined) this.#error = asXpsError(error, 'XPS_ABORTED', 'pipe sink closed')
    const pipe = this.#pipe
    this.#pipe = undefined
    pipe?.sinkClosed(this.#error)
  }

  /** @internal The pipe's side of attaching. */
  attach(pipe: SinkSide): void {
    if (this.#state === 'free') this.#pipe = pipe
    else pipe.sinkClosed(this.#error)
  }

  /** @internal */
  detach(): void {
    this.#pipe = undefined
  }

  /** @internal Hands bytes over and returns how many were taken; `ready` then tells whether more can come. */
  take(chunk: Uint8Array): number {
    noteShown(chunk)
    try {
      if (this.#handlers.write(chunk, this) === false) this.#ready = false
    } catch (error) {
      this.close(hostFault(error))
    }
    return chunk.length
  }

  /** @internal Hands two chunks over at once; false, and nothing was taken, if the sink knows no way to do that. */
  takeBoth(_head: Uint8Array, _chunk: Uint8Array): boolean {
    return false
  }

  /** @internal The pipe has delivered everything. */
  sourceEnded(error: XpsError | undefined): void {
    this.#pipe = undefined
    if (this.#state !== 'free') return
    this.#state = 'ended'
    try {
      this.#handlers.end?.(error, this)
    } catch (fault) {
      process.emitWarning(hostFault(fault))
    }
  }

  /** @internal The pipe was aborted. */
  aborted(error: XpsError): void {
    this.#pipe = undefined
    if (this.#state !== 'free') return
    this.#state = 'ended'
    try {
      if (this.#handlers.abort !== undefined) this.#handlers.abort(error, this)
      else this.#handlers.end?.(error, this)
    } catch (fault) {
      process.emitWarning(hostFault(fault))
    }
  }
}
