import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import { asXpsError, systemCode } from '../errors.ts'
import type { ResponseHead } from '../http/messages.ts'
import { Call } from './call.ts'
import { ProxyError } from './proxy-error.ts'
import type { ProxyRequest } from './proxy-request.ts'
import type { ProxyResponse } from './proxy-response.ts'
import { type Hop, hopAfter } from './redirect-hop.ts'
import type { RequestBody } from './request-body.ts'
import type { ProxyTargetDetailed } from './target.ts'
import type { WebListener } from './web-exchange.ts'

/** Is told, in place of listeners, that a request cannot be answered; `next` of Express and Connect is one. */
export type ProxyErrorCallback = (
  error: ProxyError,
  req: IncomingMessage,
  res: ServerResponse,
  target: URL | ProxyTargetDetailed | undefined,
) => void

/** One call of `ProxyServer.web`. */
export class WebCall extends Call<ServerResponse> implements WebListener {
  asked: ProxyRequest | undefined
  /** What was sent last, and how something is sent. */
  hop: Hop | undefined
  send: ((hop: Hop) => void) | undefined
  /** How many more redirects are followed. */
  redirects = 0
  #next: Hop | undefined

  get wantsResponses(): boolean {
    const { owner } = this
    if (owner.listenerCount('proxyRes') > 0 || owner.listenerCount('end') > 0) return true
    return (this.asked?.listenerCount('response') ?? 0) > 0
  }

  follows(response: ResponseHead): boolean {
    this.#next = this.redirects > 0 && this.hop !== undefined ? hopAfter(this.hop, response) : undefined
    return this.#next !== undefined
  }

  followed(): void {
    this.redirects--
    this.hop = this.#next as Hop
    try {
      this.send?.(this.hop)
    } catch (error) {
      this.failed(new ProxyError(asXpsError(error, 'XPS_FAULT', 'the redirect cannot be followed', { status: 502 })))
    }
  }

  responded(response: ProxyResponse): void {
    this.asked?.emit('response', response)
    this.owner.emit('proxyRes', response, this.req, this.client)
  }

  ended(response: ProxyResponse): void {
    this.owner.tell(() => this.owner.emit('end', this.req, this.client, response))
  }

  left(error: ProxyError): void {
    const { owner, target } = this
    if (target !== undefined) owner.tell(() => owner.emit('econnreset', error, this.req, this.client, target))
  }

  override failed(error: ProxyError): boolean {
    const told = super.failed(error)
    if (told) this.fulfil()
    // Whoever waits for the promise is the first who may answer.
    else setImmediate(() => this.#answer(error))
    return told
  }

  over(): void {
    const { asked, client: res } = this
    if (asked !== undefined) this.owner.tell(() => asked.emit('close'))
    if (res.writableFinished || res.destroyed || res.closed) this.fulfil()
    else res.once('close', () => this.fulfil())
  }

  /** The copy for the option `forward` has not arrived, which is nothing to the client. */
  forwardFailed(error: ProxyError, forward: URL | ProxyTargetDetailed): void {
    const { owner, req, client: res, callback } = this
    owner.tell(() => {
      if (error.cause.origin === 'client') owner.emit('econnreset', error, req, res, forward)
      else if (callback !== undefined) callback(error, req, res, forward)
      else owner.emit('error', error, req, res, forward)
    })
  }

  /** There is only the copy, and nobody else who answers: it is done as soon as the request was read. */
  forwarded(body: RequestBody): void {
    const { req, client: res } = this
    const answer = (): void => {
      if (!res.writableEnded && !res.destroyed) res.end()
    }
    res.once('close', () => this.over())
    if (body.complete || req.readableEnded) answer()
    else req.once('end', answer)
  }

  protected override tellFailure(error: ProxyError): void {
    const { asked } = this
    try {
      if (asked !== undefined && asked.listenerCount('error') > 0) asked.emit('error', error)
      super.tellFailure(error)
    } catch (fault) {
      // Many answer without a look whether they still can.
      if (systemCode(fault) !== 'ERR_HTTP_HEADERS_SENT') throw fault
    }
  }

  #answer(error: ProxyError): void {
    const { req, client: res } = this
    if (res.headersSent || res.writableEnded || res.destroyed) return
    const { statusCode } = error
    res.statusCode = statusCode
    for (const [name, value] of Object.entries(error.cause.headers ?? {})) res.setHeader(name, value)
    res.setHeader('Content-Type', 'text/plain; charset=utf-8')
    // What is left of a long body is not waited for.
    if (!req.complete && req.httpVersionMajor < 2) res.setHeader('Connection', 'close')
    res.end(`${statusCode} ${STATUS_CODES[statusCode] ?? ''}\n`)
  }
}
