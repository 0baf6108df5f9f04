import { asXpsError, XpsError } from '../errors.ts'
import type { SourceHandlers, SourceSide } from './ends.ts'
import { type BodyLike, sourceHandlersOf } from './from.ts'
import { hostFault } from './host-fault.ts'

/**
 * Where bytes enter a pipe.
 *
 * Its owner writes when the pipe asks (`pull`) and stops when {@link ready} is false. A chunk is *borrowed*: its memory
 * may be used again once {@link flushed} is true, which is most often the case when `write` returns.
 */
export class PipeSource {
  #handlers: SourceHandlers
  #pipe: SourceSide | undefined
  #state: 'free' | 'ended' | 'closed' = 'free'
  #error: XpsError | undefined

  constructor(handlers: SourceHandlers = noHandlers) {
    this.#handlers = handlers
  }

  /** Makes a source of a Node stream, a web stream, bytes, a text, or anything that can be iterated over for bytes. */
  static from(body: BodyLike): PipeSource {
    return new this(sourceHandlersOf(body))
  }

  /** Attached to a pipe that takes bytes, or still delivers what it took. */
  get active(): boolean {
    return this.#pipe !== undefined
  }

  /** The pipe has room for at least one byte more. */
  get ready(): boolean {
    return this.#pipe !== undefined && this.#state === 'free' && this.#pipe.room > 0
  }

  /** All that was written has left the pipe. While false, the memory of what was written must not change. */
  get flushed(): boolean {
    return this.#pipe === undefined || this.#pipe.flushed
  }

  /** Has said that there is no more, or has been told that nobody takes more. */
  get ended(): boolean {
    return this.#state !== 'free'
  }

  /**
   * Puts bytes into the pipe and returns how many it took: all of them, or fewer when it has no more room.
   * Keep the rest and write it when `pull` is called.
   */
  write(chunk: Uint8Array): number {
    if (this.#pipe === undefined || this.#state !== 'free') return 0
    return this.#pipe.write(chunk)
  }

  /**
   * Puts two chunks into the pipe at once, for a sink that can send them as one. False, and nothing was taken, if there
   * is no such sink or it is not ready for both: write them one after the other then.
   */
  writeBoth(head: Uint8Array, chunk: Uint8Array): boolean {
    if (this.#pipe === undefined || this.#state !== 'free') return false
    return this.#pipe.writeBoth(head, chunk)
  }

  /**
   * Says that there is no more. What is in the pipe is still delivered, then the sink is told.
   * An error says that bytes are missing: the sink learns of it after the last byte.
   */
  end(error?: XpsError): void {
    if (this.#state !== 'free') return
    this.#state = 'ended'
    this.#error = error
    this.#pipe?.sourceEnded(error)
  }

  /** Ends the pipe now, in both directions; what is in it is dropped. */
  abort(error?: unknown): void {
    const reason = asXpsError(error, 'XPS_ABORTED', 'pipe source aborted')
    if (this.#pipe !== undefined) this.#pipe.abort(reason)
    else this.end(reason)
  }

  /** @internal Throws if its pipe is over: nothing will ever come of it. */
  mustBeFree(): void {
    if (this.#state === 'closed') throw new XpsError('XPS_CLOSED', 'the source has been in a pipe that is over')
  }

  /** @internal The pipe's side of attaching; what was said before is said again to the new pipe. */
  attach(pipe: SourceSide): void {
    this.#pipe = pipe
    if (this.#state === 'ended') pipe.sourceEnded(this.#error)
  }

  /** @internal */
  detach(): void {
    this.#pipe = undefined
  }

  /** @internal The pipe asks for bytes. */
  pulled(): void {
    if (this.#state !== 'free') return
    try {
      this.#handlers.pull?.(this)
    } catch (error) {
      this.abort(hostFault(error))
    }
  }

  /** @internal The pipe is over. */
  over(error: XpsError | undefined): void {
    this.#pipe = undefined
    if (this.#state === 'closed') return
    this.#state = 'closed'
    try {
      this.#handlers.close?.(error, this)
    } catch (fault) {
      process.emitWarning(hostFault(fault))
    }
  }
}

const noHandlers: SourceHandlers = {}
