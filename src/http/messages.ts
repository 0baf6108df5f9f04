import { XpsError } from '../errors.ts'
import type { PipeSource } from '../pipe/source.ts'
import type { Fields, FieldsInit } from './fields.ts'

/** The version that a message was sent in. */
export type HttpVersion = '1.0' | '1.1' | '2'

/** A request without its body. */
export class RequestHead {
  readonly version: HttpVersion
  headers: Fields
  /** The host and port that the client asks for, as it spelled them; '' if it did not say. */
  authority: string
  #method: string
  #target: string

  constructor(method: string, target: string, version: HttpVersion, headers: Fields, authority: string) {
    this.#method = method
    this.#target = target
    this.version = version
    this.headers = headers
    this.authority = authority
  }

  /** As it came; case matters. What cannot be sent as a method is refused (`XPS_INVALID_HEADER`). */
  get method(): string {
    return this.#method
  }

  set method(method: string) {
    if (!/^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/.test(method)) {
      throw new XpsError('XPS_INVALID_HEADER', `${JSON.stringify(method)} is no method`)
    }
    this.#method = method
  }

  /** A path and query, most often. What cannot be sent in a request line is refused (`XPS_INVALID_HEADER`). */
  get target(): string {
    return this.#target
  }

  set target(target: string) {
    if (!/^(?:\/[\x21-\x7e]*|\*)$/.test(target) || target.includes('#')) {
      throw new XpsError('XPS_INVALID_HEADER', `${JSON.stringify(target)} is no path and query`)
    }
    this.#target = target
  }

  /** The path of the target, as it came (nothing is decoded); `*` for `OPTIONS *`. */
  get path(): string {
    const end = this.target.indexOf('?')
    return end < 0 ? this.target : this.target.slice(0, end)
  }

  /** The query of the target with its question mark, or ''. */
  get query(): string {
    const start = this.target.indexOf('?')
    return start < 0 ? '' : this.target.slice(start)
  }

  /** The name that the client asks for, in lower case and without a port: `app.test`, `[::1]`. */
  get host(): string {
    const name = this.authority.toLowerCase()
    const end = name.startsWith('[') ? name.indexOf(']') + 1 : name.indexOf(':')
    return end <= 0 ? name : name.slice(0, end)
  }
}

/** A response without its body. */
export class ResponseHead {
  readonly version: HttpVersion
  headers: Fields
  #status: number
  #reason: string

  constructor(status: number, reason: string, version: HttpVersion, headers: Fields) {
    this.#status = status
    this.#reason = reason
    this.version = version
    this.headers = headers
  }

  /** 200 to 999; what else it is set to is refused (`XPS_INVALID_HEADER`). Setting it clears the reason. */
  get status(): number {
    return this.#status
  }

  set status(status: number) {
    if (!Number.isInteger(status) || status < 200 || status > 999) {
      throw new XpsError('XPS_INVALID_HEADER', `${status} is no status of a response`)
    }
    this.#status = status
    this.#reason = ''
  }

  /** The reason phrase; empty if none came. */
  get reason(): string {
    return this.#reason
  }

  set reason(reason: string) {
    if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(reason)) {
      throw new XpsError('XPS_INVALID_HEADER', 'the reason phrase cannot be sent')
    }
    this.#reason = reason
  }
}

/** What a request is answered with. */
export interface Answer {
  /** 200 to 599. */
  readonly status: number
  /** @default none */
  readonly headers?: FieldsInit
  /**
   * The body: text (sent as UTF-8), bytes, or a source. Leave it out for none. A head whose `content-length` says how
   * long the body would be, and no body, is what HEAD and 304 are answered with.
   */
  readonly body?: string | Uint8Array | PipeSource
  /** How long a body is that is a source, in bytes; without it, it is sent in chunks. */
  readonly length?: number
}
