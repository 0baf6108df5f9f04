import type { XpsError } from '../errors.ts'

/** What a source may see and do of the pipe that it is attached to. */
export interface SourceSide {
  /** Bytes that the pipe would take now. */
  readonly room: number
  /** Nothing waits in the pipe, and the sink is done with all that it was given. */
  readonly flushed: boolean
  write(chunk: Uint8Array): number
  writeBoth(head: Uint8Array, chunk: Uint8Array): boolean
  sourceEnded(error: XpsError | undefined): void
  abort(error: XpsError): void
}

/** What a sink may do to the pipe that it is attached to. */
export interface SinkSide {
  sinkReady(): void
  sinkClosed(error: XpsError | undefined): void
  abort(error: XpsError): void
}

/** The methods of a source as its handlers see them. */
export interface SourceEnd {
  readonly ready: boolean
  readonly flushed: boolean
  write(chunk: Uint8Array): number
  end(error?: XpsError): void
  abort(error?: unknown): void
}

/** The methods of a sink as its handlers see them. */
export interface SinkEnd {
  ready: boolean
  close(error?: unknown): void
}

/** What the owner of a source supplies. */
export interface SourceHandlers {
  /**
   * The pipe is empty and its sink ready: write, as long as `source.ready`. Called when a pipe is attached, and
   * whenever it has become empty again.
   */
  pull?(source: SourceEnd): void
  /** The pipe takes nothing more. Told once; an error says why, undefined that all was delivered. */
  close?(error: XpsError | undefined, source: SourceEnd): void
}

/** What the owner of a sink supplies. */
export interface SinkHandlers {
  /**
   * Takes the chunk, all of it. Return false to get no more until `sink.ready = true`; the chunk stays valid until
   * then, and otherwise only during the call.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a handler that returns nothing is ready for more
  write(chunk: Uint8Array, sink: SinkEnd): boolean | void
  /** The last byte has been delivered; an error says that the source was cut short. Told once. */
  end?(error: XpsError | undefined, sink: SinkEnd): void
  /** The pipe was ended by force; bytes may be missing. Told once, and instead of `end`. */
  abort?(error: XpsError, sink: SinkEnd): void
}
