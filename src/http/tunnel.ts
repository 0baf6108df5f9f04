import type { PipeSink } from '../pipe/sink.ts'
import type { PipeSource } from '../pipe/source.ts'

/** The bytes of a connection, or of a stream, that has switched to something else. What came early is in the source. */
export interface Tunnel {
  readonly source: PipeSource
  readonly sink: PipeSink
}
