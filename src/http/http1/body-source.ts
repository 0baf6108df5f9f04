import type { XpsError } from '../../errors.ts'
import { PipeSource } from '../../pipe/source.ts'

/** What a {@link BodySource} asks of the side of a connection that its bytes come from. */
export interface BodyOwner {
  /** The body may go on. */
  bodyPulled(body: BodySource): void
  /** The pipe of the body is over: all was delivered, or nobody wants it any more. */
  bodyOver(error: XpsError | undefined, body: BodySource): void
}

/** The body of a message that is being received. Its owner writes what comes for as long as it is taken. */
export class BodySource extends PipeSource {
  readonly #owner: BodyOwner

  constructor(owner: BodyOwner) {
    super()
    this.#owner = owner
  }

  override pulled(): void {
    if (!this.ended) this.#owner.bodyPulled(this)
  }

  override over(error: XpsError | undefined): void {
    super.over(error)
    this.#owner.bodyOver(error, this)
  }
}
