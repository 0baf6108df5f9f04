import type { Fields } from './fields.ts'
import type { Answered, Forwarding } from './forwarding/forwarding.ts'
import { bitsOf } from './forwarding/hop-by-hop.ts'
import type { RequestOutput, UpstreamRequest } from './upstream-session.ts'

const lengthBit = bitsOf('content-length')

/** A transaction's request as it is passed on: made when it is known which version of HTTP the connection speaks. */
export class ForwardedRequest implements UpstreamRequest {
  readonly length: number
  readonly body: Uint8Array | undefined
  readonly upgrade: string | undefined
  readonly #forwarding: Forwarding
  readonly #answered: Answered

  constructor(
    forwarding: Forwarding,
    answered: Answered,
    length: number,
    body: Uint8Array | undefined,
    upgrade: string | undefined,
  ) {
    this.length = length
    this.body = body
    this.upgrade = upgrade
    this.#forwarding = forwarding
    this.#answered = answered
  }

  get method(): string {
    return this.#answered.request.method
  }

  get authority(): string {
    const { request, upstreamHost } = this.#answered
    return this.#forwarding.checkedHost(request, upstreamHost)
  }

  target(): string {
    const { request, prefix } = this.#answered
    return this.#forwarding.target(request, prefix)
  }

  text(): string {
    const { request, client, upstreamHost } = this.#answered
    const block = this.#forwarding.requestBlock(request, client, upstreamHost)
    return `${request.method} ${this.target()} HTTP/1.1\r\n${block}${this.#framing()}\r\n`
  }

  write(output: RequestOutput): boolean {
    const { request, client, upstreamHost } = this.#answered
    const block = this.#forwarding.requestBytes(request, client, upstreamHost)
    if (block === undefined) return false
    // First, since what the host program makes of it may throw.
    const target = this.target()
    output.text(request.method)
    output.text(' ')
    output.text(target)
    output.text(' HTTP/1.1\r\n')
    output.copy(block)
    output.text(this.#framing())
    output.text('\r\n')
    return true
  }

  #framing(): string {
    const { length, upgrade } = this
    const { headers } = this.#answered.request
    let framing = upgrade === undefined ? '' : `Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n`
    if (length > 0) framing += `Content-Length: ${length}\r\n`
    else if (length < 0) framing += 'Transfer-Encoding: chunked\r\n'
    // Somebody who said that there is nothing has it said on: POST without a length is refused by some.
    else if ((headers.present & lengthBit) !== 0) framing += 'Content-Length: 0\r\n'
    return framing
  }

  fields(): Fields {
    const { request, client } = this.#answered
    return this.#forwarding.requestFields(request, client)
  }
}
