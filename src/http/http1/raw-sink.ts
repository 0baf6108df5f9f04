import type { Output } from '../../core/output.ts'
import type { XpsError } from '../../errors.ts'
import { PipeSink } from '../../pipe/sink.ts'

const noHandlers = { write(): void {} }

/** Where bytes go that are no message: behind what an output still has to send. */
export class RawSink extends PipeSink {
  readonly #output: Output

  constructor(output: Output) {
    super(noHandlers)
    this.#output = output
    this.ready = output.flushed
  }

  override take(chunk: Uint8Array): number {
    const taken = this.#output.body(chunk)
    if (taken < chunk.length || !this.#output.flushed) this.ready = false
    return taken
  }

  /** The output is empty again. */
  outputReady(): void {
    this.ready = true
  }

  override sourceEnded(error: XpsError | undefined): void {
    super.sourceEnded(error)
    this.#output.end()
  }

  override aborted(error: XpsError): void {
    super.aborted(error)
    this.#output.abort(error)
  }
}
