import { EventEmitter } from 'eventemitter3'
import { XpsError } from '../errors.ts'
import type { Fields } from '../http/fields.ts'
import { RequestHead } from '../http/messages.ts'
import { setField } from './node-fields.ts'
import { asTarget, type Outgoing } from './outgoing.ts'
import type { ProxyError } from './proxy-error.ts'
import type { ProxyResponse } from './proxy-response.ts'

/** What a {@link ProxyRequest} tells. */
export interface ProxyRequestEvents {
  response: [proxyRes: ProxyResponse]
  error: [error: ProxyError]
  /** It is over, told last. */
  close: []
}

/**
 * The request that is about to be sent to a target, as listeners to `proxyReq` may edit it: a part of what Node's
 * `ClientRequest` has. After the event it cannot be changed any more; what would do so throws `XPS_CLOSED`.
 */
export class ProxyRequest extends EventEmitter<ProxyRequestEvents> {
  readonly protocol: 'http:' | 'https:'
  /** Where it goes. */
  readonly host: string
  #method: string
  #target: string
  #fields: Fields
  #sent = false
  #chunks: Buffer[] | undefined
  #ended = false
  #destroyed: XpsError | undefined

  /** @internal */
  constructor(outgoing: Outgoing, host: string, secure: boolean) {
    super()
    this.protocol = secure ? 'https:' : 'http:'
    this.host = host
    this.#method = outgoing.method
    this.#target = outgoing.target
    this.#fields = outgoing.fields
  }

  get method(): string {
    return this.#method
  }

  set method(method: string) {
    this.#mustBeOpen()
    this.#method = method
  }

  /** Path and query. */
  get path(): string {
    return this.#target
  }

  set path(path: string) {
    this.#mustBeOpen()
    this.#target = asTarget(path)
  }

  get headersSent(): boolean {
    return this.#sent
  }

  get destroyed(): boolean {
    return this.#destroyed !== undefined
  }

  /**
   * Gives a field one value, or several. Fields that frame the body (`Content-Length`, `Transfer-Encoding`) and those
   * that are for one hop are written anew whatever they are set to.
   */
  setHeader(name: string, value: number | string | readonly string[]): this {
    this.#mustBeOpen()
    setField(this.#fields, name, value)
    return this
  }

  /** The value of a field: a list if there are several. */
  getHeader(name: string): string | string[] | undefined {
    const values = this.#fields.getAll(name)
    return values.length > 1 ? values : values[0]
  }

  hasHeader(name: string): boolean {
    return this.#fields.has(name)
  }

  removeHeader(name: string): void {
    this.#mustBeOpen()
    this.#fields.delete(name)
  }

  /** All fields, names in lower case. */
  getHeaders(): Record<string, string | string[]> {
    return this.#fields.toObject()
  }

  getHeaderNames(): string[] {
    return Object.keys(this.#fields.toObject())
  }

  /** The names as they are spelled. */
  getRawHeaderNames(): string[] {
    return [...new Set([...this.#fields].map(([name]) => name))]
  }

  /**
   * Sends this as the body, in front of what can still be read of the client's. For bodies that a parser has read:
   * their length is said by itself.
   */
  write(chunk: Uint8Array | string, encoding?: BufferEncoding): boolean {
    this.#mustBeOpen()
    if (this.#ended) throw new XpsError('XPS_CLOSED', 'the body of the request was ended')
    this.#chunks ??= []
    this.#chunks.push(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : Buffer.from(chunk))
    return true
  }

  /** Ends the body: nothing of the client's is sent behind it. */
  end(chunk?: Uint8Array | string, encoding?: BufferEncoding): this {
    if (chunk !== undefined) this.write(chunk, encoding)
    this.#mustBeOpen()
    this.#chunks ??= []
    this.#ended = true
    return this
  }

  /** Does not send it: told as an error. */
  destroy(error?: Error): this {
    this.#mustBeOpen()
    this.#destroyed ??= new XpsError('XPS_ABORTED', error?.message ?? 'the request was destroyed by a listener', {
      status: 502,
      ...(error === undefined ? {} : { cause: error }),
    })
    return this
  }

  abort(): void {
    this.destroy()
  }

  /** @internal From now on it is not changed. Throws what a listener did wrong. */
  close(version: RequestHead['version']): RequestHead {
    this.#sent = true
    if (this.#destroyed !== undefined) throw this.#destroyed
    const host = this.#fields.get('host') ?? ''
    // A setter checks; what is in absolute form, for a proxy, was checked when it was read.
    const head = new RequestHead('GET', this.#target, version, this.#fields, host)
    head.method = this.#method
    if (this.#target.startsWith('/')) head.target = this.#target
    // Node reads fields by the first name that it finds, others by the last: there is one host.
    if (this.#fields.getAll('host').length > 1) this.#fields.set('host', this.#fields.getAll('host')[0] as string)
    return head
  }

  /** @internal What listeners have written; undefined if they have not. */
  get written(): Buffer | undefined {
    return this.#chunks === undefined ? undefined : Buffer.concat(this.#chunks)
  }

  /** @internal */
  get ended(): boolean {
    return this.#ended
  }

  #mustBeOpen(): void {
    if (this.#sent) throw new XpsError('XPS_CLOSED', 'the request has been sent: edit it within the event')
  }
}
