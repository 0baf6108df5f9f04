import type { XpsError } from '../errors.ts'
import type { ReadyHead, ResponseSink } from '../http/client-stream.ts'
import { NoSink } from './client-response.ts'
import { Exchange, type ExchangeParts } from './exchange.ts'
import { ProxyError } from './proxy-error.ts'

/** Sends a copy of a request to a target, whose response nobody sees. */
export class ForwardExchange extends Exchange {
  readonly #failed: (error: ProxyError) => void
  #failure: XpsError | undefined

  constructor(parts: ExchangeParts, failed: (error: ProxyError) => void) {
    super(parts)
    this.#failed = failed
  }

  inform(): void {}

  respond(head: ReadyHead, length: number, body: Uint8Array | null): undefined
  respond(head: ReadyHead, length: number, body: undefined): ResponseSink
  respond(_head: ReadyHead, _length: number, body: Uint8Array | null | undefined): ResponseSink | undefined {
    this.#failure ??= this.transaction?.failure
    return body === undefined ? new NoSink((error) => this.transaction?.responded(error)) : undefined
  }

  endAfter(): void {}

  cut(error: XpsError): void {
    this.#failure ??= error
  }

  override closed(): void {
    if (this.#failure !== undefined) this.#failed(new ProxyError(this.#failure))
  }
}
