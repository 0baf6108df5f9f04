import type { Connection } from '../core/connection.ts'
import type { XpsError } from '../errors.ts'
import { Pipe, type PipeAccount, type PipeOptions } from '../pipe/pipe.ts'
import type { PipeSink } from '../pipe/sink.ts'
import type { PipeSource } from '../pipe/source.ts'

/** The bytes of a connection, or of a stream, that has switched to something else. What came early is in the source. */
export interface Tunnel {
  readonly source: PipeSource
  readonly sink: PipeSink
  /** Where the tunnel leads by, if that is a connection of its own: whoever takes it over ends it. */
  readonly connection?: Connection | undefined
}

/** Who is told of the end of a tunnel. */
export interface TunnelOwner {
  /** Both directions have ended. Told once, and not before its pipes were joined, but maybe while they are. */
  tunnelOver(error: XpsError | undefined): void
}

/**
 * Joins the two sides of a tunnel by two pipes, until both have ended.
 *
 * ```
 *  near.source ──► pipe ──► far.sink
 *  near.sink  ◄── pipe ◄── far.source
 * ```
 *
 * Each direction ends by itself: a half-close is passed on, and the other goes on. A side that breaks off ends both.
 */
export class TunnelPipes {
  #out: Pipe | undefined
  #in: Pipe | undefined
  #bytesIn = 0
  #bytesOut = 0
  #error: XpsError | undefined
  readonly #owner: TunnelOwner

  constructor(owner: TunnelOwner) {
    this.#owner = owner
  }

  join(near: Tunnel, far: Tunnel, account: PipeAccount | undefined): void {
    const onClose = (error: XpsError | undefined, pipe: Pipe): void => this.#closed(pipe, error)
    const options: PipeOptions = account === undefined ? { onClose } : { account, onClose }
    // Both are there before either flows, because it may be over as soon as it does.
    const out = new Pipe(undefined, undefined, options)
    const into = new Pipe(undefined, undefined, options)
    this.#out = out
    this.#in = into
    out.attachSource(far.source)
    into.attachSource(near.source)
    if (this.#out !== undefined) out.attachSink(near.sink)
    if (this.#in !== undefined) into.attachSink(far.sink)
  }

  /** Bytes that went from the near side to the far one. */
  get bytesIn(): number {
    return this.#bytesIn + (this.#in?.bytes ?? 0)
  }

  /** Bytes that went from the far side to the near one. */
  get bytesOut(): number {
    return this.#bytesOut + (this.#out?.bytes ?? 0)
  }

  /** Ends both directions now. */
  abort(error: XpsError): void {
    this.#out?.abort(error)
    this.#in?.abort(error)
  }

  #closed(pipe: Pipe, error: XpsError | undefined): void {
    this.#error ??= error
    if (pipe === this.#out) {
      this.#bytesOut = pipe.bytes
      this.#out = undefined
    } else {
      this.#bytesIn = pipe.bytes
      this.#in = undefined
    }
    if (this.#out === undefined && this.#in === undefined) this.#owner.tunnelOver(this.#error)
  }
}
