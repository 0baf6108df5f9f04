import type { XpsError } from '../errors.ts'
import { PipeSink } from '../pipe/sink.ts'

/** What an {@link Input} asks of the side of the connection that it belongs to. */
export interface InputOwner {
  /** Reads what has come; returns how much of it was taken. */
  receive(chunk: Buffer): number
  /** The peer's direction has ended, and all that came has been taken; with an error if it was cut short. */
  received(error: XpsError | undefined): void
}

const noHandlers = { write(): void {} }

/** What a peer sends. */
export class Input extends PipeSink {
  readonly #owner: InputOwner

  constructor(owner: InputOwner) {
    super(noHandlers)
    this.#owner = owner
  }

  override take(chunk: Uint8Array): number {
    // Sockets, and the queue of a pipe, bring nothing but Buffers.
    return this.#owner.receive(chunk as Buffer)
  }

  override sourceEnded(error: XpsError | undefined): void {
    super.sourceEnded(error)
    this.#owner.received(error)
  }

  override aborted(error: XpsError): void {
    super.aborted(error)
    this.#owner.received(error)
  }
}
