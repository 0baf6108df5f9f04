import { Pipe } from '../../pipe/pipe.ts'
import { PipeSink } from '../../pipe/sink.ts'
import { PipeSource } from '../../pipe/source.ts'
import type { ResponseHead } from '../messages.ts'
import type { UpstreamExchange } from '../upstream-session.ts'

/** In the place of an exchange that nobody waits for: its response is read, and that is all. */
export class Forgotten implements UpstreamExchange {
  readonly method: string

  constructor(method: string) {
    this.method = method
  }

  informed(): void {}

  responded(_head: ResponseHead, _length: number, body: Uint8Array | PipeSource): void {
    if (body instanceof PipeSource) readAway(body)
  }

  trailed(): void {}

  switched(): void {}

  failed(): void {}

  done(): void {}
}

/** Reads what a source brings, and throws it away. */
export function readAway(source: PipeSource): void {
  new Pipe(source, new PipeSink({ write() {} }))
}
