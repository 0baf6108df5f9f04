import type { XpsError } from '../errors.ts'
import { PipeSink } from '../pipe/sink.ts'

const noHandlers = { write(): void {} }
/** How many bytes are kept; more are not read. */
const most = 64 * 1024

/** Keeps what a client sends before it is known where it goes; it is read all the same, so that its leaving is seen. */
export class EarlySink extends PipeSink {
  /** The client has ended its direction. */
  ended = false
  readonly #left: (error: XpsError) => void
  #chunks: Buffer[] = []
  #size = 0
  #collecting = false

  /** `left` is told if the client breaks off. */
  constructor(left: (error: XpsError) => void) {
    super(noHandlers)
    this.#left = left
  }

  /** All that was kept, and what waits in the pipe. */
  collect(): Buffer {
    this.#collecting = true
    this.ready = true
    const all = Buffer.concat(this.#chunks)
    this.#chunks = []
    return all
  }

  override take(chunk: Uint8Array): number {
    this.#chunks.push(Buffer.from(chunk))
    this.#size += chunk.length
    if (this.#size >= most && !this.#collecting) this.ready = false
    return chunk.length
  }

  override sourceEnded(error: XpsError | undefined): void {
    super.sourceEnded(error)
    this.ended = true
    if (error !== undefined) this.#left(error)
  }

  override aborted(error: XpsError): void {
    super.aborted(error)
    this.ended = true
    this.#left(error)
  }
}
