import type { XpsError } from '../errors.ts'
import { PipeSink } from './sink.ts'
import { PipeSource } from './source.ts'

const noHandlers = { write(): void {} }

/**
 * Joins the end of one pipe to the start of the next, with nothing in between: what the sink is given, the source
 * writes in the same call, and the sink is ready when the source's pipe is empty.
 */
export class HandOverSource extends PipeSource {
  #sinks: HandOverSink[] = []

  /** @internal */
  joined(sink: HandOverSink): void {
    this.#sinks.push(sink)
    if (this.ended) sink.close()
  }

  override pulled(): void {
    for (const sink of this.#sinks) sink.pulled()
  }

  override over(error: XpsError | undefined): void {
    super.over(error)
    for (const sink of this.#sinks) sink.close(error)
  }
}

/** The sink whose bytes a {@link HandOverSource} writes on. */
export class HandOverSink extends PipeSink {
  protected readonly next: HandOverSource

  constructor(source: HandOverSource) {
    super(noHandlers)
    this.next = source
    // Not before there is a pipe behind the source: its first pull says so.
    if (!source.ready) this.ready = false
    source.joined(this)
  }

  /** The pipe behind is empty: the one before may go on. */
  pulled(): void {
    this.ready = true
  }

  override take(chunk: Uint8Array): number {
    const taken = this.next.write(chunk)
    if (taken < chunk.length || !this.next.flushed) this.ready = false
    return taken
  }

  override sourceEnded(error: XpsError | undefined): void {
    super.sourceEnded(error)
    this.next.end(error)
  }

  override aborted(error: XpsError): void {
    super.aborted(error)
    this.next.abort(error)
  }
}
