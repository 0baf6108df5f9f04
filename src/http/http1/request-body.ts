import { XpsError } from '../../errors.ts'
import type { PipeSource } from '../../pipe/source.ts'
import type { Fields } from '../fields.ts'
import { BodyReader } from './body-reader.ts'
import { type BodyOwner, BodySource } from './body-source.ts'
import type { HeadLimits } from './head-reader.ts'

/** How much of a body that nobody wants is read and thrown away before its connection is closed instead. */
const mostUnwanted = 64 * 1024

/** What a {@link RequestBody} asks of the session that it comes in by. */
export interface RequestBodyOwner {
  /** Whoever answers is ready for it. */
  bodyWanted(): void
  /** The client's bytes may flow again. */
  resume(): void
  /** Nothing of the client's bytes is to be read until {@link resume}. */
  holdUp(): void
  /** The longest body; 0 for any. */
  readonly bodyLimit: number
}

/** The body of a request that did not come whole with its head: handed on as it comes, or thrown away. */
export class RequestBody implements BodyOwner {
  readonly #owner: RequestBodyOwner
  readonly #reader: BodyReader
  #source: BodySource | undefined
  #unwanted = false
  /** Bytes that were handed on, and bytes that were thrown away. */
  #passed = 0
  #dropped = 0

  constructor(owner: RequestBodyOwner, length: number, limits: HeadLimits) {
    this.#owner = owner
    this.#reader = new BodyReader(this, 'request', length, limits)
  }

  /** All of it has been read. */
  get complete(): boolean {
    return this.#reader.done
  }

  /** More of it is to come, or may be, than is read of what nobody wants. */
  get long(): boolean {
    return this.#reader.left > mostUnwanted
  }

  /** More of it was thrown away than is worth a connection. */
  get overlong(): boolean {
    return this.#dropped > mostUnwanted
  }

  /** Somebody reads it. */
  get wanted(): boolean {
    return this.#source?.active === true
  }

  get trailers(): Fields | undefined {
    return this.#reader.trailers
  }

  /** Where it comes from, for whoever wants it; always the same. */
  get source(): PipeSource {
    if (this.#source === undefined) {
      this.#source = new BodySource(this)
      if (this.complete) this.#source.end()
    }
    return this.#source
  }

  /** Reads from `at` on, and returns where it stopped. */
  read(chunk: Buffer, at: number): number {
    const stopped = this.#reader.read(chunk, at)
    if (this.complete) this.#source?.end()
    return stopped
  }

  /** Nobody wants the rest of it. */
  drop(): void {
    this.#unwanted = true
  }

  /** It will never be complete. */
  abort(error?: XpsError): void {
    this.#source?.abort(error)
  }

  /** @internal */
  takeBody(chunk: Buffer, start: number, stop: number): number {
    if (this.#unwanted) {
      this.#dropped += stop - start
      return stop - start
    }
    const source = this.#source
    if (source === undefined) {
      // Whoever answers has not asked for it yet.
      this.#owner.holdUp()
      return 0
    }
    const taken = source.write(chunk.subarray(start, stop))
    this.#passed += taken
    const limit = this.#owner.bodyLimit
    if (limit > 0 && this.#passed > limit) {
      throw new XpsError('XPS_TOO_LARGE', 'the body of the request is too long', { origin: 'client', status: 413 })
    }
    if (taken < stop - start || !source.flushed) this.#owner.holdUp()
    return taken
  }

  /** @internal */
  bodyPulled(): void {
    this.#owner.bodyWanted()
    this.#owner.resume()
  }

  /** @internal */
  bodyOver(): void {
    // Whoever took it wants no more; or the last of it was on its way, and nothing more was read until then.
    this.#unwanted = true
    this.#owner.resume()
  }
}
