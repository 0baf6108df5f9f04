import { Readable } from 'node:stream'
import type { Fields } from '../http/fields.ts'
import type { ResponseHead } from '../http/messages.ts'
import { applyChanges, type NodeHeaders, nodeHeaders, rawOf } from './node-fields.ts'

/**
 * The response of a target, as listeners to `proxyRes` get it: a part of what Node's `IncomingMessage` has.
 *
 * What is changed in `headers`, `statusCode` and `statusMessage` within the event is what the client gets. Its bytes can
 * be read from the event on, by a listener that begins to within the event; with `selfHandleResponse`, also later.
 */
export class ProxyResponse extends Readable {
  statusCode: number
  statusMessage: string
  readonly httpVersion: string
  readonly httpVersionMajor: number
  readonly httpVersionMinor: number
  /** It has come whole. */
  complete = false
  trailers: NodeHeaders = {}
  rawTrailers: string[] = []
  readonly #head: ResponseHead
  #headers: NodeHeaders | undefined
  #before: NodeHeaders | undefined
  #raw: string[] | undefined
  #wanted: (() => void) | undefined

  /** @internal */
  constructor(head: ResponseHead) {
    super()
    this.#head = head
    this.statusCode = head.status
    this.statusMessage = head.reason
    this.httpVersion = head.version
    const [major = 1, minor = 1] = head.version.split('.').map(Number)
    this.httpVersionMajor = major
    this.httpVersionMinor = minor
  }

  /** The fields as they came, names in lower case; those of one name are joined, except `set-cookie`. */
  get headers(): NodeHeaders {
    if (this.#headers === undefined) {
      this.#headers = nodeHeaders(this.#head.headers)
      this.#before = copied(this.#headers)
    }
    return this.#headers
  }

  set headers(headers: NodeHeaders) {
    this.#before ??= nodeHeaders(this.#head.headers)
    this.#headers = headers
  }

  /** The fields as they came: name, value, name, value. */
  get rawHeaders(): string[] {
    this.#raw ??= rawOf(this.#head.headers)
    return this.#raw
  }

  /** Somebody reads it, or is about to. */
  get tapped(): boolean {
    return this.readableFlowing !== null || this.listenerCount('readable') > 0
  }

  /** @internal Makes in the fields for the client the changes that were made in `headers`. */
  edit(fields: Fields): void {
    if (this.#headers !== undefined && this.#before !== undefined) applyChanges(fields, this.#before, this.#headers)
  }

  /** @internal What the length was set to: a number, undefined if it was left as it was, less than 0 if it was taken away. */
  get editedLength(): number | undefined {
    const before = this.#before?.['content-length']
    const now = this.#headers?.['content-length']
    if (this.#headers === undefined || before === now) return undefined
    const length = Number(now)
    return now !== undefined && Number.isSafeInteger(length) && length >= 0 ? length : -1
  }

  /** @internal Called when it has room again. */
  whenWanted(wanted: () => void): void {
    this.#wanted = wanted
  }

  override _read(): void {
    this.#wanted?.()
  }
}

function copied(headers: NodeHeaders): NodeHeaders {
  const copy: NodeHeaders = {}
  for (const key in headers) {
    const value = headers[key]
    copy[key] = Array.isArray(value) ? [...value] : value
  }
  return copy
}
